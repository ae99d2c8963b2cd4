"""Runs by schedule: each tick at most once, whatever the clock does, and only where the pipeline is active."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.kinds import patched_spec
from conduit_local.core.run import RunState, Trigger
from conduit_local.core.times import rfc3339
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine
from tests.engine.test_runs import Gate, GatedMaker
from tests.engines import engine_at, ledgers, until
from tests.making import MODEL, numbered, spec

MINUTELY = "* * * * *"
BEACON = "beacon"


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def clock() -> SteeredClock:
    """It stands at half a minute past twelve."""
    found = SteeredClock()
    found.freeze(True)
    found.set(us("2030-01-01T12:00:30"))
    return found


async def ticks(engine: Engine, ref: str = "orders") -> list[str]:
    """When its runs by schedule were asked for, the oldest first."""
    live = engine.topology.find(ref)
    await until(lambda: not live.waiting and not live.runs, within_s=60)
    found = await engine.queries.runs(ref, before=None, limit=500)
    return [rfc3339(run.created_at_us) for run, _ in reversed(found) if run.trigger is Trigger.SCHEDULE]


async def hop(times: int = 1) -> None:
    """Let the loop do what it has to."""
    for _ in range(times):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def pass_time(engine: Engine, clock: SteeredClock, seconds: float) -> None:
    """
    Let time pass, until the scheduler has looked at every pipeline: the beacon is made last, and looked at last.

    Where it was still busy with its last look, time stands still before it waits: then a second more passes.
    """
    if engine.topology.get(BEACON) is None:
        await engine.manage.create(spec(BEACON, schedule=MINUTELY))
    before = len(await ticks(engine, BEACON))
    clock.advance(seconds)
    for hops in range(1, 20_000):
        await hop()
        if len(await ticks(engine, BEACON)) > before:
            return
        if hops % 50 == 0:
            clock.advance(1)
    raise TimeoutError


async def test_a_tick_starts_one_run_which_delivers_what_was_collected(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="*/5 * * * *", batch={"max_events": 1, "max_age": "50ms"}))
        live = engine.topology.find("orders")
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T12:05:00Z"
        await engine.ingest.accept("orders", numbered(0, 3))
        await pass_time(engine, clock, 240)
        assert (await ticks(engine), ledgers(engine, "orders")) == ([], {"files": (3, 0, 3)})
        await pass_time(engine, clock, 60)
        assert await ticks(engine) == ["2030-01-01T12:05:30Z"]
        assert ledgers(engine, "orders") == {"files": (3, 3, 0)}
        await pass_time(engine, clock, 60)
        assert len(await ticks(engine)) == 1
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T12:10:00Z"


async def test_ticks_that_pass_in_one_jump_start_one_run(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        await pass_time(engine, clock, 86_400)
        assert await ticks(engine) == ["2030-01-02T12:00:30Z"]


async def test_a_clock_that_is_set_back_repeats_no_tick(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        await pass_time(engine, clock, 3_600)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]
        clock.set(us("2030-01-01T11:00:30"))
        live = engine.topology.find("orders")
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T14:00:00Z"
        for _ in range(10):
            clock.advance(900)
            await hop(3)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]
        clock.set(us("2030-01-01T13:59:30"))
        await pass_time(engine, clock, 60)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z", "2030-01-01T14:00:30Z"]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_clock_does_no_tick_starts_two_runs(tmp_path: Path, clock: SteeredClock, seed: int) -> None:
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
            found = await ticks(engine)
            assert len({moment[:16] for moment in found}) == len(found), found
    assert found


async def test_a_tick_is_not_repeated_by_a_restart_with_the_clock_set_back(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        await pass_time(engine, clock, 3_600)
    clock.set(us("2030-01-01T12:59:30"))
    async with engine_at(tmp_path, clock) as engine:
        live = engine.topology.find("orders")
        await until(lambda: live.ticked_us > 0)
        for _ in range(10):
            clock.advance(9)
            await hop(3)
        assert await ticks(engine) == ["2030-01-01T13:00:30Z"]


async def test_a_clock_that_was_years_ahead_holds_no_schedule_up_after_a_restart(
    tmp_path: Path, clock: SteeredClock
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
        clock.set(us("2040-01-01T12:59:59"))
        await pass_time(engine, clock, 60)
        assert len(await ticks(engine)) == 1
        await engine.manage.delete(BEACON)
    clock.set(us("2030-01-01T12:59:30"))
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(engine, clock, 60)
        assert len(await ticks(engine)) == 2


async def test_a_restart_makes_up_for_no_tick_of_the_time_between(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 * * * *"))
    clock.advance(86_400)
    async with engine_at(tmp_path, clock) as engine:
        await pass_time(engine, clock, 60)
        assert await ticks(engine) == []
        await pass_time(engine, clock, 3_600)
        assert [tick[:16] for tick in await ticks(engine)] == ["2030-01-02T13:01"]


async def test_a_paused_pipeline_has_no_ticks_and_makes_up_for_none(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        live = engine.topology.find("orders")
        await engine.manage.pause("orders")
        assert engine.scheduler.next_run_us(live) is None
        await pass_time(engine, clock, 600)
        assert await ticks(engine) == []
        await engine.manage.resume("orders")
        clock.advance(5)
        await hop(3)
        assert await ticks(engine) == [], "the ticks of the pause are over"
        assert rfc3339(engine.scheduler.next_run_us(live) or 0) == "2030-01-01T12:11:00Z"
        await pass_time(engine, clock, 60)
        assert await ticks(engine) == ["2030-01-01T12:11:35Z"]


async def test_a_deleted_pipeline_has_no_ticks(tmp_path: Path, clock: SteeredClock) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        live = engine.topology.find("orders")
        await engine.manage.delete("orders")
        await pass_time(engine, clock, 600)
        assert (live.waiting, live.runs, live.ticked_us) == ([], [], 0)


async def test_deleted_while_its_tick_is_acted_on_it_leaves_nothing(tmp_path: Path, clock: SteeredClock) -> None:
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


async def test_while_the_run_of_a_tick_waits_the_next_ticks_add_none(tmp_path: Path, clock: SteeredClock) -> None:
    gate = Gate()
    async with engine_at(tmp_path, clock, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        await engine.ingest.accept("orders", numbered(0, 3))
        live = engine.topology.find("orders")
        await pass_time(engine, clock, 60)
        await until(lambda: bool(live.runs) and not live.waiting)
        for _ in range(4):
            await pass_time(engine, clock, 60)
        assert ([run.trigger for run in live.runs], len(live.waiting)) == ([Trigger.SCHEDULE], 1)
        gate.open.set()
        assert [tick[:16] for tick in await ticks(engine)] == ["2030-01-01T12:01", "2030-01-01T12:02"]


async def test_a_schedule_that_is_changed_or_taken_away_counts_from_then_on(
    tmp_path: Path, clock: SteeredClock
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule="0 0 * * *"))
        await engine.manage.change("orders", lambda old: patched_spec(old, {"schedule": MINUTELY}, MODEL))
        await pass_time(engine, clock, 60)
        assert len(await ticks(engine)) == 1
        await engine.manage.change("orders", lambda old: patched_spec(old, {"schedule": None}, MODEL))
        await pass_time(engine, clock, 600)
        assert len(await ticks(engine)) == 1
        assert engine.scheduler.next_run_us(engine.topology.find("orders")) is None


async def test_a_tick_that_the_store_refuses_is_logged_and_the_next_one_runs(
    tmp_path: Path, clock: SteeredClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(schedule=MINUTELY))
        for trouble in (StoreUnavailable("the disk is full"), ZeroDivisionError("a bug")):

            async def refuse(*_: object, trouble: Exception = trouble) -> None:
                raise trouble

            said = engine.journal.newest
            with monkeypatch.context() as patch:
                patch.setattr(engine.runs, "request", refuse)
                clock.advance(60)
                await until(lambda said=said: engine.journal.newest > said)  # type: ignore[misc]
            assert "start a run by schedule: " in engine.journal.after(0, 1)[0].message
        assert await ticks(engine) == []
        await pass_time(engine, clock, 60)
        assert len(await ticks(engine)) == 1


async def test_at_the_end_of_the_calendar_the_engine_goes_on(tmp_path: Path, clock: SteeredClock) -> None:
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
