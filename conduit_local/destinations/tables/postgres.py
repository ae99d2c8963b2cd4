"""
A table of a PostgreSQL server.

Exactly once: a batch's rows and its row in a ledger are one transaction. The ledger's row comes first, and its key is
unique: a repeat finds it there, with the sum of the same lines, and adds nothing; one that comes while the first
attempt is still being committed waits for that. So an answer that was lost after COMMIT costs a question. A key that is
there with other lines is never added to: the route is blocked until a person decides. What a server forgets that it had
committed (a failover to a replica that lags), it forgets of both: `verify` finds it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from conduit_local.core.batch import Written
from conduit_local.core.content import Column, Content, Envelopes
from conduit_local.core.delivering import Finding, Found, ObjectContent, Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.plain import shorten
from conduit_local.core.secrets import Secret
from conduit_local.destinations.files import check_path
from conduit_local.destinations.tables.postgres_failures import failure
from conduit_local.destinations.tables.postgres_pool import Pool
from conduit_local.destinations.tables.postgres_server import (
    Addresses,
    Server,
    SslMode,
    connected,
    in_utf8,
    server_of,
    tls_for,
)
from conduit_local.destinations.tables.postgres_statements import Names
from conduit_local.destinations.tables.postgres_transaction import Missing, Transaction
from conduit_local.destinations.tables.postgres_types import Json
from conduit_local.destinations.tables.rows import Sum, columns_of, summed, told_of
from conduit_local.destinations.tables.spec import TableSpec


def _dsn(value: Secret) -> Secret:
    if value.text:
        server_of(value.text)
    return value


class PostgresSpec(TableSpec):
    """Lands batches in a PostgreSQL table."""

    type: Literal["postgres"] = "postgres"
    dsn: Annotated[Secret, AfterValidator(_dsn)] = Secret("")
    """`postgres://user:password@host:5432/database`; or what follows, one by one."""
    host: Annotated[str, Field(max_length=1_024)] = ""
    """A name, an address, or in configuration files the folder of a Unix socket."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    database: Annotated[str, Field(max_length=63)] = ""
    """The user's name when left out."""
    user: Annotated[str, Field(max_length=63)] = "postgres"
    password: Secret = Secret("")
    sslmode: SslMode | None = None
    """
    As everywhere in PostgreSQL; `prefer` when left out, which encrypts where the server can. Beyond a network that is
    trusted, `verify-full`.
    """
    ca_file: Annotated[str, AfterValidator(lambda path: check_path(path) if path else path)] = ""
    """The certificates to trust instead of the system's: relative to the data folder, or absolute."""
    create: bool = False
    """Makes the table when it is not there."""
    json_type: Json = "json"
    """
    What columns for documents are made as. `json` keeps them as they were sent; `jsonb` can be indexed, and orders keys
    anew, drops repeated ones, and refuses \\u0000. A table that is there may have either.
    """

    @model_validator(mode="after")
    def _one_way(self) -> "PostgresSpec":
        if (self.dsn.text != "") == bool(self.host):
            raise ValueError("needs a dsn or a host, and not both")
        return self

    @property
    def server(self) -> Server:
        """Where that is; its secrets must be open."""
        if self.dsn.text:
            return server_of(self.dsn.text, self.sslmode)
        return Server(
            host=self.host,
            port=self.port,
            database=self.database,
            user=self.user,
            password=self.password.text or "",
            sslmode=self.sslmode or "prefer",
        )


class PostgresDestination:
    """`Destination` for a PostgreSQL table."""

    extension = "rows"

    def __init__(self, spec: PostgresSpec, data_folder: Path, addresses: Addresses, origin: str) -> None:
        self._spec = spec
        self._server = spec.server
        self._ca = data_folder / spec.ca_file if spec.ca_file else None
        self._addresses = addresses
        self._origin = origin
        schema, table = spec.place("public")
        self._names = Names(schema, table, spec.ledger)
        self._place = f"{self._server.name}/{schema}.{table}"
        self._pool = Pool(self._connect)
        self.in_flight = spec.concurrency or 2

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`: a table has no folders."""
        return ""

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: lines are summed up and shaped in threads."""
        columns = columns_of(content, self._spec.record)
        total = await asyncio.to_thread(summed, content)
        written = Written(f"{self._place}/{key}", total.size_bytes, total.sha256)
        try:
            await self._land(key, columns, content, total)
        except Missing:
            async with self._transaction("make the tables at") as step:
                await step.make(columns, table=self._spec.create)
                await step.commit()
            try:
                await self._land(key, columns, content, total)
            except Missing:
                raise DestinationUnavailable(f"write {self._place}: the table went away again") from None
        return written

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: rows are no object."""
        return None

    async def objects(self, folder: str) -> AsyncIterator[Sequence[Found]]:
        """`Destination.objects`: what the ledger has of this origin."""
        last = ""
        while True:
            async with self._transaction("list") as step:
                found = await step.page(last, f"{folder}/")
                await step.roll_back()
            if not found:
                return
            yield found
            last = found[-1].key

    async def probe(self) -> list[Finding]:
        """`Destination.probe`: in a transaction that is rolled back."""
        findings: list[Finding] = []
        step_name = "connect"

        def note(message: str) -> None:
            findings.append(Finding(step=step_name, ok=True, message=message))

        try:
            async with self._transaction("try") as step:
                note(await step.greeting())
                step_name = "ledger"
                there = await step.exists(self._names.rows_at)
                await step.make(columns_of(Envelopes((), 0), self._spec.record), table=self._spec.create)
                key = f".probe-{uuid.uuid4().hex}"
                if not await step.claim(key, 0, Sum(0, "")) or await step.claim(key, 0, Sum(0, "")):
                    raise DestinationUnavailable("the ledger takes one batch twice", needs_person=True)
                note(f"{self._names.schema}.{self._names.ledger} takes each batch once")
                step_name = "table"
                shape = await step.shape()
                shown = ", ".join(f"{name} {column.type}" for name, column in shape.items())
                await step.require_right()
                note(told_of(f"{self._names.schema}.{self._names.table}", shorten(shown, 1_000), there=there))
                step_name = "roll back"
                await step.roll_back()
                note("nothing of this is left")
        except (DestinationUnavailable, Rejected) as error:
            findings.append(Finding(step=step_name, ok=False, message=error.message))
        return findings

    async def close(self) -> None:
        """`Destination.close`."""
        await self._pool.close()

    async def _land(self, key: str, columns: Sequence[Column], content: Content, total: Sum) -> None:
        async with self._transaction("write") as step:
            if await step.claim(key, content.rows, total):
                await step.require(columns)
                await step.copy(columns, content)
                await step.commit()
            else:
                await step.roll_back()

    @asynccontextmanager
    async def _transaction(self, doing: str) -> AsyncIterator[Transaction]:
        """To be committed or rolled back in the block. Raises: DestinationUnavailable, Rejected; what it raises."""
        step = Transaction(self._names, self._origin, self._spec.json_type)
        try:
            async with asyncio.timeout(self._spec.timeout), self._pool.connection() as connection:
                await step.begin(connection, self._spec.timeout)
                yield step
        except (DestinationUnavailable, Rejected, Missing):
            raise
        except Exception as error:
            told = failure(f"{doing} {self._place}", error, step.step)
            if told is None:
                raise
            raise told from error

    async def _connect(self) -> Any:
        try:
            tls = await asyncio.to_thread(tls_for, self._server, self._ca)
        except OSError as error:
            said = f"read the certificates in {self._ca}: {error.strerror}"
            raise DestinationUnavailable(said, needs_person=True) from error
        return await in_utf8(await connected(self._server, tls, self._addresses))


def refusals(spec: PostgresSpec, check_url: Callable[[str], None], *, ambient: bool) -> dict[str, str]:
    """
    By field, what a pipeline that is made through an API may not have: an address that the guard refuses as it is
    written, and, unless `ambient`, sockets and files of the machine that the appliance runs on.
    """
    allow = "; or have `ambient_credentials: true` set in the settings"
    refused: dict[str, str] = {}
    if spec.dsn.text is None:
        return refused  # sealed with a key that is not here: nobody connects
    field, server = "dsn" if spec.dsn.text else "host", spec.server
    if not server.is_socket:
        try:
            check_url(f"https://[{server.host}]/" if ":" in server.host else f"https://{server.host}/")
        except ValueError as error:
            refused[field] = str(error)
    elif not ambient:
        refused[field] = f"is a Unix socket of the appliance's machine{allow}"
    if spec.ca_file and not ambient:
        refused["ca_file"] = f"is a file of the appliance's machine{allow}"
    return refused
