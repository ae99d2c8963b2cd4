"""
Reading CSV: a header, then a record for each row, all values as text; commas, and quotes as RFC 4180 has them.

A record ends at a line feed outside quotes. That is found line by line, with nothing remembered but whether a quote is
open; so a file can be gone on with at any record, and a record that is too long is passed over in little memory.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from conduit_local.core.event import MAX_PAYLOAD_BYTES
from conduit_local.formats.pieces import MAX_PIECE_BYTES, READ_BYTES, Corrupt, Input, Piece, Place, Skip, too_long

MAX_COLUMNS = 2_000
_MARK = b"\xef\xbb\xbf"
_FIELD = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"(?=,|\Z)|([^",][^,]*+|)(?=,|\Z)')
_CLOSING = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')
_REST_OF_FIELD = re.compile(rb"[^,]*+,?")


class _Misshapen(ValueError):
    """Why a record is none."""


def read_csv(file: Input, place: Place, final: Callable[[], bool]) -> Iterator[Piece]:
    """
    `Reader` of CSV. A record is taken once its line feed is there, or the end is `final`; empty lines are passed over.

    Shape: at most 2,000 columns; a row with more or fewer values than the header has columns is no event.
    """
    if place.skip is Skip.REST:
        return
    columns = _known_columns(file, place)
    file.seek(place.offset)
    for text, end, error in _records(file, place, final):
        first = place.number + 1
        where, place = f":{first}", end
        if columns is None and text.strip(_MARK + b"\r\n \t"):
            try:
                if error is not None:
                    raise _Misshapen(error)
                columns, file.header = _header(text), text
            except _Misshapen as problem:
                said = f"the header is unusable: {problem}"
                yield Piece(end._replace(skip=Skip.REST), text[:MAX_PAYLOAD_BYTES], said, where)
                return
            yield Piece(end)
        elif error is not None:
            yield Piece(end, text[:MAX_PAYLOAD_BYTES], error, where)
        elif columns is None or not text.strip():
            yield Piece(end)
        else:
            yield _row(text, columns, end, where)


def _known_columns(file: Input, place: Place) -> list[str] | None:
    """The columns, where the header is before `place`."""
    if place.offset == 0:
        return None
    if file.header is None:
        file.seek(0)
        for text, end, _ in _records(file, Place(), lambda: True):
            if end.offset > place.offset:
                return None
            if text.strip(_MARK + b"\r\n \t"):
                file.header = text
                break
    if file.header is None:  # nothing but empty lines so far
        return None
    try:
        return _header(file.header)
    except _Misshapen:  # it was usable when it was read: the file is another by now
        raise Corrupt("its header has changed") from None


def _row(text: bytes, columns: list[str], end: Place, where: str) -> Piece:
    try:
        values = _values(text)
    except _Misshapen as problem:
        return Piece(end, text[:MAX_PAYLOAD_BYTES], str(problem), where)
    if len(values) != len(columns):
        said = f"the row has {len(values)} values, the header {len(columns)} columns"
        return Piece(end, text[:MAX_PAYLOAD_BYTES], said, where)
    return Piece(end, msgspec.json.encode(dict(zip(columns, values, strict=True))), None, where)


def _header(text: bytes) -> list[str]:
    names = [name.strip() for name in _values(text.removeprefix(_MARK))]
    if len(names) > MAX_COLUMNS:
        raise _Misshapen(f"it has more than {MAX_COLUMNS:,} columns")
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise _Misshapen(f"it names {twice[:80]!r} twice")
    if "" in names:
        raise _Misshapen(f"column {names.index('') + 1} has no name")
    return names


def _values(record: bytes) -> list[str]:
    """The values of one record. Raises: _Misshapen."""
    try:
        text = record.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise _Misshapen(f"the row is not UTF-8: byte {error.start} is {error.reason}") from None
    if '"' not in text:
        return text.split(",")
    values: list[str] = []
    at = 0
    while True:
        found = _FIELD.match(text, at)
        if found is None:
            raise _Misshapen(f"the quotes of value {len(values) + 1} are not closed, or something follows them")
        quoted, plain = found.groups()
        values.append(quoted.replace('""', '"') if quoted is not None else plain)
        at = found.end() + 1
        if at > len(text):
            return values


def _records(file: Input, place: Place, final: Callable[[], bool]) -> Iterator[tuple[bytes, Place, str | None]]:
    """The bytes of each record, its line feed included; where it ends; and why it cannot be one."""
    offset, number, skip = place
    parts: list[bytes] = []  # the lines of the record so far
    size = 0
    quoted = skip is Skip.QUOTED
    for line in _lines(file):
        whole = line.endswith(b"\n")
        offset, number = offset + len(line), number + whole
        quoted = _is_open_after(line, quoted)
        over = skip is not Skip.NOTHING
        if not over:
            parts.append(line)
            size += len(line)
        if whole and not quoted:
            yield (b"", Place(offset, number), None) if over else (b"".join(parts), Place(offset, number), None)
            parts, size, skip = [], 0, Skip.NOTHING
        elif over or size > MAX_PIECE_BYTES:
            skip = Skip.QUOTED if quoted else Skip.LINE
            text = b"".join(parts)
            yield text, Place(offset, number, skip), None if over else too_long("the record")
            parts, size = [], 0
    if parts and final():
        yield b"".join(parts), Place(offset, number), None


def _lines(file: Input) -> Iterator[bytes]:
    """Lines, their line feeds included; one that is too long comes in parts, as does the last one without a feed."""
    held = b""
    while chunk := file.read(READ_BYTES):
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(held) > MAX_PIECE_BYTES:
            yield held
            held = b""
    if held:
        yield held


def _is_open_after(line: bytes, quoted: bool) -> bool:
    """Whether a quote is open at the end of `line`, which begins within one, or else with a field."""
    if not quoted and b'"' not in line:
        return False
    at = 0
    while at < len(line):
        if quoted or line[at : at + 1] == b'"':
            closed = _CLOSING.match(line, at if quoted else at + 1)
            if closed is None:
                return True
            quoted, at = False, closed.end()
        rest = _REST_OF_FIELD.match(line, at)
        assert rest is not None
        at = rest.end()
    return False
