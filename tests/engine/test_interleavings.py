"""What comes between two steps: each of these once lost something, stood still, or took the engine along."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from conduit_local.core.catalog import BatchEnd
from conduit_local.core.delivering import Destination, Destinations
from conduit_local.core.errors import Conflict, RunEnded, StoreUnavailable
from conduit_local.core.kinds import patched_spec
from conduit_local.core.pipeline import State
from conduit_local.core.run import Run, RunOptions, RunState, Trigger
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.engine.retention import Kept
from conduit_local.engine.topology import LivePipeline
from conduit_local.store.batches import BatchTable
from conduit_local.store.log import SqliteLog
from conduit_local.store.pipelines import PipelineTables
from tests.destinations.wrapping import WrappedMaker
from tests.engine.test_held_routes import FAST, TWO, hold, without
from tests.engine.test_runs import COLLECTS, REFRESH, Gate, Gated, GatedMaker
from tests.engines import engine_at, ledgers, objects_below, until, until_delivered
from tests.making import MODEL, events, numbered, spec

ONE = TWO[:1]


def gated_two(gate: Gate) -> Callable[[DestinationMaker], Destinations]:
    """Destinations of which `two` waits at the gate before it writes."""

    def wrap(spec: DestinationSpec, made: Destination) -> Destination:
        return Gated(made, gate) if spec.name == "two" else made

    return lambda maker: WrappedMaker(maker, wrap)


async def others_go_on(enough: Callable[[], bool] = lambda: False) -> None:
    """All that does not wait for the one who asks comes as far as it can, or until that is enough."""
    for _ in range(2_000):
        if enough():
            break
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def runs_of(engine: Engine) -> list[Run]:
    return [run for run, _ in await engine.queries.runs("orders", before=None, limit=20)]


def become(destinations: list[dict[str, str]]) -> Callable[[PipelineSpec], PipelineSpec]:
    return lambda old: patched_spec(old, {"destinations": destinations}, MODEL)


async def test_a_write_that_returns_after_its_pipeline_was_purged_hurts_nobody(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=gated_two(gate)) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await engine.manage.create(spec("other", batch=FAST))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until(lambda: gate.waiting == 1)
        await hold(engine, "two")
        await engine.manage.delete("orders")
        await until(lambda: not engine.topology.departing())
        gate.open.set()
        await engine.ingest.accept("other", numbered(0, 10))
        await until_delivered(engine, "other")
    async with engine_at(tmp_path) as engine:
        assert [live.pipeline.name for live in engine.topology.live()] == ["other"]


async def test_a_route_that_cannot_keep_its_last_batch_lets_the_others_keep_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    real = BatchTable.close_batches

    async def close_batches(self: BatchTable, ends: Sequence[BatchEnd]) -> None:
        if ends[0].batch.route == "one":
            raise StoreUnavailable("disk full")
        await real(self, ends)

    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until(lambda: gate.waiting == 2)
        monkeypatch.setattr(BatchTable, "close_batches", close_batches)
        asyncio.get_running_loop().call_soon(gate.open.set)
    assert "close its last batch" in caplog.text
    monkeypatch.undo()
    async with engine_at(tmp_path) as engine:
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"one": (10, 10, 0), "two": (10, 10, 0)}
    assert len(objects_below(tmp_path / "one")) == len(objects_below(tmp_path / "two")) == 1


async def test_retention_leaves_what_a_full_refresh_needs_that_begins_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, slices, chance = SqliteLog.trim, 0, Random(1)
    kept = EngineSettings(keys_required=False, kept=Kept(age_s=0, size_bytes=0))
    async with engine_at(tmp_path, settings=kept) as engine:
        await engine.manage.create(spec(batch={"max_events": 1_000, "max_age": "50ms"}, destinations=ONE))
        for _ in range(6):
            noise = [chance.randbytes(6_000).hex() for _ in range(400)]  # which no compression makes small
            await engine.ingest.accept("orders", events(*[f'{{"x":"{text}"}}' for text in noise]))
        await until_delivered(engine, "orders", 30)
        asked: list[asyncio.Task[Run]] = []

        async def trim(self: SqliteLog, *args: Any) -> int:
            nonlocal slices
            slices += 1
            gone = await real(self, *args)
            if slices == 1:
                asked.append(asyncio.create_task(engine.runs.request("orders", REFRESH)))
                await others_go_on(lambda: bool(engine.topology.find("orders").runs))
            return gone

        monkeypatch.setattr(SqliteLog, "trim", trim)
        await engine.retention.once()
        assert slices > 2
        run = await asked[0]
        ended: list[Run] = []

        async def has_ended() -> None:
            while not ended:
                found, _ = await engine.runs.find(run.id)
                ended.extend([found] if found.state.has_ended else [])

        async with asyncio.timeout(20):
            await has_ended()
        assert ended[0].state is RunState.SUCCESS


async def test_a_paused_destination_holds_up_no_run_no_drain_and_no_other_destination(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS, batch=FAST, destinations=TWO))
        await hold(engine, "two")
        live = engine.topology.find("orders")
        for turn in (1, 2):
            await engine.ingest.accept("orders", numbered(turn * 10, 10))
            run = await engine.runs.request("orders", RunOptions(), Trigger.SCHEDULE)
            await until(lambda: not live.runs and not live.waiting)
            assert (await engine.runs.find(run.id))[0].state is RunState.SUCCESS
            assert ledgers(engine, "orders") == {"one": (turn * 10, turn * 10, 0), "two": (turn * 10, 0, turn * 10)}
            lines = await engine.queries.run_lines(run, 10)
            assert any("two is paused, and keeps its events" in line.message for line in lines)
        await engine.manage.drain("orders")
        await until(lambda: live.pipeline.state is State.STOPPED)
        await engine.manage.resume("orders")
        await hold(engine, "two", paused=False)
        await engine.manage.flush("orders")
        await until(lambda: ledgers(engine, "orders")["two"] == (20, 20, 0))


@pytest.mark.parametrize("order", ["drain", "flush"])
async def test_a_refresh_that_waited_for_a_paused_destination_ends_when_that_is_removed(
    tmp_path: Path, order: str
) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until_delivered(engine, "orders")
        await hold(engine, "two")
        live = engine.topology.find("orders")
        run = await engine.runs.request("orders", REFRESH)
        await until(lambda: live.routes.get(f"one@{run.id}") is None and bool(live.runs))
        await getattr(engine.manage, order)("orders")
        await engine.manage.change("orders", become(without("two")))
        await until(lambda: not live.runs and not live.waiting)


async def test_a_batch_that_is_given_up_with_its_destination_ends_its_run(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("no folder")
    async with engine_at(tmp_path) as engine:
        retry = {"initial": "10ms", "max": "20ms"}
        await engine.manage.create(spec(batch=FAST, retry=retry, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 10))
        route = engine.topology.find("orders").routes["two"]
        await until(lambda: route.failed > 1)
        await hold(engine, "two")
        await engine.manage.change("orders", become(without("two")))
        await until_delivered(engine, "orders")
    async with engine_at(tmp_path) as engine:
        found = {run.route: run for run in await runs_of(engine)}
        assert {name: run.state for name, run in found.items()} == {
            "one": RunState.SUCCESS,
            "two": RunState.CANCELLED,
        }
        assert found["two"].finished_at_us is not None
        with pytest.raises(RunEnded):
            await engine.runs.cancel(found["two"].id)


async def test_a_refresh_that_could_not_begin_and_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def start_run(self: PipelineTables, *_: object) -> None:
        failed.set()
        raise StoreUnavailable("database is locked")

    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=ONE))
        await engine.ingest.accept("orders", numbered(0, 20))
        await until_delivered(engine, "orders")
        there = objects_below(tmp_path / "one")
        monkeypatch.setattr(PipelineTables, "start_run", start_run)
        run = await engine.runs.request("orders", REFRESH)
        await failed.wait()
        cancelled, _ = await engine.runs.cancel(run.id)
        assert cancelled.state is RunState.CANCELLED
    monkeypatch.undo()
    async with engine_at(tmp_path) as engine:
        assert list(engine.topology.find("orders").routes) == ["one"]
        await engine.ingest.accept("orders", numbered(20, 10))
        await until_delivered(engine, "orders")
        assert len(objects_below(tmp_path / "one")) == len(there) + 1


async def test_a_destination_that_is_named_again_while_its_old_route_ends_has_a_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = Gate(), PipelineTables.end_route
    again: list[asyncio.Task[object]] = []
    async with engine_at(tmp_path, destinations=gated_two(gate)) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until(lambda: gate.waiting == 1)
        await engine.manage.change("orders", become(without("two")))

        async def end_route(self: PipelineTables, *args: Any) -> None:
            again.append(asyncio.create_task(engine.manage.change("orders", become(TWO))))
            await others_go_on()
            await real(self, *args)

        monkeypatch.setattr(PipelineTables, "end_route", end_route)
        gate.open.set()
        await until(lambda: bool(again) and again[0].done())
        assert list(engine.topology.find("orders").routes) == ["one", "two"]
        await engine.ingest.accept("orders", numbered(10, 10))
        await until(lambda: ledgers(engine, "orders")["two"] == (10, 10, 0))
    monkeypatch.undo()
    async with engine_at(tmp_path) as engine:
        assert list(engine.topology.find("orders").routes) == ["one", "two"]


async def test_a_drain_that_is_called_off_is_cancelled_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, found = Gate(), asyncio.Event()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=ONE))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until(lambda: gate.waiting == 1)
        await engine.manage.drain("orders")
        await others_go_on()  # completion, told of it, has looked
        live = engine.topology.find("orders")
        (drain,) = live.runs
        real = engine.runs.find

        async def find(public_id: str) -> tuple[Run, LivePipeline]:
            result = await real(public_id)
            found.set()
            return result

        monkeypatch.setattr(engine.runs, "find", find)
        async with live.changing:
            cancelling = asyncio.create_task(engine.runs.cancel(drain.id))
            await found.wait()  # from here it goes straight to the lock
            gate.open.set()
            await until(lambda: live.routes["one"].cursor == 5)  # so completion waits behind the one who cancels
        cancelled, pipeline = await cancelling
        kept, _ = await engine.runs.find(drain.id)
        assert (cancelled.state, kept.state) == (RunState.CANCELLED, RunState.CANCELLED)
        assert pipeline.state is live.pipeline.state is State.ACTIVE


async def test_no_more_than_a_hundred_runs_wait(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=ONE))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until(lambda: gate.waiting == 1)
        await engine.runs.request("orders", RunOptions())
        live = engine.topology.find("orders")
        await until(lambda: bool(live.runs))
        for _ in range(100):
            await engine.runs.request("orders", RunOptions())
        with pytest.raises(Conflict, match="cancel some"):
            await engine.runs.request("orders", RunOptions())
        gate.open.set()
        await until(lambda: not live.waiting and not live.runs)
