"""An object's bytes, by format: written streaming, so that a batch is never in memory twice."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from conduit_local.core.content import Content
from conduit_local.core.encoding import Encoder, Record
from conduit_local.formats.compression import SUFFIXES, Compression, compress
from conduit_local.formats.csv_text import csv_rows
from conduit_local.formats.jsonl import records

Format = Literal["jsonl", "csv", "parquet"]
Pieces = Callable[[], Iterator[bytes]]
"""An object's bytes from the first one on, as often as it is called; to be read in a thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectForm:
    """How rows become an object."""

    format: Format = "jsonl"
    compression: Compression = "none"
    record: Record = "envelope"

    @property
    def extension(self) -> str:
        """What the names of such objects end with: `jsonl.zst`."""
        return f"{self.format}{SUFFIXES[self.compression]}"


@asynccontextmanager
async def encoded(content: Content, form: ObjectForm, encoder: Encoder) -> AsyncIterator[Pieces]:
    """The object that `content` becomes. Raises: Rejected, DestinationUnavailable."""
    if form.format == "parquet":
        file = await encoder.parquet(content, form.record)
        try:
            yield file.pieces
        finally:
            file.close()
        return
    rows = csv_rows if form.format == "csv" else records
    yield lambda: compress(rows(content, form.record), form.compression)


class Summed:
    """Pieces on their way, counted and summed up."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._digest.update(piece)
            self.size_bytes += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        """Of what has passed by, in hexadecimal digits."""
        return self._digest.hexdigest()
