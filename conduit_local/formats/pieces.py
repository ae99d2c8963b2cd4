"""What readers of files have in common: a file is read piece by piece, and can be gone on with from any of them."""

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

from conduit_local.core.event import MAX_PAYLOAD_BYTES

READ_BYTES = 262_144
MAX_PIECE_BYTES = MAX_PAYLOAD_BYTES + 1_024
"""Room for the largest payload and some space around it; of a longer piece nothing more is held in memory."""


class Skip(IntEnum):
    """What is passed over from here on."""

    NOTHING = 0
    LINE = 1
    """The rest of a line that is too long."""
    QUOTED = 2
    """The rest of a CSV record that is too long, from within quotes."""
    REST = 3
    """All of the file, as far as it goes."""


class Place(NamedTuple):
    """Where reading goes on."""

    offset: int = 0
    """Bytes that are behind it, unpacked."""
    number: int = 0
    """Lines that are behind it; elements in a JSON array."""
    skip: Skip = Skip.NOTHING


class Piece(NamedTuple):
    """
    One step through a file: an object's JSON in `content`; where `error` is set, what cannot be one (262,144 bytes of
    it at most); or nothing but progress, where `content` is None.
    """

    end: Place
    """Behind the piece."""
    content: bytes | None = None
    error: str | None = None
    where: str = ""
    """In which place of the file, for people: `:17`, `[3]`."""


class Input(Protocol):
    """A file's bytes, unpacked."""

    header: bytes | None
    """What a reader keeps of the file's begin, so that it need not go back to it."""

    def seek(self, offset: int) -> None:
        """Go to this byte. Raises: Corrupt, OSError."""
        ...

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at what is the end for now. Raises: Corrupt, OSError."""
        ...


class Corrupt(Exception):
    """A packed file that cannot be unpacked; the message says why."""


Reader = Callable[[Input, Place, Callable[[], bool]], Iterator[Piece]]
"""
The pieces of a file from a place on. The last argument, asked when its end is reached, says whether that is one:
whether what stands there without a line feed is whole. Raises: Corrupt, OSError.
"""


def too_long(what: str) -> str:
    """The error of a piece that is too long to be looked at."""
    return f"{what} has more than {MAX_PAYLOAD_BYTES:,} bytes"
