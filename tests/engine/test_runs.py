"""Runs by hand: they wait their turn, cover what is on the log, do no more than was asked for, and can be ended."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Destination
from conduit_local.core.errors import NotStoppable, PipelineNotFound, RunEnded, RunNotFound, StoreUnavailable
from conduit_local.core.ids import run_uuid
from conduit_local.core.kinds import patched_spec
from conduit_local.core.pipeline import State
from conduit_local.core.run import Run, RunOptions, RunState, Trigger
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.engine.engine import Engine
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engines import engine_at, ledgers, objects_below, payloads_below, until, until_delivered
from tests.making import MODEL, events, numbered, spec

COLLECTS = "0 0 1 1 *"
SMALL = {"max_events": 10}
REFRESH = RunOptions(full_refresh=True)


class Gate:
    """Holds every write until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0


class Gated(Wrapped):
    """A destination behind a gate."""

    def __init__(self, real: Destination, gate: Gate) -> None:
        super().__init__(real)
        self._gate = gate

    async def write(self, key: str, content: Content) -> Written:
        self._gate.waiting += 1
        await self._gate.open.wait()
        self._gate.waiting -= 1
        return await self.real.write(key, content)


class GatedMaker(WrappedMaker):
    """Makes destinations behind one gate."""

    def __init__(self, maker: DestinationMaker, gate: Gate) -> None:
        super().__init__(maker, lambda _, made: Gated(made, gate))


async def ended(engine: Engine, run: Run) -> Run:
    """Wait until no run of the pipeline waits or is under way; the run as it then is kept."""
    live = engine.topology.by_number(run.pipeline)
    assert live is not None
    await until(lambda: not live.asked_for(), within_s=60)
    return (await engine.runs.find(run.id))[0]


def hold(name: str, paused: bool) -> object:
    return [{"type": "files", "name": "one", "path": "one", "paused": paused and name == "one"}]


# What a run covers ------------------------------------------------------------------------------------------


async def test_a_run_delivers_what_is_on_the_log_when_it_begins_and_no_more(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = await engine.runs.request("orders", RunOptions())
        assert (asked.state, asked.trigger, asked.started_at_us) == (RunState.PENDING, Trigger.MANUAL, None)
        done = await ended(engine, asked)
        assert (done.state, done.through_seq, done.rows, done.batches) == (RunState.SUCCESS, 25, 25, 3)
        assert done.created_at_us <= (done.started_at_us or 0) <= (done.finished_at_us or 0)
        await engine.ingest.accept("orders", numbered(25, 5))
        assert ledgers(engine, "orders") == {"files": (30, 25, 5)}
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(25)]


async def test_a_run_is_found_by_its_id_and_by_its_uuid(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        asked = await engine.runs.request("orders", RunOptions())
        assert (await engine.runs.find(run_uuid(engine.log.tag, asked.number)))[0].id == asked.id
        for nobody in ("run_00000099", "run_", "", run_uuid("other", asked.number), "../" * 40):
            with pytest.raises(RunNotFound):
                await engine.runs.find(nobody)
        await engine.manage.delete("orders")
        with pytest.raises(RunNotFound):
            await engine.runs.find(asked.id)


async def test_a_pipeline_that_is_not_there_runs_not(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        with pytest.raises(PipelineNotFound):
            await engine.runs.request("orders", RunOptions())


async def test_asked_for_while_its_pipeline_is_deleted_there_is_no_run(tmp_path: Path) -> None:
    """Whichever comes first: afterwards nothing of it is left in the catalog."""
    async with engine_at(tmp_path) as engine:
        for _ in range(8):
            await engine.manage.create(spec())
            live = engine.topology.find("orders")
            results = await asyncio.gather(
                engine.manage.flush("orders"),  # holds the others back until it is kept
                engine.manage.delete("orders"),
                engine.runs.request("orders", RunOptions()),
                engine.manage.flush("orders"),
                engine.manage.pause("orders"),
                engine.manage.drain("orders"),
                engine.manage.delete("orders"),
                engine.manage.change("orders", lambda old: patched_spec(old, {"title": "late"}, MODEL)),
                return_exceptions=True,
            )
            assert {type(one) for one in results[2:]} == {PipelineNotFound}, results
            await until(lambda: not engine.topology.departing())
            assert (live.runs, live.waiting) == ([], [])
    async with engine_at(tmp_path) as engine:
        assert (engine.topology.live(), engine.topology.departing()) == ([], [])


async def test_a_dry_run_reads_and_tells_and_moves_nothing(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        await engine.ingest.accept("orders", numbered(25, 5))
        before = objects_below(tmp_path / "out")
        for options, rows in ((RunOptions(dry_run=True), 5), (RunOptions(dry_run=True, full_refresh=True), 30)):
            done = await ended(engine, await engine.runs.request("orders", options))
            assert (done.state, done.events, done.rows, done.batches) == (RunState.SUCCESS, rows, rows, 0)
            assert done.options == options
            lines = [line.message for line in await engine.queries.run_lines(done, 10)]
            assert lines == [
                "started: manual",
                f"{rows} events are on the log, to be delivered; {rows} of them are sampled",
                f"dry run: the sample's {rows} rows would go to files",
            ]
        assert ledgers(engine, "orders") == {"files": (30, 25, 5)}
        assert objects_below(tmp_path / "out") == before


async def test_a_dry_run_of_nothing_says_so(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        done = await ended(engine, await engine.runs.request("orders", RunOptions(dry_run=True, full_refresh=True)))
        assert (done.state, done.through_seq) == (RunState.SUCCESS, 0)
        assert "sample's 0 rows would go" in (await engine.queries.run_lines(done, 10))[-1].message


async def test_variables_are_named_and_their_values_are_written_down_nowhere_in_clear(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        options = RunOptions(variables={"B": "hidden", "A": "x"})
        done = await ended(engine, await engine.runs.request("orders", options))
        lines = [line.message for line in await engine.queries.run_lines(done, 10)]
        assert any("A, B" in line for line in lines)
        assert not any("hidden" in line for line in lines)
        assert sorted(done.options.variables) == ["A", "B"]
        assert all(value.startswith("sealed:") for value in done.options.variables.values())
    assert not [name for name, content in objects_below(tmp_path).items() if b"hidden" in content]


async def test_without_its_connector_a_run_fails_with_what_to_do_and_the_next_one_is_tried(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS, destinations=[{"type": "connector", "connector": "bq"}]))
        asked = [await engine.runs.request("orders", RunOptions()) for _ in range(3)]
        await ended(engine, asked[-1])
        for run in asked:
            failed, _ = await engine.runs.find(run.id)
            assert failed.state is RunState.FAILED
            assert "stand_ins" in (failed.error or "")


# Full refresh ------------------------------------------------------------------------------------------------


async def test_a_full_refresh_lands_every_event_that_is_kept_once_more_under_keys_of_its_run(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        plain = objects_below(tmp_path / "out")
        await engine.ingest.accept("orders", numbered(25, 10))
        done = await ended(engine, await engine.runs.request("orders", REFRESH))
        await engine.ingest.accept("orders", numbered(35, 1))
        again = await ended(engine, await engine.runs.request("orders", REFRESH))
        assert (done.state, done.rows) == (RunState.SUCCESS, 35 + 10)
        every = objects_below(tmp_path / "out")
        assert {name: every[name] for name in plain} == plain, "what was there is untouched"
        for run, count in ((done, 35), (again, 36)):
            assert payloads_below(tmp_path / "out" / "orders" / run.id) == [{"n": n} for n in range(count)]
        ids = [json.loads(line)["event_id"] for name in every if done.id in name for line in every[name].splitlines()]
        assert len(set(ids)) == 35
        assert list(engine.topology.find("orders").routes) == ["files"], "its routes are gone"
        assert ledgers(engine, "orders") == {"files": (36, 36, 0)}


async def test_a_full_refresh_begins_with_the_oldest_event_that_is_kept(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        for first in (0, 10, 20):
            await engine.ingest.accept("orders", numbered(first, 10))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        live = engine.topology.find("orders")
        while await engine.log.trim(live.number, 20, 0, 1):
            pass
        kept = await engine.log.first_kept(live.pipeline)
        assert kept > 1
        done = await ended(engine, await engine.runs.request("orders", REFRESH))
        assert payloads_below(tmp_path / "out" / "orders" / done.id) == [{"n": n} for n in range(kept - 1, 30)]


async def test_a_full_refresh_waits_for_a_destination_that_is_held_and_then_lands_there(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS, destinations=hold("one", True)))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = await engine.runs.request("orders", REFRESH)
        live = engine.topology.find("orders")
        await until(lambda: f"one@{asked.id}" in live.routes)
        change = {"title": "Other", "destinations": hold("one", True)}
        await engine.manage.change("orders", lambda old: patched_spec(old, change, MODEL))
        assert live.runs, "another change lets nothing go, and gives nothing up"
    async with engine_at(tmp_path) as engine:
        change = {"destinations": hold("one", False)}
        await engine.manage.change("orders", lambda old: patched_spec(old, change, MODEL))
        done = await ended(engine, asked)
        assert (done.state, done.rows) == (RunState.SUCCESS, 50)
    assert payloads_below(tmp_path / "one" / "orders" / asked.id) == [{"n": n} for n in range(25)]


async def test_a_destination_that_is_removed_while_it_is_held_holds_no_refresh_back(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        two = [*(hold("one", True) or []), {"type": "files", "name": "two", "path": "two"}]  # type: ignore[misc]
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS, destinations=two))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = await engine.runs.request("orders", REFRESH)
        live = engine.topology.find("orders")
        await until(lambda: f"one@{asked.id}" in live.routes)
        await engine.manage.change("orders", lambda old: patched_spec(old, {"destinations": two[1:]}, MODEL))
        assert (await ended(engine, asked)).state is RunState.SUCCESS
        assert list(live.routes) == ["two"]
    assert payloads_below(tmp_path / "two" / "orders" / asked.id) == [{"n": n} for n in range(25)]
    assert objects_below(tmp_path / "one") == {}


# One at a time ------------------------------------------------------------------------------------------------


async def test_runs_begin_in_the_order_they_were_asked_for_and_never_two_at_once(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        live = engine.topology.find("orders")
        most = 0

        async def work(number: int) -> Run:
            nonlocal most
            await engine.ingest.accept("orders", numbered(number, 1))
            asked = await engine.runs.request("orders", REFRESH if number % 3 == 0 else RunOptions())
            most = max(most, len(live.runs))
            return asked

        runs = await asyncio.gather(*(work(number) for number in range(20)))
        while live.waiting or live.runs:
            most = max(most, len(live.runs))
            await asyncio.sleep(0)
        kept = sorted([(await engine.runs.find(run.id))[0] for run in runs], key=lambda run: run.number)
        assert most == 1
        assert {run.state for run in kept} == {RunState.SUCCESS}
        for one, other in itertools.pairwise(kept):
            assert (one.finished_at_us or 0) <= (other.started_at_us or 0)
        assert ledgers(engine, "orders") == {"files": (20, 20, 0)}


async def test_a_run_that_cannot_deliver_keeps_the_others_waiting_and_the_stream_of_others_not(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        for name in ("orders", "other"):
            await engine.manage.create(spec(name, batch=SMALL, schedule=COLLECTS))
            await engine.ingest.accept(name, numbered(0, 5))
        first, second = [await engine.runs.request("orders", RunOptions()) for _ in range(2)]
        other = await engine.runs.request("other", RunOptions())
        await until(lambda: gate.waiting == 2)
        await engine.ingest.accept("orders", numbered(5, 5))
        live = engine.topology.find("orders")
        assert ([run.id for run in live.runs], [run.id for run in live.waiting]) == ([first.id], [second.id])
        gate.open.set()
        await ended(engine, other)
        done = await ended(engine, second)
        assert (done.through_seq, done.rows) == (10, 5), "it covers what came while it waited"


# Cancelling ---------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_is_cancelled_before_it_does_anything(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 5))
        first, second, third = [await engine.runs.request("orders", RunOptions()) for _ in range(3)]
        await until(lambda: gate.waiting == 1)
        cancelled, pipeline = await engine.runs.cancel(second.id)
        assert (cancelled.state, cancelled.started_at_us, pipeline.name) == (RunState.CANCELLED, None, "orders")
        with pytest.raises(RunEnded):
            await engine.runs.cancel(second.id)
        gate.open.set()
        await ended(engine, third)
        states = [(await engine.runs.find(run.id))[0].state for run in (first, second, third)]
        assert states == [RunState.SUCCESS, RunState.CANCELLED, RunState.SUCCESS]


async def test_a_run_under_way_is_cancelled_and_what_it_had_in_hand_lands_once(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = await engine.runs.request("orders", RunOptions())
        await until(lambda: gate.waiting == 1)
        await engine.runs.cancel(run_uuid(engine.log.tag, asked.number))
        gate.open.set()
        await until(lambda: ledgers(engine, "orders") == {"files": (25, 10, 15)})
        assert (await engine.runs.find(asked.id))[0].state is RunState.CANCELLED
        await ended(engine, await engine.runs.request("orders", RunOptions()))
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(25)]


async def test_what_has_ended_and_batches_of_a_stream_are_not_cancelled(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}))
        await engine.ingest.accept("orders", numbered(0, 1))
        await until(lambda: gate.waiting == 1)
        ((stream, _),) = await engine.queries.runs("orders", before=None, limit=10)
        with pytest.raises(NotStoppable):
            await engine.runs.cancel(stream.id)
        gate.open.set()
        await until_delivered(engine, "orders")
        for run in (stream, await ended(engine, await engine.runs.request("orders", RunOptions()))):
            with pytest.raises(RunEnded):
                await engine.runs.cancel(run.id)


async def test_cancelled_twenty_times_at_once_a_run_is_cancelled_once(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = await engine.runs.request("orders", REFRESH)
        await until(lambda: gate.waiting == 2)
        results = await asyncio.gather(*(engine.runs.cancel(asked.id) for _ in range(20)), return_exceptions=True)
        assert [type(one) for one in results].count(RunEnded) == 19
        gate.open.set()
        lines = [line.message for line in await engine.queries.run_lines(asked, 100)]
        assert lines.count("cancelled") == 1


async def test_a_drain_is_called_off_by_cancelling_its_run(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        await engine.manage.drain("orders")
        (drain,) = engine.topology.find("orders").runs
        cancelled, pipeline = await engine.runs.cancel(drain.id)
        assert (cancelled.state, pipeline.state) == (RunState.CANCELLED, State.ACTIVE)
        assert (await engine.runs.find(drain.id))[0].state is RunState.CANCELLED
        gate.open.set()


async def test_a_pause_cancels_what_runs_and_what_waits(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = [await engine.runs.request("orders", options) for options in (REFRESH, RunOptions(), REFRESH)]
        await until(lambda: gate.waiting == 2)
        await engine.manage.pause("orders")
        live = engine.topology.find("orders")
        assert (live.runs, live.waiting, list(live.routes)) == ([], [], ["files"])
        assert {(await engine.runs.find(run.id))[0].state for run in asked} == {RunState.CANCELLED}
        gate.open.set()


@pytest.mark.parametrize("steps", range(0, 40, 4))
async def test_cancelled_at_any_moment_a_refresh_leaves_nothing_that_a_start_stumbles_over(
    tmp_path: Path, steps: int
) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 8))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        for more in range(4):
            asked = await engine.runs.request("orders", REFRESH)
            live = engine.topology.find("orders")
            await until(lambda live=live: bool(live.runs))  # type: ignore[misc]
            for _ in range(steps + more):
                await asyncio.sleep(0)
            try:
                await engine.runs.cancel(asked.id)
            except RunEnded:
                continue
            assert list(live.routes) == ["files"]
    async with engine_at(tmp_path) as engine:
        live = engine.topology.find("orders")
        assert (live.runs, live.waiting, list(live.routes)) == ([], [], ["files"])
        assert ledgers(engine, "orders") == {"files": (8, 8, 0)}
        assert (await ended(engine, await engine.runs.request("orders", REFRESH))).rows == 8


async def test_a_cancellation_that_the_store_refuses_leaves_the_run_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = await engine.runs.request("orders", REFRESH)
        await until(lambda: gate.waiting == 2)

        async def refuse(*_: object, **__: object) -> None:
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(engine.runs._parts.catalog, "keep_run", refuse)
            with pytest.raises(StoreUnavailable):
                await engine.runs.cancel(asked.id)
        gate.open.set()
        done = await ended(engine, asked)
        assert (done.state, done.rows) == (RunState.SUCCESS, 50)
    assert payloads_below(tmp_path / "out" / "orders" / asked.id) == [{"n": n} for n in range(25)]


# Restarts -----------------------------------------------------------------------------------------------------


async def test_after_a_restart_a_run_goes_on_with_the_same_range_and_those_that_wait_follow(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", numbered(0, 25))
        asked = [await engine.runs.request("orders", options) for options in (RunOptions(), REFRESH, RunOptions())]
        await until(lambda: gate.waiting == 1)
        await engine.ingest.accept("orders", numbered(25, 5))
        gate.open.set()  # the engine ends the batch in hand, and no more
    async with engine_at(tmp_path) as engine:
        done = [await ended(engine, run) for run in asked]
        assert [run.through_seq for run in done] == [25, 30, 30]
        assert {run.state for run in done} == {RunState.SUCCESS}
        assert done[1].rows == 35, "what the first had left, and all of it once more"
    assert payloads_below(tmp_path / "out" / "orders" / asked[1].id) == [{"n": n} for n in range(30)]


async def test_what_a_run_wrote_is_read_in_order_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SMALL, schedule=COLLECTS))
        await engine.ingest.accept("orders", events(*(f'{{"n": {n}, "x": "{"x" * 100}"}}' for n in range(25))))
        done = await ended(engine, await engine.runs.request("orders", RunOptions()))
        _, live = await engine.runs.find(done.id)

        async def read() -> list[int]:
            found = []
            async for _, content in engine.runs.objects(done, live):
                whole = b"".join(content.pieces)
                assert len(whole) == content.size_bytes
                found += [json.loads(line)["payload"]["n"] for line in whole.splitlines()]
            return found

        assert await read() == list(range(25))
        next(iter(sorted((tmp_path / "out").rglob("*.jsonl")))).unlink()
        assert await read() == list(range(10, 25))
