"""S2.1: how long an operation may take, and how often it is tried."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from conduit_local.core.errors import NameTaken, QuotaSpent, RateLimited, StoreUnavailable, TimedOut
from conduit_local.dialects.s2 import models
from conduit_local.dialects.s2.operations import Done, perform
from conduit_local.dialects.s2.parameters import Options
from conduit_local.engine.clock import SystemClock
from tests.appliance import Appliance
from tests.dialects.s2.asking import create, good, held, held_for, refused, send, shown, until

DONE = Done(data={})


class Swift(SystemClock):
    """Waits are noted instead."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        self.waited.append(seconds)
        return False


def failing(times: int, error: Exception) -> tuple[list[int], Callable[[], Awaitable[Done]]]:
    """An attempt that fails so often, and how often it was made."""
    made: list[int] = []

    async def attempt() -> Done:
        made.append(len(made))
        if len(made) <= times:
            raise error
        return DONE

    return made, attempt


# Retries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_ms", [None, 60_000])
@pytest.mark.parametrize("error", [StoreUnavailable("locked"), QuotaSpent("full")])
async def test_s2_1_what_the_appliance_cannot_take_is_tried_as_often_as_asked(
    timeout_ms: int | None, error: Exception
) -> None:
    for retries in (0, 1, 3, 10):
        clock, (made, attempt) = Swift(), failing(retries, error)
        assert await perform(attempt, Options(timeout=timeout_ms, retries=retries), clock, "ingest") == DONE
        assert len(made) == retries + 1
        assert len(clock.waited) == retries
        _, attempt = failing(retries + 1, error)
        with pytest.raises(type(error)):
            await perform(attempt, Options(timeout=timeout_ms, retries=retries), Swift(), "ingest")


async def test_s2_1_it_waits_longer_each_time_and_never_long() -> None:
    clock, (_, attempt) = Swift(), failing(10, StoreUnavailable("locked"))
    await perform(attempt, Options(retries=10), clock, "ingest")
    waited = [seconds or 0.0 for seconds in clock.waited]
    assert waited == sorted(waited)
    assert waited[0] < 0.1
    assert waited[-1] == 1.0


@pytest.mark.parametrize(
    "error", [NameTaken("a"), RateLimited("b", retry_after_s=1, limit=1, reset_at_s=1), ZeroDivisionError()]
)
async def test_s2_1_what_the_caller_must_change_and_what_is_a_bug_is_not_tried_again(error: Exception) -> None:
    made, attempt = failing(1, error)
    with pytest.raises(type(error)):
        await perform(attempt, Options(timeout=60_000, retries=10), Swift(), "create")
    assert len(made) == 1


def test_s2_1_retries_outlast_a_locked_database(appliance: Appliance) -> None:
    """SQLite itself waits half a second; the lock is held for longer."""
    create(appliance, "outlasted")
    given = {"pipeline": "outlasted", "event": {"n": 1}}
    with held(appliance):
        answer = send(appliance, "ingest", given)
        assert (answer.status, answer.code) == (503, "INTERNAL_ERROR")
        assert int(answer.headers["Retry-After"]) >= 1
    with held_for(appliance, 0.8):
        answer = send(appliance, "ingest", given, {"retries": 10})
    assert good(answer, models.Ingested)["accepted"] == 1
    assert accepted(appliance, "outlasted") == 1


# Time-outs ---------------------------------------------------------------------------------------------------


async def test_s2_1_what_takes_too_long_is_a_timeout_that_goes_on_to_its_end() -> None:
    begun, let_go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def attempt() -> Done:
        begun.set()
        await let_go.wait()
        ended.set()
        return DONE

    with pytest.raises(TimedOut, match="ingest took longer than 1 ms") as found:
        await perform(attempt, Options(timeout=1), SystemClock(), "ingest")
    assert "send it again with the same idempotency key" in found.value.message
    assert begun.is_set()
    let_go.set()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_s2_1_a_timeout_ends_the_retries_too() -> None:
    made, attempt = failing(99, StoreUnavailable("locked"))
    with pytest.raises(TimedOut):
        await perform(attempt, Options(timeout=20, retries=10), SystemClock(), "ingest")
    assert 1 <= len(made) < 10


async def test_s2_1_an_operation_that_times_out_by_itself_is_not_said_to_have_hit_the_limit() -> None:
    _, attempt = failing(1, TimeoutError("of its own"))
    with pytest.raises(TimeoutError, match="of its own"):
        await perform(attempt, Options(timeout=60_000), SystemClock(), "ingest")


def test_s2_1_an_ingest_that_timed_out_is_not_doubled_when_it_is_sent_again_with_its_key(appliance: Appliance) -> None:
    create(appliance, "late")
    given = {"pipeline": "late", "events": [{"n": 1}, {"n": 2}], "idempotency_key": "k"}
    with held(appliance):
        answer = send(appliance, "ingest", given, {"timeout": 1, "retries": 3})
        error = refused(answer, "TIMEOUT")
    assert answer.headers["Retry-After"]
    assert "ingest took longer than 1 ms" in error["message"]

    def again() -> Any:
        return send(appliance, "ingest", given)

    second = until(again, lambda one: one.status == 200)
    assert good(second, models.Ingested)["accepted"] == 2
    assert second.headers["Idempotent-Replayed"] == "true", "the first went on to its end"
    assert good(again(), models.Ingested) == good(second, models.Ingested)
    assert accepted(appliance, "late") == 2


def test_s2_1_an_order_that_timed_out_is_carried_out(appliance: Appliance) -> None:
    create(appliance, "ordered")
    with held(appliance):
        refused(send(appliance, "pause", {"pipeline": "ordered"}, {"timeout": 1}), "TIMEOUT")
    until(lambda: shown(appliance, "ordered")["status"], lambda status: status == "paused")


def accepted(appliance: Appliance, name: str) -> int:
    """How many events a pipeline has accepted."""
    return int(appliance.pipeline(name)["destinations"][0]["ledger"]["accepted"])
