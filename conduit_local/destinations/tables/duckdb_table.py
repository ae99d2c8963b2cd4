"""What is done with a table of a DuckDB file, in an open transaction."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb

from conduit_local.core.content import Column
from conduit_local.destinations.tables.duckdb_types import inexact
from conduit_local.destinations.tables.rows import ENVELOPE_LINE, Texts, is_nested, no_place, texts_of

Kind = Literal["person", "rows", "wait"]
"""Who must act: a person; nobody, these rows are refused; nobody, waiting is enough."""


class Failed(Exception):
    """What was asked for was not done; nothing of it is there."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which tables of which file."""

    path: str
    schema: str
    table: str
    ledger: str
    origin: str
    create: bool
    memory: int
    """How many bytes of memory a transaction may take."""
    wait_s: float
    """How long to wait for another process that has the file open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What the ledger keeps of a batch."""

    key: str
    first_seq: int | None
    last_seq: int | None
    rows: int
    size_bytes: int
    sha256: str


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


class Table:
    """A table and its ledger, in an open transaction."""

    def __init__(self, db: duckdb.DuckDBPyConnection, place: Place) -> None:
        self._db = db
        self._place = place
        self._rows_at = f"{quoted(place.schema)}.{quoted(place.table)}"
        self._ledger_at = f"{quoted(place.schema)}.{quoted(place.ledger)}"

    def make_ledger(self) -> None:
        """Where it is not there."""
        self._db.execute(
            f"CREATE TABLE IF NOT EXISTS {self._ledger_at} (origin VARCHAR NOT NULL, key VARCHAR NOT NULL,"
            " table_name VARCHAR NOT NULL, first_seq BIGINT, last_seq BIGINT, rows BIGINT NOT NULL,"
            " size_bytes BIGINT NOT NULL, sha256 VARCHAR NOT NULL, written_at TIMESTAMPTZ NOT NULL DEFAULT now())"
        )

    def claim(self, batch: Batch) -> bool:
        """
        The batch's row in the ledger; False when it is there: all of it was committed before.

        Nobody else has the file open for writing, so looking and adding are one. Raises: Failed when the ledger has
        the key with other lines.
        """
        there = self._db.execute(
            f"SELECT rows, sha256 FROM {self._ledger_at} WHERE origin = $1 AND key = $2",
            [self._place.origin, batch.key],
        ).fetchone()
        if there is not None and there[1] != batch.sha256:
            raise Failed(
                "person",
                f"the ledger {self._place.schema}.{self._place.ledger} has {batch.key} with {there[0]} other rows; "
                "another appliance delivers under the same name, or an older state of this one was put back",
            )
        if there is not None:
            return False
        self._db.execute(
            f"INSERT INTO {self._ledger_at} (origin, key, table_name, first_seq, last_seq, rows, size_bytes, sha256)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                *(self._place.origin, batch.key, f"{self._place.schema}.{self._place.table}"),
                *(batch.first_seq, batch.last_seq, batch.rows, batch.size_bytes, batch.sha256),
            ],
        )
        return True

    def require(self, columns: Sequence[Column]) -> None:
        """Makes the table if it may. Raises: Failed unless it takes these columns."""
        for column in columns:
            if (culprit := inexact(column.kind)) is not None:
                raise Failed("person", no_place(column.name, column.kind, culprit))
        shape = self.shape()
        name = f"{self._place.schema}.{self._place.table}"
        made = f"CREATE TABLE {self._rows_at} ({', '.join(f'{quoted(one.name)} {one.kind}' for one in columns)})"
        if not shape and not self._place.create:
            raise Failed("person", f"there is no table {name}; `create: true` makes it, and so does: {made}")
        if not shape:
            self._db.execute(made)
            return
        alter = f"the table does not fit the rows: {{}}: ALTER TABLE {self._rows_at}"
        for column in columns:
            has, _ = shape.get(column.name.lower(), (None, False))
            if has is None:
                said = alter.format(f"{name} has no column {column.name!r}")
                raise Failed("person", f"{said} ADD COLUMN {quoted(column.name)} {column.kind}")
            if has != column.kind:
                said = alter.format(f"column {column.name!r} of {name} is {has}, and the rows bring {column.kind}")
                raise Failed("person", f"{said} ALTER COLUMN {quoted(column.name)} TYPE {column.kind}")
        brought = {column.name.lower() for column in columns}
        for other, (_, required) in shape.items():
            if required and other not in brought:
                said = alter.format(f"column {other!r} of {name} takes no NULL, and the rows bring no such column")
                raise Failed("person", f"{said} ALTER COLUMN {quoted(other)} DROP NOT NULL")

    def shape(self) -> dict[str, tuple[str, bool]]:
        """Types of the table's columns, and whether one must be given; by name in small letters."""
        found = self._db.execute(
            "SELECT lower(column_name), data_type, NOT is_nullable AND column_default IS NULL FROM duckdb_columns()"
            " WHERE database_name = current_database() AND lower(schema_name) = lower($1)"
            " AND lower(table_name) = lower($2) ORDER BY column_index",
            [self._place.schema, self._place.table],
        ).fetchall()
        return {name: (kind, required) for name, kind, required in found}

    def insert(self, columns: Sequence[Column], pieces: Iterable[bytes], *, envelopes: bool) -> int:
        """The rows of the lines; returns how many. Raises: Failed."""
        rows_of = _envelope_rows(len(columns)) if envelopes else texts_of(columns)
        values = ", ".join(
            f"unnest(${place}::VARCHAR[]){'::JSON' if is_nested(one.kind) else ''}::{one.kind}"
            for place, one in enumerate(columns, 1)
        )
        names = ", ".join(quoted(one.name) for one in columns)
        statement = f"INSERT INTO {self._rows_at} ({names}) SELECT {values}"
        count = 0
        for piece in pieces:
            rows = list(rows_of(piece))
            count += len(rows)
            if rows:
                self._db.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        return count

    def page(self, last: str, prefix: str) -> list[tuple[str, int, str]]:
        """A thousand batches below a prefix, behind a key: key, bytes, sum."""
        return self._db.execute(
            f"SELECT key, size_bytes, sha256 FROM {self._ledger_at}"
            " WHERE origin = $1 AND key > $2 AND starts_with(key, $3) ORDER BY key LIMIT 1000",
            [self._place.origin, last, prefix],
        ).fetchall()


def _envelope_rows(columns: int) -> Callable[[bytes], Iterator[Texts]]:
    def rows(piece: bytes) -> Iterator[Texts]:
        for fields in ENVELOPE_LINE.findall(piece):
            yield tuple(map(bytes.decode, fields[5 - columns :]))

    return rows


def columns_from(request: Mapping[str, Any]) -> list[Column]:
    """As they came through the pipe."""
    return [Column(name, kind) for name, kind in request["columns"]]
