"""What destinations need to make objects that are no lines of text; a part of `core.ports`, by subject."""

from collections.abc import Iterator
from typing import Literal, Protocol

from conduit_local.core.content import Content

Record = Literal["envelope", "payload"]


class EncodedFile(Protocol):
    """The bytes of an object, kept until it is closed; to be read as often as it takes, in any thread."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """The bytes from the first one on. Shape: at most 1 MiB a piece."""
        ...

    def close(self) -> None:
        """Let go of what it holds: a scratch file."""
        ...


class Encoder(Protocol):
    """Makes Parquet, out of harm's way."""

    async def parquet(self, content: Content, record: Record) -> EncodedFile:
        """
        The rows as a Parquet file, which the caller closes. The same rows give the same bytes.

        Shape:  a transform's columns with their types; else the envelope's fields, the payload as JSON text, or
                `payload` alone.
        Raises: Rejected when some row has no place in a column of its type; DestinationUnavailable.
        """
        ...
