"""The store: opened and closed in order."""

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from conduit_local.core.errors import only_error
from conduit_local.core.ids import TAG_WIDTH, base32_of, from_base32
from conduit_local.core.ports import Clock
from conduit_local.core.texts import Texts
from conduit_local.store.catalog import SqliteCatalog
from conduit_local.store.connection import StoreBroken, meaning, open_writer
from conduit_local.store.ends import Ends, load_ends
from conduit_local.store.idempotency import KeyBook
from conduit_local.store.log import SqliteLog
from conduit_local.store.migrate import migrate
from conduit_local.store.readers import Readers
from conduit_local.store.room import Room
from conduit_local.store.webhooks import Outbox
from conduit_local.store.writer import Writer


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSettings:
    """How the store behaves."""

    path: Path
    full_sync: bool = True
    """fsync at every commit; without, a power cut may lose what the last half minute acknowledged."""
    quota_bytes: int = 10 * 1024**3
    min_free_bytes: int = 16 * 1024**2
    readers: int = 2
    tag: str | None = None
    """The tag of a new store; drawn when None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """An open store."""

    log: SqliteLog
    catalog: SqliteCatalog
    writer: Writer


@asynccontextmanager
async def open_store(settings: StoreSettings, clock: Clock, texts: Texts) -> AsyncIterator[Store]:
    """
    Open, migrate, serve, and close in the order that SQLite needs: readers before the writer.

    Raises: StoreBroken, StoreTooNew on opening; and StoreBroken out of the block when a commit fails for good.
    """
    connection = await open_writer(settings.path, full_sync=settings.full_sync)
    writer = Writer(connection)
    try:
        room = Room(settings.path, quota_bytes=settings.quota_bytes, min_free_bytes=settings.min_free_bytes)

        def prepare(db: sqlite3.Connection) -> tuple[str, Ends, KeyBook, Outbox]:
            migrate(db, settings.path)
            room.look(db, always=True)
            return _tag(db, settings.tag), load_ends(db), KeyBook(db), Outbox(db, clock)

        try:
            tag, ends, book, outbox = await connection.call(prepare)
            writer.committed = outbox.committed
            readers = await Readers.open(settings.path, settings.readers)
        except sqlite3.Error as error:
            raise meaning(error, f"open the store {settings.path}") from error
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(writer.run(), name="writer")
                try:
                    yield Store(
                        log=SqliteLog(writer, readers, clock, room, tag, ends, book, outbox),
                        catalog=SqliteCatalog(writer, readers, texts, outbox),
                        writer=writer,
                    )
                finally:
                    writer.finish()
        except BaseExceptionGroup as group:
            raise only_error(group) from group
        finally:
            await readers.close()
    finally:
        await writer.close()


def _tag(db: sqlite3.Connection, wanted: str | None) -> str:
    """The store's tag; drawn, or taken from the settings, when the store is new."""
    row = db.execute("SELECT value FROM store WHERE name = 'tag'").fetchone()
    if row is not None:
        return str(row[0])
    tag = wanted or base32_of(secrets.token_bytes(TAG_WIDTH), TAG_WIDTH)
    if len(tag) != TAG_WIDTH:
        raise StoreBroken(f"a store tag has {TAG_WIDTH} characters, {tag!r} has {len(tag)}")
    from_base32(tag)
    try:
        db.execute("INSERT INTO store VALUES ('tag', ?)", (tag,))
    except sqlite3.OperationalError as error:
        raise meaning(error, "keep the store's tag") from error
    return tag
