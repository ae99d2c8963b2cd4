"""What is kept in the commit of the events it came with: where a source goes on, and what of it is no event."""

import sqlite3

from conduit_local.core.log import Along
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.store.dead import drop_letters, insert_dead
from conduit_local.store.readers import Readers
from conduit_local.store.room import Room
from conduit_local.store.writer import Writer

_KEEP_CURSOR = (
    "INSERT INTO source_cursors VALUES (?, ?, ?) ON CONFLICT (pipeline, source) DO UPDATE SET cursor = excluded.cursor"
)
_CURSORS = "SELECT source, cursor FROM source_cursors WHERE pipeline = ?"
_ADD_EXTRACTED = "UPDATE runs SET extracted = extracted + ?, dead = dead + ? WHERE number = ?"
_NOBODY = ""
"""The route of what died before there was an event: every destination lacks it."""


def keep_along(db: sqlite3.Connection, pipeline: Pipeline, along: Along, events: int, at_us: int) -> None:
    """Keep it; `events` came with it."""
    if along.cursor is not None:
        db.execute(_KEEP_CURSOR, (pipeline.number, along.source, along.cursor))
    if along.dead:
        insert_dead(db, pipeline.number, _NOBODY, along.dead, at_us, along.run)
    if along.run is not None:
        db.execute(_ADD_EXTRACTED, (events, len(along.dead), along.run))
    drop_letters(db, along.replayed)


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
