"""Rows to write, and what a format makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conduit_local.core.content import Column


@dataclass(frozen=True, slots=True)
class Rows:
    """`Content` of a transform's rows, a line in each piece."""

    columns: tuple[Column, ...]
    lines: Sequence[bytes]

    @property
    def rows(self) -> int:
        """`Content.rows`."""
        return len(self.lines)

    def pieces(self) -> Iterator[bytes]:
        """`Content.pieces`."""
        for line in self.lines:
            yield line + b"\n"

    def close(self) -> None:
        """`Content.close`: nothing is held."""


def columns(**kinds: str) -> tuple[Column, ...]:
    """Columns by their names."""
    return tuple(Column(name, kind) for name, kind in kinds.items())
