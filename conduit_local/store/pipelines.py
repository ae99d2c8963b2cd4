"""The catalog's pipelines and routes."""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from conduit_local.core.catalog import RouteRecord
from conduit_local.core.errors import NameTaken
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.run import Run, RunLine
from conduit_local.core.texts import Texts
from conduit_local.core.webhook import NoticeKind, notice_of
from conduit_local.store.ended import end_route, give_up_route
from conduit_local.store.readers import Readers
from conduit_local.store.runs import insert_line, insert_run, update_run
from conduit_local.store.webhooks import Outbox
from conduit_local.store.writer import Writer

_SELECT = (
    "SELECT number, id, uuid, folder, state, spec, managed_by, first_seq, created_at_us, updated_at_us,"
    " deleted_at_us, revision FROM pipelines ORDER BY number"
)
_INSERT = (
    "INSERT INTO pipelines (id, uuid, name, folder, state, spec, managed_by, first_seq, created_at_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number"
)
_UPDATE = (
    "UPDATE pipelines SET id = ?, name = ?, spec = ?, managed_by = ?, updated_at_us = ?, revision = ? WHERE number = ?"
)
_SET_STATE = "UPDATE pipelines SET state = ?, updated_at_us = ?, revision = ? WHERE number = ?"
_FOLDER_IN_USE = "SELECT 1 FROM pipelines WHERE folder = ? AND deleted_at_us IS NULL"
_FOLDER_END = "SELECT last_seq FROM folders WHERE folder = ?"
_NOTE_FOLDER = (
    "INSERT INTO folders SELECT folder, ?2 FROM pipelines WHERE number = ?1"
    " ON CONFLICT (folder) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)"
)
_DELETE = "UPDATE pipelines SET deleted_at_us = ?, updated_at_us = ? WHERE number = ?"
_ROUTES = (
    "SELECT pipeline, name, destination, start_seq, cursor, delivered, dead, filtered, purged, through_seq, replays"
    " FROM routes"
)
_INSERT_ROUTE = "INSERT INTO routes (pipeline, name, destination, start_seq, cursor) VALUES (?, ?, ?, ?, ?)"
_REVIVE_ROUTE = "UPDATE routes SET destination = ?, through_seq = NULL WHERE pipeline = ? AND name = ?"
_RETIRE_ROUTE = "UPDATE routes SET through_seq = ? WHERE pipeline = ? AND name = ? AND through_seq IS NULL"
_REVISE_OWN_ROUTES = "UPDATE routes SET destination = ? WHERE pipeline = ? AND name GLOB ? || '@*'"
_INSERT_WHOLE_ROUTE = (
    "INSERT OR IGNORE INTO routes (pipeline, name, destination, start_seq, cursor, through_seq, replays)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_DOMAINS = "SELECT id, name FROM domains"
_USE_DOMAIN = "INSERT OR IGNORE INTO domains VALUES (?1, ?1)"
_NAME_DOMAIN = "INSERT INTO domains VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
_PURGE = (
    "DELETE FROM run_lines WHERE run IN (SELECT number FROM runs WHERE pipeline = ?)",
    "DELETE FROM runs WHERE pipeline = ?",
    "DELETE FROM batches WHERE pipeline = ?",
    "DELETE FROM routes WHERE pipeline = ?",
    "DELETE FROM dead_letters WHERE pipeline = ?",
    "DELETE FROM source_cursors WHERE pipeline = ?",
    "DELETE FROM pipelines WHERE number = ?",
)


class PipelineTables:
    """Pipelines and routes; the first part of the catalog."""

    _writer: Writer
    _readers: Readers
    _texts: Texts
    _outbox: Outbox

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
        text = self._texts.of_spec(pipeline.spec, pipeline.uuid)

        def add(db: sqlite3.Connection) -> Pipeline:
            folder, first_seq = _folder_for(db, pipeline)
            rest = (folder, pipeline.state, text, pipeline.managed_by, first_seq, pipeline.created_at_us)
            try:
                (number,) = db.execute(_INSERT, (pipeline.id, pipeline.uuid, pipeline.name, *rest)).fetchone()
            except sqlite3.IntegrityError as error:
                raise _taken(pipeline, error) from error
            for name, destination in routes:
                db.execute(_INSERT_ROUTE, (number, name, destination, first_seq - 1, first_seq - 1))
            made = replace(pipeline, number=PipelineNumber(number), folder=folder, first_seq=first_seq)
            _use_domain(db, made)
            self._outbox.post(db, notice_of(NoticeKind.CREATED, made, made.created_at_us))
            return made

        return await self._writer.call(add)

    async def change_pipeline(
        self,
        pipeline: Pipeline,
        routes: Sequence[tuple[str, str]],
        head_seq: int,
        given_up: Collection[str] = (),
        tells: NoticeKind | None = None,
    ) -> list[RouteRecord]:
        """`Catalog.change_pipeline`."""
        text = self._texts.of_spec(pipeline.spec, pipeline.uuid)

        def change(db: sqlite3.Connection) -> list[RouteRecord]:
            named = (pipeline.id, pipeline.name, text, pipeline.managed_by)
            try:
                db.execute(_UPDATE, (*named, pipeline.updated_at_us, pipeline.revision, pipeline.number))
            except sqlite3.IntegrityError as error:
                raise _taken(pipeline, error) from error
            _use_domain(db, pipeline)
            for name in given_up:
                give_up_route(db, pipeline.number, name, pipeline.updated_at_us or pipeline.created_at_us)
            there = {row[1] for row in db.execute(f"{_ROUTES} WHERE pipeline = ?", (pipeline.number,))}
            for name, destination in routes:
                db.execute(_REVISE_OWN_ROUTES, (destination, pipeline.number, name))
                if name in there:
                    db.execute(_REVIVE_ROUTE, (destination, pipeline.number, name))
                else:
                    db.execute(_INSERT_ROUTE, (pipeline.number, name, destination, head_seq, head_seq))
            for name in {one for one in there if "@" not in one} - {name for name, _ in routes}:
                db.execute(_RETIRE_ROUTE, (head_seq, pipeline.number, name))
            if tells is not None:
                self._outbox.post(db, notice_of(tells, pipeline, pipeline.updated_at_us or pipeline.created_at_us))
            rows = db.execute(f"{_ROUTES} WHERE pipeline = ?", (pipeline.number,)).fetchall()
            return [_route(row) for row in rows]

        return await self._writer.call(change)

    async def set_state(
        self, pipeline: Pipeline, *, begins: Run | None = None, ends: Run | None = None, tells: NoticeKind | None = None
    ) -> int | None:
        """`Catalog.set_state`."""

        def change(db: sqlite3.Connection) -> int | None:
            db.execute(_SET_STATE, (pipeline.state, pipeline.updated_at_us, pipeline.revision, pipeline.number))
            if ends is not None:
                update_run(db, ends)
            if tells is not None:
                self._outbox.post(db, notice_of(tells, pipeline, pipeline.updated_at_us or pipeline.created_at_us))
            return insert_run(db, begins) if begins is not None else None

        return await self._writer.call(change)

    async def delete_pipeline(self, pipeline: Pipeline, head_seq: int) -> None:
        """`Catalog.delete_pipeline`."""

        def delete(db: sqlite3.Connection) -> None:
            at_us = pipeline.updated_at_us
            db.execute(_DELETE, (at_us, at_us, pipeline.number))
            db.execute(_NOTE_FOLDER, (pipeline.number, head_seq))
            self._outbox.post(db, notice_of(NoticeKind.DELETED, pipeline, at_us or 0))

        await self._writer.call(delete)

    async def purge_pipeline(self, pipeline: PipelineNumber) -> None:
        """`Catalog.purge_pipeline`."""

        def purge(db: sqlite3.Connection) -> None:
            for statement in _PURGE:
                db.execute(statement, (pipeline,))

        await self._writer.call(purge)

    async def start_run(self, run: Run, routes: Sequence[RouteRecord], lines: Sequence[RunLine]) -> None:
        """`Catalog.start_run`."""

        def add(db: sqlite3.Connection) -> None:
            update_run(db, run)
            for one in routes:
                row = (one.pipeline, one.name, one.destination, one.start_seq, one.cursor, one.through_seq, one.replays)
                db.execute(_INSERT_WHOLE_ROUTE, row)
            for line in lines:
                insert_line(db, run.number, line)

        await self._writer.call(add)

    async def end_route(self, pipeline: PipelineNumber, route: str) -> None:
        """`Catalog.end_route`."""
        await self._writer.call(lambda db: end_route(db, pipeline, route))

    async def domains(self) -> dict[str, str]:
        """`Catalog.domains`."""
        return dict(await self._readers.call(lambda db: db.execute(_DOMAINS).fetchall()))

    async def name_domain(self, domain: str, name: str) -> None:
        """`Catalog.name_domain`."""
        await self._writer.call(lambda db: db.execute(_NAME_DOMAIN, (domain, name)).rowcount)

    def _pipeline(self, row: Sequence[Any]) -> Pipeline:
        number, public_id, uuid, folder, state, spec, managed_by, first_seq, created, updated, deleted, *rest = row
        return Pipeline(
            number=PipelineNumber(number),
            id=public_id,
            uuid=uuid,
            folder=folder,
            state=State(state),
            spec=self._texts.spec(spec, uuid),
            managed_by=managed_by,
            created_at_us=created,
            updated_at_us=updated,
            first_seq=first_seq,
            deleted=deleted is not None,
            revision=rest[0],
        )


def _use_domain(db: sqlite3.Connection, pipeline: Pipeline) -> None:
    if pipeline.spec.domain is not None:
        db.execute(_USE_DOMAIN, (pipeline.spec.domain,))


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
    pipeline, name, destination, start_seq, cursor, delivered, dead, filtered, purged, through_seq, replays = row
    return RouteRecord(
        pipeline=PipelineNumber(pipeline),
        name=name,
        destination=destination,
        start_seq=start_seq,
        cursor=cursor,
        delivered=delivered,
        dead=dead,
        filtered=filtered,
        purged=purged,
        through_seq=through_seq,
        replays=replays,
    )
