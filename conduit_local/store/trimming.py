"""What the log drops: what is delivered and old, what a deleted pipeline left, keys that expired; in slices."""

import sqlite3

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.store.ends import POSITION, Ends
from conduit_local.store.idempotency import drop_expired
from conduit_local.store.room import Room
from conduit_local.store.writer import Writer

BYTES_AT_OR_BEFORE = """
    SELECT max(bytes_through) FROM (
        SELECT bytes_through FROM (SELECT bytes_through FROM chunks
            WHERE pipeline = ?1 AND last_seq <= ?2 ORDER BY last_seq DESC LIMIT 1)
        UNION ALL SELECT bytes_through FROM trimmed WHERE pipeline = ?1)"""
_OLDEST = (
    "SELECT position, first_seq, last_seq, received_at_us, bytes_through, length(body) FROM chunks"
    " WHERE pipeline = ? AND last_seq <= ? ORDER BY last_seq LIMIT 1000"
)
_GIVE_BACK_PAGES = 1_024
"""One by one: the module steps this pragma once a call, whatever number it is given."""
_TRIM_BYTES = 4 * 1024**2
_DELETE_CHUNK = "DELETE FROM chunks WHERE position = ?"
_NOTE_TRIMMED = (
    "INSERT INTO trimmed VALUES (?, ?, ?) ON CONFLICT (pipeline) DO UPDATE SET"
    " last_seq = max(last_seq, excluded.last_seq), bytes_through = max(bytes_through, excluded.bytes_through)"
)
_NOTE_POSITION = (
    "INSERT INTO store VALUES ('position', ?) ON CONFLICT (name) DO UPDATE SET value ="
    " CAST(max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER)) AS TEXT)"
)
_FORGET_CHUNKS = "DELETE FROM chunks WHERE position IN (SELECT position FROM chunks WHERE pipeline = ? LIMIT 64)"
_FORGET_KEYS = "DELETE FROM idempotency WHERE number IN (SELECT number FROM idempotency WHERE pipeline = ? LIMIT 1000)"
_FORGET_TRIMMED = "DELETE FROM trimmed WHERE pipeline = ?"


class Trimming:
    """A part of the log."""

    _writer: Writer
    _clock: Clock
    _room: Room
    _ends: Ends

    async def trim(self, pipeline: PipelineNumber, through_seq: int, before_us: int, keep_bytes: int) -> int:
        """`Log.trim`: about 4 MiB in one commit."""

        def drop(db: sqlite3.Connection) -> int:
            (through_bytes,) = db.execute(BYTES_AT_OR_BEFORE, (pipeline, through_seq)).fetchone()
            events = size = 0
            gone: tuple[int, int] | None = None
            for position, first_seq, last_seq, received_at_us, bytes_through, body_bytes in db.execute(
                _OLDEST, (pipeline, through_seq)
            ).fetchall():
                kept_behind = (through_bytes or 0) - bytes_through
                if size > _TRIM_BYTES or (received_at_us >= before_us and kept_behind < keep_bytes):
                    break
                db.execute(_NOTE_POSITION, (str(position),))
                db.execute(_DELETE_CHUNK, (position,))
                events += last_seq - first_seq + 1
                size += body_bytes
                gone = (last_seq, bytes_through)
            if gone is not None:
                db.execute(_NOTE_TRIMMED, (pipeline, *gone))
            return events

        return await self._writer.call(drop)

    async def forget(self, pipeline: PipelineNumber) -> bool:
        """`Log.forget`."""

        def drop(db: sqlite3.Connection) -> bool:
            (position,) = db.execute(POSITION).fetchone()
            db.execute(_NOTE_POSITION, (str(position),))
            gone = db.execute(_FORGET_CHUNKS, (pipeline,)).rowcount
            gone += db.execute(_FORGET_KEYS, (pipeline,)).rowcount
            if gone == 0:
                db.execute(_FORGET_TRIMMED, (pipeline,))
            return gone > 0

        left = await self._writer.call(drop)
        if not left:
            self._ends.marks.pop(pipeline, None)
        return left

    async def drop_expired_keys(self) -> int:
        """Drop a slice of the idempotency keys that are past their 24 hours; returns how many went."""
        return await self._writer.call(lambda db: drop_expired(db, self._clock.steady_us()))

    async def give_back(self) -> None:
        """Give a slice of unused pages back to the disk, once they are a quarter of the file and over 16 MiB."""

        def vacuum(db: sqlite3.Connection) -> None:
            (page_size,) = db.execute("PRAGMA page_size").fetchone()
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            (unused,) = db.execute("PRAGMA freelist_count").fetchone()
            if unused * 4 > pages and unused * page_size > 16 * 1024**2:
                for _ in range(_GIVE_BACK_PAGES):
                    db.execute("PRAGMA incremental_vacuum(1)")
            self._room.look(db, always=True)

        await self._writer.call(vacuum)
