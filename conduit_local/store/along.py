"""
What is kept in the commit of the events it came with: where a source goes on, what of it is no event, and how far an
origin that forwards has come.
"""

import sqlite3

from conduit_local.core.errors import OutOfOrder
from conduit_local.core.log import Along, Forwarded, Receipt
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.store.dead import drop_letters, insert_dead
from conduit_local.store.readers import Readers
from conduit_local.store.room import Room
from conduit_local.store.writer import Writer

_KEEP_CURSOR = (
    "INSERT INTO source_cursors VALUES (?, ?, ?) ON CONFLICT (pipeline, source) DO UPDATE SET cursor = excluded.cursor"
)
_CURSORS = "SELECT source, cursor FROM source_cursors WHERE pipeline = ? AND source NOT GLOB 'from:*'"
_ORIGIN = "from:"
"""Begins the names of origins among those of sources: an origin keeps its cursor when sources begin anew."""
_TAKEN_FROM = "SELECT cursor FROM source_cursors WHERE pipeline = ? AND source = ?"
_ADD_EXTRACTED = "UPDATE runs SET extracted = extracted + ?, dead = dead + ? WHERE number = ?"
_NOBODY = ""
"""The route of what died before there was an event: every destination lacks it."""


def keep_along(
    db: sqlite3.Connection, pipeline: Pipeline, along: Along, events: int, at_us: int, receipt: Receipt | None = None
) -> None:
    """Keep it; `events` came with it, and got this receipt."""
    if along.cursor is not None:
        db.execute(_KEEP_CURSOR, (pipeline.number, along.source, along.cursor))
    if along.forwarded is not None and receipt is not None:
        cursor = _cursor_of(along.forwarded, receipt)
        db.execute(_KEEP_CURSOR, (pipeline.number, _ORIGIN + along.forwarded.origin, cursor))
    if along.dead:
        insert_dead(db, pipeline.number, _NOBODY, along.dead, at_us, along.run)
    if along.run is not None:
        db.execute(_ADD_EXTRACTED, (events, len(along.dead), along.run))
    drop_letters(db, along.replayed)


def taken_before(db: sqlite3.Connection, pipeline: Pipeline, forwarded: Forwarded) -> Receipt | None:
    """
    The receipt of what has these events on the log already; None where they are new.

    An origin begins nothing before it knows that the request before was taken, so a repeat is its last request once
    more. Anything else before that is no repeat: the origin was set back to an earlier state, and gives its numbers out
    anew. To take such events could double some, to pass over them could lose others.

    Raises: OutOfOrder.
    """
    row = db.execute(_TAKEN_FROM, (pipeline.number, _ORIGIN + forwarded.origin)).fetchone()
    if row is None:
        return None
    *numbers, fingerprint = row[0].split(" ")
    first, last, first_seq, count, received_at_us = map(int, numbers)
    if forwarded.first_seq > last:
        return None
    asked = (forwarded.first_seq, forwarded.last_seq, forwarded.fingerprint.hex())
    if asked != (first, last, fingerprint):
        now = f"{forwarded.first_seq} to {forwarded.last_seq}"
        raise OutOfOrder(
            f"{forwarded.origin} sent its events {first} to {last} last, and now other ones as {now}: "
            "it was set back to an earlier state; give its destination another name to go on"
        )
    return Receipt(pipeline.number, first_seq, count, received_at_us, replayed=True)


def _cursor_of(forwarded: Forwarded, receipt: Receipt) -> str:
    return (
        f"{forwarded.first_seq} {forwarded.last_seq} {receipt.first_seq} {receipt.count} {receipt.received_at_us} "
        f"{forwarded.fingerprint.hex()}"
    )


class SourceTable:
    """How far sources were read; a part of the log."""

    _writer: Writer
    _readers: Readers
    _clock: Clock
    _room: Room

    async def note(self, pipeline: Pipeline, along: Along) -> None:
        """`Log.note`."""
        if along.dead and (refusal := self._room.refusal()) is not None:
            raise refusal
        at_us = self._clock.now_us()
        await self._writer.call(lambda db: keep_along(db, pipeline, along, 0, at_us))

    async def source_cursors(self, pipeline: PipelineNumber) -> dict[str, str]:
        """`Log.source_cursors`."""
        return dict(await self._readers.call(lambda db: db.execute(_CURSORS, (pipeline,)).fetchall()))
