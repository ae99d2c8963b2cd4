"""The ledger beside what lies at the destinations: all that is wrong is named, and nothing else."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conduit_local.core.dead import DeadFilter
from conduit_local.core.errors import DestinationNotFound, PipelineNotFound
from conduit_local.core.kinds import patched_spec
from conduit_local.core.run import RunOptions, RunState
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.engine.evidence import Deviation, Progress, Verified, Wrong
from conduit_local.engine.retention import Kept
from tests.engines import engine_at, until, until_delivered
from tests.making import MODEL, events, numbered, spec

TENS = {"max_events": 10, "max_age": "50ms"}
CAST = [{"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}]
MISSING, ALTERED, EXTRA, UNREADABLE = Wrong.MISSING, Wrong.ALTERED, Wrong.EXTRA, Wrong.UNREADABLE


class Seen(NamedTuple):
    """What a verification came to."""

    verified: Verified
    found: list[tuple[Wrong, str]]
    deviations: list[Deviation]


async def verify(engine: Engine, name: str = "files", ref: str = "orders", *, quick: bool = False) -> Seen:
    heard: list[Progress | Deviation] = []

    async def tell(one: Progress | Deviation) -> None:
        heard.append(one)

    verified = await engine.verifier.verify(ref, name, tell, quick=quick)
    deviations = [one for one in heard if isinstance(one, Deviation)]
    assert verified.wrong == {wrong: sum(one.wrong is wrong for one in deviations) for wrong in Wrong}
    return Seen(verified, sorted((one.wrong, one.key) for one in deviations), deviations)


async def deliver(engine: Engine, first: int, count: int, ref: str = "orders") -> None:
    await engine.ingest.accept(ref, numbered(first, count))
    await until_delivered(engine, ref)


async def change(engine: Engine, *destinations: dict[str, Any]) -> None:
    fields = {"destinations": list(destinations)}
    await engine.manage.change("orders", lambda old: patched_spec(old, fields, MODEL))


async def ended(engine: Engine, options: RunOptions) -> Any:
    run = await engine.runs.request("orders", options)
    live = engine.topology.find("orders")
    await until(lambda: not live.asked_for())
    found, _ = await engine.runs.find(run.id)
    assert found.state is RunState.SUCCESS
    return found


def objects(folder: Path, path: str = "out") -> list[Path]:
    return sorted(one for one in (folder / path).rglob("*") if one.is_file())


def key_of(path: Path, out: str = "out") -> str:
    return str(path).partition(f"/{out}/")[2]


# Files -----------------------------------------------------------------------------------------------------


async def test_what_lies_there_as_it_was_delivered_is_well(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        assert (await verify(engine)).verified.is_well, "nothing was delivered, and nothing is there"
        await deliver(engine, 0, 40)
        verified, found, _ = await verify(engine)
        size = sum(one.stat().st_size for one in objects(tmp_path))
        assert (verified.is_well, verified.is_lookable, verified.is_configured) == (True, True, True)
        assert (verified.objects, verified.rows, verified.size_bytes) == (4, 40, size)
        assert (verified.compared, verified.compared_by_size, verified.older, found) == (4, 0, 0, [])
        quick = (await verify(engine, quick=True)).verified
        assert (quick.is_well, quick.compared, quick.compared_by_size) == (True, 0, 4)


async def test_each_thing_that_is_wrong_is_named(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 50)
        gone, short, other, well, _ = objects(tmp_path)
        gone.unlink()
        short.write_bytes(short.read_bytes()[:-1])
        content = other.read_bytes()
        other.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        alike = well.with_name(f"000000000031-000000000041{''.join(well.suffixes)}")
        later = well.with_name("000000000901-000000000910.jsonl")
        foreign = [well.with_name("notes.txt"), alike, later, well.parent / "below" / "a.jsonl"]
        for one in foreign:
            one.parent.mkdir(exist_ok=True)
            one.write_text("mine\n")
        (tmp_path / "out" / "elsewhere.txt").write_text("not of this pipeline\n")
        extra = [(EXTRA, key_of(one)) for one in foreign]
        wrong = [(MISSING, key_of(gone)), (ALTERED, key_of(short))]
        seen = await verify(engine)
        assert seen.found == sorted([*wrong, (ALTERED, key_of(other)), *extra])
        assert not seen.verified.is_well
        assert (await verify(engine, quick=True)).found == sorted([*wrong, *extra]), "sizes do not tell"
        (missing,) = (one for one in seen.deviations if one.wrong is MISSING)
        assert missing.entry is not None
        assert (missing.entry.rows, missing.entry.place) == (10, str(gone))
        page, _ = await engine.queries.events("orders", None, 100)
        ids = [str(event.id) for event in page.events][::-1]
        assert (missing.entry.first_event, missing.entry.last_event) == (ids[0], ids[9])
        (shorter,) = (one for one in seen.deviations if one.key == key_of(short))
        assert (
            shorter.message
            == f"it has {len(short.read_bytes()):,} bytes; {len(short.read_bytes()) + 1:,} were delivered"
        )


async def test_objects_of_a_full_refresh_and_of_a_replay_are_in_the_ledger(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, transforms=CAST))
        await engine.ingest.accept("orders", events('{"n": 1}', '{"n": "x"}', '{"n": 3}'))
        await until_delivered(engine, "orders")
        run = await ended(engine, RunOptions(full_refresh=True))
        (letter, _), *_ = [one async for one in engine.dead.each(DeadFilter())]
        await engine.dead.edit(letter.id, b'{"n": 2}')
        replay = await engine.dead.replay("orders", DeadFilter())
        await until(lambda: not engine.topology.find("orders").asked_for())
        seen = await verify(engine)
        assert (seen.found, seen.verified.objects) == ([], 3)
        (ours,) = [one for one in objects(tmp_path) if f"/{run.id}/" in str(one)]
        (replayed,) = [one for one in objects(tmp_path) if f"/{replay.run.id}/" in str(one)]
        ours.unlink()
        stranger = replayed.with_name("000000000007-000000000008.jsonl")
        stranger.write_bytes(b"")
        nowhere = replayed.parent.with_name("run_zzzzzzzz") / replayed.name
        nowhere.parent.mkdir()
        nowhere.write_bytes(b"")
        wrong = [(MISSING, key_of(ours)), (EXTRA, key_of(stranger)), (EXTRA, key_of(nowhere))]
        assert (await verify(engine)).found == sorted(wrong)


async def test_batches_without_rows_have_no_object_and_lack_none(tmp_path: Path) -> None:
    only = [{"type": "sql", "query": "SELECT payload FROM events WHERE CAST(payload->>'n' AS INTEGER) >= 10"}]
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, transforms=only))
        await deliver(engine, 0, 20)
        seen = await verify(engine)
        assert (seen.found, seen.verified.objects, seen.verified.rows) == ([], 1, 10)
        name = f"000000000001-000000000010{''.join(objects(tmp_path)[0].suffixes)}"
        objects(tmp_path)[0].with_name(name).write_bytes(b"")
        assert (await verify(engine)).found == [(EXTRA, f"orders/{name}")], "the batch of this name had no rows"


async def test_deliveries_at_full_speed_raise_no_false_alarm(tmp_path: Path) -> None:
    quick = {"max_events": 5, "max_age": "50ms"}
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=quick, destinations=[{"type": "files", "concurrency": 4}]))
        await deliver(engine, 0, 5)
        objects(tmp_path)[0].with_name("notes.txt").write_text("mine\n")
        looks = 0

        async def send() -> None:
            for first in range(5, 1_005, 50):
                await engine.ingest.accept("orders", numbered(first, 50))

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            live = engine.topology.find("orders")
            while not sending.done() or live.slowest_cursor < engine.log.head(live.pipeline).seq:
                assert (await verify(engine, quick=looks % 2 == 0)).found == [(EXTRA, "orders/notes.txt")]
                looks += 1
        assert looks > 3
        assert (await verify(engine)).verified.objects >= 201


async def test_a_destination_that_is_away_is_told_and_the_other_is_looked_at(tmp_path: Path) -> None:
    two = [{"type": "files", "name": "here", "path": "here"}, {"type": "files", "name": "away", "path": "away"}]
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=two))
        await deliver(engine, 0, 10)
        (tmp_path / "away").rename(tmp_path / "moved")
        (tmp_path / "away").write_text("in the way")
        assert await engine.verifier.names("orders") == ["here", "away"]
        away = (await verify(engine, "away")).verified
        assert (away.is_well, away.objects) == (False, 1)
        assert away.unavailable is not None
        assert "list" in away.unavailable
        assert (await verify(engine, "here")).verified.is_well


async def test_what_the_ledger_forgot_is_older_not_extra(tmp_path: Path) -> None:
    kept = EngineSettings(keys_required=False, kept=Kept(runs=1, objects=3))
    async with engine_at(tmp_path, settings=kept) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 80)
        await engine.retention.once()
        verified, found, _ = await verify(engine)
        assert (found, verified.objects, verified.older) == ([], 3, 5)
        first, *_, last = objects(tmp_path)
        first.unlink()
        last.unlink()
        strange = last.with_name("000000000071-000000000079.jsonl")
        strange.write_bytes(b"")
        verified, found, _ = await verify(engine)
        assert (found, verified.older) == (sorted([(MISSING, key_of(last)), (EXTRA, key_of(strange))]), 4)


async def test_a_destination_that_was_added_later_has_delivered_nothing_before(tmp_path: Path) -> None:
    kept = EngineSettings(keys_required=False, kept=Kept(runs=1, objects=1))
    both = [{"type": "files"}, {"type": "files", "name": "late", "path": "late"}]
    async with engine_at(tmp_path, settings=kept) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 20)
        await change(engine, *both)
        await deliver(engine, 20, 40)
        await engine.retention.once()
        for first in (1, 21):
            (tmp_path / "late" / "orders" / f"{first:012d}-{first + 5:012d}.jsonl").write_bytes(b"")
        verified, found, _ = await verify(engine, "late")
        assert (found, verified.older) == ([(EXTRA, "orders/000000000001-000000000006.jsonl")], 4)


async def test_objects_are_looked_for_where_they_were_delivered(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 10)
        for settings in ({"path": "new"}, {"path": "new", "compression": "gzip"}, {"path": "new", "concurrency": 2}):
            await change(engine, {"type": "files", **settings})
            await deliver(engine, 0, 10)
        (tmp_path / "new" / "orders" / "notes.txt").write_text("mine\n")
        seen = await verify(engine)
        assert (seen.found, seen.verified.objects) == ([(EXTRA, "orders/notes.txt")], 4), "named once"
        objects(tmp_path)[0].unlink()
        assert len((await verify(engine)).found) == 2


async def test_a_destination_that_is_gone_is_verified_by_its_name(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 10)
        await change(engine, {"type": "files", "name": "new", "path": "new"})
        await until(lambda: "files" not in engine.topology.find("orders").routes)
        assert await engine.verifier.names("orders") == ["new"]
        assert await engine.verifier.names("orders", "files") == ["files"]
        verified = (await verify(engine)).verified
        assert (verified.is_well, verified.is_configured, verified.objects) == (True, False, 1)
        with pytest.raises(DestinationNotFound, match="has no destination 'sink'; it has: new, files"):
            await engine.verifier.names("orders", "sink")


async def test_two_destinations_in_one_folder_are_no_strangers_to_each_other(tmp_path: Path) -> None:
    two = [{"type": "files"}, {"type": "files", "name": "rows", "format": "csv"}]
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=two))
        await deliver(engine, 0, 30)
        assert len(objects(tmp_path)) == 6
        for name in ("files", "rows"):
            verified = (await verify(engine, name)).verified
            assert (verified.is_well, verified.objects) == (True, 3)


async def test_a_pipeline_that_is_deleted_meanwhile_ends_it(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 30)

        async def tell(one: Progress | Deviation) -> None:
            if isinstance(one, Progress) and one.step == "list":
                await engine.manage.delete("orders")

        with pytest.raises(PipelineNotFound):
            await engine.verifier.verify("orders", "files", tell)


async def test_a_successor_in_the_same_folder_takes_what_lies_there_for_older(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 20)
        await engine.manage.delete("orders")
        await until(lambda: not engine.topology.departing())
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 20, 10)
        verified, found, _ = await verify(engine)
        assert (found, verified.objects, verified.older) == ([], 1, 2)


def change_store(folder: Path, *statements: str) -> None:
    """As an older version left it."""
    with closing(sqlite3.connect(folder / "conduit.db")) as db, db:
        for statement in statements:
            assert db.execute(statement).rowcount


async def test_what_an_older_version_delivered_is_compared_as_far_as_it_is_known(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 20)
    change_store(tmp_path, "UPDATE batches SET sha256 = NULL, rows = NULL, first_event = NULL, last_event = NULL")
    async with engine_at(tmp_path) as engine:
        await deliver(engine, 20, 10)
        verified, found, _ = await verify(engine)
        assert (found, verified.compared, verified.compared_by_size, verified.rows) == ([], 1, 2, 10)
        objects(tmp_path)[0].write_bytes(b"")
        assert [wrong for wrong, _ in (await verify(engine)).found] == [ALTERED]


async def test_what_is_left_of_runs_that_are_forgotten_is_older(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 20)
        await ended(engine, RunOptions(full_refresh=True))
    change_store(tmp_path, "DELETE FROM batches WHERE route LIKE '%@%'", "DELETE FROM runs WHERE trigger = 'manual'")
    async with engine_at(tmp_path) as engine:
        await deliver(engine, 20, 10)
        verified, found, _ = await verify(engine)
        assert (found, verified.objects, verified.older) == ([], 3, 2)
