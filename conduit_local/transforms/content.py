"""What a transform made of a batch: lines in a scratch file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conduit_local.core.content import Column

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TransformedContent:
    """`Content` over a file of its own, which goes when it is closed; open only while it is read."""

    path: Path
    rows: int
    columns: tuple[Column, ...] | None

    def pieces(self) -> Iterator[bytes]:
        """`Content.pieces`: 1 MiB each and what the last line in it takes more."""
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece if piece.endswith(b"\n") else piece + file.readline()

    def close(self) -> None:
        """`Content.close`."""
        self.path.unlink(missing_ok=True)
