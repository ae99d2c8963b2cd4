"""Reading JSON documents: an array of objects, or one object; as a file, or as a part of a server's answer."""

import re
from collections.abc import Callable, Iterator

from conduit_local.core.event import MAX_PAYLOAD_BYTES
from conduit_local.core.strict import NotJson, check_json
from conduit_local.formats.pieces import READ_BYTES, Input, Piece, Place, Skip

MAX_DOCUMENT_BYTES = 64 * 1024**2
_MARK = b"\xef\xbb\xbf"
_BETWEEN = re.compile(rb"[\s,]*+")
_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]|\\.)*+"[^"{}\[\]]*+)*+([{}\[\]])', re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^,\]\s]++', re.DOTALL)


def read_json_document(file: Input, place: Place, final: Callable[[], bool]) -> Iterator[Piece]:
    """
    `Reader` of a file that holds one array of objects, or one object: read once it is `final`.

    Nothing of a file that is not JSON from end to end becomes an event.
    Shape: at most 64 MiB.
    """
    file.seek(0)
    parts: list[bytes] = []
    size = 0
    while size <= MAX_DOCUMENT_BYTES and (chunk := file.read(READ_BYTES)):
        parts.append(chunk)
        size += len(chunk)
    text = b"".join(parts)
    parts.clear()
    if size <= MAX_DOCUMENT_BYTES and not final():
        return
    error: str | None = None
    if size > MAX_DOCUMENT_BYTES:
        error = f"the file has more than {MAX_DOCUMENT_BYTES:,} bytes; write large ones as JSON lines"
    elif text.removeprefix(_MARK).strip():
        try:
            check_json(text.removeprefix(_MARK))
        except NotJson as problem:
            error = f"the file {problem}"
    else:
        return
    if error is not None:
        yield Piece(place._replace(skip=Skip.REST), text[:MAX_PAYLOAD_BYTES], error)
        return
    first = _end_of(_BETWEEN.match(text, len(_MARK) if text.startswith(_MARK) else 0))
    if text[first : first + 1] == b"[":
        yield from _elements_from(text, place, first)
    elif place.offset == 0:
        yield Piece(Place(size, 1), text[first:].rstrip())


def _elements_from(text: bytes, place: Place, first: int) -> Iterator[Piece]:
    number = place.number
    for begin, end in elements(text, max(place.offset, first + 1)):
        number += 1
        yield Piece(Place(end, number), text[begin:end], None, f"[{number - 1}]")


def elements(text: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """
    Where the elements of an array begin and end, from one of them on: `offset` stands behind its `[` or an element.

    `text` is valid JSON; nothing is made of what stands in it, so that an array of a million objects costs no memory.
    """
    while True:
        begin = _end_of(_BETWEEN.match(text, offset))
        head = text[begin : begin + 1]
        if head in {b"]", b""}:
            return
        offset = closing(text, begin) if head in {b"{", b"["} else _end_of(_SCALAR.match(text, begin))
        yield begin, offset


def closing(text: bytes, begin: int) -> int:
    """Behind the bracket that closes the one at `begin`."""
    depth = 0
    while True:
        found = _TO_BRACKET.match(text, begin)
        begin = _end_of(found)
        depth += 1 if text[begin - 1] in b"{[" else -1
        if depth == 0:
            return begin


def _end_of(found: re.Match[bytes] | None) -> int:
    assert found is not None, "only valid JSON is looked at"
    return found.end()
