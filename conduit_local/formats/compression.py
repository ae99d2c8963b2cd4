"""Compression of objects: streaming, and without anything that differs from run to run (no time, no name)."""

import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression = Literal["none", "gzip", "zstd"]

SUFFIXES: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}

_GZIP_WINDOW = 31  # 15 bits of window, and a gzip header whose time is zero
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3


def compress(parts: Iterable[bytes], how: Compression) -> Iterator[bytes]:
    """`parts` as one stream, compressed."""
    match how:
        case "none":
            yield from parts
        case "gzip":
            gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            for part in parts:
                yield gzip.compress(part)
            yield gzip.flush()
        case "zstd":
            frame = zstd.ZstdCompressor(level=_ZSTD_LEVEL)
            for part in parts:
                yield frame.compress(part)
            yield frame.flush()
