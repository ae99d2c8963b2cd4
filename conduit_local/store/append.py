"""One group's appends: numbers given, keys kept, chunks written; in the writer's thread, in one transaction."""

import asyncio
import sqlite3
from collections.abc import Sequence

from conduit_local.core.batch import Mark
from conduit_local.core.envelope import envelopes
from conduit_local.core.errors import ConduitError, IdempotencyMismatch, OutOfOrder
from conduit_local.core.event import NewEvents
from conduit_local.core.ids import MAX_SEQ
from conduit_local.core.log import Along, Forwarded, Keyed, Receipt
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.ports import Clock
from conduit_local.core.webhook import NoticeKind, notice_of
from conduit_local.store.along import keep_along, taken_before
from conduit_local.store.chunks import MAX_CHUNK_BYTES, MAX_CHUNK_EVENTS, MAX_TYPES_TEXT, Encoder
from conduit_local.store.connection import StoreBroken
from conduit_local.store.ends import Ends
from conduit_local.store.idempotency import KeyBook, Use
from conduit_local.store.room import Room
from conduit_local.store.webhooks import Outbox

MAX_GROUP_EVENTS = 20_000
"""More wait for the next group, so that one group's time on the disk stays bounded."""

_INSERT_CHUNK = "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Append:
    """One caller's events, and the future that its receipt goes to."""

    __slots__ = ("along", "answer", "events", "keyed", "pipeline", "receipt", "refusal")

    def __init__(
        self,
        pipeline: Pipeline,
        events: NewEvents,
        keyed: Keyed | None,
        answer: "asyncio.Future[Receipt]",
        along: Along | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.events = events
        self.keyed = keyed
        self.along = along
        self.answer = answer
        self.receipt: Receipt | None = None
        self.refusal: ConduitError | None = None


class AppendGroup:
    """All appends of one group (`Work` for the writer)."""

    counts_on = True

    def __init__(
        self, tag: str, clock: Clock, encoder: Encoder, ends: Ends, book: KeyBook, room: Room, outbox: Outbox
    ) -> None:
        self._tag = tag
        self._clock = clock
        self._encoder = encoder
        self._ends = ends
        self._book = book
        self._room = room
        self._outbox = outbox
        self._appends: list[Append] = []
        self._with_along: list[tuple[Append, Along]] = []
        self._origins: set[tuple[int, str]] = set()
        self._new_ends: dict[int, Mark] = {}
        self._now_us = self._steady_us = 0
        self._tells, self._new_keys = False, 0
        self.count = 0
        self.sealed = False

    def has_room(self, pipeline: Pipeline, along: Along | None) -> bool:
        """Whether one more may join. Of an origin there is one at most: the next must see what this one comes to."""
        if self.sealed or self.count >= MAX_GROUP_EVENTS:
            return False
        return along is None or along.forwarded is None or _origin(pipeline, along.forwarded) not in self._origins

    def add(self, append: Append) -> None:
        """Join; only while it has room."""
        self._appends.append(append)
        self.count += len(append.events)
        if append.along is not None:
            self._with_along.append((append, append.along))
            if append.along.forwarded is not None:
                self._origins.add(_origin(append.pipeline, append.along.forwarded))

    def seal(self) -> None:
        """The group is taken."""
        self.sealed = True

    def prepare(self) -> bool:
        """Number and encode, as if every key were new; one statement when that makes one chunk and no key."""
        self._now_us, self._steady_us = self._clock.now_us(), self._clock.steady_us()
        self._number(self._appends)
        self._encode()
        self._tells = self._outbox.wants(NoticeKind.INGESTED)
        if len(self._rows) != 1 or self._tells:
            return False
        return not self._with_along and not any(one.keyed for one in self._appends)

    def apply(self, db: sqlite3.Connection) -> None:
        """Keep the keys, write the chunks."""
        unknown = self._without_repeats(db) if self._origins else self._appends
        uses = _uses(unknown)
        if uses and not self._book.take(db, uses, self._steady_us):
            fresh = self._sort_out(db, unknown)
            self._encode()
            uses = _uses(fresh)
            if not self._book.take(db, uses, self._steady_us):
                raise StoreBroken("keep idempotency keys: a key that was looked up as new is there")
        self._new_keys = len(uses)
        for row in self._rows:
            db.execute(_INSERT_CHUNK, row)
        for one, along in self._with_along:
            if one.receipt is not None and not one.receipt.replayed:
                keep_along(db, one.pipeline, along, len(one.events), self._now_us, one.receipt)
        if self._tells:
            for pipeline, first_seq, last_seq in self._ranges:
                seqs = (first_seq, last_seq)
                self._outbox.post(db, notice_of(NoticeKind.INGESTED, pipeline, self._now_us, seqs=seqs))
        self._room.look(db)

    def settle(self, error: ConduitError | None) -> None:
        """Publish the new ends and answer everybody."""
        if error is None:
            self._ends.marks.update(self._new_ends)
            self._ends.position += len(self._rows)
            self._book.committed(self._new_keys)
        self._room.note(error)
        for one in self._appends:
            if one.answer.done():
                continue
            failure = error or one.refusal
            if failure is not None:
                one.answer.set_exception(failure)
            elif one.receipt is not None:
                one.answer.set_result(one.receipt)

    def _number(self, appends: Sequence[Append]) -> None:
        """Give receipts as if every key were new."""
        seqs: dict[int, int] = {}
        for one in appends:
            number = one.pipeline.number
            last = seqs.get(number)
            if last is None:
                last = self._ends.of(one.pipeline).seq
            count = len(one.events)
            one.receipt = Receipt(number, last + 1, count, self._now_us)
            if one.keyed is not None:
                one.receipt.pipeline_ref = one.keyed.pipeline_ref
                one.receipt.event_type = one.events.types[0]
            seqs[number] = last + count
        if any(seq > MAX_SEQ for seq in seqs.values()):
            raise StoreBroken("append: a pipeline has used up its event numbers")

    def _without_repeats(self, db: sqlite3.Connection) -> list[Append]:
        """Those whose origin has not sent them before; the others get the receipt of then, or a refusal."""
        unknown: list[Append] = []
        for one in self._appends:
            if one.along is not None and one.along.forwarded is not None:
                try:
                    before = taken_before(db, one.pipeline, one.along.forwarded)
                except OutOfOrder as error:
                    one.refusal, one.receipt = error, None
                    continue
                if before is not None:
                    one.receipt = _as_asked(before, one)
                    continue
            unknown.append(one)
        if len(unknown) < len(self._appends):
            self._number(unknown)
            self._encode()
        return unknown

    def _sort_out(self, db: sqlite3.Connection, unknown: Sequence[Append]) -> list[Append]:
        """Some keys are known, on disk or twice in this group: answer those with their first use; return the rest."""
        first_here: dict[tuple[int, str], Append] = {}
        repeats: list[tuple[Append, Append]] = []
        fresh: list[Append] = []
        for one in unknown:
            if one.keyed is not None:
                name = (one.pipeline.number, one.keyed.key)
                if name in first_here:
                    repeats.append((one, first_here[name]))
                    continue
                (use,) = _uses([one])
                try:
                    known = self._book.first_use(db, use, self._steady_us)
                except IdempotencyMismatch as error:
                    one.refusal, one.receipt = error, None
                    continue
                if known is not None:
                    one.receipt = known
                    continue
                first_here[name] = one
            fresh.append(one)
        self._number(fresh)
        for one, first in repeats:
            self._repeat(one, first)
        return fresh

    @staticmethod
    def _repeat(one: Append, first: Append) -> None:
        assert one.keyed is not None
        assert first.receipt is not None
        assert first.keyed is not None
        if one.keyed.fingerprint != first.keyed.fingerprint:
            one.receipt = None
            one.refusal = IdempotencyMismatch(f"the idempotency key {one.keyed.key!r} was used with another body")
            return
        receipt = first.receipt
        one.receipt = Receipt(
            receipt.pipeline,
            receipt.first_seq,
            receipt.count,
            receipt.received_at_us,
            replayed=True,
            pipeline_ref=receipt.pipeline_ref,
            event_type=receipt.event_type,
        )

    def _encode(self) -> None:
        """The rows of the chunks, by pipeline, in the order in which pipelines first appear in the group."""
        self._rows: list[tuple[object, ...]] = []
        self._new_ends = {}
        self._ranges: list[tuple[Pipeline, int, int]] = []
        by_pipeline: dict[int, tuple[Pipeline, list[str], list[bytes]]] = {}
        for one in self._appends:
            if one.receipt is None or one.receipt.replayed:
                continue
            found = by_pipeline.get(one.pipeline.number)
            if found is None:
                found = by_pipeline[one.pipeline.number] = (one.pipeline, [], [])
            found[1].extend(one.events.types)
            found[2].extend(one.events.payloads)
        for pipeline, types, payloads in by_pipeline.values():
            end = self._ends.of(pipeline)
            self._ranges.append((pipeline, end.seq + 1, end.seq + len(payloads)))
            start = 0
            while start < len(payloads):
                stop = _chunk_end(payloads, start)
                end = self._encode_chunk(pipeline, end, types[start:stop], payloads[start:stop])
                start = stop
            self._new_ends[pipeline.number] = end

    def _encode_chunk(self, pipeline: Pipeline, end: Mark, types: list[str], payloads: list[bytes]) -> Mark:
        lines = envelopes(self._tag, pipeline.number, pipeline.id, end.seq + 1, self._now_us, types, payloads)
        coding, body = self._encoder.encode(lines)
        new_end = Mark(end.seq + len(payloads), end.bytes_before + len(lines), self._now_us)
        names = " ".join(sorted(set(types)))
        self._rows.append(
            (
                self._ends.position + len(self._rows) + 1,
                pipeline.number,
                end.seq + 1,
                new_end.seq,
                self._now_us,
                new_end.bytes_before,
                names if len(names) <= MAX_TYPES_TEXT else None,
                coding,
                body,
            )
        )
        return new_end


def _origin(pipeline: Pipeline, forwarded: Forwarded) -> tuple[int, str]:
    return pipeline.number, forwarded.origin


def _as_asked(receipt: Receipt, one: Append) -> Receipt:
    """The receipt of then, with what this request says of itself."""
    receipt.pipeline_ref = one.keyed.pipeline_ref if one.keyed is not None else ""
    receipt.event_type = one.events.types[0]
    return receipt


def _uses(appends: Sequence[Append]) -> list[Use]:
    return [
        Use(pipeline=one.pipeline, keyed=one.keyed, receipt=one.receipt)
        for one in appends
        if one.keyed is not None and one.receipt is not None
    ]


def _chunk_end(payloads: list[bytes], start: int) -> int:
    """Where the chunk that begins at `start` ends: at most 1,000 events or about 1 MiB, at least one event."""
    stop = min(start + MAX_CHUNK_EVENTS, len(payloads))
    if sum(map(len, payloads[start:stop])) <= MAX_CHUNK_BYTES:
        return stop
    size = 0
    for place in range(start, stop):
        size += len(payloads[place])
        if size > MAX_CHUNK_BYTES:
            return max(place, start + 1)
    return stop
