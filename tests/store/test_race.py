"""
One connection writes and checkpoints; the others read and can do neither (fault 11).

SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections write or checkpoint at the same moment.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from conduit_local.core.event import NewEvents
from conduit_local.core.pipeline import Pipeline
from conduit_local.store.connection import close, open_reader
from conduit_local.store.store import Store
from conduit_local.store.verify import problems_of_store
from tests.engines import until
from tests.making import add, lines_of, numbered, store_at

GROUPS = 100
CALLS = 8
"""Appends at once; each brings 20 events of half a kilobyte."""
EVENTS = 20


def padded(first: int) -> NewEvents:
    payloads = [json.dumps({"n": n, "x": "y" * 500}).encode() for n in range(first, first + EVENTS)]
    return NewEvents(["a.b"] * EVENTS, payloads)


def restarts_of_the_wal(folder: Path) -> int:
    """How often the log was begun anew behind a whole checkpoint: the sequence number in its header."""
    return int.from_bytes((folder / "conduit.db-wal").read_bytes()[12:16])


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


class Readers:
    """Whoever reads, and a gate that makes them pause: only then is the WAL begun anew."""

    def __init__(self, store: Store, pipeline: Pipeline, folder: Path) -> None:
        self._store, self._pipeline, self._folder = store, pipeline, folder
        self._gate = asyncio.Event()
        self._gate.set()
        self._reading = 0
        self.over = False

    async def pause(self) -> None:
        """Return once nobody reads."""
        self._gate.clear()
        await until(lambda: self._reading == 0)

    def go_on(self) -> None:
        """Let them read."""
        self._gate.set()

    async def read(self, look: Callable[[int], Awaitable[None]]) -> int:
        """Look again and again, until all is written; how often that was."""
        looks = 0
        while not self.over:
            await self._gate.wait()
            self._reading += 1
            try:
                await look(looks)
            finally:
                self._reading -= 1
            looks += 1
        return looks

    async def events(self, turn: int) -> None:
        """What is on the log is whole and in order."""
        log, number = self._store.log, self._pipeline.number
        head = log.head(self._pipeline).seq
        chunks = await log.read(number, head * (turn % 8) // 8, 1 << 62, 500, 1 << 30)
        found = [line["payload"]["n"] for line in lines_of([chunk.lines for chunk in chunks])]
        assert found == list(range(found[0], found[0] + len(found))) if found else True
        seqs = [event.id.seq for event in (await log.newest([number], None, 50)).events]
        assert seqs == sorted(seqs, reverse=True)
        assert head <= max(seqs, default=0)

    async def from_outside(self, _: int) -> None:
        """What `conduit-local check` does."""
        assert await asyncio.to_thread(problems_of_store, self._folder / "conduit.db") == []


async def write(store: Store, pipeline: Pipeline, readers: Readers) -> None:
    """Load, with a checkpoint behind nearly every commit; retention, vacuum and a pause between."""
    await store.writer.call(lambda db: db.execute("PRAGMA wal_autocheckpoint = 4").fetchall())
    try:
        for group in range(GROUPS):
            firsts = range(group * CALLS * EVENTS, (group + 1) * CALLS * EVENTS, EVENTS)
            await asyncio.gather(*(store.log.append(pipeline, padded(first), None) for first in firsts))
            if group % 10 == 9:
                await readers.pause()
                await store.log.trim(pipeline.number, store.log.head(pipeline).seq // 2, 1 << 62, 0)
                await store.log.give_back()
                readers.go_on()
    finally:
        readers.over = True
        readers.go_on()


async def test_a_writer_that_checkpoints_under_load_beside_readers_leaves_a_whole_database(tmp_path: Path) -> None:
    async with store_at(tmp_path, readers=4) as store:
        pipeline = await add(store)
        readers = Readers(store, pipeline, tmp_path)
        written = asyncio.ensure_future(write(store, pipeline, readers))
        kinds = [readers.events] * 4 + [readers.from_outside]
        looks = await asyncio.gather(*(readers.read(kind) for kind in kinds))
        await written
        assert min(looks) >= GROUPS // 10
        assert restarts_of_the_wal(tmp_path) >= GROUPS // 10
        assert store.log.head(pipeline).seq == GROUPS * CALLS * EVENTS
    with raw(tmp_path / "conduit.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    async with store_at(tmp_path) as store:
        assert store.log.head(pipeline).seq == GROUPS * CALLS * EVENTS
        (last,) = (await store.log.newest([pipeline.number], None, 1)).events
        assert json.loads(last.payload)["n"] == GROUPS * CALLS * EVENTS - 1


def on_disk(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "conduit.db").read_bytes(), (folder / "conduit.db-wal").read_bytes()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO store VALUES ('x', 'y')",
        "DELETE FROM chunks",
        "CREATE TABLE x (y)",
        "VACUUM",
        "PRAGMA user_version = 9",
        "PRAGMA incremental_vacuum(1)",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(FULL)",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ],
)
async def test_a_reader_neither_writes_nor_checkpoints_even_when_it_is_told_that_it_may(
    tmp_path: Path, statement: str
) -> None:
    def attempt(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA query_only = OFF").fetchall()
        with suppress(sqlite3.OperationalError):
            db.execute(statement).fetchall()

    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 500), None)
        before = on_disk(tmp_path)
        reader = await open_reader(tmp_path / "conduit.db")
        await reader.call(attempt)
        assert on_disk(tmp_path) == before
        await close(reader)
        assert on_disk(tmp_path) == before
        assert (await store.log.append(pipeline, numbered(500, 1), None)).first_seq == 501


async def test_the_writer_does_what_a_reader_cannot(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        before = on_disk(tmp_path)
        await store.writer.call(lambda db: db.execute("PRAGMA user_version = 1").fetchall())
        assert on_disk(tmp_path) != before
