"""The schema: step by step, killed in between, from an old database, and from a newer one."""

import sqlite3
from pathlib import Path

import pytest

from conduit_local.store import migrate as module
from conduit_local.store.migrate import StoreTooNew, migrate, steps
from conduit_local.store.verify import problems_of_store
from tests.engines import engine_at, ledgers, objects_below, until_delivered
from tests.making import add, numbered, store_at

LAST = steps()[-1][0]
TWO_MORE = [
    (LAST + 1, "-- a comment; with a semicolon\nALTER TABLE keys ADD COLUMN note TEXT;\nCREATE TABLE two (x);\n"),
    (LAST + 2, "CREATE TABLE three (x);\nCREATE TABLE three_b (x);\n"),
]


class Killed(BaseException):
    """The process is gone."""


def schema(path: Path) -> list[tuple[str, str]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    finally:
        db.close()


def open_raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


async def make(folder: Path) -> None:
    async with store_at(folder) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 3), None)


def test_the_steps_are_numbered_without_gaps() -> None:
    assert [number for number, _ in steps()] == list(range(1, len(steps()) + 1))


async def test_an_old_database_is_brought_up_and_a_copy_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(tmp_path)
    before = schema(tmp_path / "conduit.db")
    monkeypatch.setattr(module, "steps", lambda real=steps: [*real(), *TWO_MORE])
    async with store_at(tmp_path) as store:
        (pipeline,) = await store.catalog.pipelines()
        assert store.log.head(pipeline).seq == 3
    assert {"two", "three", "three_b"} <= {name for name, _ in schema(tmp_path / "conduit.db")}
    copy = tmp_path / f"conduit.db.before-{LAST + 2:04d}"
    assert schema(copy) == before
    assert problems_of_store(copy) == []


@pytest.mark.parametrize("after", range(1, 12))
async def test_killed_anywhere_in_a_step_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    await make(tmp_path)
    path = tmp_path / "conduit.db"
    monkeypatch.setattr(module, "steps", lambda real=steps: [*real(), *TWO_MORE])

    class Killing:
        """A connection that is gone after so many statements."""

        def __init__(self, db: sqlite3.Connection) -> None:
            self._db = db
            self._left = after

        def __getattr__(self, name: str) -> object:
            return getattr(self._db, name)

        def execute(self, statement: str) -> sqlite3.Cursor:
            if self._left == 0 and not statement.startswith("ROLLBACK"):
                raise Killed
            self._left -= 1
            return self._db.execute(statement)

    db = open_raw(path)
    try:
        migrate(Killing(db), path)  # type: ignore[arg-type]
    except Killed:
        pass
    finally:
        db.close()
    (version,) = open_raw(path).execute("PRAGMA user_version").fetchone()
    names = {name for name, _ in schema(path)}
    assert ("two" in names) == (version > LAST)
    assert ("three" in names) == ("three_b" in names) == (version > LAST + 1)
    async with store_at(tmp_path) as store:
        (pipeline,) = await store.catalog.pipelines()
        assert store.log.head(pipeline).seq == 3
    assert {"two", "three", "three_b"} <= {name for name, _ in schema(path)}


async def test_a_newer_database_is_refused_with_a_message_and_left_alone(tmp_path: Path) -> None:
    await make(tmp_path)
    path = tmp_path / "conduit.db"
    db = open_raw(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()

    async def use() -> None:
        async with store_at(tmp_path):
            pass

    with pytest.raises(StoreTooNew, match="schema version 99; this version of conduit-local knows"):
        await use()
    assert path.read_bytes() == before
    assert problems_of_store(path) == [f"has schema version 99; this version knows {steps()[-1][0]} at most"]


def test_a_look_from_outside_finds_damage(tmp_path: Path) -> None:
    path = tmp_path / "conduit.db"
    path.write_bytes(b"this is no database" * 1_000)
    assert any("not a database" in problem for problem in problems_of_store(path))


async def test_a_whole_store_passes_sqlites_own_check(tmp_path: Path) -> None:
    await make(tmp_path)
    assert problems_of_store(tmp_path / "conduit.db") == []


async def test_a_database_of_version_1_opens_with_all_that_it_held(tmp_path: Path) -> None:
    db = open_raw(tmp_path / "conduit.db")
    db.executescript((Path(__file__).parent / "old" / "version_1.sql").read_text())
    db.execute("PRAGMA user_version = 1")
    db.close()
    async with engine_at(tmp_path) as engine:
        states = {live.pipeline.name: live.pipeline.state for live in engine.topology.live()}
        assert states == {"orders": "active", "paused": "paused", "drained": "stopped"}
        assert ledgers(engine, "orders") == {"files": (25, 25, 0)}
        assert ledgers(engine, "paused") == {"files": (5, 0, 5), "archive": (5, 0, 5)}
        runs = await engine.queries.runs(None, before=None, limit=100)
        assert [run.rows for run, pipeline in runs if pipeline.name == "orders"] == [5, 10, 10]
        assert all(run.created_at_us == run.started_at_us for run, _ in runs)
        assert (await engine.ingest.accept("orders", numbered(0, 25), "key-1")).replayed
        await engine.manage.resume("paused")
        await until_delivered(engine, "paused")
        newest = await engine.queries.runs(None, before=None, limit=1)
        assert newest[0][0].number > max(run.number for run, _ in runs), "run numbers go on where they ended"
    assert {"paused"} == {path.split("/")[0] for path in objects_below(tmp_path / "out")}


async def test_a_database_of_version_2_opens_with_all_that_it_held_and_its_open_batch_lands(tmp_path: Path) -> None:
    db = open_raw(tmp_path / "conduit.db")
    db.executescript((Path(__file__).parent / "old" / "version_2.sql").read_text())
    db.execute("PRAGMA user_version = 2")
    db.close()
    async with engine_at(tmp_path) as engine:
        await until_delivered(engine, "stuck")
        assert ledgers(engine, "orders") == {"files": (25, 25, 0)}
        assert ledgers(engine, "collects") == {"files": (5, 5, 0)}
        assert ledgers(engine, "stuck") == {"files": (10, 10, 0)}
        runs = [run for run, pipeline in await engine.queries.runs("orders", before=None, limit=100)]
        assert [(run.events, run.rows, run.stage) for run in runs] == [
            (5, 5, "load"),
            (10, 10, "load"),
            (10, 10, "load"),
        ]
    assert list(objects_below(tmp_path / "out")) == ["stuck/000000000001-000000000010.jsonl"]
