"""Reading JSON lines: one object a line; lines without anything are passed over."""

from collections.abc import Callable, Iterator

from conduit_local.core.event import MAX_PAYLOAD_BYTES
from conduit_local.formats.pieces import MAX_PIECE_BYTES, READ_BYTES, Input, Piece, Place, Skip, too_long

_SPACE = b" \t\r"
_MARK = b"\xef\xbb\xbf"


def read_json_lines(file: Input, place: Place, final: Callable[[], bool]) -> Iterator[Piece]:
    """
    `Reader` of JSON lines. A line is taken once its line feed is there, or the end is `final`.

    What is half an object is never one: no begin of an object's JSON is valid JSON.
    """
    file.seek(place.offset)
    offset, number, skip = place
    held = b""
    while chunk := file.read(READ_BYTES):
        if skip is not Skip.NOTHING:
            end = chunk.find(b"\n") + 1
            offset += end or len(chunk)
            if not end:
                yield Piece(Place(offset, number, skip))
                continue
            number, skip, chunk = number + 1, Skip.NOTHING, chunk[end:]
            yield Piece(Place(offset, number))
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            offset, number = offset + len(line) + 1, number + 1
            yield _piece(line, Place(offset, number), number)
        if len(held) > MAX_PIECE_BYTES:
            offset, skip = offset + len(held), Skip.LINE
            found = held[:MAX_PAYLOAD_BYTES]
            yield Piece(Place(offset, number, skip), found, too_long("the line"), f":{number + 1}")
            held = b""
    if held and final():
        yield _piece(held, Place(offset + len(held), number), number + 1)


def _piece(line: bytes, end: Place, number: int) -> Piece:
    if number == 1:
        line = line.removeprefix(_MARK)
    if not line or not line.strip(_SPACE):
        return Piece(end)
    if len(line) > MAX_PIECE_BYTES:
        return Piece(end, line[:MAX_PAYLOAD_BYTES], too_long("the line"), f":{number}")
    return Piece(end, line, None, f":{number}")
