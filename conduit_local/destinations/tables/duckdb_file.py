"""A DuckDB file: opened for one transaction at a time, and for no longer than that takes."""

import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from conduit_local.core.content import Column
from conduit_local.core.delivering import Rejected
from conduit_local.destinations.tables.duckdb_table import Batch, Failed, Place, Table
from conduit_local.destinations.tables.rows import uncounted

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": "2",
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
_OURS = re.compile(r"(?: when casting from source column .*)? LINE 1: .*$")
_ADVICE = " Possible solutions"
_LOCKED = "lock on file"
_LOOK_S = 0.02
_CONTENT = (duckdb.ConversionException, duckdb.ConstraintException, duckdb.OutOfRangeException)
_PASSING = (duckdb.IOException, duckdb.TransactionException, duckdb.InterruptException)
"""What another attempt may get past; all else is a table, a file or a statement that is wrong, and stays so."""
_NO_DATABASE = (
    *("not a valid DuckDB", "Permission denied", "newer version", "Is a directory", "older version"),
    *("Corrupt", "corrupt", "not enough bytes", "could not read", "Could not read", "checksum"),
)


class TooMuch(Failed):
    """It took more memory than it may."""


def write(place: Place, batch: Batch, columns: Sequence[Column], pieces: Iterable[bytes], *, envelopes: bool) -> bool:
    """
    A batch, once; False when it was there. Raises: Failed; more rows than the memory takes are refused, so that fewer
    come.
    """
    try:
        return _write(place, batch, columns, pieces, envelopes=envelopes)
    except TooMuch as failed:
        if batch.rows > 1 and (batch.first_seq is None or batch.first_seq != batch.last_seq):
            raise Failed("rows", failed.message) from None
        raise


def _write(place: Place, batch: Batch, columns: Sequence[Column], pieces: Iterable[bytes], *, envelopes: bool) -> bool:
    with _transaction(place) as table:
        table.make_ledger()
        if not table.claim(batch):
            return False
        table.require(columns)
        with _about_rows():
            count = table.insert(columns, pieces, envelopes=envelopes)
        if count != batch.rows:
            raise Failed("person", uncounted(count, batch.rows))
    return True


def page(place: Place, last: str, prefix: str) -> list[tuple[str, int, str]]:
    """`Table.page`. Raises: Failed."""
    with _transaction(place, keep=False) as table:
        table.make_ledger()
        return table.page(last, prefix)


def probe(place: Place, columns: Sequence[Column]) -> tuple[bool, dict[str, str]]:
    """Whether the table is there, and its columns; nothing is left behind, no file either. Raises: Failed."""
    if Path(place.path).exists():
        return _probed(place, columns)
    trial = Path(place.path).with_name(f".probe-{uuid.uuid4().hex}")
    try:
        return _probed(replace(place, path=str(trial)), columns)
    finally:
        for path in (trial, trial.with_name(f"{trial.name}.wal")):
            path.unlink(missing_ok=True)


def _probed(place: Place, columns: Sequence[Column]) -> tuple[bool, dict[str, str]]:
    with _transaction(place, keep=False) as table:
        table.make_ledger()
        batch = Batch(key=".probe", first_seq=None, last_seq=None, rows=0, size_bytes=0, sha256="")
        if not table.claim(batch) or table.claim(batch):
            raise Failed("person", "the ledger takes one batch twice")
        there = bool(table.shape())
        if not there:
            table.require(columns)
        return there, {name: kind for name, (kind, _) in table.shape().items()}


@contextmanager
def _transaction(place: Place, *, keep: bool = True) -> Iterator[Table]:
    """Committed at the end of the block, if it is to `keep`, unless that raises. Raises: Failed."""
    db = _opened(place)
    try:
        with _worded(place):
            db.execute("SET TimeZone = 'UTC'")
            db.execute("BEGIN")
            yield Table(db, place)
            db.execute("COMMIT" if keep else "ROLLBACK")
    finally:
        db.close()  # what is not committed is rolled back; what is goes from its log into the file


def _opened(place: Place) -> duckdb.DuckDBPyConnection:
    """The file, for us alone; waits while another process has it open."""
    until = time.monotonic() + place.wait_s
    while True:
        try:
            with _worded(place):
                return duckdb.connect(place.path, config={**_CONFIG, "memory_limit": f"{place.memory}B"})
        except Failed as failed:
            if _LOCKED not in failed.message:
                raise
            if time.monotonic() > until:
                raise Failed("wait", f"another process has the file open: {failed.message}") from None
        time.sleep(_LOOK_S)


@contextmanager
def _about_rows() -> Iterator[None]:
    """What the table refuses of the rows. Raises: Failed."""
    try:
        yield
    except Rejected as error:
        raise Failed("rows", error.message) from None
    except _CONTENT as error:
        raise Failed("rows", _said(error)) from None


@contextmanager
def _worded(place: Place) -> Iterator[None]:
    """Raises: Failed instead of what DuckDB raises."""
    try:
        yield
    except duckdb.ConstraintException as error:  # some are looked at when it is committed
        raise Failed("rows", _said(error)) from None
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        said = f"needs more than the destination's `memory` of {place.memory // 1024**2}MiB: raise it, or lower `batch`"
        raise TooMuch("person", f"{said}: {_said(error).partition(_ADVICE)[0]}") from None
    except duckdb.Error as error:
        said = _said(error)
        wrong = not isinstance(error, _PASSING) or any(words in said for words in _NO_DATABASE)
        raise Failed("person" if wrong else "wait", said) from None


def _said(error: Exception) -> str:
    """Without what of our own statement it quotes."""
    return _OURS.sub("", " ".join(str(error).split()))[:600]
