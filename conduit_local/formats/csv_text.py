"""
CSV, after RFC 4180: a header, a row a line, lines that end in a line feed.

Envelopes have five fields, the payload as JSON text; payloads alone are one field of JSON text; a transform's rows have
its columns. Strings are written as what they are, numbers, lists and objects as their JSON, which leaves numbers as
they were. A column of JSON holds JSON text, strings too. NULL is an empty field, and an empty string a pair of quotes;
in an object of a single column, where an empty field would be an empty line and readers pass over those, so is NULL.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec

from conduit_local.core.content import Column, Content
from conduit_local.core.encoding import Record
from conduit_local.formats.jsonl import records

_QUOTED = re.compile(rb'[",\r\n]|\A\xef\xbb\xbf|\A\Z')
"""What stands in quotes: fields with a meaning in CSV, what begins like a byte order mark, the empty string."""


class _Envelope(msgspec.Struct):
    event_id: str
    pipeline_id: str
    event_type: str
    received_at: str
    payload: msgspec.Raw


_ENVELOPES = msgspec.json.Decoder(_Envelope)
_ROWS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING = msgspec.json.Decoder(str)


def csv_rows(content: Content, form: Record) -> Iterator[bytes]:
    """The header and the rows. The pieces abut: how the lines are spread over them does not show in the result."""
    if content.columns is not None:
        yield from _table(content.pieces(), content.columns)
    elif form == "envelope":
        yield b"event_id,pipeline_id,event_type,received_at,payload\n"
        yield from map(_envelopes, content.pieces())
    else:
        yield b"payload\n"
        yield from map(_payloads, records(content, form))


def _envelopes(lines: bytes) -> bytes:
    """Ids, types and times hold no character that CSV would quote; a payload always does."""
    return b"".join(
        [
            f'{one.event_id},{one.pipeline_id},{one.event_type},{one.received_at},"'.encode() + _doubled(one.payload)
            for one in _ENVELOPES.decode_lines(lines)
        ]
    )


def _payloads(lines: bytes) -> bytes:
    return b"".join([b'"' + _doubled(line) for line in lines.split(b"\n")[:-1]])


def _doubled(text: bytes | msgspec.Raw) -> bytes:
    """The rest of a field that a quote began, and the end of its line."""
    return bytes(text).replace(b'"', b'""') + b'"\n'


def _table(pieces: Iterator[bytes], columns: Sequence[Column]) -> Iterator[bytes]:
    null = b"" if len(columns) > 1 else b'""'
    fields = [(column.name, partial(_json if column.kind == "JSON" else _plain, null)) for column in columns]
    yield b",".join([_field(column.name.encode()) for column in columns]) + b"\n"
    for piece in pieces:
        rows = [b",".join([field(bytes(row[name])) for name, field in fields]) for row in _ROWS.decode_lines(piece)]
        yield b"\n".join([*rows, b""])


def _plain(null: bytes, value: bytes) -> bytes:
    """The field of a value that is `value` in JSON."""
    match value[:1]:
        case b'"' if b"\\" in value:
            return _field(_STRING.decode(value).encode())
        case b'"':
            return _field(value[1:-1])
        case b"{" | b"[":
            return _field(value)
        case b"n":
            return null
        case _:
            return value


def _json(null: bytes, value: bytes) -> bytes:
    """The same in a column of JSON."""
    return null if value == b"null" else _field(value)


def _field(text: bytes) -> bytes:
    return b'"' + text.replace(b'"', b'""') + b'"' if _QUOTED.search(text) else text
