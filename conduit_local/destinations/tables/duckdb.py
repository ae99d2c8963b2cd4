"""
A table of a DuckDB file: the warehouse's stand-in on a laptop.

Exactly once: a batch's rows and its row in a ledger are one transaction of one file. A repeat finds the ledger's row,
with the sum of the same lines, and adds nothing; a key that is there with other lines blocks the route until a person
decides.

The file is open for no longer than a batch takes, and by a process of its own, so that anybody can read it in between;
while somebody else has it open, delivering waits.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from conduit_local.core.batch import Written, seqs_of
from conduit_local.core.content import Content, Envelopes
from conduit_local.core.delivering import Finding, Found, ObjectContent, Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.spec import Bytes
from conduit_local.destinations.files import check_path
from conduit_local.destinations.tables.duckdb_process import Child
from conduit_local.destinations.tables.rows import columns_of, summed, told_of
from conduit_local.destinations.tables.spec import TableSpec

_ENDING = ".duckdb"
_MOST_WAIT_S = 10.0
_MIB = 1024**2


def _database(path: str) -> str:
    if not check_path(path).endswith(_ENDING):
        raise ValueError(f"must end in {_ENDING}, so that nothing else is taken for a database")
    return path


class DuckdbSpec(TableSpec):
    """Lands batches in a table of a DuckDB file."""

    remote: ClassVar[bool] = False

    type: Literal["duckdb"] = "duckdb"
    path: Annotated[str, AfterValidator(_database)] = "warehouse.duckdb"
    """The file: relative to the data folder, or absolute (in configuration files; for APIs where allowed)."""
    create: bool = True
    """Makes the table when it is not there."""
    memory: Annotated[Bytes, Field(ge=64 * _MIB, le=64 * 1024 * _MIB)] = 512 * _MIB
    """How much of it a batch's transaction may take; a batch of rows that need more comes in halves."""


class DuckdbDestination:
    """`Destination` for a table of a DuckDB file."""

    extension = "rows"

    def __init__(self, spec: DuckdbSpec, data_folder: Path, origin: str) -> None:
        self._spec = spec
        self._data_folder = data_folder
        self._path = data_folder / spec.path
        self._origin = origin
        schema, table = spec.place("main")
        self._place = f"{self._path}/{schema}.{table}"
        self._tables = {"schema": schema, "table": table, "ledger": spec.ledger, "origin": origin}
        self._child = Child()
        self._kept: tuple[int, int] | None = None
        self.in_flight = spec.concurrency or 1

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`: a table has no folders."""
        return ""

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: lines are summed up in a thread, and become rows in the process."""
        total = await asyncio.to_thread(summed, content)
        first_seq, last_seq = seqs_of(key) or (None, None)
        batch = {"key": key, "first_seq": first_seq, "last_seq": last_seq, "rows": content.rows, **total._asdict()}
        columns = columns_of(content, self._spec.record)
        request = {"write": batch, "columns": columns, "envelopes": content.columns is None}
        await self._asked("write", request, content)
        try:
            await asyncio.to_thread(self._keep_name)
        except OSError as error:
            raise DestinationUnavailable(f"write {self._place}: {error.strerror}") from error
        return Written(f"{self._place}/{key}", total.size_bytes, total.sha256)

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: rows are no object."""
        return None

    async def objects(self, folder: str) -> AsyncIterator[Sequence[Found]]:
        """`Destination.objects`: what the ledger has of this origin."""
        last = ""
        while await asyncio.to_thread(self._path.exists):
            found = [Found(*one) for one in await self._asked("list", {"page": [last, f"{folder}/"]})]
            if not found:
                return
            yield found
            last = found[-1].key

    async def probe(self) -> list[Finding]:
        """`Destination.probe`: in a transaction that is rolled back."""
        try:
            there, shape = await self._asked(
                "try", {"probe": True, "columns": columns_of(Envelopes((), 0), self._spec.record)}
            )
        except DestinationUnavailable as error:
            return [Finding(step="write", ok=False, message=error.message)]
        shown = ", ".join(f"{name} {kind}" for name, kind in shape.items())[:1_000]
        return [
            Finding(step="write", ok=True, message=told_of(self._place, shown, there=there)),
            Finding(
                step="ledger", ok=True, message=f"{self._spec.ledger} takes each batch once; nothing is left of it"
            ),
        ]

    async def close(self) -> None:
        """`Destination.close`."""
        await self._child.close()

    async def _asked(self, doing: str, request: Mapping[str, Any], content: Content | None = None) -> Any:
        """What the process did. Raises: DestinationUnavailable, Rejected."""
        try:
            path = await asyncio.to_thread(self._checked)
            place = {
                **self._tables,
                "path": str(path),
                "create": self._spec.create,
                "memory": self._spec.memory,
                "wait_s": min(_MOST_WAIT_S, self._spec.timeout / 2),
            }
            answer = await self._child.ask({**request, "place": place}, self._spec.timeout, content)
        except OSError as error:
            raise DestinationUnavailable(f"{doing} {self._place}: {error.strerror}", needs_person=True) from error
        except DestinationUnavailable as error:
            raise DestinationUnavailable(f"{doing} {self._place}: {error.message}") from error
        kind, message = answer.get("failed", ("", ""))
        if kind == "rows":
            raise Rejected(message)
        if kind:
            raise DestinationUnavailable(f"{doing} {self._place}: {message}", needs_person=kind == "person")
        return answer["done"]

    def _keep_name(self) -> None:
        """A file that is new, DuckDB syncs; not so its name in the folder. Raises: OSError."""
        real = self._path.resolve()
        found = real.stat()
        if self._kept != (found.st_dev, found.st_ino):
            _sync(real.parent)
            self._kept = (found.st_dev, found.st_ino)

    def _checked(self) -> Path:
        """The file's real path, its folder made. Raises: OSError where a link leads out of the data folder."""
        folder = self._path.parent
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in made:
            _sync(one.parent)
        if Path(self._spec.path).is_absolute():
            return self._path
        real = self._path.resolve()
        if not real.is_relative_to(self._data_folder.resolve()):
            raise PermissionError(0, "a symbolic link leads out of the data folder")
        return real


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
