"""Opening connections, and what SQLite's errors mean to the floors above."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiosqlite

from conduit_local.core.errors import Broken, ConduitError, StoreUnavailable

T = TypeVar("T")

_PRIMARY_CODE = 0xFF
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class StoreBroken(Broken):
    """The disk or the database failed in a way that repeating cannot mend: the appliance stops, exit code 74."""

    code = "store_broken"


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that also runs whole pieces of work in its thread, at the cost of one hop each."""

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run `work` in the connection's thread and return what it returns.

        A cancelled caller stops waiting; the work itself runs to its end.
        """
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]
        return result


async def open_writer(path: Path, *, full_sync: bool, cache_kib: int = 16_384) -> Connection:
    """The one connection that writes and checkpoints."""
    return await _open(
        path,
        "rwc",
        [
            "PRAGMA journal_mode = WAL",
            f"PRAGMA synchronous = {'FULL' if full_sync else 'NORMAL'}",
            "PRAGMA wal_autocheckpoint = 4000",  # 16 MiB: fewer stalls than the default 4, still recovered at once
            "PRAGMA journal_size_limit = 67108864",
            "PRAGMA busy_timeout = 500",  # in the writer's thread: the event loop never waits
            f"PRAGMA cache_size = -{cache_kib}",
            "PRAGMA foreign_keys = OFF",
            "PRAGMA temp_store = MEMORY",
        ],
    )


async def open_reader(path: Path) -> Connection:
    """A query-only connection: it neither writes nor checkpoints."""
    return await _open(
        path,
        "ro",
        [
            "PRAGMA query_only = ON",
            "PRAGMA wal_autocheckpoint = 0",
            "PRAGMA busy_timeout = 500",
            "PRAGMA cache_size = -2048",
            "PRAGMA temp_store = MEMORY",
        ],
    )


async def _open(path: Path, mode: str, pragmas: list[str]) -> Connection:
    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None, cached_statements=256
        )
        try:
            if mode == "rwc" and db.execute("PRAGMA page_count").fetchone() == (0,):
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, to give space back later
            for pragma in pragmas:
                db.execute(pragma).fetchall()
        except BaseException:
            db.close()
            raise
        return db

    connection = Connection(connect, 64)
    # aiosqlite starts the thread when awaited; a daemon would be killed in the middle of a commit at exit
    try:
        await connection
    except sqlite3.Error as error:
        raise meaning(error, f"open the store {path}") from error
    return connection


def meaning(error: sqlite3.Error, attempted: str) -> ConduitError:
    """What a SQLite error means: StoreUnavailable where the caller may repeat, StoreBroken where we must act."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and (code in _NO_ROOM or code & _PRIMARY_CODE == sqlite3.SQLITE_FULL):
        return StoreUnavailable(f"{attempted}: the disk is full", retry_after_s=2)
    if code == sqlite3.SQLITE_IOERR_WRITE:  # a user's disk quota ends here; nothing was kept, so it may be repeated
        return StoreUnavailable(f"{attempted}: the disk refused the write", retry_after_s=2)
    if code is not None and code & _PRIMARY_CODE in _HELD:
        return StoreUnavailable(f"{attempted}: another process holds the database", retry_after_s=1)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreBroken(f"{attempted}: {error} ({name})")


async def close(connection: Connection) -> None:
    """Close, even when the caller is being cancelled: an open connection would keep the process alive."""
    await asyncio.shield(connection.close())
