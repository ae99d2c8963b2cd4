"""The catalog's pipelines and routes."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from conduit_local.core.errors import NameTaken
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.ports import RouteRecord
from conduit_local.core.run import Run
from conduit_local.core.spec import PipelineSpec
from conduit_local.store.readers import Readers
from conduit_local.store.runs import end_run, insert_run
from conduit_local.store.writer import Writer

SpecReader = Callable[[str], PipelineSpec]
"""Reads a stored specification (JSON) back."""

_SELECT = (
    "SELECT number, id, uuid, folder, state, spec, managed_by, first_seq, created_at_us, updated_at_us,"
    " deleted_at_us FROM pipelines ORDER BY number"
)
_INSERT = (
    "INSERT INTO pipelines (id, uuid, name, folder, state, spec, managed_by, first_seq, created_at_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
)
_UPDATE = "UPDATE pipelines SET id = ?, name = ?, spec = ?, managed_by = ?, updated_at_us = ? WHERE number = ?"
_SET_STATE = "UPDATE pipelines SET state = ?, updated_at_us = ? WHERE number = ?"
_FOLDER_IN_USE = "SELECT 1 FROM pipelines WHERE folder = ? AND deleted_at_us IS NULL"
_FOLDER_END = "SELECT last_seq FROM folders WHERE folder = ?"
_NOTE_FOLDER = (
    "INSERT INTO folders SELECT folder, ?2 FROM pipelines WHERE number = ?1"
    " ON CONFLICT (folder) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)"
)
_DELETE = "UPDATE pipelines SET deleted_at_us = ?, updated_at_us = ? WHERE number = ?"
_ROUTES = "SELECT pipeline, name, destination, start_seq, cursor, delivered, dead, through_seq FROM routes"
_INSERT_ROUTE = "INSERT INTO routes (pipeline, name, destination, start_seq, cursor) VALUES (?, ?, ?, ?, ?)"
_REVIVE_ROUTE = "UPDATE routes SET destination = ?, through_seq = NULL WHERE pipeline = ? AND name = ?"
_RETIRE_ROUTE = "UPDATE routes SET through_seq = ? WHERE pipeline = ? AND name = ? AND through_seq IS NULL"
_END_ROUTE = "DELETE FROM routes WHERE pipeline = ? AND name = ?"
_PURGE = (
    "DELETE FROM run_lines WHERE run IN (SELECT number FROM runs WHERE pipeline = ?)",
    "DELETE FROM runs WHERE pipeline = ?",
    "DELETE FROM batches WHERE pipeline = ?",
    "DELETE FROM routes WHERE pipeline = ?",
    "DELETE FROM pipelines WHERE number = ?",
)


class PipelineTables:
    """Pipelines and routes; the first part of the catalog."""

    def __init__(self, writer: Writer, readers: Readers, read_spec: SpecReader) -> None:
        self._writer = writer
        self._readers = readers
        self._read_spec = read_spec

    async def pipelines(self) -> list[Pipeline]:
        """`Catalog.pipelines`."""
        rows = await self._readers.call(lambda db: db.execute(_SELECT).fetchall())
        return [self._pipeline(row) for row in rows]

    async def routes(self) -> list[RouteRecord]:
        """`Catalog.routes`."""
        rows = await self._readers.call(lambda db: db.execute(_ROUTES).fetchall())
        return [_route(row) for row in rows]

    async def add_pipeline(self, pipeline: Pipeline, routes: Sequence[tuple[str, str]]) -> Pipeline:
        """`Catalog.add_pipeline`: numbering goes on where an earlier pipeline in the same folder ended."""

        def add(db: sqlite3.Connection) -> Pipeline:
            folder, first_seq = _folder_for(db, pipeline)
            try:
                (number,) = db.execute(
                    _INSERT,
                    (
                        pipeline.id,
                        pipeline.uuid,
                        pipeline.name,
                        folder,
                        pipeline.state,
                        spec_json(pipeline.spec),
                        pipeline.managed_by,
                        first_seq,
                        pipeline.created_at_us,
                    ),
                ).fetchone()
            except sqlite3.IntegrityError as error:
                raise _taken(pipeline, error) from error
            for name, destination in routes:
                db.execute(_INSERT_ROUTE, (number, name, destination, first_seq - 1, first_seq - 1))
            return replace(pipeline, number=PipelineNumber(number), folder=folder, first_seq=first_seq)

        return await self._writer.call(add)

    async def change_pipeline(
        self, pipeline: Pipeline, routes: Sequence[tuple[str, str]], head_seq: int
    ) -> list[RouteRecord]:
        """`Catalog.change_pipeline`."""

        def change(db: sqlite3.Connection) -> list[RouteRecord]:
            try:
                db.execute(
                    _UPDATE,
                    (
                        pipeline.id,
                        pipeline.name,
                        spec_json(pipeline.spec),
                        pipeline.managed_by,
                        pipeline.updated_at_us,
                        pipeline.number,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise _taken(pipeline, error) from error
            there = {row[1] for row in db.execute(f"{_ROUTES} WHERE pipeline = ?", (pipeline.number,))}
            for name, destination in routes:
                if name in there:
                    db.execute(_REVIVE_ROUTE, (destination, pipeline.number, name))
                else:
                    db.execute(_INSERT_ROUTE, (pipeline.number, name, destination, head_seq, head_seq))
            for name in there - {name for name, _ in routes}:
                db.execute(_RETIRE_ROUTE, (head_seq, pipeline.number, name))
            rows = db.execute(f"{_ROUTES} WHERE pipeline = ?", (pipeline.number,)).fetchall()
            return [_route(row) for row in rows]

        return await self._writer.call(change)

    async def set_state(self, pipeline: Pipeline, *, begins: Run | None = None, ends: Run | None = None) -> int | None:
        """`Catalog.set_state`."""

        def change(db: sqlite3.Connection) -> int | None:
            db.execute(_SET_STATE, (pipeline.state, pipeline.updated_at_us, pipeline.number))
            if ends is not None:
                end_run(db, ends)
            return insert_run(db, begins) if begins is not None else None

        return await self._writer.call(change)

    async def delete_pipeline(self, pipeline: Pipeline, head_seq: int) -> None:
        """`Catalog.delete_pipeline`."""

        def delete(db: sqlite3.Connection) -> None:
            at_us = pipeline.updated_at_us
            db.execute(_DELETE, (at_us, at_us, pipeline.number))
            db.execute(_NOTE_FOLDER, (pipeline.number, head_seq))

        await self._writer.call(delete)

    async def purge_pipeline(self, pipeline: PipelineNumber) -> None:
        """`Catalog.purge_pipeline`."""

        def purge(db: sqlite3.Connection) -> None:
            for statement in _PURGE:
                db.execute(statement, (pipeline,))

        await self._writer.call(purge)

    async def end_route(self, pipeline: PipelineNumber, route: str) -> None:
        """`Catalog.end_route`."""
        await self._writer.call(lambda db: db.execute(_END_ROUTE, (pipeline, route)).rowcount)

    def _pipeline(self, row: Sequence[Any]) -> Pipeline:
        number, public_id, uuid, folder, state, spec, managed_by, first_seq, created, updated, deleted = row
        return Pipeline(
            number=PipelineNumber(number),
            id=public_id,
            uuid=uuid,
            folder=folder,
            state=State(state),
            spec=self._read_spec(spec),
            managed_by=managed_by,
            created_at_us=created,
            updated_at_us=updated,
            first_seq=first_seq,
            deleted=deleted is not None,
        )


def spec_json(spec: PipelineSpec) -> str:
    """A specification as it is stored: whole, defaults written out."""
    return spec.model_dump_json(serialize_as_any=True)


def _folder_for(db: sqlite3.Connection, pipeline: Pipeline) -> tuple[str, int]:
    """The folder, and the first seq in it: a folder belongs to one live pipeline at a time."""
    folder, count = pipeline.name, 1
    while db.execute(_FOLDER_IN_USE, (folder,)).fetchone():
        count += 1
        folder = f"{pipeline.name}~{count}"
    row = db.execute(_FOLDER_END, (folder,)).fetchone()
    return folder, (row[0] if row else 0) + 1


def _taken(pipeline: Pipeline, error: sqlite3.IntegrityError) -> NameTaken:
    what = f"the name {pipeline.name!r}" if "name" in str(error) else f"the id {pipeline.id!r}"
    return NameTaken(f"{what} is taken by another pipeline")


def _route(row: Sequence[Any]) -> RouteRecord:
    pipeline, name, destination, start_seq, cursor, delivered, dead, through_seq = row
    return RouteRecord(
        pipeline=PipelineNumber(pipeline),
        name=name,
        destination=destination,
        start_seq=start_seq,
        cursor=cursor,
        delivered=delivered,
        dead=dead,
        through_seq=through_seq,
    )
