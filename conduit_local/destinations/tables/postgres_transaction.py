"""What is done in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from conduit_local.core.batch import seqs_of
from conduit_local.core.content import Column, Content
from conduit_local.core.delivering import Found
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.tables.postgres_copy import copier
from conduit_local.destinations.tables.postgres_failures import Step
from conduit_local.destinations.tables.postgres_shape import TableColumn, require_known, require_place, shape_of
from conduit_local.destinations.tables.postgres_statements import (
    COLUMNS,
    EXISTS,
    GREETING,
    MAY_INSERT,
    ONE_AT_A_TIME,
    Names,
    begin,
)
from conduit_local.destinations.tables.postgres_types import Json
from conduit_local.destinations.tables.rows import Sum


class Missing(Exception):
    """A table that must be made first."""


class Transaction:
    """Steps in the order in which they are taken; each raises what the driver raises, besides what it says."""

    def __init__(self, names: Names, origin: str, json: Json) -> None:
        self._names = names
        self._origin = origin
        self._json = json
        self._connection: Any = None
        self.step: Step = "connect"
        """Which step failed, when one did."""

    async def begin(self, connection: Any, timeout_s: float) -> None:
        """First of all."""
        self._connection = connection
        await connection.execute(begin(timeout_s))
        self.step = "make"

    async def claim(self, key: str, rows: int, total: Sum) -> bool:
        """
        The batch's row in the ledger; False when it is there: all of it was committed before.

        Raises: Missing; DestinationUnavailable when the ledger has the key with other lines.
        """
        if not await self.exists(self._names.ledger_at):
            raise Missing
        first_seq, last_seq = seqs_of(key) or (None, None)
        said = (self._origin, key, f"{self._names.schema}.{self._names.table}", first_seq, last_seq, rows, *total)
        if await self._connection.fetchval(self._names.claim(), *said):
            return True
        there = await self._connection.fetchrow(self._names.claimed(), self._origin, key)
        if there is None:
            raise DestinationUnavailable(f"the ledger's row of {key} was there and is gone: somebody deletes rows")
        if there["sha256"] == total.sha256:
            return False
        raise DestinationUnavailable(
            f"the ledger {self._names.schema}.{self._names.ledger} has {key} with {there['rows']} other rows; "
            "another appliance delivers under the same name, or an older state of this one was put back",
            needs_person=True,
        )

    async def shape(self) -> dict[str, TableColumn]:
        """The columns of the table; none when there is no table."""
        return shape_of(await self._connection.fetch(COLUMNS, self._names.rows_at))

    async def require(self, columns: Sequence[Column]) -> None:
        """Raises: Missing; DestinationUnavailable when the table has no place for these columns."""
        shape = await self.shape()
        if not shape:
            raise Missing
        require_place(columns, shape, self._names, self._json)

    async def copy(self, columns: Sequence[Column], content: Content) -> None:
        """The rows. Raises: Rejected for a line that is none."""
        self.step = "rows"
        copied = copier(columns, envelopes=content.columns is None)
        await self._connection.copy_to_table(
            self._names.table,
            schema_name=self._names.schema,
            columns=[column.name for column in columns],
            source=_shaped(content, copied),
            format="text",
            encoding="utf-8",
        )

    async def make(self, columns: Sequence[Column], *, table: bool) -> None:
        """
        The ledger, and the table of these columns if `table`, where they are not there.

        Raises: DestinationUnavailable when the table is missing and may not be made.
        """
        require_known(columns)
        await self._connection.execute(ONE_AT_A_TIME)
        if not await self.exists(self._names.ledger_at):
            await self._connection.execute(self._names.make_ledger())
        if not await self.exists(self._names.rows_at):
            statement = self._names.make_table(columns, self._json)
            if not table:
                raise DestinationUnavailable(
                    f"there is no table {self._names.schema}.{self._names.table}; "
                    f"`create: true` makes it, and so does: {statement}",
                    needs_person=True,
                )
            await self._connection.execute(statement)

    async def exists(self, table: str) -> bool:
        """Whether there is a table of that name, as SQL has it."""
        return bool(await self._connection.fetchval(EXISTS, table))

    async def page(self, last: str, prefix: str) -> list[Found]:
        """What the ledger has behind the key `last`, below `prefix`."""
        if not await self.exists(self._names.ledger_at):
            return []
        rows = await self._connection.fetch(self._names.page(), self._origin, last, prefix)
        return [Found(row["key"], row["size_bytes"], row["sha256"]) for row in rows]

    async def greeting(self) -> str:
        """Whom we speak with, and how."""
        row = await self._connection.fetchrow(GREETING)
        tls = row["tls"] or "no TLS"
        return f"PostgreSQL {row['version']}, database {row['database']}, as {row['user']}, {tls}"

    async def require_right(self) -> None:
        """Raises: DestinationUnavailable unless rows may be added to the table."""
        if not await self._connection.fetchval(MAY_INSERT, self._names.rows_at):
            raise DestinationUnavailable(
                f"there is no right to add rows: GRANT INSERT ON {self._names.rows_at} TO its user", needs_person=True
            )

    async def commit(self) -> None:
        """For good, once this returns."""
        done = await self._connection.execute("COMMIT")
        if done != "COMMIT":
            raise DestinationUnavailable(f"commit: the server answers {done}")

    async def roll_back(self) -> None:
        """Leaves nothing behind."""
        await self._connection.execute("ROLLBACK")


async def _shaped(content: Content, copied: Callable[[bytes], bytes]) -> AsyncIterator[bytes]:
    lines = content.pieces()

    def step() -> bytes | None:
        piece = next(lines, None)
        return None if piece is None else copied(piece)

    while (rows := await asyncio.to_thread(step)) is not None:
        yield rows
