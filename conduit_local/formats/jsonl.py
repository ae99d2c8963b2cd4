"""JSON lines."""

from collections.abc import Iterator

from conduit_local.core.content import Content
from conduit_local.core.encoding import Record
from conduit_local.core.envelope import payload_of


def records(content: Content, form: Record) -> Iterator[bytes]:
    """
    The lines of an object: envelopes as they are, or each payload's own bytes; a transform's rows as they are.

    The pieces abut: how the lines are spread over them does not show in the result.
    """
    if form == "envelope" or content.columns is not None:
        yield from content.pieces()
        return
    for part in content.pieces():
        lines = part.split(b"\n")
        lines[:-1] = map(payload_of, lines[:-1])
        yield b"\n".join(lines)
