"""From `accept` to a file: batches, states, runs; with a clock that is driven."""

import json
from pathlib import Path

import pytest

from conduit_local.core.errors import NotAccepting, PipelineNotFound, RateLimited, TooManyRecords
from conduit_local.core.pipeline import Health, State
from conduit_local.core.run import RunState, Trigger
from conduit_local.engine.clock import SteeredClock
from tests.engines import engine_at, ledgers, objects_below, payloads_below, until, until_delivered
from tests.making import events, numbered, spec

SLOW = {"max_age": "1h"}


def names(folder: Path) -> list[str]:
    return list(objects_below(folder))


async def test_250_events_give_objects_of_100_100_and_50(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, "max_age": "5s"}))
        await engine.ingest.accept("orders", numbered(0, 250))
        live = engine.topology.find("orders")
        await until(lambda: live.slowest_cursor == 200)
        clock.advance(5)
        await until_delivered(engine, "orders")
        assert names(tmp_path / "out") == [
            "orders/000000000001-000000000100.jsonl",
            "orders/000000000101-000000000200.jsonl",
            "orders/000000000201-000000000250.jsonl",
        ]
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(250)]
        assert ledgers(engine, "orders") == {"files": (250, 250, 0)}


async def test_the_same_input_gives_the_same_names_and_bytes(tmp_path: Path) -> None:
    found = []
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        clock = SteeredClock()
        clock.freeze(True)
        clock.set(1_782_050_973_000_000)
        async with engine_at(tmp_path / place, clock, tag="abcde") as engine:
            await engine.manage.create(
                spec(
                    id="pl_8f3a",
                    batch={"max_events": 100, **SLOW},
                    destinations=[
                        {"type": "files", "path": "zst", "compression": "zstd", "partition": "dt=%Y-%m-%d"},
                        {"type": "files", "path": "gz", "compression": "gzip", "record": "payload"},
                        {"type": "files", "path": "plain"},
                    ],
                )
            )
            step = 7 if place == "one" else 125
            for first in range(0, 250, step):
                await engine.ingest.accept("orders", numbered(first, min(step, 250 - first)))
            await engine.manage.flush("orders")
            await until_delivered(engine, "orders")
        found.append(
            {
                str(path.relative_to(tmp_path / place)): path.read_bytes()
                for path in sorted((tmp_path / place).rglob("*jsonl*"))
            }
        )
    assert found[0] == found[1]
    assert list(found[0]) == [
        f"{folder}/orders/{partition}{first:012d}-{last:012d}.jsonl{suffix}"
        for folder, partition, suffix in (("gz", "", ".gz"), ("plain", "", ""), ("zst", "dt=2026-06-21/", ".zst"))
        for first, last in ((1, 100), (101, 200), (201, 250))
    ]


async def test_payload_records_are_the_payloads_own_bytes(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(
            spec(batch={"max_age": "50ms"}, destinations=[{"type": "files", "record": "payload"}])
        )
        raw = ('{"a" : 1.50, "z":"é\\u00e9", "big": 123456789012345678901234567890}', '{"payload":{"payload":1}}', "{}")
        await engine.ingest.accept("orders", events(*raw))
        await until_delivered(engine, "orders")
        assert objects_below(tmp_path / "out") == {
            "orders/000000000001-000000000003.jsonl": "".join(f"{one}\n" for one in raw).encode()
        }


async def test_a_batch_closes_where_the_partition_changes(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    clock.set(1_782_053_999_000_000)  # 14:59:59
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(
            spec(batch={"max_events": 100, **SLOW}, destinations=[{"type": "files", "partition": "hour=%H"}])
        )
        await engine.ingest.accept("orders", numbered(0, 3))
        clock.advance(2)
        await engine.ingest.accept("orders", numbered(3, 2))
        live = engine.topology.find("orders")
        await until(lambda: live.slowest_cursor == 3)
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        assert names(tmp_path / "out") == [
            "orders/hour=14/000000000001-000000000003.jsonl",
            "orders/hour=15/000000000004-000000000005.jsonl",
        ]


async def test_a_batch_closes_by_bytes(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_bytes": "2KiB", **SLOW}))
        await engine.ingest.accept("orders", events(*(json.dumps({"x": "y" * 300}) for _ in range(20))))
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        sizes = [len(content) for content in objects_below(tmp_path / "out").values()]
        assert all(size <= 2_048 for size in sizes)
        assert sum(size > 1_500 for size in sizes) >= len(sizes) - 1


async def test_several_destinations_are_routes_of_their_own(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(
            spec(
                batch={"max_age": "50ms"},
                destinations=[{"type": "files"}, {"type": "files", "path": "copy", "record": "payload"}],
            )
        )
        await engine.ingest.accept("orders", numbered(0, 10))
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(10)]
        (copy,) = objects_below(tmp_path / "copy").values()
        assert [json.loads(line) for line in copy.splitlines()] == [{"n": n} for n in range(10)]
        assert set(ledgers(engine, "orders")) == {"files", "files-2"}


# States --------------------------------------------------------------------------------------------------


async def test_paused_it_accepts_and_no_file_grows_and_resumed_it_delivers_the_rest(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 5, "max_age": "50ms"}))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until_delivered(engine, "orders")
        assert (await engine.manage.pause("orders")).state is State.PAUSED
        before = objects_below(tmp_path / "out")
        await engine.ingest.accept("orders", numbered(5, 22))
        await engine.log.settled(engine.topology.find("orders").pipeline)
        for _ in range(50):
            await engine.clock.wait(None, 0.002)
        assert objects_below(tmp_path / "out") == before
        assert ledgers(engine, "orders") == {"files": (27, 5, 22)}
        await engine.manage.resume("orders")
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(27)]


async def test_drained_it_delivers_all_refuses_new_events_and_is_stopped(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, **SLOW}))
        await engine.ingest.accept("orders", numbered(0, 250))
        await engine.manage.drain("orders")
        live = engine.topology.find("orders")
        with pytest.raises(NotAccepting, match="takes no new events"):
            await engine.ingest.accept("orders", numbered(250, 1))
        await until(lambda: live.pipeline.state is State.STOPPED)
        assert len(objects_below(tmp_path / "out")) == 3
        with pytest.raises(NotAccepting):
            await engine.ingest.accept("orders", numbered(250, 1))
        (run, *_) = await engine.queries.runs("orders", before=None, limit=10, trigger=Trigger.DRAIN)
        assert (run[0].state, run[0].rows, run[0].batches) == (RunState.SUCCESS, 50, 1) or run[0].rows >= 50
        await engine.manage.resume("orders")
        assert (await engine.ingest.accept("orders", numbered(250, 1))).first_seq == 251


async def test_a_drain_that_is_called_off_goes_on_accepting(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SLOW))
        await engine.manage.pause("orders")
        await engine.ingest.accept("orders", numbered(0, 3))
        await engine.manage.drain("orders")
        await engine.manage.resume("orders")
        live = engine.topology.find("orders")
        assert live.pipeline.state is State.ACTIVE
        assert (await engine.ingest.accept("orders", numbered(3, 1))).first_seq == 4
        assert not live.runs


async def test_an_empty_pipeline_drains_at_once(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.manage.drain("orders")
        live = engine.topology.find("orders")
        await until(lambda: live.pipeline.state is State.STOPPED)


@pytest.mark.parametrize("paused", [True, False])
async def test_flush_delivers_what_is_pending_and_changes_no_state(tmp_path: Path, paused: bool) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 10, **SLOW}))
        if paused:
            await engine.manage.pause("orders")
        await engine.ingest.accept("orders", numbered(0, 25))
        run = await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        live = engine.topology.find("orders")
        await until(lambda: not live.runs)
        assert live.pipeline.state is (State.PAUSED if paused else State.ACTIVE)
        found, _ = await engine.runs.find(run.id)
        lines = await engine.queries.run_lines(found, 100)
        assert found.state is RunState.SUCCESS
        assert found.trigger is Trigger.MANUAL
        if paused:
            assert (found.rows, found.batches, len(lines)) == (25, 3, 3)
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(25)]


async def test_a_flush_ends_where_it_began_while_events_go_on_arriving(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 10, **SLOW}))
        await engine.manage.pause("orders")
        await engine.ingest.accept("orders", numbered(0, 15))
        first = await engine.manage.flush("orders")
        await engine.ingest.accept("orders", numbered(15, 15))
        second = await engine.manage.flush("orders")
        await engine.ingest.accept("orders", numbered(30, 5))
        live = engine.topology.find("orders")
        await until(lambda: not live.runs)
        assert live.slowest_cursor == 30
        assert [(await engine.runs.find(run.id))[0].rows for run in (first, second)] == [15, 15]
        assert names(tmp_path / "out") == [
            "orders/000000000001-000000000010.jsonl",
            "orders/000000000011-000000000015.jsonl",
            "orders/000000000016-000000000025.jsonl",
            "orders/000000000026-000000000030.jsonl",
        ]


async def test_deleted_it_is_gone_at_once_and_what_was_accepted_still_lands(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, **SLOW}))
        await engine.manage.pause("orders")
        await engine.ingest.accept("orders", numbered(0, 230))
        await engine.manage.delete("orders")
        for refused in (engine.ingest.accept("orders", numbered(0, 1)), engine.manage.pause("orders")):
            with pytest.raises(PipelineNotFound):
                await refused
        assert engine.topology.live() == []
        await until(lambda: not engine.topology.departing())
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(230)]
        assert await engine.queries.runs(None, before=None, limit=10) == []


async def test_a_successor_of_the_same_name_never_writes_over_the_old_objects(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        for life in range(3):
            await engine.manage.create(spec(batch={"max_age": "50ms"}))
            await engine.ingest.accept("orders", numbered(life * 10, 10))
            await engine.manage.delete("orders")
        await until(lambda: not engine.topology.departing())
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(30)]
        assert names(tmp_path / "out") == [f"orders/{first:012d}-{first + 9:012d}.jsonl" for first in (1, 11, 21)]


# Changes -------------------------------------------------------------------------------------------------


async def test_a_removed_destination_still_gets_what_was_accepted_before(tmp_path: Path) -> None:
    both = [{"type": "files", "name": "a"}, {"type": "files", "name": "b", "path": "b"}]
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SLOW, destinations=both))
        await engine.ingest.accept("orders", numbered(0, 5))
        await engine.manage.change("orders", lambda _: spec(batch=SLOW, destinations=both[:1]))
        await engine.ingest.accept("orders", numbered(5, 5))
        live = engine.topology.find("orders")
        await until(lambda: list(live.routes) == ["a"])
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "b") == [{"n": n} for n in range(5)]
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(10)]


async def test_a_changed_destination_takes_the_next_batch_and_no_event_twice(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 5, **SLOW}))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until_delivered(engine, "orders")
        await engine.manage.change(
            "orders", lambda _: spec(batch={"max_events": 5, **SLOW}, destinations=[{"type": "files", "path": "new"}])
        )
        await engine.ingest.accept("orders", numbered(5, 5))
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(5)]
        assert payloads_below(tmp_path / "new") == [{"n": n} for n in range(5, 10)]


async def test_a_new_destination_gets_the_events_from_here_on(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_age": "50ms"}))
        await engine.ingest.accept("orders", numbered(0, 5))
        more = [{"type": "files"}, {"type": "files", "name": "late", "path": "late"}]
        await engine.manage.change("orders", lambda _: spec(batch={"max_age": "50ms"}, destinations=more))
        await engine.ingest.accept("orders", numbered(5, 5))
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(10)]
        assert payloads_below(tmp_path / "late") == [{"n": n} for n in range(5, 10)]
        assert ledgers(engine, "orders") == {"files": (10, 10, 0), "late": (5, 5, 0)}


# Restarts ------------------------------------------------------------------------------------------------


async def test_states_and_runs_survive_a_restart(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        for name in ("paused", "draining", "flushing"):
            await engine.manage.create(spec(name, batch={"max_events": 10, **SLOW}))
            await engine.manage.pause(name)
            await engine.ingest.accept(name, numbered(0, 25))
        (tmp_path / "out").write_text("in the way")
        await engine.manage.drain("draining")
        await engine.manage.flush("flushing")
        live = engine.topology.find("draining")
        await until(lambda: live.health is Health.BLOCKED)
    (tmp_path / "out").unlink()
    async with engine_at(tmp_path) as engine:
        find = engine.topology.find
        assert find("paused").pipeline.state is State.PAUSED
        await until(lambda: find("draining").pipeline.state is State.STOPPED)
        await until(lambda: not find("flushing").runs)
        assert find("flushing").pipeline.state is State.PAUSED
        assert ledgers(engine, "paused") == {"files": (25, 0, 25)}
        assert ledgers(engine, "draining") == {"files": (25, 25, 0)}
        assert ledgers(engine, "flushing") == {"files": (25, 25, 0)}
        for name in ("draining", "flushing"):
            assert payloads_below(tmp_path / "out" / name) == [{"n": n} for n in range(25)]


async def test_a_deletion_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=SLOW))
        await engine.manage.pause("orders")
        await engine.ingest.accept("orders", numbered(0, 5))
        (tmp_path / "out").write_text("in the way")
        await engine.manage.delete("orders")
        await until(lambda: any(route.failed for live in engine.topology.departing() for route in live.routes.values()))
    (tmp_path / "out").unlink()
    async with engine_at(tmp_path) as engine:
        assert engine.topology.live() == []
        await until(lambda: not engine.topology.departing())
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(5)]


# Limits --------------------------------------------------------------------------------------------------


async def test_a_pipelines_own_limits_hold(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    limits = {"ingest_max_records_per_request": 3, "requests_per_minute": 2}
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(limits=limits))
        with pytest.raises(TooManyRecords, match="takes 3 at most"):
            await engine.ingest.accept("orders", numbered(0, 4))
        await engine.ingest.accept("orders", numbered(0, 3))
        await engine.ingest.accept("orders", numbered(0, 3))
        with pytest.raises(RateLimited) as caught:
            await engine.ingest.accept("orders", numbered(0, 3))
        assert caught.value.retry_after_s == 30
        clock.advance(30)
        await engine.ingest.accept("orders", numbered(0, 3))


async def test_a_pipeline_answers_to_its_id_its_uuid_and_its_name(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        made = await engine.manage.create(spec(id="pl_8f3a"))
        for ref in ("pl_8f3a", made.uuid, "orders"):
            assert (await engine.ingest.accept(ref, numbered(0, 1))).pipeline_ref == ref
        with pytest.raises(PipelineNotFound, match="no pipeline 'Orders'"):
            await engine.ingest.accept("Orders", numbered(0, 1))
