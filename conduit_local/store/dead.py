"""The catalog's dead letters, and the replays that have them in hand."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from conduit_local.core.batch import Batch
from conduit_local.core.dead import MAX_ERROR_LENGTH, DeadFilter, DeadGroup, DeadLetter, NewDeadLetter, Stage, reason_of
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.run import Run
from conduit_local.store.readers import Readers
from conduit_local.store.runs import insert_run
from conduit_local.store.writer import Writer

_COLUMNS = (
    "number, pipeline, route, seq, stage, error, reason, event_type, content, origin, at_us, run, attempts,"
    " edited_at_us, replay"
)
_INSERT = (
    "INSERT INTO dead_letters (pipeline, route, seq, stage, error, reason, event_type, content, origin, at_us, run)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ONE = f"SELECT {_COLUMNS} FROM dead_letters WHERE number = ?"
_EDIT = (
    "UPDATE dead_letters SET content = ?, event_type = ?, edited_at_us = ? WHERE number = ? AND replay IS NULL"
    " RETURNING number"
)
_TAKE = "UPDATE dead_letters SET replay = ?, place = ? WHERE number = ?"
_IN_HAND = "SELECT route, max(place) FROM dead_letters WHERE replay = ? GROUP BY route"
_LETTERS_IN_HAND = (
    f"SELECT place, {_COLUMNS} FROM dead_letters WHERE replay = ? AND route = ? AND place > ? ORDER BY place LIMIT ?"
)
_FAILS = (
    "SET error = ?, reason = ?, stage = coalesce(?, stage), at_us = ?, run = replay, attempts = attempts + 1,"
    " replay = NULL, place = NULL WHERE"
)
_FAILED_NUMBER = f"UPDATE dead_letters {_FAILS} number = ?"
_FAILED_PLACE = f"UPDATE dead_letters {_FAILS} replay = ? AND route = ? AND place = ?"
_LANDED = "DELETE FROM dead_letters WHERE replay = ? AND route = ? AND place BETWEEN ? AND ?"
_COUNT_LANDED = (
    "UPDATE routes SET delivered = delivered + ?1, dead = dead - ?1, filtered = filtered + ?2"
    " WHERE pipeline = ?3 AND name = ?4"
)
_COUNT_PURGED = "UPDATE routes SET dead = dead - ?1, purged = purged + ?1 WHERE pipeline = ?2 AND name = ?3"
_DROP = "DELETE FROM dead_letters WHERE number = ?"
_SPAN = "SELECT (SELECT max(number) FROM dead_letters) - (SELECT min(number) FROM dead_letters) + 1"
_NEWEST_KEPT = "SELECT number FROM dead_letters WHERE number > 0 ORDER BY number DESC LIMIT 1 OFFSET ?"
_OLD = """
    SELECT number, pipeline, route FROM dead_letters WHERE at_us < ?1 AND replay IS NULL
    UNION SELECT number, pipeline, route FROM dead_letters WHERE number <= ?2 AND replay IS NULL LIMIT ?3"""
_MOST_GROUPS = 10_000
_MOST_TAKEN_BYTES = 32 * 1024**2
"""A replay takes its letters in one commit, and each is written anew: 400 MB of them held the writer for 3.7 s."""


class DeadTable:
    """Dead letters; a part of the catalog."""

    _writer: Writer
    _readers: Readers

    async def dead_letters(self, wanted: DeadFilter, before: int | None, limit: int) -> list[DeadLetter]:
        """`Catalog.dead_letters`."""
        where, values = _which(wanted)
        statement = f"SELECT {_COLUMNS} FROM dead_letters WHERE {where} AND number < ? ORDER BY number DESC LIMIT ?"
        last = before if before is not None else 1 << 62
        rows = await self._readers.call(lambda db: db.execute(statement, (*values, last, limit)).fetchall())
        return [_letter(row) for row in rows]

    async def dead_letter(self, number: int) -> DeadLetter | None:
        """`Catalog.dead_letter`."""
        row = await self._readers.call(lambda db: db.execute(_ONE, (number,)).fetchone())
        return _letter(row) if row is not None else None

    async def count_dead(self, wanted: DeadFilter) -> int:
        """`Catalog.count_dead`."""
        where, values = _which(wanted)
        statement = f"SELECT count(*) FROM dead_letters WHERE {where}"
        (count,) = await self._readers.call(lambda db: db.execute(statement, values).fetchone())
        return int(count)

    async def dead_groups(self, wanted: DeadFilter) -> list[DeadGroup]:
        """`Catalog.dead_groups`."""
        where, values = _which(wanted)
        statement = (
            "SELECT pipeline, route, stage, reason, count(*), min(at_us), max(at_us), max(number) FROM dead_letters"
            f" WHERE {where} GROUP BY pipeline, route, stage, reason ORDER BY count(*) DESC, max(number) DESC"
            f" LIMIT {_MOST_GROUPS}"
        )
        rows = await self._readers.call(lambda db: db.execute(statement, values).fetchall())
        return [
            DeadGroup(
                pipeline=PipelineNumber(pipeline),
                route=route,
                stage=Stage(stage),
                reason=reason,
                count=count,
                first_at_us=first,
                last_at_us=last,
                example=example,
            )
            for pipeline, route, stage, reason, count, first, last, example in rows
        ]

    async def edit_dead(self, number: int, content: bytes, event_type: str, at_us: int) -> bool:
        """`Catalog.edit_dead`."""
        values = (content, event_type, at_us, number)
        return await self._writer.call(lambda db: db.execute(_EDIT, values).fetchone() is not None)

    async def begin_replay(self, run: Run, wanted: DeadFilter, limit: int) -> tuple[Run, int]:
        """`Catalog.begin_replay`."""
        where, values = _which(wanted)
        statement = (
            f"SELECT route, number, length(content) FROM dead_letters WHERE {where} AND replay IS NULL"
            " ORDER BY route, seq, number LIMIT ?"
        )

        def begin(db: sqlite3.Connection) -> tuple[Run, int]:
            found: list[tuple[str, int]] = []
            size = 0
            for route, number, size_bytes in db.execute(statement, (*values, limit)):
                size += size_bytes
                if found and size > _MOST_TAKEN_BYTES:
                    break
                found.append((route, number))
            if not found:
                return run, 0
            kept = replace(run, number=insert_run(db, run))
            places: Counter[str] = Counter()
            for route, number in found:
                places[route] += 1
                db.execute(_TAKE, (kept.number, places[route], number))
            return kept, len(found)

        return await self._writer.call(begin)

    async def in_hand(self, run: int) -> dict[str, int]:
        """`Catalog.in_hand`."""
        return dict(await self._readers.call(lambda db: db.execute(_IN_HAND, (run,)).fetchall()))

    async def letters_in_hand(self, run: int, route: str, after: int, limit: int) -> list[tuple[int, DeadLetter]]:
        """`Catalog.letters_in_hand`."""
        values = (run, route, after, limit)
        rows = await self._readers.call(lambda db: db.execute(_LETTERS_IN_HAND, values).fetchall())
        return [(place, _letter(row)) for place, *row in rows]

    async def letters_failed(self, letters: Sequence[tuple[int, str]], at_us: int) -> None:
        """`Catalog.letters_failed`."""

        def fail(db: sqlite3.Connection) -> None:
            for number, error in letters:
                db.execute(_FAILED_NUMBER, (error, reason_of(error), None, at_us, number))

        await self._writer.call(fail)

    async def discard_dead(self, wanted: DeadFilter, limit: int) -> dict[tuple[PipelineNumber, str], int]:
        """`Catalog.discard_dead`."""
        where, values = _which(wanted)
        statement = f"SELECT number, pipeline, route FROM dead_letters WHERE {where} AND replay IS NULL LIMIT ?"
        return await self._writer.call(lambda db: _drop(db, db.execute(statement, (*values, limit)).fetchall()))

    async def prune_dead(self, before_us: int, keep: int, limit: int) -> dict[tuple[PipelineNumber, str], int]:
        """`Catalog.prune_dead`."""

        def prune(db: sqlite3.Connection) -> dict[tuple[PipelineNumber, str], int]:
            (span,) = db.execute(_SPAN).fetchone()
            row = db.execute(_NEWEST_KEPT, (keep,)).fetchone() if (span or 0) > keep else None
            return _drop(db, db.execute(_OLD, (before_us, row[0] if row else -1, limit)).fetchall())

        return await self._writer.call(prune)


def insert_dead(
    db: sqlite3.Connection,
    pipeline: PipelineNumber,
    route: str,
    letters: Iterable[NewDeadLetter],
    at_us: int,
    run: int | None,
) -> None:
    """Keep what died."""
    rows = [
        (
            pipeline,
            route,
            one.seq,
            one.stage,
            one.error[:MAX_ERROR_LENGTH],
            reason_of(one.error),
            one.event_type,
            one.content,
            one.origin,
            at_us,
            run,
        )
        for one in letters
    ]
    db.executemany(_INSERT, rows)


def settle_replay(
    db: sqlite3.Connection, batch: Batch, run: int, dead: Sequence[NewDeadLetter], filtered: int, at_us: int
) -> None:
    """A batch of a replay was delivered: what landed is gone from here and counted where it had died."""
    route = batch.route.rpartition("@")[0]
    for one in dead:
        error = one.error[:MAX_ERROR_LENGTH]
        db.execute(_FAILED_PLACE, (error, reason_of(error), one.stage, at_us, run, route, one.seq))
    landed = db.execute(_LANDED, (run, route, batch.first_seq, batch.last_seq)).rowcount
    db.execute(_COUNT_LANDED, (landed, filtered, batch.pipeline, route))


def drop_letters(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """These are events now."""
    db.executemany(_DROP, [(number,) for number in numbers])


def _drop(db: sqlite3.Connection, found: Sequence[Sequence[Any]]) -> dict[tuple[PipelineNumber, str], int]:
    gone: Counter[tuple[PipelineNumber, str]] = Counter()
    for number, pipeline, route in found:
        db.execute(_DROP, (number,))
        gone[PipelineNumber(pipeline), route] += 1
    for (pipeline, route), count in gone.items():
        db.execute(_COUNT_PURGED, (count, pipeline, route))
    return dict(gone)


def _which(wanted: DeadFilter) -> tuple[str, list[Any]]:
    where: list[str] = ["1"]
    values: list[Any] = []
    named: tuple[tuple[str, object], ...] = (
        ("pipeline", wanted.pipeline),
        ("stage", wanted.stage),
        ("reason", wanted.reason),
    )
    if wanted.route is not None:
        where.append("(route = ? OR route GLOB ? || '@*')")
        values += [wanted.route, wanted.route]
    if wanted.without:
        where.append(" AND ".join(["route NOT GLOB ? || '*'"] * len(wanted.without)))
        values += wanted.without
    for column, value in named:
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if wanted.numbers is not None:
        where.append(f"number IN ({', '.join('?' * len(wanted.numbers))})")
        values += wanted.numbers
    return " AND ".join(where), values


def _letter(row: Sequence[Any]) -> DeadLetter:
    (
        number,
        pipeline,
        route,
        seq,
        stage,
        error,
        reason,
        event_type,
        content,
        origin,
        at_us,
        run,
        attempts,
        edited_at_us,
        replay,
    ) = row
    return DeadLetter(
        number=number,
        pipeline=PipelineNumber(pipeline),
        route=route,
        seq=seq,
        stage=Stage(stage),
        error=error,
        reason=reason,
        event_type=event_type,
        content=content,
        origin=origin,
        at_us=at_us,
        run=run,
        attempts=attempts,
        edited_at_us=edited_at_us,
        replay=replay,
    )
