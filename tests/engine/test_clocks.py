"""The contracts of `Clock` and `Bell`, run over every implementation."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Bell, Clock
from conduit_local.engine.bell import LocalBell
from conduit_local.engine.clock import SteeredClock, SystemClock

SECOND_US = 1_000_000
HOUR_S = 3_600
ONE, OTHER = PipelineNumber(1), PipelineNumber(2)
T = TypeVar("T")


def frozen() -> SteeredClock:
    clock = SteeredClock()
    clock.freeze(True)
    return clock


def moved() -> SteeredClock:
    """A clock that was steered before it is used."""
    clock = SteeredClock()
    clock.advance(5)
    clock.set(clock.now_us() - 2 * HOUR_S * SECOND_US)
    return clock


RUNNING: list[Callable[[], Clock]] = [SystemClock, SteeredClock, moved]
EVERY: list[Callable[[], Clock]] = [*RUNNING, frozen]


async def turns() -> None:
    """Let everything that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def end_of(waiting: Awaitable[T]) -> T:
    """What comes of a wait that must end now."""
    return await asyncio.wait_for(waiting, 10)


# Clock -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SystemClock, SteeredClock])
def test_the_time_of_day_is_the_machines(make: Callable[[], Clock]) -> None:
    clock = make()
    assert abs(clock.now_us() - time.time_ns() // 1_000) < SECOND_US
    assert abs(clock.steady_us() - clock.now_us()) < SECOND_US  # one scale


@pytest.mark.parametrize("make", EVERY)
def test_steady_time_never_goes_back(make: Callable[[], Clock]) -> None:
    clock = make()
    readings = [clock.steady_us() for _ in range(1_000)]
    assert readings == sorted(readings)


@pytest.mark.parametrize("make", EVERY)
async def test_a_wait_ends_with_what_it_waits_for(make: Callable[[], Clock]) -> None:
    clock = make()
    for seconds in (None, 60.0):
        goal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(clock.wait(goal, seconds))
        await turns()
        assert not waiting.done()
        goal.set_result(None)
        assert await end_of(waiting) is True


@pytest.mark.parametrize("make", EVERY)
async def test_a_wait_for_what_is_done_ends_at_once(make: Callable[[], Clock]) -> None:
    goal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    goal.set_result(None)
    assert await make().wait(goal, 60.0) is True


@pytest.mark.parametrize("make", RUNNING)
async def test_a_wait_ends_after_its_seconds_and_cancels_what_it_waited_for(make: Callable[[], Clock]) -> None:
    clock = make()
    goal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    before = time.monotonic()
    assert await clock.wait(goal, 0.05) is False
    assert 0.04 < time.monotonic() - before < 5
    assert goal.cancelled()
    assert await clock.wait(None, 0.01) is False


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_no_time_at_all_is_over_at_once(make: Callable[[], Clock], seconds: float) -> None:
    assert await make().wait(None, seconds) is False


@pytest.mark.parametrize("make", EVERY)
async def test_a_wait_that_is_cancelled_cancels_what_it_waited_for(make: Callable[[], Clock]) -> None:
    clock = make()
    for seconds in (None, 60.0):
        goal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        before = asyncio.all_tasks()
        waiting = asyncio.ensure_future(clock.wait(goal, seconds))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await turns()
        assert goal.cancelled()
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("make", RUNNING)
async def test_waits_leave_nothing_behind(make: Callable[[], Clock]) -> None:
    clock = make()
    before = asyncio.all_tasks()
    await asyncio.gather(*(clock.wait(None, 0.01) for _ in range(20)))
    await turns()
    assert asyncio.all_tasks() == before


def test_the_systems_steady_time_does_not_follow_a_clock_that_is_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    real = time.time_ns
    before = clock.steady_us()
    for jump_s in (-2 * HOUR_S, 24 * HOUR_S):
        monkeypatch.setattr(time, "time_ns", lambda jump_s=jump_s: real() + jump_s * 1_000_000_000)
        assert abs(clock.now_us() - real() // 1_000 - jump_s * SECOND_US) < SECOND_US
        assert 0 <= clock.steady_us() - before < 10 * SECOND_US
        restarted = SystemClock()  # a new start takes the new time of day
        assert abs(restarted.steady_us() - restarted.now_us()) < SECOND_US


# The steered one alone -------------------------------------------------------------------------------------


async def test_time_that_is_advanced_ends_waits_and_frozen_time_does_not() -> None:
    clock = frozen()
    waiting = asyncio.ensure_future(clock.wait(None, 10))
    await turns()
    for _ in range(3):
        clock.advance(3)
        await turns()
        assert not waiting.done()
    clock.advance(1)
    assert await end_of(waiting) is False


async def test_a_time_of_day_that_is_set_ends_no_wait() -> None:
    clock = frozen()
    waiting = asyncio.ensure_future(clock.wait(None, 10))
    await turns()
    clock.set(clock.now_us() + 24 * HOUR_S * SECOND_US)
    await turns()
    assert not waiting.done()
    clock.advance(10)
    assert await end_of(waiting) is False


async def test_thawed_time_goes_on_from_where_it_stood() -> None:
    clock = frozen()
    stood = clock.now_us()
    waiting = asyncio.ensure_future(clock.wait(None, 0.02))
    await turns()
    assert (clock.now_us(), waiting.done()) == (stood, False)
    clock.freeze(False)
    assert stood <= clock.now_us() < stood + SECOND_US
    assert await end_of(waiting) is False


orders = st.lists(
    st.tuples(st.just("advance"), st.integers(0, 10**6))
    | st.tuples(st.just("set"), st.integers(-(10**6), 10**6))
    | st.tuples(st.just("freeze"), st.booleans()),
    max_size=12,
)


@given(orders)
def test_however_it_is_steered_steady_time_is_what_passed(given_orders: list[tuple[str, int]]) -> None:
    clock = frozen()
    begun, was_frozen, passed_us = clock.steady_us(), True, 0
    for order, value in given_orders:
        before = clock.steady_us()
        match order:
            case "advance":
                clock.advance(value)
                passed_us += value * SECOND_US
            case "set":
                wanted = clock.now_us() + value * SECOND_US
                clock.set(wanted)
                assert 0 <= clock.now_us() - wanted < SECOND_US
            case _:
                clock.freeze(bool(value))
                was_frozen = was_frozen and bool(value)
        assert clock.steady_us() >= before
    ran_us = clock.steady_us() - begun - passed_us
    assert ran_us == 0 if was_frozen else 0 <= ran_us < 60 * SECOND_US


# Bell ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=EVERY, ids=lambda make: make.__name__)
def bell(request: pytest.FixtureRequest) -> Bell:
    return LocalBell(request.param())


async def test_a_ring_wakes_all_that_wait_for_that_pipeline_and_no_other(bell: Bell) -> None:
    waiting = [asyncio.ensure_future(bell.wait(ONE, bell.heard(ONE), None)) for _ in range(5)]
    elsewhere = asyncio.ensure_future(bell.wait(OTHER, bell.heard(OTHER), None))
    await turns()
    assert not any(one.done() for one in waiting)
    bell.ring(ONE)
    await end_of(asyncio.gather(*waiting))
    await turns()
    assert not elsewhere.done()
    bell.ring(OTHER)
    await end_of(elsewhere)


async def test_a_ring_between_looking_and_waiting_is_not_missed(bell: Bell) -> None:
    heard = bell.heard(ONE)
    bell.ring(ONE)
    await end_of(bell.wait(ONE, heard, None))
    assert bell.heard(ONE) == heard + 1


async def test_rings_that_were_heard_wake_nobody(bell: Bell) -> None:
    for _ in range(3):
        bell.ring(ONE)
    waiting = asyncio.ensure_future(bell.wait(ONE, bell.heard(ONE), None))
    await turns()
    assert not waiting.done()
    bell.ring(ONE)
    await end_of(waiting)


async def test_several_rings_at_once_wake_once_and_count_each(bell: Bell) -> None:
    heard = bell.heard(ONE)
    waiting = asyncio.ensure_future(bell.wait(ONE, heard, None))
    await turns()
    for _ in range(4):
        bell.ring(ONE)
    await end_of(waiting)
    assert bell.heard(ONE) == heard + 4


async def test_whoever_goes_away_leaves_the_bell_to_the_others(bell: Bell) -> None:
    heard = bell.heard(ONE)
    gone, stays = (asyncio.ensure_future(bell.wait(ONE, heard, None)) for _ in range(2))
    await turns()
    gone.cancel()
    await turns()
    assert gone.cancelled()
    assert not stays.done()
    bell.ring(ONE)
    await end_of(stays)
    before = asyncio.all_tasks()
    await turns()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("make", RUNNING)
async def test_without_a_ring_the_wait_is_over_after_its_seconds(make: Callable[[], Clock]) -> None:
    bell = LocalBell(make())
    before = time.monotonic()
    await bell.wait(ONE, bell.heard(ONE), 0.02)
    assert 0.01 < time.monotonic() - before < 5
    assert bell.heard(ONE) == 0


async def test_on_a_frozen_clock_the_wait_is_over_when_time_was_advanced() -> None:
    clock = frozen()
    bell = LocalBell(clock)
    waiting = asyncio.ensure_future(bell.wait(ONE, 0, 5))
    await turns()
    clock.set(clock.now_us() - 2 * HOUR_S * SECOND_US)
    await turns()
    assert not waiting.done()
    clock.advance(5)
    await end_of(waiting)
