"""The catalog's runs."""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.run import Run, RunLine, RunOptions, RunStage, RunState, Trigger
from conduit_local.core.webhook import Notice
from conduit_local.store.ended import give_up_route
from conduit_local.store.readers import Readers
from conduit_local.store.webhooks import Outbox
from conduit_local.store.writer import Writer

_RUN_COLUMNS = (
    "number, pipeline, trigger, state, stage, route, through_seq, created_at_us, started_at_us, finished_at_us,"
    " extracted, events, rows, filtered, dead, size_bytes, batches, attempts, object_key, error, options"
)
_INSERT_RUN = (
    "INSERT INTO runs (pipeline, trigger, state, stage, route, through_seq, created_at_us, started_at_us, object_key,"
    " options) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
)
_UPDATE_RUN = (
    "UPDATE runs SET state = ?, stage = ?, through_seq = ?, started_at_us = ?, finished_at_us = ?, error = ?"
    " WHERE number = ?"
)
_UNDER_WAY = (
    f"SELECT {_RUN_COLUMNS} FROM runs WHERE state IN ('pending', 'running') AND trigger <> 'stream' ORDER BY number"
)
_RUN = f"SELECT {_RUN_COLUMNS} FROM runs WHERE number = ?"
_LAST_RUN = f"SELECT {_RUN_COLUMNS} FROM runs WHERE pipeline = ? ORDER BY number DESC LIMIT 1"
_RUNS_BETWEEN = f"""
    SELECT {_RUN_COLUMNS} FROM runs WHERE pipeline = ? AND created_at_us < ?
    AND (finished_at_us IS NULL OR finished_at_us >= ?) ORDER BY created_at_us DESC, number DESC LIMIT ?"""
_COUNT_DRY = "UPDATE runs SET extracted = ?, events = ?, rows = ?, filtered = ?, dead = ? WHERE number = ?"
_RELEASE_LETTERS = """
    UPDATE dead_letters SET replay = NULL, place = NULL WHERE replay = ?1 AND NOT EXISTS (
        SELECT 1 FROM batches b WHERE b.closed_at_us IS NULL AND b.pipeline = dead_letters.pipeline
        AND b.route = dead_letters.route || '@' || ?2 AND dead_letters.place BETWEEN b.first_seq AND b.last_seq)"""
"""What an open batch holds may have landed: it stays in hand until that is known."""
_REWIND = "DELETE FROM source_cursors WHERE pipeline = ? AND source NOT GLOB 'from:*'"
_END_ROUTE_BEHIND = "UPDATE routes SET through_seq = ? WHERE pipeline = ? AND name = ?"
_INSERT_LINE = "INSERT INTO run_lines (run, at_us, level, message) VALUES (?, ?, ?, ?)"
_LINES = "SELECT at_us, level, message FROM run_lines WHERE run = ? ORDER BY number DESC LIMIT ?"
_LINES_OF_RUNS = """
    SELECT l.run, l.at_us, l.level, l.message FROM runs r CROSS JOIN run_lines l ON l.run = r.number
    WHERE r.pipeline = ? AND l.at_us >= ? AND l.level IN (SELECT value FROM json_each(?))
    ORDER BY l.number DESC LIMIT ?"""
_OLD_RUNS = """
    SELECT number FROM runs WHERE pipeline = ?1 AND state NOT IN ('pending', 'running') AND number <= coalesce(
        (SELECT number FROM runs WHERE pipeline = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2), -1)
    AND number <> coalesce((SELECT max(number) FROM runs WHERE pipeline = ?1 AND trigger = 'schedule'), -1)
    ORDER BY number LIMIT 500"""


class RunTables:
    """Batches and runs; the second part of the catalog."""

    _writer: Writer
    _readers: Readers
    _outbox: Outbox

    async def begin_run(self, run: Run) -> Run:
        """`Catalog.begin_run`."""
        return replace(run, number=await self._writer.call(lambda db: insert_run(db, run)))

    async def keep_run(
        self,
        run: Run,
        lines: Sequence[RunLine] = (),
        tells: Notice | None = None,
        ends: Collection[str] = (),
        through: Mapping[str, int] | None = None,
        rewinds: bool = False,
    ) -> None:
        """`Catalog.keep_run`."""

        def keep(db: sqlite3.Connection) -> None:
            for route in ends:
                give_up_route(db, run.pipeline, route, run.finished_at_us or run.created_at_us)
            for route, last_seq in (through or {}).items():
                db.execute(_END_ROUTE_BEHIND, (last_seq, run.pipeline, route))
            update_run(db, run)
            if rewinds:
                db.execute(_REWIND, (run.pipeline,))
            for line in lines:
                insert_line(db, run.number, line)
            if tells is not None:
                self._outbox.post(db, tells)

        await self._writer.call(keep)

    async def add_lines(self, run: int, lines: Sequence[RunLine]) -> None:
        """`Catalog.add_lines`."""

        def add(db: sqlite3.Connection) -> None:
            for line in lines:
                insert_line(db, run, line)

        await self._writer.call(add)

    async def under_way(self) -> list[Run]:
        """`Catalog.under_way`."""
        rows = await self._readers.call(lambda db: db.execute(_UNDER_WAY).fetchall())
        return [_run(row) for row in rows]

    async def runs(
        self,
        pipelines: Sequence[PipelineNumber],
        *,
        before: int | None,
        limit: int,
        offset: int = 0,
        states: Collection[RunState] = (),
        trigger: Trigger | None = None,
    ) -> list[Run]:
        """`Catalog.runs`."""
        where, values = _which_runs(pipelines, before, states, trigger)
        statement = f"SELECT {_RUN_COLUMNS} FROM runs WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?"
        rows = await self._readers.call(lambda db: db.execute(statement, (*values, limit, offset)).fetchall())
        return [_run(row) for row in rows]

    async def count_runs(
        self, pipelines: Sequence[PipelineNumber], before: int | None, states: Collection[RunState] = ()
    ) -> int:
        """`Catalog.count_runs`."""
        where, values = _which_runs(pipelines, before, states, None)
        (count,) = await self._readers.call(
            lambda db: db.execute(f"SELECT count(*) FROM runs WHERE {where}", values).fetchone()
        )
        return int(count)

    async def runs_between(self, pipeline: PipelineNumber, since_us: int, until_us: int, limit: int) -> list[Run]:
        """`Catalog.runs_between`: follows the index back; a pipeline keeps few runs that are older than a day."""
        values = (pipeline, until_us, since_us, limit)
        rows = await self._readers.call(lambda db: db.execute(_RUNS_BETWEEN, values).fetchall())
        return [_run(row) for row in rows]

    async def last_runs(self, pipelines: Sequence[PipelineNumber]) -> dict[PipelineNumber, Run]:
        """`Catalog.last_runs`: a seek in the index for each pipeline."""

        def look(db: sqlite3.Connection) -> list[Any]:
            return [row for one in pipelines for row in db.execute(_LAST_RUN, (one,))]

        return {PipelineNumber(row[1]): _run(row) for row in await self._readers.call(look)}

    async def run(self, number: int) -> Run | None:
        """`Catalog.run`."""
        row = await self._readers.call(lambda db: db.execute(_RUN, (number,)).fetchone())
        return _run(row) if row else None

    async def run_lines(self, number: int, limit: int) -> list[RunLine]:
        """`Catalog.run_lines`."""
        rows = await self._readers.call(lambda db: db.execute(_LINES, (number, limit)).fetchall())
        return [RunLine(at_us=at_us, level=level, message=message) for at_us, level, message in reversed(rows)]

    async def lines_of_runs(
        self, pipeline: PipelineNumber, limit: int, levels: Sequence[str], since_us: int
    ) -> list[tuple[int, RunLine]]:
        """`Catalog.lines_of_runs`: a pipeline keeps so many runs only that their lines are sorted, not followed."""
        values = (pipeline, since_us, json.dumps(levels), limit)
        rows = await self._readers.call(lambda db: db.execute(_LINES_OF_RUNS, values).fetchall())
        return [
            (run, RunLine(at_us=at_us, level=level, message=message)) for run, at_us, level, message in reversed(rows)
        ]

    async def prune_runs(self, pipeline: PipelineNumber, keep: int) -> int:
        """`Catalog.prune_runs`: with their lines, 500 runs in one commit."""

        def prune(db: sqlite3.Connection) -> int:
            old = db.execute(_OLD_RUNS, (pipeline, keep)).fetchall()
            for statement in (
                "DELETE FROM run_lines WHERE run = ?",
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
            run.stage,
            run.route,
            run.through_seq,
            run.created_at_us,
            run.started_at_us,
            run.object_key,
            _options_text(run.options),
        ),
    ).fetchone()
    return int(number)


def update_run(db: sqlite3.Connection, run: Run) -> None:
    """Keep how far a run is."""
    values = (run.state, run.stage, run.through_seq, run.started_at_us, run.finished_at_us, run.error, run.number)
    db.execute(_UPDATE_RUN, values)
    if run.options.dry_run:
        db.execute(_COUNT_DRY, (run.extracted, run.events, run.rows, run.filtered, run.dead, run.number))
    if run.trigger is Trigger.REPLAY and run.state.has_ended:
        db.execute(_RELEASE_LETTERS, (run.number, run.id))


def _which_runs(
    pipelines: Sequence[PipelineNumber], before: int | None, states: Collection[RunState], trigger: Trigger | None
) -> tuple[str, list[int | str]]:
    """The condition for some runs, and its values."""
    where = f"pipeline IN ({', '.join('?' * len(pipelines))}) AND number < ?"
    values: list[int | str] = [*pipelines, before if before is not None else 1 << 62]
    if states:
        where += f" AND state IN ({', '.join('?' * len(states))})"
        values += states
    if trigger is not None:
        where += " AND trigger = ?"
        values.append(trigger)
    return where, values


def _options_text(options: RunOptions) -> str | None:
    if options == RunOptions():
        return None
    return json.dumps(
        {"full_refresh": options.full_refresh, "dry_run": options.dry_run, "variables": dict(options.variables)}
    )


def insert_line(db: sqlite3.Connection, run: int, line: RunLine) -> None:
    """Keep a line of a run's log."""
    db.execute(_INSERT_LINE, (run, line.at_us, line.level, line.message))


def _run(row: Sequence[Any]) -> Run:
    (
        number,
        pipeline,
        trigger,
        state,
        stage,
        route,
        through_seq,
        created_at_us,
        started_at_us,
        finished_at_us,
        extracted,
        events,
        rows,
        filtered,
        dead,
        size_bytes,
        batches,
        attempts,
        object_key,
        error,
        options,
    ) = row
    return Run(
        number=number,
        pipeline=PipelineNumber(pipeline),
        trigger=Trigger(trigger),
        state=RunState(state),
        stage=RunStage(stage),
        route=route,
        through_seq=through_seq,
        created_at_us=created_at_us,
        started_at_us=started_at_us,
        finished_at_us=finished_at_us,
        extracted=extracted,
        events=events,
        rows=rows,
        filtered=filtered,
        dead=dead,
        size_bytes=size_bytes,
        batches=batches,
        attempts=attempts,
        object_key=object_key,
        error=error,
        options=RunOptions(**json.loads(options)) if options else RunOptions(),
    )
