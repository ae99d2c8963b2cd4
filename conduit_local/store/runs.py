"""The catalog's batches (the intents) and runs."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conduit_local.core.batch import Batch
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import BatchEnd
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.store.connection import StoreBroken
from conduit_local.store.readers import Readers
from conduit_local.store.writer import Writer

_BATCH_COLUMNS = "number, pipeline, route, run, first_seq, last_seq, key, destination, attempt"
_INSERT_BATCH = (
    "INSERT INTO batches (pipeline, route, run, first_seq, last_seq, key, destination, attempt, opened_at_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
)
_CLOSE_BATCH = (
    "UPDATE batches SET closed_at_us = ?, place = ?, size_bytes = ?, attempt = ?"
    " WHERE number = ? AND closed_at_us IS NULL"
)
_MOVE_CURSOR = "UPDATE routes SET cursor = ?, delivered = delivered + ? WHERE pipeline = ? AND name = ? AND cursor = ?"
_OPEN_BATCHES = f"SELECT {_BATCH_COLUMNS} FROM batches WHERE closed_at_us IS NULL ORDER BY number"
_BATCH_OF = (
    f"SELECT {_BATCH_COLUMNS}, closed_at_us FROM batches"
    " WHERE pipeline = ? AND route = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"
)
_NOTE_BATCH = "UPDATE batches SET attempt = ? WHERE number = ?"

_RUN_COLUMNS = (
    "number, pipeline, trigger, state, route, through_seq, started_at_us, finished_at_us, rows, size_bytes,"
    " batches, attempts, object_key, error"
)
_INSERT_RUN = (
    "INSERT INTO runs (pipeline, trigger, state, route, through_seq, started_at_us, finished_at_us, object_key)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
)
_ADD_TO_RUN = (
    "UPDATE runs SET rows = rows + ?, size_bytes = size_bytes + ?, batches = batches + 1, attempts = attempts + 1,"
    " object_key = ?, error = NULL WHERE number = ?"
)
_END_STREAM_RUN = "UPDATE runs SET state = 'success', finished_at_us = ? WHERE number = ? AND trigger = 'stream'"
_END_RUN = "UPDATE runs SET state = ?, finished_at_us = ?, error = ? WHERE number = ?"
_NOTE_RUN = "UPDATE runs SET attempts = attempts + 1, error = ? WHERE number = ?"
_RUNNING = f"SELECT {_RUN_COLUMNS} FROM runs WHERE state = 'running' AND trigger <> 'stream' ORDER BY number"
_RUN = f"SELECT {_RUN_COLUMNS} FROM runs WHERE number = ?"
_INSERT_LINE = "INSERT INTO run_lines (run, at_us, level, message) VALUES (?, ?, ?, ?)"
_LINES = "SELECT at_us, level, message FROM run_lines WHERE run = ? ORDER BY number DESC LIMIT ?"
_OLD_RUNS = """
    SELECT number FROM runs WHERE pipeline = ?1 AND state <> 'running' AND number <= coalesce(
        (SELECT number FROM runs WHERE pipeline = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2), -1)
    ORDER BY number LIMIT 500"""


class RunTables:
    """Batches and runs; the second part of the catalog."""

    _writer: Writer
    _readers: Readers

    async def open_batch(self, batch: Batch, at_us: int, closing: BatchEnd | None = None) -> Batch:
        """`Catalog.open_batch`: one commit a batch once a route is under way."""

        def intend(db: sqlite3.Connection) -> Batch:
            if closing is not None:
                _close(db, closing)
            run = batch.run or insert_run(
                db,
                Run(
                    number=0,
                    pipeline=batch.pipeline,
                    trigger=Trigger.STREAM,
                    state=RunState.RUNNING,
                    route=batch.route,
                    through_seq=batch.last_seq,
                    started_at_us=at_us,
                    object_key=batch.key,
                ),
            )
            (number,) = db.execute(
                _INSERT_BATCH,
                (
                    batch.pipeline,
                    batch.route,
                    run,
                    batch.first_seq,
                    batch.last_seq,
                    batch.key,
                    batch.destination,
                    batch.attempt,
                    at_us,
                ),
            ).fetchone()
            return replace(batch, number=number, run=run)

        return await self._writer.call(intend)

    async def close_batch(self, end: BatchEnd) -> None:
        """`Catalog.close_batch`."""
        await self._writer.call(lambda db: _close(db, end))

    async def open_batches(self) -> list[Batch]:
        """`Catalog.open_batches`."""
        rows = await self._readers.call(lambda db: db.execute(_OPEN_BATCHES).fetchall())
        return [_batch(row) for row in rows]

    async def note_attempt(self, batch: Batch, error: str, line: RunLine) -> None:
        """`Catalog.note_attempt`."""

        def note(db: sqlite3.Connection) -> None:
            db.execute(_NOTE_BATCH, (batch.attempt, batch.number))
            db.execute(_NOTE_RUN, (error, batch.run))
            _insert_line(db, batch.run, line)

        await self._writer.call(note)

    async def begin_run(self, run: Run) -> Run:
        """`Catalog.begin_run`."""
        return replace(run, number=await self._writer.call(lambda db: insert_run(db, run)))

    async def finish_run(self, run: Run) -> None:
        """`Catalog.finish_run`."""
        await self._writer.call(lambda db: end_run(db, run))

    async def running(self) -> list[Run]:
        """`Catalog.running`."""
        rows = await self._readers.call(lambda db: db.execute(_RUNNING).fetchall())
        return [_run(row) for row in rows]

    async def runs(
        self,
        pipelines: Sequence[PipelineNumber],
        *,
        before: int | None,
        limit: int,
        state: RunState | None = None,
        trigger: Trigger | None = None,
    ) -> list[Run]:
        """`Catalog.runs`."""
        if not pipelines:
            return []
        where, values = ["number < ?"], [before if before is not None else 1 << 62]
        places = ", ".join("?" * len(pipelines))
        where.append(f"pipeline IN ({places})")
        values += pipelines
        statement = f"SELECT {_RUN_COLUMNS} FROM runs WHERE {' AND '.join(where)}"
        texts: list[str] = []
        if state is not None:
            statement += " AND state = ?"
            texts.append(state)
        if trigger is not None:
            statement += " AND trigger = ?"
            texts.append(trigger)
        statement += " ORDER BY number DESC LIMIT ?"
        rows = await self._readers.call(lambda db: db.execute(statement, (*values, *texts, limit)).fetchall())
        return [_run(row) for row in rows]

    async def run(self, number: int) -> Run | None:
        """`Catalog.run`."""
        row = await self._readers.call(lambda db: db.execute(_RUN, (number,)).fetchone())
        return _run(row) if row else None

    async def run_lines(self, number: int, limit: int) -> list[RunLine]:
        """`Catalog.run_lines`."""
        rows = await self._readers.call(lambda db: db.execute(_LINES, (number, limit)).fetchall())
        return [RunLine(at_us=at_us, level=level, message=message) for at_us, level, message in reversed(rows)]

    async def batch_of(self, pipeline: PipelineNumber, route: str, seq: int) -> tuple[Batch, int | None] | None:
        """`Catalog.batch_of`."""
        row = await self._readers.call(lambda db: db.execute(_BATCH_OF, (pipeline, route, seq)).fetchone())
        if row is None or row[4] > seq:
            return None
        return _batch(row[:-1]), row[-1]

    async def prune_runs(self, pipeline: PipelineNumber, keep: int) -> int:
        """`Catalog.prune_runs`: with their batches and lines, 500 runs in one commit."""

        def prune(db: sqlite3.Connection) -> int:
            old = db.execute(_OLD_RUNS, (pipeline, keep)).fetchall()
            for statement in (
                "DELETE FROM run_lines WHERE run = ?",
                "DELETE FROM batches WHERE run = ? AND closed_at_us IS NOT NULL",
                "DELETE FROM runs WHERE number = ?",
            ):
                db.executemany(statement, old)
            return len(old)

        return await self._writer.call(prune)


def insert_run(db: sqlite3.Connection, run: Run) -> int:
    """Keep a new run; returns its number."""
    (number,) = db.execute(
        _INSERT_RUN,
        (
            run.pipeline,
            run.trigger,
            run.state,
            run.route,
            run.through_seq,
            run.started_at_us,
            run.finished_at_us,
            run.object_key,
        ),
    ).fetchone()
    return int(number)


def end_run(db: sqlite3.Connection, run: Run) -> None:
    """Keep how and when a run ended."""
    db.execute(_END_RUN, (run.state, run.finished_at_us, run.error, run.number))


def _close(db: sqlite3.Connection, end: BatchEnd) -> None:
    batch, written = end.batch, end.written
    closed = db.execute(
        _CLOSE_BATCH, (end.at_us, written.place, written.size_bytes, batch.attempt, batch.number)
    ).rowcount
    moved = db.execute(
        _MOVE_CURSOR, (batch.last_seq, batch.count, batch.pipeline, batch.route, batch.first_seq - 1)
    ).rowcount
    if (closed, moved) != (1, 1):
        raise StoreBroken(
            f"close batch {batch.number} ({batch.first_seq}-{batch.last_seq}): it is not what the cursor stands before"
        )
    db.execute(_ADD_TO_RUN, (batch.count, written.size_bytes, batch.key, batch.run))
    db.execute(_END_STREAM_RUN, (end.at_us, batch.run))
    _insert_line(db, batch.run, end.line)


def _insert_line(db: sqlite3.Connection, run: int, line: RunLine) -> None:
    db.execute(_INSERT_LINE, (run, line.at_us, line.level, line.message))


def _batch(row: Sequence[Any]) -> Batch:
    number, pipeline, route, run, first_seq, last_seq, key, destination, attempt = row
    return Batch(
        number=number,
        pipeline=PipelineNumber(pipeline),
        route=route,
        run=run,
        first_seq=first_seq,
        last_seq=last_seq,
        key=key,
        destination=destination,
        attempt=attempt,
    )


def _run(row: Sequence[Any]) -> Run:
    (
        number,
        pipeline,
        trigger,
        state,
        route,
        through_seq,
        started_at_us,
        finished_at_us,
        rows,
        size_bytes,
        batches,
        attempts,
        object_key,
        error,
    ) = row
    return Run(
        number=number,
        pipeline=PipelineNumber(pipeline),
        trigger=Trigger(trigger),
        state=RunState(state),
        route=route,
        through_seq=through_seq,
        started_at_us=started_at_us,
        finished_at_us=finished_at_us,
        rows=rows,
        size_bytes=size_bytes,
        batches=batches,
        attempts=attempts,
        object_key=object_key,
        error=error,
    )
