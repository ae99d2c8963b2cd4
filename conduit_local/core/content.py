"""What an object is made of: JSON lines, as the log keeps them or as a transform made them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Column(NamedTuple):
    """A column of a transform's rows. `kind` is DuckDB's name of its type: `DOUBLE`, `STRUCT(a INTEGER)`."""

    name: str
    kind: str


class Content(Protocol):
    """The rows of one batch, to be read as often as it takes, in any thread, until it is closed."""

    @property
    def columns(self) -> tuple[Column, ...] | None:
        """Those of a transform's rows; None where the lines are envelopes (`Chunk.lines`)."""
        ...

    @property
    def rows(self) -> int:
        """How many lines there are."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """The lines from the first one on; each piece holds whole lines, line feeds included."""
        ...

    def close(self) -> None:
        """Let go of what it holds: memory, a scratch file."""
        ...


@dataclass(frozen=True, slots=True)
class Envelopes:
    """Envelope lines, out of the log as they are."""

    parts: Sequence[bytes]
    rows: int
    columns: None = None

    def pieces(self) -> Iterator[bytes]:
        """`Content.pieces`."""
        yield from self.parts

    def close(self) -> None:
        """`Content.close`: the memory goes with the object."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Several contents of the same columns, one behind the other."""

    contents: Sequence[Content]

    @property
    def columns(self) -> tuple[Column, ...] | None:
        """`Content.columns`."""
        return self.contents[0].columns if self.contents else None

    @property
    def rows(self) -> int:
        """`Content.rows`."""
        return sum(one.rows for one in self.contents)

    def pieces(self) -> Iterator[bytes]:
        """`Content.pieces`."""
        for one in self.contents:
            yield from one.pieces()

    def close(self) -> None:
        """`Content.close`."""
        for one in self.contents:
            one.close()
