"""JSON lines as columns of text, for what keeps rows in tables."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from conduit_local.core.content import Column, Content
from conduit_local.core.delivering import Rejected
from conduit_local.core.encoding import Record
from conduit_local.core.plain import shorten

_PAYLOAD = Column("payload", "JSON")
_ENVELOPE = (
    Column("event_id", "VARCHAR"),
    Column("pipeline_id", "VARCHAR"),
    Column("event_type", "VARCHAR"),
    Column("received_at", "TIMESTAMP WITH TIME ZONE"),
    _PAYLOAD,
)
_QUOTED = ("VARCHAR", "UUID", "DATE", "TIME", "INTERVAL", "BLOB", "BIT", "ENUM(")
"""What the names of types begin with whose values are texts in JSON."""
_DOCUMENTS = ("STRUCT(", "MAP(", "UNION(", "TUPLE(")

_ODD = re.compile(r'[\\"\x00-\x1f]')

Texts = tuple[str | None, ...]
"""A row: each value as DuckDB writes it, None for NULL."""


def columns_of(content: Content, record: Record) -> tuple[Column, ...]:
    """The columns that the rows land in."""
    if content.columns is not None:
        return content.columns
    return _ENVELOPE if record == "envelope" else (_PAYLOAD,)


def is_nested(kind: str) -> bool:
    """Whether values of DuckDB's type `kind` are JSON documents in a line: lists, structs, JSON itself."""
    return kind in {"JSON", "VARIANT"} or kind.endswith("]") or kind.startswith(_DOCUMENTS)


def no_place(name: str, kind: str, culprit: str) -> str:
    """What is said of a column of the type `kind` that does not land as it is, because of the type `culprit`."""
    shown = '"' + name.replace('"', '""') + '"'
    return (
        f"column {name!r} is {shorten(kind, 200)}, and {shorten(culprit, 200)} does not land here as it is; have the"
        f" query make something else of it: CAST({shown} AS {'JSON' if is_nested(kind) else 'VARCHAR'})"
    )


def told_of(table: str, shown: str, *, there: bool) -> str:
    """What people hear of a table that was looked at, and of its columns."""
    if there:
        return f"{table} is there; its columns are shown here, not compared with the rows to come: {shown}"
    return f"{table} is not there yet; it is made with the first batch, of envelopes with {shown}"


class Sum(NamedTuple):
    """What a batch's lines amount to: by this a repeat is known."""

    size_bytes: int
    sha256: str


def summed(content: Content) -> Sum:
    """The sum of the lines, whatever becomes of them; to be called in a thread."""
    digest, size = hashlib.sha256(), 0
    for piece in content.pieces():
        digest.update(piece)
        size += len(piece)
    return Sum(size, digest.hexdigest())


ENVELOPE_LINE = re.compile(
    rb'\{"event_id":"([^"\\]*)","pipeline_id":"([^"\\]*)","event_type":"([^"\\]*)","received_at":"([^"\\]*)","payload":(.*)\}\n'
)
"""An envelope, its fields as groups; only the payload can hold what JSON escapes (`core.envelope`)."""


def uncounted(found: int, wanted: int) -> str:
    """What is said where not every line of a batch is a row: a mistake of ours, which no event may die of."""
    return (
        f"{found} of {wanted} lines are rows as they are written here; nothing of the batch was kept, and repeating it"
        " changes nothing: this is a mistake of the appliance's, please report it"
    )


def texts_of(columns: Sequence[Column]) -> Callable[[bytes], Iterator[Texts]]:
    """
    What makes rows of a piece of a transform's lines.

    Numbers and documents come out as they were written: nothing is read as a number on the way.
    """
    values = _values_of(columns)

    def rows(piece: bytes) -> Iterator[Texts]:
        try:
            for row in values(piece):
                yield tuple(map(_text, row))
        except (ValueError, RecursionError) as error:
            raise Rejected(f"a row that is no JSON object of its columns: {error}") from error

    return rows


def _values_of(columns: Sequence[Column]) -> Callable[[bytes], Iterator[tuple[Any, ...]]]:
    types = [_type_of(column.kind) for column in columns]
    names = [column.name for column in columns]
    if any(map(_ODD.search, names)):
        return partial(_odd_values, names, types)
    fields = [f"c{place}" for place in range(len(columns))]
    row = msgspec.defstruct("Row", list(zip(fields, types, strict=True)), rename=dict(zip(fields, names, strict=True)))
    decoder = msgspec.json.Decoder(row)

    def values(piece: bytes) -> Iterator[tuple[Any, ...]]:
        return map(msgspec.structs.astuple, decoder.decode_lines(piece))

    return values


def _odd_values(names: Sequence[str], types: Sequence[Any], piece: bytes) -> Iterator[tuple[Any, ...]]:
    """As of structs, whose fields cannot have such names."""
    for row in msgspec.json.Decoder(dict[str, msgspec.Raw]).decode_lines(piece):
        if row.keys() != set(names):
            raise ValueError("it has other columns")
        yield tuple(msgspec.json.decode(row[name], type=kind) for name, kind in zip(names, types, strict=True))


def _type_of(kind: str) -> Any:
    quoted = kind.startswith(_QUOTED) and not is_nested(kind)
    return str | None if quoted else msgspec.Raw


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    text = str(value, "utf-8")
    return None if text == "null" else text
