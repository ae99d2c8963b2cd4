"""`Log` on SQLite."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from conduit_local.core.batch import Chunk, Mark
from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.event import EventFilter, EventPage, NewEvents, StoredEvent
from conduit_local.core.log import Along, Keyed, Receipt, Usage
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.store.along import SourceTable
from conduit_local.store.append import Append, AppendGroup
from conduit_local.store.chunks import Encoder, behind, decode, stored_events
from conduit_local.store.ends import Ends
from conduit_local.store.idempotency import KeyBook
from conduit_local.store.readers import Readers
from conduit_local.store.received import Received
from conduit_local.store.room import Look, Room
from conduit_local.store.trimming import BYTES_AT_OR_BEFORE, Trimming
from conduit_local.store.webhooks import Outbox
from conduit_local.store.writer import Writer

_CHUNKS_AFTER = (
    "SELECT first_seq, last_seq, received_at_us, coding, body FROM chunks"
    " WHERE pipeline = ? AND last_seq > ? ORDER BY last_seq"
)
_CHUNK_AROUND = (
    "SELECT position, first_seq, last_seq, received_at_us, bytes_through, coding, body FROM chunks"
    " WHERE pipeline = ? AND last_seq > ? ORDER BY last_seq LIMIT 1"
)
_ROWS_AT_ONCE = 64

_BACKWARDS = (
    "SELECT position, pipeline, first_seq, received_at_us, types, coding, body FROM chunks"
    " WHERE position <= ? ORDER BY position DESC"
)
_BACKWARDS_OF_ONE = """
    SELECT position, pipeline, first_seq, received_at_us, types, coding, body FROM chunks
    WHERE pipeline = ?1 AND last_seq <= coalesce(
        (SELECT min(last_seq) FROM chunks WHERE pipeline = ?1 AND last_seq >= ?2), ?2)
    ORDER BY last_seq DESC"""
_BACKWARDS_CHUNKS = 4_000
"""A filtered page looks at this many chunks at most, and says where to go on."""
_FIRST = (1 << 62, 1 << 62)


class SqliteLog(Received, SourceTable, Trimming):
    """The log: appends in groups through the writer, reads through the readers."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        clock: Clock,
        room: Room,
        tag: str,
        ends: Ends,
        book: KeyBook,
        outbox: Outbox,
    ) -> None:
        self.tag = tag
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._room = room
        self._ends = ends
        self._book = book
        self._outbox = outbox
        self._encoder = Encoder()
        self._open: AppendGroup | None = None

    async def append(
        self, pipeline: Pipeline, events: NewEvents, keyed: Keyed | None, along: Along | None = None
    ) -> Receipt:
        """
        `Log.append`: joins the group that gathers while the one before is on its way to the disk.

        There is no `await` before it has joined: whoever found the pipeline accepting is in a group before anybody
        can change that.
        """
        refusal = self._room.refusal()
        if refusal is not None:
            self._look_again()
            raise refusal
        group = self._open
        if group is None or not group.has_room(pipeline, along):
            group = AppendGroup(self.tag, self._clock, self._encoder, self._ends, self._book, self._room, self._outbox)
            self._writer.enlist(group)
            self._open = group
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        group.add(Append(pipeline, events, keyed, answer, along))
        return await answer

    async def settled(self, pipeline: Pipeline) -> int:
        """`Log.settled`: whatever joined before this call is in its group or an earlier one."""
        await self._writer.call(lambda _db: None)
        return self.head(pipeline).seq

    def head(self, pipeline: Pipeline) -> Mark:
        """`Log.head`."""
        return self._ends.of(pipeline)

    async def mark(self, pipeline: PipelineNumber, seq: int) -> Mark:
        """`Log.mark`: exact within a chunk too, at the price of decoding it."""

        def look(db: sqlite3.Connection) -> Mark:
            (before,) = db.execute(BYTES_AT_OR_BEFORE, (pipeline, seq)).fetchone()
            row = db.execute(_CHUNK_AROUND, (pipeline, seq)).fetchone()
            if row is None:
                return Mark(seq, before or 0, 0)
            _, first_seq, _, received_at_us, bytes_through, coding, body = row
            if first_seq > seq:
                return Mark(seq, before or 0, received_at_us)
            rest = behind(decode(coding, body), seq - first_seq + 1)
            return Mark(seq, bytes_through - len(rest), received_at_us)

        return await self._readers.call(look)

    async def read(
        self, pipeline: PipelineNumber, after_seq: int, through_seq: int, max_events: int, max_bytes: int
    ) -> list[Chunk]:
        """`Log.read`."""

        def fetch(db: sqlite3.Connection) -> list[Chunk]:
            chunks: list[Chunk] = []
            size = 0
            cursor = db.execute(_CHUNKS_AFTER, (pipeline, after_seq))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                for first_seq, last_seq, received_at_us, coding, body in rows:
                    lines = decode(coding, body)
                    if first_seq <= after_seq:
                        lines = behind(lines, after_seq - first_seq + 1)
                        first_seq = after_seq + 1
                    chunks.append(Chunk(first_seq, last_seq, received_at_us, lines))
                    size += len(lines)
                    if last_seq >= through_seq or last_seq - after_seq >= max_events or size > max_bytes:
                        cursor.close()
                        return chunks
            return chunks

        return await self._readers.call(fetch)

    async def first_kept(self, pipeline: Pipeline) -> int:
        """`Log.first_kept`."""
        row = await self._readers.call(lambda db: db.execute(_CHUNK_AROUND, (pipeline.number, -1)).fetchone())
        return int(row[1]) if row is not None else self.head(pipeline).seq + 1

    async def find(self, pipeline: PipelineNumber, seq: int) -> StoredEvent | None:
        """`Log.find`."""

        def look(db: sqlite3.Connection) -> StoredEvent | None:
            row = db.execute(_CHUNK_AROUND, (pipeline, seq - 1)).fetchone()
            if row is None or row[1] > seq:
                return None
            position, first_seq, last_seq, received_at_us, _, coding, body = row
            events = stored_events(self.tag, pipeline, first_seq, received_at_us, position, decode(coding, body))
            return next((event for event in events if event.id.seq == seq), None) if seq <= last_seq else None

        return await self._readers.call(look)

    async def newest(
        self,
        pipelines: Sequence[PipelineNumber],
        before: tuple[int, int] | None,
        limit: int,
        wanted: EventFilter | None = None,
    ) -> EventPage:
        """`Log.newest`: follows `position` backwards (of one pipeline: its index), chunk by chunk."""
        return await self._readers.call(lambda db: self._newest(db, set(pipelines), before or _FIRST, limit, wanted))

    def _newest(
        self,
        db: sqlite3.Connection,
        pipelines: set[PipelineNumber],
        before: tuple[int, int],
        limit: int,
        wanted: EventFilter | None,
    ) -> EventPage:
        if not pipelines:
            return EventPage([], None)
        position, seq = before
        if len(pipelines) == 1:
            cursor = db.execute(_BACKWARDS_OF_ONE, (*pipelines, seq))
        else:
            cursor = db.execute(_BACKWARDS, (position,))
        found: list[StoredEvent] = []
        looked_at = 0
        try:
            for at, pipeline, first_seq, received_at_us, types, coding, body in cursor:
                if at > position or pipeline not in pipelines:
                    continue
                looked_at += 1
                if wanted is not None and looked_at > _BACKWARDS_CHUNKS:
                    return EventPage(found, (at, _FIRST[1]))
                if wanted is not None and not wanted.may_hold(received_at_us, types):
                    continue
                lines = decode(coding, body)
                for event in stored_events(self.tag, pipeline, first_seq, received_at_us, at, lines):
                    if (at == position and event.id.seq >= seq) or (wanted is not None and not wanted.holds(event)):
                        continue
                    if len(found) == limit:
                        return EventPage(found, (found[-1].position, found[-1].id.seq))
                    found.append(event)
        finally:
            cursor.close()
        return EventPage(found, None)

    def usage(self) -> Usage:
        """`Log.usage`: while events are refused, asking has it looked at anew, so that it is not said for ever."""
        usage = self._room.usage()
        if usage.trouble is not None:
            self._look_again()
        return usage

    def _look_again(self) -> None:
        if self._room.wants_a_look():
            with suppress(StoreUnavailable):  # the store is closing
                self._writer.enlist(Look(self._room))
