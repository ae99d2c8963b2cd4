"""Destinations and stores that fail: nothing is lost, nothing is doubled, and it goes on by itself."""

import asyncio
from pathlib import Path

import pytest

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Destination
from conduit_local.core.errors import DestinationUnavailable, StoreUnavailable
from conduit_local.core.pipeline import Health, State
from conduit_local.core.run import RunState
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engines import engine_at, ledgers, payloads_below, until, until_delivered
from tests.making import numbered, spec

FAST = {"max_events": 10, "max_age": "50ms"}
QUICK = {"initial": "10ms", "max": "20ms"}


class Flaky(Wrapped):
    """A destination in front of a real one, which fails as it is told: before or after it wrote."""

    def __init__(self, real: Destination, plan: list[str]) -> None:
        super().__init__(real)
        self._plan = plan

    async def write(self, key: str, content: Content) -> Written:
        step = self._plan.pop(0) if self._plan else "good"
        match step:
            case "before":
                raise DestinationUnavailable("no answer")
            case "after":
                await self.real.write(key, content)
                raise DestinationUnavailable("the answer was lost")
            case "blocked":
                raise DestinationUnavailable("no permission", needs_person=True)
            case "bug":
                raise ZeroDivisionError("a bug")
        return await self.real.write(key, content)


class FlakyMaker(WrappedMaker):
    """Makes flaky destinations that share one plan."""

    def __init__(self, maker: DestinationMaker, plan: list[str]) -> None:
        super().__init__(maker, lambda _, made: Flaky(made, plan))


async def test_a_batch_is_tried_again_until_it_lands_once(tmp_path: Path) -> None:
    plan = ["before", "after", "before", "bug", "after", "blocked"]
    async with engine_at(tmp_path, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch=FAST, retry=QUICK))
        await engine.ingest.accept("orders", numbered(0, 35))
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(35)]
        assert ledgers(engine, "orders") == {"files": (35, 35, 0)}
        live = engine.topology.find("orders")
        assert (live.health, live.routes["files"].failed) == (Health.OK, 6)
        runs = await engine.queries.runs("orders", before=None, limit=10)
        assert {run.state for run, _ in runs} == {RunState.SUCCESS}
        lines = await engine.queries.run_lines(runs[-1][0], 100)
        assert [line.level for line in lines].count("ERROR") >= 3


async def test_health_says_whether_waiting_helps(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    plan = ["before", "blocked"]
    async with engine_at(tmp_path, clock, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}, retry={"initial": "1s", "max": "1s"}))
        await engine.ingest.accept("orders", numbered(0, 1))
        live = engine.topology.find("orders")
        route = live.routes["files"]
        await until(lambda: live.health is Health.RETRYING)
        assert (route.message, route.attempt) == ("no answer", 1)
        clock.advance(1)
        await until(lambda: live.health is Health.BLOCKED)
        assert (route.message, route.attempt) == ("no permission", 2)
        await engine.log.settled(live.pipeline)  # what was written down before this is on disk
        (run,) = [run for run, _ in await engine.queries.runs("orders", before=None, limit=10)]
        assert (run.state, run.error, run.attempts) == (RunState.RUNNING, "no permission", 2)
        clock.advance(1)
        await until(lambda: live.health is Health.OK)


async def test_retries_wait_and_do_not_spin(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    plan = ["before"] * 1_000
    async with engine_at(tmp_path, clock, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}, retry={"initial": "1s", "max": "8s"}))
        await engine.ingest.accept("orders", numbered(0, 1))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.attempt == 1)
        for _ in range(200):
            await asyncio.sleep(0)
        assert route.attempt == 1
        for attempt in range(2, 7):
            clock.advance(8)
            await until(lambda attempt=attempt: route.attempt == attempt)  # type: ignore[misc]


async def test_an_order_by_a_person_tries_at_once(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    plan = ["before"]
    async with engine_at(tmp_path, clock, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}, retry={"initial": "1h", "max": "1h"}))
        await engine.ingest.accept("orders", numbered(0, 1))
        live = engine.topology.find("orders")
        await until(lambda: live.health is Health.RETRYING)
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")


async def test_paused_while_it_retries_it_stops_trying_and_goes_on_with_the_same_batch(tmp_path: Path) -> None:
    plan = ["before"] * 5
    async with engine_at(tmp_path, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch=FAST, retry={"initial": "1h", "max": "1h"}))
        await engine.ingest.accept("orders", numbered(0, 10))
        live = engine.topology.find("orders")
        await until(lambda: live.health is Health.RETRYING)
        await engine.manage.pause("orders")
        left = len(plan)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(plan) == left
        plan.clear()
        await engine.ingest.accept("orders", numbered(10, 10))
        await engine.manage.resume("orders")
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(20)]


async def test_trouble_on_one_route_touches_that_route_alone(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("in the way")
    async with engine_at(tmp_path) as engine:
        both = [{"type": "files", "name": "good"}, {"type": "files", "name": "bad", "path": "bad"}]
        await engine.manage.create(spec(batch=FAST, retry=QUICK, destinations=both))
        await engine.ingest.accept("orders", numbered(0, 30))
        live = engine.topology.find("orders")
        await until(lambda: live.routes["good"].cursor == 30)
        await until(lambda: live.routes["bad"].health is Health.BLOCKED)
        assert live.health is Health.BLOCKED
        assert live.routes["good"].health is Health.OK
        (tmp_path / "bad").unlink()
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "bad") == payloads_below(tmp_path / "out")


async def test_a_batch_left_open_by_a_stop_is_repeated_where_it_was_meant_to_go(tmp_path: Path) -> None:
    plan = ["after"] + ["before"] * 50
    async with engine_at(tmp_path, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch=FAST, retry=QUICK))
        await engine.ingest.accept("orders", numbered(0, 10))
        live = engine.topology.find("orders")
        await until(lambda: live.health is Health.RETRYING)
        elsewhere = spec(
            batch=FAST, retry=QUICK, destinations=[{"type": "files", "path": "elsewhere", "compression": "gzip"}]
        )
        await engine.manage.change("orders", lambda _: elsewhere)
    async with engine_at(tmp_path) as engine:
        await until_delivered(engine, "orders")
        await engine.ingest.accept("orders", numbered(10, 10))
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(10)]
        assert payloads_below(tmp_path / "elsewhere") == [{"n": n} for n in range(10, 20)]
        assert ledgers(engine, "orders") == {"files": (20, 20, 0)}


@pytest.mark.parametrize("method", ["open_batch", "close_batches", "note_attempt", "keep_run", "set_state"])
async def test_a_store_that_fails_for_a_while_holds_up_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    from conduit_local.store.catalog import SqliteCatalog

    real = getattr(SqliteCatalog, method)
    left = 3

    async def fails(self: SqliteCatalog, *args: object, **options: object) -> object:
        nonlocal left
        if left and options.get("begins") is None:
            left -= 1
            raise StoreUnavailable("write to the store: the disk is full")
        return await real(self, *args, **options)

    monkeypatch.setattr("conduit_local.engine.completion._REPEAT_S", 0.01)
    plan = ["before", "good"]
    async with engine_at(tmp_path, destinations=lambda maker: FlakyMaker(maker, plan)) as engine:
        await engine.manage.create(spec(batch=FAST, retry=QUICK))
        await engine.ingest.accept("orders", numbered(0, 25))
        with monkeypatch.context() as patch:
            patch.setattr(SqliteCatalog, method, fails)
            await engine.manage.flush("orders")
            await engine.manage.drain("orders")
            live = engine.topology.find("orders")
            await until(lambda: live.pipeline.state is State.STOPPED)
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(25)]
        assert ledgers(engine, "orders") == {"files": (25, 25, 0)}


async def test_an_order_that_cannot_be_kept_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from conduit_local.store.catalog import SqliteCatalog

    async def full(*_: object, **__: object) -> None:
        raise StoreUnavailable("write to the store: the disk is full")

    async def try_all(engine: Engine) -> None:
        for order in (engine.manage.pause, engine.manage.drain, engine.manage.delete):
            with pytest.raises(StoreUnavailable):
                await order("orders")

    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        with monkeypatch.context() as patch:
            for method in ("set_state", "delete_pipeline"):
                patch.setattr(SqliteCatalog, method, full)
            await try_all(engine)
        live = engine.topology.find("orders")
        assert live.pipeline.state is State.ACTIVE
        assert not live.runs
        assert (await engine.ingest.accept("orders", numbered(0, 1))).first_seq == 1


async def test_many_routes_share_a_bounded_number_of_batches(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        for n in range(40):
            await engine.manage.create(spec(f"p{n}", batch={"max_events": 50, "max_age": "50ms"}))
        await asyncio.gather(*(engine.ingest.accept(f"p{n}", numbered(0, 120)) for n in range(40)))
        for n in range(40):
            await until_delivered(engine, f"p{n}")
        assert len(payloads_below(tmp_path / "out")) == 40 * 120
