"""Runs by schedule: each tick at most once, whatever the clock does, and only where the pipeline is active."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.kinds import patched_spec
from conduit_local.core.pipeline import State
from conduit_local.core.run import RunState, Trigger
from conduit_local.core.times import rfc3339
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine
from tests.engine.test_runs import Gate, GatedMaker
from tests.engines import engine_at, ledgers, until
from tests.making import MODEL, numbered, spec

MINUTELY = "* * * * *"


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


class WatchedClock(SteeredClock):
    """Knows when the scheduler has looked, and waits."""

    looks = 0
    is_waited_for = False

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        task = asyncio.current_task()
        if task is None or task.get_name() != "scheduler":
            return await super().wait(until, seconds)
        self.looks += 1
        self.is_waited_for = True
        try:
            return await super().wait(until, seconds)
        finally:
            self.is_waited_for = False


@pytest.fixture
def clock() -> WatchedClock:
    """It stands at half a minute past twelve."""
    found = WatchedClock()
    found.freeze(True)
    found.set(us("2030-01-01T12:00:30"))
    return found


async def ticks(engine: Engine, ref: str = "orders") -> list[str]:
    """When its runs by schedule were asked for, the oldest first."""
    live = engine.topology.find(ref)
    while True:
        await until(lambda: not live.asked_for(), within_s=60)
        found = await engine.queries.runs(ref, before=None, limit=500)
        if all(run.state.has_ended for run, _ in found):  # one is kept a moment before it waits
            break
    return [rfc3339(run.created_at_us) for run, _ in reversed(found) if run.trigger is Trigger.SCHEDULE]


async def hop(times: int = 1) -> None:
    """Let the loop do what it has to."""
    for _ in range(times):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def pass_time(clock: WatchedClock, seconds: float) -> None:
    """Let time pass, until the scheduler has looked at every pipeline."""
    await until(lambda: clock.is_waited_for)
    before = clock.looks
    clock.advance(seconds)
    await until(lambda: clock.looks > before)


async def test_a_tick_starts_one_run_which_delivers_what_was_collected(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="*/5 * * * *", batch={"max_events": 1, "max_age": "50ms"}))
        live = engine.topology.find("orders")
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T12:05:00Z"
        await engine.ingest.accept("orders", numbered(0, 3))
        await pass_time(clock, 240)
        assert (await ticks(engine), ledgers(engine, "orders")) == ([], {"files": (3, 0, 3)})
        await pass_time(clock, 60)
        assert await ticks(engine) == ["2030-01-01T12:05:30Z"]
        assert ledgers(engine, "orders") == {"files": (3, 3, 0)}
        await pass_time(clock, 60)
        assert len(await ticks(engine)) == 1
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T12:10:00Z"


async def test_ticks_that_pass_in_one_jump_start_one_run(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        await pass_time(clock, 86_400)
        assert await ticks(engine) == ["2030-01-02T12:00:30Z"]


async def test_a_clock_that_is_set_back_repeats_no_tick(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        await pass_time(clock, 3_600)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]
        clock.set(us("2030-01-01T11:00:30"))
        live = engine.topology.find("orders")
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T14:00:00Z"
        for _ in range(10):
            clock.advance(900)
            await hop(3)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]
        clock.set(us("2030-01-01T13:59:30"))
        await pass_time(clock, 60)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z", "2030-01-01T14:00:30Z"]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_clock_does_no_tick_starts_two_runs(tmp_path: Path, clock: WatchedClock, seed: int) -> None:
    chance = Random(seed)
    for _ in range(2):
        async with engine_at(tmp_path, clock) as engine:
            if engine.topology.get("orders") is None:
                await engine.manage.create(spec(schedule=MINUTELY))
            for _ in range(30):
                if chance.random() < 0.3:
                    clock.set(clock.now_us() + chance.choice([-7_200, -61, -1, 1, 59, 3_600]) * 1_000_000)
                else:
                    clock.advance(chance.choice([0.4, 1, 1.5, 30, 60, 61, 600]))
                await hop(chance.choice([0, 1, 3]))
            await pass_time(clock, 61)
            found = await ticks(engine)
            assert len({moment[:16] for moment in found}) == len(found), found
    assert found


async def test_a_tick_is_not_repeated_by_a_restart_with_the_clock_set_back(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        await pass_time(clock, 3_600)
    clock.set(us("2030-01-01T12:59:30"))
    async with engine_at(tmp_path, clock) as engine:
        for _ in range(10):
            clock.advance(9)
            await hop(3)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]


async def test_a_clock_that_was_years_ahead_holds_no_schedule_up_after_a_restart(
    tmp_path: Path, clock: WatchedClock
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        clock.set(us("2040-01-01T12:59:59"))
        await pass_time(clock, 60)
        assert len(await ticks(engine)) == 1
    clock.set(us("2030-01-01T12:59:30"))
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(clock, 60)
        assert len(await ticks(engine)) == 2


@pytest.mark.parametrize(("line", "down_s"), [(MINUTELY, 3 * 3_600), ("0 * * * *", 86_400), ("5 12 * * *", 3 * 3_600)])
async def test_after_downtime_one_run_makes_up_for_all_its_ticks(
    tmp_path: Path, clock: WatchedClock, line: str, down_s: int
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=line))
        await engine.ingest.accept("orders", numbered(0, 3))
    clock.advance(down_s)
    back_us = clock.now_us()
    async with engine_at(tmp_path, clock) as engine:
        await hop(3)
        clock.advance(1)
        async with asyncio.timeout(10):
            while not await ticks(engine):
                await hop()
        made_up = rfc3339(back_us + 1_000_000)
        assert await ticks(engine) == [made_up]
        assert ledgers(engine, "orders") == {"files": (3, 3, 0)}
        next_us = engine.scheduler.next_run_us(engine.topology.find("orders"))
        assert next_us is not None
        await pass_time(clock, (next_us - clock.now_us()) // 1_000_000)
        assert [tick[:16] for tick in await ticks(engine)] == [made_up[:16], rfc3339(next_us)[:16]]
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(clock, 1)
        assert len(await ticks(engine)) == 2, "made up for once"


async def test_downtime_without_a_tick_is_made_up_for_by_nothing(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        await pass_time(clock, 3_600)
    clock.advance(1_800)
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(clock, 1)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]


async def test_after_a_downtime_with_a_pause_the_pause_is_not_made_up_for(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        await engine.manage.pause("orders")
    clock.advance(3 * 3_600)
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(clock, 1)
        await engine.manage.resume("orders")
        await pass_time(clock, 60)
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(clock, 60)
        assert await ticks(engine) == []
        await pass_time(clock, 3_600)
        assert [tick[:13] for tick in await ticks(engine)] == ["2030-01-01T16"]


async def test_a_change_at_the_start_that_leaves_the_schedule_alone_takes_no_tick_away(
    tmp_path: Path, clock: WatchedClock
) -> None:
    """A configuration file that is applied again at start, unchanged or with another title."""
    for title in (None, "Orders"):
        folder = tmp_path / str(title)
        folder.mkdir()
        async with engine_at(folder, clock) as engine:
            await engine.manage.create(spec(schedule="0 * * * *"))
        clock.advance(2 * 3_600)
        async with engine_at(folder, clock) as engine:
            await hop()
            await engine.manage.change("orders", lambda old, to=title: patched_spec(old, {"title": to}, MODEL))  # type: ignore[misc]
            await pass_time(clock, 1)
            assert len(await ticks(engine)) == 1


async def test_a_schedule_that_is_changed_at_the_start_counts_from_then_on(tmp_path: Path, clock: WatchedClock) -> None:
    for number, change in enumerate(({"schedule": "30 * * * *"}, {"timezone": "Asia/Kolkata"}, {"schedule": None})):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with engine_at(folder, clock) as engine:
            await engine.manage.create(spec(schedule="0 * * * *"))
        clock.advance(2 * 3_600)
        async with engine_at(folder, clock) as engine:
            await hop()
            await engine.manage.change("orders", lambda old, to=change: patched_spec(old, to, MODEL))  # type: ignore[misc]
            await pass_time(clock, 1)
            assert await ticks(engine) == []


async def test_a_paused_pipeline_has_no_ticks_and_makes_up_for_none(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        live = engine.topology.find("orders")
        await engine.manage.pause("orders")
        assert engine.scheduler.next_run_us(live) is None
        await pass_time(clock, 600)
        assert await ticks(engine) == []
        await engine.manage.resume("orders")
        clock.advance(5)
        await hop(3)
        assert await ticks(engine) == [], "the ticks of the pause are over"
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T12:11:00Z"
        await pass_time(clock, 60)
        assert await ticks(engine) == ["2030-01-01T12:11:35Z"]


async def test_a_deleted_pipeline_has_no_ticks(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        live = engine.topology.find("orders")
        await engine.manage.delete("orders")
        await pass_time(clock, 600)
        assert (live.waiting, live.runs) == ([], [])


async def test_deleted_while_its_tick_is_acted_on_it_leaves_nothing(tmp_path: Path, clock: WatchedClock) -> None:
    for at in range(4):
        (tmp_path / str(at)).mkdir()
        async with engine_at(tmp_path / str(at), clock) as engine:
            await engine.manage.create(spec(schedule=MINUTELY))
            clock.advance(60)
            await hop(at)
            await engine.manage.delete("orders")
            await until(lambda engine=engine: not engine.topology.departing())  # type: ignore[misc]
        async with engine_at(tmp_path / str(at), clock) as engine:
            assert (engine.topology.live(), engine.topology.departing()) == ([], [])


async def test_while_the_run_of_a_tick_waits_the_next_ticks_add_none(tmp_path: Path, clock: WatchedClock) -> None:
    gate = Gate()
    async with engine_at(tmp_path, clock, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        await engine.ingest.accept("orders", numbered(0, 3))
        live = engine.topology.find("orders")
        await pass_time(clock, 60)
        await until(lambda: bool(live.runs) and not live.waiting)
        for _ in range(4):
            await pass_time(clock, 60)
        assert ([run.trigger for run in live.runs], len(live.waiting)) == ([Trigger.SCHEDULE], 1)
        gate.open.set()
        assert [tick[:16] for tick in await ticks(engine)] == ["2030-01-01T12:01", "2030-01-01T12:02"]


async def test_a_schedule_that_is_changed_or_taken_away_counts_from_then_on(
    tmp_path: Path, clock: WatchedClock
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 0 * * *"))
        await engine.manage.change("orders", lambda old: patched_spec(old, {"schedule": MINUTELY}, MODEL))
        await pass_time(clock, 60)
        assert len(await ticks(engine)) == 1
        await engine.manage.change("orders", lambda old: patched_spec(old, {"schedule": None}, MODEL))
        await pass_time(clock, 600)
        assert len(await ticks(engine)) == 1
        assert engine.scheduler.next_run_us(engine.topology.find("orders")) is None


@pytest.mark.parametrize("trouble", [StoreUnavailable("the disk is full"), ZeroDivisionError("a bug")])
@pytest.mark.parametrize("what", ["request", "last_asked_us"])
async def test_a_tick_that_the_store_refuses_is_tried_until_it_is_kept(
    tmp_path: Path, clock: WatchedClock, monkeypatch: pytest.MonkeyPatch, trouble: Exception, what: str
) -> None:
    asked = []

    async def refuse(*_: object) -> None:
        asked.append(clock.now_us())
        raise trouble

    def said(text: str) -> int:
        return sum(text in line.message for line in engine.journal.after(0, 1_000))

    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        with monkeypatch.context() as patch:
            patch.setattr(engine.runs, what, refuse)
            clock.advance(3_600)
            for times in range(1, 6):
                await until(lambda times=times: len(asked) >= times)  # type: ignore[misc]
                await hop(3)
                clock.advance(1)
        assert said("start a run by schedule") == 1, "not once a second"
        await pass_time(clock, 1)
        assert len(await ticks(engine)) == 1
        assert said("it acts again") == 1
        await pass_time(clock, 60)
        assert len(await ticks(engine)) == 1


async def test_a_run_that_was_kept_though_the_store_said_no_is_not_started_again(
    tmp_path: Path, clock: WatchedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        request, refused = engine.runs.request, []

        async def keep_and_refuse(*args: Any) -> None:
            refused.append(await request(*args))
            raise StoreUnavailable("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(engine.runs, "request", keep_and_refuse)
            clock.advance(3_600)
            await until(lambda: bool(refused))
        await pass_time(clock, 60)
        assert len(await ticks(engine)) == 1


async def test_a_tick_waits_for_who_is_just_pausing_and_starts_nothing_then(
    tmp_path: Path, clock: WatchedClock
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        live = engine.topology.find("orders")
        async with live.changing:
            pausing = asyncio.ensure_future(engine.manage.pause("orders"))
            await hop()
            clock.advance(3_600)
            await hop(5)
        await pausing
        await pass_time(clock, 60)
        await engine.manage.resume("orders")
        await pass_time(clock, 60)
        assert (live.pipeline.state, await ticks(engine)) == (State.ACTIVE, [])


async def test_at_the_end_of_the_calendar_the_engine_goes_on(tmp_path: Path, clock: WatchedClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        clock.set(us("9999-12-31T23:59:30"))
        for _ in range(5):
            clock.advance(2)
            await hop(3)
        assert engine.scheduler.next_run_us(engine.topology.find("orders")) is None
        await engine.ingest.accept("orders", numbered(0, 1))
        run = await engine.manage.flush("orders")
        assert run.state is RunState.RUNNING
