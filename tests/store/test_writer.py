"""Group commit, and what happens to a group that fails."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from conduit_local.core.errors import Refused, StoreUnavailable
from conduit_local.store.connection import StoreBroken, meaning
from conduit_local.store.store import Store
from tests.making import add, numbered, store_at


class Strange(Exception):
    """An error that no part of the store knows."""


async def test_what_waits_while_one_group_is_committed_is_one_group(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        before = store.writer.groups
        await asyncio.gather(*(store.log.append(pipeline, numbered(n, 1), None) for n in range(500)))
        assert store.writer.groups - before <= 3


async def test_a_call_that_refuses_undoes_its_own_writes_only(tmp_path: Path) -> None:
    def refuses(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO store VALUES ('refused', '1')")
        raise Refused("no")

    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        appended = asyncio.ensure_future(store.log.append(pipeline, numbered(0, 1), None))
        refused = asyncio.ensure_future(store.writer.call(refuses))
        kept = asyncio.ensure_future(
            store.writer.call(lambda db: db.execute("INSERT INTO store VALUES ('kept', '1')").rowcount)
        )
        assert (await appended).first_seq == 1
        with pytest.raises(Refused):
            await refused
        assert await kept == 1
        names = await store.writer.call(lambda db: db.execute("SELECT name FROM store ORDER BY name").fetchall())
        assert names == [("kept",), ("tag",)]


async def test_a_failed_commit_answers_everyone_in_it_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conduit_local.store import writer as module

    def full(db: sqlite3.Connection, group: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
        raise error

    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_commit_together", full)
            found = await asyncio.gather(
                *(store.log.append(pipeline, numbered(n, 1), None) for n in range(20)), return_exceptions=True
            )
            assert {type(one) for one in found} == {StoreUnavailable}
            assert "disk is full" in str(found[0])
        assert store.log.head(pipeline).seq == 0
        assert store.log.usage().trouble is not None
        with pytest.raises(StoreUnavailable):  # for a quarter of a second nobody even tries
            await store.log.append(pipeline, numbered(0, 1), None)


async def test_after_a_failure_the_next_group_numbers_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conduit_local.store import writer as module

    def busy(db: sqlite3.Connection, group: list[module.Work]) -> None:
        db.execute("BEGIN IMMEDIATE")
        for work in group:
            work.prepare()
            work.apply(db)
        db.execute("ROLLBACK")
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
        raise error

    monkeypatch.setattr("conduit_local.store.room._RETRY_AFTER_S", 0.0)
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 2), None)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_commit_together", busy)
            with pytest.raises(StoreUnavailable, match="another process holds the database"):
                await store.log.append(pipeline, numbered(2, 5), None)
        assert (await store.log.append(pipeline, numbered(2, 1), None)).first_seq == 3


async def test_an_error_that_nobody_foresaw_ends_the_store(tmp_path: Path) -> None:
    def breaks(db: sqlite3.Connection) -> None:
        raise Strange("what is this")

    async def use() -> None:
        async with store_at(tmp_path) as store:
            with pytest.raises(StoreBroken):
                await store.writer.call(breaks)
            with pytest.raises(StoreUnavailable):
                await store.writer.call(lambda db: None)
            await asyncio.Event().wait()

    with pytest.raises(StoreBroken, match="Strange: what is this"):
        await use()


async def test_whoever_goes_away_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        tasks = [asyncio.ensure_future(store.log.append(pipeline, numbered(n, 1), None)) for n in range(10)]
        await asyncio.wait(tasks[:1], timeout=0)
        tasks[3].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[3], asyncio.CancelledError)
        assert [one.first_seq for n, one in enumerate(found) if n != 3] == [1, 2, 3, 5, 6, 7, 8, 9, 10]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreUnavailable),
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable),
        (sqlite3.SQLITE_LOCKED, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_IOERR_READ, StoreBroken),
        (sqlite3.SQLITE_CORRUPT, StoreBroken),
        (sqlite3.SQLITE_NOTADB, StoreBroken),
        (sqlite3.SQLITE_READONLY, StoreBroken),
    ],
)
def test_what_sqlite_says_is_for_the_caller_to_repeat_or_for_us_to_mend(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_X"
    assert type(meaning(error, "write")) is kind


async def test_files_and_threads_do_not_pile_up_over_many_starts(tmp_path: Path) -> None:
    async def one_start() -> Store:
        async with store_at(tmp_path) as store:
            await store.catalog.pipelines()
            return store

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    threads = threading.active_count()
    await one_start()
    before = held()[0], threads
    for _ in range(50):
        await one_start()
    end = time.monotonic() + 10
    # the driver's threads say goodbye just before they end; what other tests left may end meanwhile, too
    while any(now > then for now, then in zip(held(), before, strict=True)):
        assert time.monotonic() < end, (held(), before)
        await asyncio.sleep(0)
