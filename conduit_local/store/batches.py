"""The catalog's batches: the intents, and what became of them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conduit_local.core.batch import Batch
from conduit_local.core.catalog import BatchEnd
from conduit_local.core.landed import Landed
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.core.webhook import Notice
from conduit_local.store.connection import StoreBroken
from conduit_local.store.dead import insert_dead, settle_replay
from conduit_local.store.readers import Readers
from conduit_local.store.runs import insert_line, insert_run
from conduit_local.store.webhooks import Outbox
from conduit_local.store.writer import Writer

_BATCH_COLUMNS = "number, pipeline, route, run, first_seq, last_seq, key, destination, recipe, attempt"
_INSERT_BATCH = (
    "INSERT INTO batches (pipeline, route, run, first_seq, last_seq, key, destination, recipe, attempt,"
    " opened_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
)
_CLOSE_BATCH = (
    "UPDATE batches SET closed_at_us = ?, place = ?, size_bytes = ?, attempt = ?, recipe = '', rows = ?, sha256 = ?,"
    " first_event = ?, last_event = ?"
    " WHERE number = ? AND closed_at_us IS NULL"
)
_MOVE_CURSOR = (
    "UPDATE routes SET cursor = ?, delivered = delivered + ?, dead = dead + ?, filtered = filtered + ?"
    " WHERE pipeline = ? AND name = ? AND cursor = ?"
)
_OPEN_BATCHES = f"SELECT {_BATCH_COLUMNS} FROM batches WHERE closed_at_us IS NULL ORDER BY number"
_BATCH_OF = (
    f"SELECT {_BATCH_COLUMNS}, closed_at_us FROM batches"
    " WHERE pipeline = ? AND route = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"
)
_INTEND_ANEW = "UPDATE batches SET recipe = ?, destination = ?, key = ? WHERE number = ? AND closed_at_us IS NULL"
_NOTE_BATCH = "UPDATE batches SET attempt = ? WHERE number = ?"

_ADD_TO_RUN = (
    "UPDATE runs SET events = events + ?, rows = rows + ?, filtered = filtered + ?, dead = dead + ?,"
    " size_bytes = size_bytes + ?, attempts = attempts + 1, error = NULL, batches = batches + 1,"
    " object_key = iif(?, ?, iif(batches = 0, NULL, object_key)) WHERE number = ?"
)
_END_STREAM_RUN = (
    "UPDATE runs SET state = 'success', finished_at_us = ? WHERE number = ? AND trigger = 'stream'"
    " AND NOT EXISTS (SELECT 1 FROM batches WHERE run = runs.number AND closed_at_us IS NULL)"
)
_NOTE_RUN = "UPDATE runs SET attempts = attempts + 1, error = ? WHERE number = ?"
_BATCHES_OF = f"SELECT {_BATCH_COLUMNS} FROM batches WHERE run = ? AND size_bytes > 0 ORDER BY number"
_DROP_INTENT = "DELETE FROM batches WHERE number = ? AND closed_at_us IS NULL"

_LANDED_COLUMNS = (
    "route, key, destination, place, run, first_seq, last_seq, first_event, last_event, rows, size_bytes, sha256,"
    " closed_at_us"
)
_LANDED_BY = f"SELECT {_LANDED_COLUMNS} FROM batches WHERE run = ? AND size_bytes > 0 ORDER BY number"
_LANDED = (
    f"SELECT {_LANDED_COLUMNS} FROM batches WHERE pipeline = ? AND route = ? AND last_seq > ? AND size_bytes > 0"
    " ORDER BY last_seq LIMIT ?"
)
_ROUTES_WITH_BATCHES = "SELECT DISTINCT route FROM batches WHERE pipeline = ?"
_PRUNE_BATCHES = (
    "DELETE FROM batches WHERE number IN ("
    "SELECT number FROM batches WHERE pipeline = ?1 AND route = ?2 AND closed_at_us IS NOT NULL AND last_seq <="
    " (SELECT last_seq FROM batches WHERE pipeline = ?1 AND route = ?2 ORDER BY last_seq DESC LIMIT 1 OFFSET ?3)"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.number = batches.run) ORDER BY last_seq LIMIT 500)"
)


class BatchTable:
    """Batches; the third part of the catalog."""

    _writer: Writer
    _readers: Readers
    _outbox: Outbox

    async def open_batch(self, batch: Batch, at_us: int, closing: Sequence[BatchEnd] = ()) -> Batch:
        """`Catalog.open_batch`: one commit a batch once a route is under way."""

        def intend(db: sqlite3.Connection) -> Batch:
            for end in closing:
                self._close(db, end)
            run = batch.run or insert_run(
                db,
                Run(
                    number=0,
                    pipeline=batch.pipeline,
                    trigger=Trigger.STREAM,
                    state=RunState.RUNNING,
                    route=batch.route,
                    through_seq=batch.last_seq,
                    created_at_us=at_us,
                    started_at_us=at_us,
                    object_key=batch.key,
                ),
            )
            return _inserted(db, replace(batch, run=run), at_us)

        return await self._writer.call(intend)

    async def close_batches(self, ends: Sequence[BatchEnd]) -> None:
        """`Catalog.close_batches`."""

        def close(db: sqlite3.Connection) -> None:
            for end in ends:
                self._close(db, end)

        await self._writer.call(close)

    async def split_batch(self, batch: Batch, halves: Sequence[Batch], at_us: int, line: RunLine) -> list[Batch]:
        """`Catalog.split_batch`."""

        def split(db: sqlite3.Connection) -> list[Batch]:
            if db.execute(_DROP_INTENT, (batch.number,)).rowcount != 1:
                raise StoreBroken(f"split batch {batch.number}: it is not open")
            insert_line(db, batch.run, line)
            return [_inserted(db, half, at_us) for half in halves]

        return await self._writer.call(split)

    async def open_batches(self) -> list[Batch]:
        """`Catalog.open_batches`."""
        rows = await self._readers.call(lambda db: db.execute(_OPEN_BATCHES).fetchall())
        return sorted(map(_batch, rows), key=lambda batch: (batch.pipeline, batch.route, batch.first_seq))

    async def note_attempt(self, batch: Batch, error: str, line: RunLine, tells: Notice | None = None) -> None:
        """`Catalog.note_attempt`."""

        def note(db: sqlite3.Connection) -> None:
            db.execute(_NOTE_BATCH, (batch.attempt, batch.number))
            db.execute(_NOTE_RUN, (error, batch.run))
            insert_line(db, batch.run, line)
            if tells is not None:
                self._outbox.post(db, tells)

        await self._writer.call(note)

    async def intend_anew(self, batch: Batch, line: RunLine) -> None:
        """`Catalog.intend_anew`."""

        def intend(db: sqlite3.Connection) -> None:
            db.execute(_INTEND_ANEW, (batch.recipe, batch.destination, batch.key, batch.number))
            insert_line(db, batch.run, line)

        await self._writer.call(intend)

    async def batches_of(self, run: int) -> list[Batch]:
        """`Catalog.batches_of`."""
        rows = await self._readers.call(lambda db: db.execute(_BATCHES_OF, (run,)).fetchall())
        return [_batch(row) for row in rows]

    async def landed_by(self, run: int) -> list[Landed]:
        """`Catalog.landed_by`."""
        rows = await self._readers.call(lambda db: db.execute(_LANDED_BY, (run,)).fetchall())
        return [_landed(row) for row in rows]

    async def landed(self, pipeline: PipelineNumber, route: str, after_seq: int, limit: int) -> list[Landed]:
        """`Catalog.landed`."""
        values = (pipeline, route, after_seq, limit)
        rows = await self._readers.call(lambda db: db.execute(_LANDED, values).fetchall())
        return [_landed(row) for row in rows]

    async def landed_routes(self, pipeline: PipelineNumber) -> list[str]:
        """`Catalog.landed_routes`."""
        rows = await self._readers.call(lambda db: db.execute(_ROUTES_WITH_BATCHES, (pipeline,)).fetchall())
        return sorted(route for (route,) in rows)

    async def prune_batches(self, pipeline: PipelineNumber, keep: int) -> int:
        """`Catalog.prune_batches`: 500 of each route in one commit; a run's own routes go with the run."""

        def prune(db: sqlite3.Connection) -> int:
            routes = db.execute(_ROUTES_WITH_BATCHES, (pipeline,)).fetchall()
            return sum(
                db.execute(_PRUNE_BATCHES, (pipeline, route, 0 if "@" in route else keep)).rowcount
                for (route,) in routes
            )

        return await self._writer.call(prune)

    async def batch_of(self, pipeline: PipelineNumber, route: str, seq: int) -> tuple[Batch, int | None] | None:
        """`Catalog.batch_of`."""
        row = await self._readers.call(lambda db: db.execute(_BATCH_OF, (pipeline, route, seq)).fetchone())
        if row is None or row[4] > seq:
            return None
        return _batch(row[:-1]), row[-1]

    def _close(self, db: sqlite3.Connection, end: BatchEnd) -> None:
        batch, written = end.batch, end.written
        closed = db.execute(
            _CLOSE_BATCH,
            (
                end.at_us,
                written.place,
                written.size_bytes,
                batch.attempt,
                end.rows,
                bytes.fromhex(written.sha256) or None,
                *end.events,
                batch.number,
            ),
        ).rowcount
        dead = len(end.dead)
        counts = (batch.count - dead, dead, end.filtered)
        moved = db.execute(
            _MOVE_CURSOR, (batch.last_seq, *counts, batch.pipeline, batch.route, batch.first_seq - 1)
        ).rowcount
        if (closed, moved) != (1, 1):
            raise StoreBroken(
                f"close batch {batch.number} ({batch.first_seq}-{batch.last_seq}): the cursor stands elsewhere"
            )
        if end.replays is not None:
            settle_replay(db, batch, end.replays, end.dead, end.filtered, end.at_us)
        elif end.dead:
            insert_dead(db, batch.pipeline, batch.route, end.dead, end.at_us, batch.run)
        totals = (batch.count, end.rows, end.filtered, dead, written.size_bytes, end.rows > 0, batch.key, batch.run)
        db.execute(_ADD_TO_RUN, totals)
        db.execute(_END_STREAM_RUN, (end.at_us, batch.run))
        insert_line(db, batch.run, end.line)
        if end.tells is not None:
            self._outbox.post(db, end.tells)


def _inserted(db: sqlite3.Connection, batch: Batch, at_us: int) -> Batch:
    """Keep a new intent; returns it with its number."""
    (number,) = db.execute(
        _INSERT_BATCH,
        (
            batch.pipeline,
            batch.route,
            batch.run,
            batch.first_seq,
            batch.last_seq,
            batch.key,
            batch.destination,
            batch.recipe,
            batch.attempt,
            at_us,
        ),
    ).fetchone()
    return replace(batch, number=number)


def _landed(row: Sequence[Any]) -> Landed:
    (
        route,
        key,
        destination,
        place,
        run,
        first_seq,
        last_seq,
        first_event,
        last_event,
        rows,
        size_bytes,
        sha256,
        landed_at_us,
    ) = row
    return Landed(
        route=route,
        key=key,
        destination=destination,
        place=place,
        run=run,
        first_seq=first_seq,
        last_seq=last_seq,
        first_event=first_event,
        last_event=last_event,
        rows=rows,
        size_bytes=size_bytes,
        sha256=sha256.hex() if sha256 is not None else None,
        landed_at_us=landed_at_us,
    )


def _batch(row: Sequence[Any]) -> Batch:
    number, pipeline, route, run, first_seq, last_seq, key, destination, recipe, attempt = row
    return Batch(
        number=number,
        pipeline=PipelineNumber(pipeline),
        route=route,
        run=run,
        first_seq=first_seq,
        last_seq=last_seq,
        key=key,
        destination=destination,
        recipe=recipe,
        attempt=attempt,
    )
