"""JSON lines."""

from collections.abc import Iterable, Iterator
from typing import Literal

from conduit_local.core.envelope import payload_of

Record = Literal["envelope", "payload"]


def records(parts: Iterable[bytes], form: Record) -> Iterator[bytes]:
    """
    The lines of an object out of envelope lines (`Chunk.lines`): as they are, or each payload's own bytes.

    The streams abut: how the lines are spread over `parts` does not show in the result.
    """
    if form == "envelope":
        yield from parts
        return
    for part in parts:
        lines = part.split(b"\n")
        lines[:-1] = map(payload_of, lines[:-1])
        yield b"\n".join(lines)
