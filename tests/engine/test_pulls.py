"""Sources that are pulled from: all the time, in runs, from the beginning; what is no event dies and is replayed."""

import json
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.dead import DeadFilter, Stage
from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.kinds import parse_spec
from conduit_local.core.pipeline import Health
from conduit_local.core.run import Run, RunOptions, RunStage, RunState, Trigger
from conduit_local.engine.engine import Engine
from conduit_local.store.catalog import SqliteCatalog
from tests.engine.test_runs import Gate, GatedMaker
from tests.engines import engine_at, ledgers, objects_below, payloads_below, until
from tests.making import MODEL, numbered

COLLECTS = "0 0 1 1 *"


def spec(**more: Any) -> Any:
    source = {"type": "files", "path": "inbox/*.jsonl", "every": 0.05, "settle": 60}
    document = {"name": "orders", "sources": [source], "batch": {"max_events": 100, "max_age": 0.05}} | more
    return parse_spec(document, MODEL)


def drop(folder: Path, name: str, first: int, count: int, *more: bytes) -> None:
    (folder / "inbox").mkdir(exist_ok=True)
    lines = [b'{"n":%d}\n' % n for n in range(first, first + count)] + [line + b"\n" for line in more]
    with (folder / "inbox" / name).open("ab") as file:
        file.write(b"".join(lines))


async def delivered(engine: Engine, count: int, ref: str = "orders") -> None:
    live = engine.topology.find(ref)
    await until(lambda: not live.asked_for() and live.routes["files"].cursor >= count, within_s=30)


async def ended(engine: Engine, run: Run) -> Run:
    live = engine.topology.find("orders")
    await until(lambda: not live.asked_for(), within_s=30)
    return (await engine.runs.find(run.id))[0]


def landed(folder: Path) -> list[int]:
    return [payload["n"] for payload in payloads_below(folder / "out")]


async def test_a_pipeline_that_streams_takes_what_is_dropped_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 150)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await delivered(engine, 150)
        drop(tmp_path, "a.jsonl", 150, 10)
        await delivered(engine, 160)
    drop(tmp_path, "a.jsonl", 160, 10)
    async with engine_at(tmp_path) as engine:
        await delivered(engine, 170)
        assert landed(tmp_path) == list(range(170))
        source = engine.topology.find("orders").sources["files:inbox/*.jsonl"]
        assert (source.health, source.pulled) == (Health.OK, 10)


async def test_with_a_schedule_a_run_reads_the_sources_to_their_end_and_then_delivers(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 2_500)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS, batch={"max_events": 1_000}))
        assert ledgers(engine, "orders") == {"files": (0, 0, 0)}
        done = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert (done.state, done.stage, done.extracted, done.rows) == (RunState.SUCCESS, RunStage.LOAD, 2_500, 2_500)
        assert landed(tmp_path) == list(range(2_500))
        drop(tmp_path, "b.jsonl", 2_500, 5)
        again = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert (again.extracted, again.rows) == (5, 5)


async def test_a_full_refresh_has_the_sources_start_over(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 30)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        done = await ended(engine, await engine.runs.request("orders", RunOptions(full_refresh=True)))
        assert (done.extracted, done.rows) == (30, 30)
        assert landed(tmp_path) == [*range(30), *range(30)]
        assert ledgers(engine, "orders") == {"files": (60, 60, 0)}


async def test_a_dry_run_reads_a_sample_and_moves_nothing(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 30, b"nothing")
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS))
        looked = await ended(engine, await engine.runs.request("orders", RunOptions(dry_run=True)))
        assert (looked.state, looked.extracted, looked.rows) == (RunState.SUCCESS, 30, 30)
        said = "\n".join(line.message for line in await engine.queries.run_lines(looked, 20))
        assert "inbox/a.jsonl:31" in said
        assert ledgers(engine, "orders") == {"files": (0, 0, 0)}
        assert await engine.dead.count(DeadFilter()) == 0
        done = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert (done.extracted, done.dead) == (30, 1)


async def test_a_source_that_cannot_be_had_fails_the_run_with_the_reason_and_the_next_goes_on(tmp_path: Path) -> None:
    source = {"type": "fixture", "path": "fixtures/contacts.jsonl"}
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS, sources=[source]))
        failed = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert (failed.state, failed.stage) == (RunState.FAILED, RunStage.EXTRACT)
        assert "contacts.jsonl" in (failed.error or "")
        assert engine.topology.find("orders").health is Health.BLOCKED
        (tmp_path / "fixtures").mkdir()
        (tmp_path / "fixtures" / "contacts.jsonl").write_text('{"n":1}\n{"n":2}\n')
        done = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert (done.state, done.extracted) == (RunState.SUCCESS, 2)
        assert engine.topology.find("orders").health is Health.OK


async def test_a_run_that_was_reading_when_the_appliance_ended_goes_on_reading(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 20_000)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS, batch={"max_events": 10_000}))
        run = await engine.runs.request("orders", RunOptions())
        live = engine.topology.find("orders")
        await until(lambda: live.extracting is not None and engine.log.head(live.pipeline).seq > 0)
        read = engine.log.head(live.pipeline).seq
    assert 0 < read < 20_000
    async with engine_at(tmp_path) as engine:
        done = await ended(engine, run)
        assert (done.state, done.extracted, done.rows) == (RunState.SUCCESS, 20_000, 20_000)
        assert landed(tmp_path) == list(range(20_000))


async def test_cancelled_while_it_reads_it_keeps_what_was_read_for_the_next_run(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 20_000)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule=COLLECTS, batch={"max_events": 10_000}))
        run = await engine.runs.request("orders", RunOptions())
        live = engine.topology.find("orders")
        await until(lambda: live.extracting is not None and engine.log.head(live.pipeline).seq > 0)
        cancelled, _ = await engine.runs.cancel(run.id)
        assert cancelled.state is RunState.CANCELLED
        assert live.asked_for() == []
        assert landed(tmp_path) == []
        done = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert 0 < done.extracted < 20_000
        assert landed(tmp_path) == list(range(20_000))


@pytest.mark.parametrize("order", ["pause", "drain"])
async def test_held_a_pipeline_pulls_nothing(tmp_path: Path, order: str) -> None:
    drop(tmp_path, "a.jsonl", 0, 10)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await delivered(engine, 10)
        await getattr(engine.manage, order)("orders")
        live = engine.topology.find("orders")
        await until(lambda: not live.asked_for())
        drop(tmp_path, "a.jsonl", 10, 10)
        await engine.manage.create(spec(name="witness"))
        await delivered(engine, 20, "witness")
        assert engine.log.head(live.pipeline).seq == 10
        await engine.manage.resume("orders")
        await delivered(engine, 20)
        assert sorted(landed(tmp_path))[:20] == sorted([*range(10), *range(10)])


async def test_input_that_is_no_event_is_a_dead_letter_and_an_event_once_it_is_mended(tmp_path: Path) -> None:
    drop(tmp_path, "a.jsonl", 0, 3, b'{"n":3', b'{"n":"four"')
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(sources=[spec().sources[0].model_dump() | {"event_type": "order.found"}]))
        await delivered(engine, 3)
        live = engine.topology.find("orders")
        await until(lambda: live.dead_inputs == 2)
        four, three = [letter async for letter, _ in engine.dead.each(DeadFilter(stage=Stage.EXTRACT))]
        assert (three.origin, three.content, three.route) == ("inbox/a.jsonl:4", b'{"n":3', "")
        edited = await engine.dead.edit(three.id, b'{"n":3}')
        assert edited.content == b'{"n":3}'
        done = await ended(engine, (await engine.dead.replay("orders", DeadFilter())).run)
        assert (done.trigger, done.state) == (Trigger.REPLAY, RunState.SUCCESS)
        await delivered(engine, 4)
        assert landed(tmp_path) == [0, 1, 2, 3]
        last = next(iter(objects_below(tmp_path / "out").values())).splitlines()[-1]
        assert json.loads(last)["event_type"] == "order.found"
        (left,) = [letter async for letter, _ in engine.dead.each(DeadFilter())]
        assert (left.number, left.attempts, left.replay) == (four.number, 2, None)
        assert live.dead_inputs == 1
        assert await engine.dead.discard("orders", DeadFilter()) == 1
        assert live.dead_inputs == 0
    async with engine_at(tmp_path) as engine:
        assert engine.topology.find("orders").dead_inputs == 0


async def test_a_full_refresh_starts_over_however_busy_the_source_and_however_often_the_store_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(tmp_path, "a.jsonl", 0, 50)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await delivered(engine, 50)
        real, refused = SqliteCatalog.keep_run, [2]

        async def late(self: SqliteCatalog, run: Run, *args: Any, **more: Any) -> None:
            drop(tmp_path, "b.jsonl", 1_000 + refused[0], 1)
            if more.get("rewinds") and refused[0]:
                refused[0] -= 1
                raise StoreUnavailable("not now")
            await real(self, run, *args, **more)

        monkeypatch.setattr(SqliteCatalog, "keep_run", late)
        done = await ended(engine, await engine.runs.request("orders", RunOptions(full_refresh=True)))
        assert done.state is RunState.SUCCESS
        await until(lambda: landed(tmp_path).count(0) == 2)
        assert [landed(tmp_path).count(n) for n in range(50)] == [2] * 50


async def test_a_run_that_fails_while_it_reads_leaves_a_streaming_source_at_work(tmp_path: Path) -> None:
    fixture = {"type": "fixture", "path": "fixtures/contacts.jsonl"}
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(sources=[fixture], retry={"initial": 0.05, "max": 0.05}))
        failed = await ended(engine, await engine.runs.request("orders", RunOptions()))
        assert failed.state is RunState.FAILED
        (tmp_path / "fixtures").mkdir()
        (tmp_path / "fixtures" / "contacts.jsonl").write_text('{"n":1}\n')
        await delivered(engine, 1)
        assert landed(tmp_path) == [1]


async def test_what_waits_begins_once_a_drain_is_called_off(tmp_path: Path) -> None:
    gate = Gate()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(sources=[]))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until(lambda: gate.waiting == 1)
        await engine.manage.drain("orders")
        run = await engine.runs.request("orders", RunOptions())
        await engine.manage.resume("orders")
        gate.open.set()
        assert (await ended(engine, run)).state is RunState.SUCCESS
