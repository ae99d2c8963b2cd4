"""Several batches of a route on their way at once: they land in any order, the cursor moves in theirs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.batch import Written, seqs_of
from conduit_local.core.content import Content
from conduit_local.core.delivering import Destination
from conduit_local.core.errors import DestinationUnavailable, StoreUnavailable
from conduit_local.core.kinds import patched_spec
from conduit_local.core.pipeline import Health
from conduit_local.core.run import RunState
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.store.batches import BatchTable
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engines import engine_at, ledgers, objects_below, payloads_below, until, until_delivered
from tests.making import MODEL, numbered, spec

FOUR = [{"type": "files", "concurrency": 4}]
TENS = {"max_events": 10, "max_age": "50ms"}
SLOW = {"initial": "1s", "max": "1s"}


IMPATIENT = EngineSettings(keys_required=False, grace_s=0.05)


class Steered:
    """Lets writes through one by one, by the first seq of their batch; or makes them fail."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[None]] = {}
        self.free = False
        self.tried: list[int] = []

    def maker(self) -> Callable[[DestinationMaker], WrappedMaker]:
        return lambda maker: WrappedMaker(maker, lambda _, made: Held(made, self))

    def let(self, *firsts: int) -> None:
        for first in firsts:
            self.waiting.pop(first).set_result(None)

    def fail(self, first: int, message: str = "no answer") -> None:
        self.waiting.pop(first).set_exception(DestinationUnavailable(message))

    def let_all(self) -> None:
        self.free = True
        self.let(*self.waiting)


class Crashed(Exception):
    """The engine is cut off."""


class Held(Wrapped):
    def __init__(self, real: Destination, steered: Steered) -> None:
        super().__init__(real)
        self._steered = steered

    async def write(self, key: str, content: Content) -> Written:
        first, _ = seqs_of(key) or (0, 0)
        self._steered.tried.append(first)
        if not self._steered.free:
            assert first not in self._steered.waiting, "one batch is tried twice at once"
            self._steered.waiting[first] = asyncio.get_running_loop().create_future()
            await self._steered.waiting[first]
        return await self.real.write(key, content)


def route_of(engine: Engine) -> Any:
    return engine.topology.find("orders").routes["files"]


def has_tried(route: Any, attempts: int) -> bool:
    return bool(route.attempt == attempts)


async def waits_for(steered: Steered, *firsts: int) -> None:
    await until(lambda: sorted(steered.waiting) == sorted(firsts))


async def started(engine: Engine, events: int, **more: Any) -> None:
    await engine.manage.create(spec(batch=TENS, destinations=FOUR, **more))
    await engine.ingest.accept("orders", numbered(0, events))


async def test_four_are_on_their_way_and_the_cursor_waits_for_the_first(tmp_path: Path) -> None:
    steered = Steered()
    async with engine_at(tmp_path, destinations=steered.maker()) as engine:
        await started(engine, 60)
        await waits_for(steered, 1, 11, 21, 31)
        steered.let(21, 31)
        await waits_for(steered, 1, 11, 41, 51)
        assert len(objects_below(tmp_path / "out")) == 2
        assert ledgers(engine, "orders") == {"files": (60, 0, 60)}
        steered.let(1)
        await until(lambda: ledgers(engine, "orders") == {"files": (60, 10, 50)})
        steered.let(11)
        await until(lambda: ledgers(engine, "orders") == {"files": (60, 40, 20)})
        steered.let_all()
        await until_delivered(engine, "orders")
        runs = await engine.queries.runs("orders", before=None, limit=10)
        assert [run.state for run, _ in runs] == [RunState.SUCCESS] * 6
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(60)]
    assert sorted(steered.tried) == [1, 11, 21, 31, 41, 51]


async def test_what_landed_ahead_of_a_crash_is_repeated_to_the_same_objects(tmp_path: Path) -> None:
    steered = Steered()
    with suppress(Crashed):
        async with engine_at(tmp_path, destinations=steered.maker(), settings=IMPATIENT) as engine:
            await started(engine, 60)
            await waits_for(steered, 1, 11, 21, 31)
            steered.let(31, 21)
            await waits_for(steered, 1, 11, 41, 51)
            raise Crashed
    assert len(objects_below(tmp_path / "out")) == 2
    again = Steered()
    async with engine_at(tmp_path, destinations=again.maker()) as engine:
        assert ledgers(engine, "orders") == {"files": (60, 0, 60)}
        await waits_for(again, 1, 11, 21, 31)
        again.let_all()
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"files": (60, 60, 0)}
    assert len(objects_below(tmp_path / "out")) == 6
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(60)]


async def test_stopping_ends_all_that_are_on_their_way(tmp_path: Path) -> None:
    steered = Steered()
    async with engine_at(tmp_path, destinations=steered.maker()) as engine:
        await started(engine, 80)
        await waits_for(steered, 1, 11, 21, 31)
        steered.let(21)
        await waits_for(steered, 1, 11, 31, 41)
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, steered.let, 31, 11, 1, 41)
    async with engine_at(tmp_path) as engine:
        assert route_of(engine).delivered >= 50
        await until_delivered(engine, "orders")
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(80)]


async def test_while_it_fails_only_the_first_is_tried_and_not_in_a_hurry(tmp_path: Path) -> None:
    clock, steered = SteeredClock(), Steered()
    clock.freeze(True)
    async with engine_at(tmp_path, clock, destinations=steered.maker()) as engine:
        await started(engine, 60, retry=SLOW)
        await waits_for(steered, 1, 11, 21, 31)
        for first in (31, 21, 11, 1):
            steered.fail(first)
        route = route_of(engine)
        await until(lambda: route.failed == 4)
        for attempt in range(2, 5):
            assert route.health is Health.RETRYING
            assert route.retry_at_us - clock.steady_us() <= 1_000_000
            clock.advance(1)
            await waits_for(steered, 1)
            steered.fail(1, f"still no answer {attempt}")
            await until(partial(has_tried, route, attempt))
        assert steered.tried == [1, 11, 21, 31, 1, 1, 1]
        clock.advance(1)
        await waits_for(steered, 1)
        steered.let(1)
        await waits_for(steered, 11)  # one by one, until all that failed have landed
        steered.let_all()
        await until_delivered(engine, "orders")
        assert (route.health, route.message, route.attempt) == (Health.OK, None, 0)
        assert ledgers(engine, "orders") == {"files": (60, 60, 0)}
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(60)]


async def test_one_that_cannot_land_holds_back_what_comes_behind_it(tmp_path: Path) -> None:
    """Others that are on their way land; nothing new is taken up, so that no crowd of objects runs ahead."""
    steered = Steered()
    async with engine_at(tmp_path, destinations=steered.maker()) as engine:
        await started(engine, 200, retry={"initial": "10ms", "max": "10ms"})
        await waits_for(steered, 1, 11, 21, 31)
        steered.fail(1)
        await until(lambda: route_of(engine).failed == 1)
        steered.let(11, 21, 31)
        await waits_for(steered, 1)
        assert len(route_of(engine).hands.batches) == 4
        assert ledgers(engine, "orders") == {"files": (200, 0, 200)}
        steered.let_all()
        await until_delivered(engine, "orders")
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(200)]


async def test_a_success_beside_it_shortens_no_wait_that_was_asked_for(tmp_path: Path) -> None:
    clock, steered = SteeredClock(), Steered()
    clock.freeze(True)
    async with engine_at(tmp_path, clock, destinations=steered.maker()) as engine:
        await started(engine, 40, retry={"initial": "10ms", "max": "10ms"})
        await waits_for(steered, 1, 11, 21, 31)
        steered.waiting.pop(11).set_exception(DestinationUnavailable("slow down", wait_s=60))
        route = route_of(engine)
        await until(lambda: route.failed == 1)
        steered.let(1, 21, 31)
        await until(lambda: route.cursor == 10)
        assert (route.health, route.retry_at_us - clock.steady_us()) == (Health.RETRYING, 60_000_000)
        clock.advance(59)
        await until(lambda: ledgers(engine, "orders") == {"files": (40, 10, 30)})
        assert steered.tried == [1, 11, 21, 31]
        clock.advance(1)
        await waits_for(steered, 11)
        steered.let_all()
        await until_delivered(engine, "orders")


async def test_what_we_do_wrong_with_one_is_not_forgotten_by_a_success_of_another(tmp_path: Path) -> None:
    clock, steered = SteeredClock(), Steered()
    clock.freeze(True)
    async with engine_at(tmp_path, clock, destinations=steered.maker()) as engine:
        await started(engine, 40)
        await waits_for(steered, 1, 11, 21, 31)
        steered.waiting.pop(11).set_exception(ZeroDivisionError("a bug"))
        route = route_of(engine)
        await until(lambda: route.health is Health.BLOCKED)
        steered.let(1, 21, 31)
        await until(lambda: route.cursor == 10)
        assert (route.health, route.message, steered.tried) == (Health.BLOCKED, "a bug", [1, 11, 21, 31])
        clock.advance(5)
        await waits_for(steered, 11)
        steered.let_all()
        await until_delivered(engine, "orders")
        assert route.health is Health.OK


async def test_another_destination_takes_over_once_those_on_their_way_have_ended(tmp_path: Path) -> None:
    steered = Steered()
    async with engine_at(tmp_path, destinations=steered.maker()) as engine:
        await started(engine, 60)
        await waits_for(steered, 1, 11, 21, 31)
        elsewhere = {"destinations": [{**FOUR[0], "name": "files", "path": "elsewhere"}]}
        await engine.manage.change("orders", lambda old: patched_spec(old, elsewhere, MODEL))
        steered.let(11)
        await waits_for(steered, 1, 21, 31)
        steered.let(1, 21, 31)
        await waits_for(steered, 41, 51)
        steered.let_all()
        await until_delivered(engine, "orders")
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(40)]
    assert payloads_below(tmp_path / "elsewhere") == [{"n": n} for n in range(40, 60)]


async def test_a_store_that_fails_holds_up_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = BatchTable.open_batch, [1, 3, 4]
    calls = 0

    async def open_batch(self: BatchTable, *values: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in left:
            raise StoreUnavailable("disk full")
        return await real(self, *values)

    monkeypatch.setattr(BatchTable, "open_batch", open_batch)
    async with engine_at(tmp_path) as engine:
        await started(engine, 60)
        await until_delivered(engine, "orders")
        await until(lambda: route_of(engine).health is Health.OK)
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(60)]


async def test_a_destination_has_batches_and_retries_of_its_own(tmp_path: Path) -> None:
    steered, clock = Steered(), SteeredClock()
    clock.freeze(True)
    two = [
        {"type": "files", "name": "one", "path": "one"},
        {
            "type": "files",
            "path": "two",
            "name": "files",
            "batch": {"max_events": 4},
            "retry": {"initial": "100s", "max": "100s"},
        },
    ]
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=two))
        await engine.ingest.accept("orders", numbered(0, 20))
        await until_delivered(engine, "orders")
    assert [name.split("/")[-1] for name in objects_below(tmp_path / "one")] == [
        "000000000001-000000000010.jsonl",
        "000000000011-000000000020.jsonl",
    ]
    assert len(objects_below(tmp_path / "two")) == 5
    async with engine_at(tmp_path, clock, destinations=steered.maker()) as engine:
        await engine.ingest.accept("orders", numbered(20, 4))
        await waits_for(steered, 21)
        steered.fail(21)
        route = route_of(engine)
        await until(lambda: route.health is Health.RETRYING)
        assert route.retry_at_us - clock.steady_us() > 1_000_000
        steered.free = True
        await engine.manage.resume("orders")
        await until(lambda: route.delivered == 24)
