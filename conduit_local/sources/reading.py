"""A file to read from: plain, or unpacked on the way, in little memory whatever it holds."""

import hashlib
import os
import sys
import zlib

from conduit_local.formats.pieces import READ_BYTES, Corrupt

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MARK_BYTES = 1_024
MAX_UNPACKED_BYTES = 16 * 1024**3
_HELD_BYTES = 2 * 1024**2
"""How far back one can go in a packed file without unpacking it from its begin."""
_GZIP = 31
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}
"""128 MiB of memory at most, what `zstd` itself allows."""


def mark_of(content: bytes) -> str:
    """Tells two contents apart."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def packing_of(name: str) -> str:
    """How a file is packed, by its name: `gzip`, `zstd`, or not at all."""
    return "gzip" if name.endswith(".gz") else "zstd" if name.endswith(".zst") else ""


class PlainFile:
    """`Input` of a file as it stands. Takes over the descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.header: bytes | None = None
        self.position = 0
        self.scanned_bytes = 0
        self.head = b""
        """The first bytes, as they were when they were read."""
        self._held = b""

    @property
    def complete(self) -> bool:
        """Whether the end of the file is no end in the middle of something."""
        return True

    def seek(self, offset: int) -> None:
        """`Input.seek`."""
        if offset != self.position:
            self._held = b""
            self.position = offset

    def read(self, size: int) -> bytes:
        """`Input.read`."""
        found = os.pread(self.fd, size, self.position)
        if self.position == 0 and not self.head:
            self.head = found[:MARK_BYTES]
        self.position += len(found)
        self.scanned_bytes += len(found)
        self._held = (self._held + found)[-2 * READ_BYTES - MARK_BYTES :]
        return found

    def before(self, offset: int) -> bytes:
        """
        The bytes before `offset`, 1,024 at most: as they were when they were read, where that is not long ago, for the
        file may be another by now.
        """
        start = max(0, offset - MARK_BYTES)
        begin = self.position - len(self._held)
        if begin <= start and offset <= self.position:
            return self._held[start - begin : offset - begin]
        return os.pread(self.fd, offset - start, start)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.fd)


class PackedFile:
    """`Input` of what a gzip or zstd file holds; members and frames that follow one another are one text."""

    def __init__(self, fd: int, packing: str) -> None:
        self.fd = fd
        self.header: bytes | None = None
        self.position = 0
        self.scanned_bytes = 0
        self._packing = packing
        self._begin()

    def _begin(self) -> None:
        self._raw_offset = 0
        self._raw = b""
        self._gzip: zlib._Decompress | None = None
        self._zstd: zstd.ZstdDecompressor | None = None
        self._held = b""
        self._unpacked = 0
        self._at_end = False

    @property
    def complete(self) -> bool:
        """Whether what is packed ends where the file does."""
        return self._at_end and self._gzip is None and self._zstd is None

    def seek(self, offset: int) -> None:
        """`Input.seek`: back by unpacking from the begin again, but for a short way."""
        if offset < self._unpacked - len(self._held):
            self._begin()
        while self._unpacked < offset and self._more():
            pass
        self.position = offset

    def read(self, size: int) -> bytes:
        """`Input.read`."""
        while self.position >= self._unpacked:
            if not self._more():
                return b""
        start = len(self._held) - (self._unpacked - self.position)
        found = self._held[start : start + size]
        self.position += len(found)
        self.scanned_bytes += len(found)
        return found

    def _more(self) -> bool:
        """Unpack another piece; False at what is the end for now."""
        try:
            found = self._next()
        except (zlib.error, zstd.ZstdError) as error:
            raise Corrupt(f"it is not {self._packing}, or damaged: {error}") from error
        if found is None:
            self._at_end = True
            return False
        self._unpacked += len(found)
        if self._unpacked > MAX_UNPACKED_BYTES:
            raise Corrupt(f"it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
        self._held = (self._held + found)[-_HELD_BYTES:] if found else self._held
        return True

    def _next(self) -> bytes | None:
        if not self._raw and not self._has_output():
            self._raw = os.pread(self.fd, READ_BYTES, self._raw_offset)
            self._raw_offset += len(self._raw)
            if not self._raw:
                return None
        if self._gzip is None and self._zstd is None:
            self._raw = self._raw.lstrip(b"\0")  # tape and block devices fill up with zeros
            if not self._raw:
                return b""
        if self._packing == "gzip":
            return self._gunzip()
        return self._unzstd()

    def _has_output(self) -> bool:
        return self._zstd is not None and not self._zstd.needs_input

    def _gunzip(self) -> bytes:
        if self._gzip is None:
            self._gzip = zlib.decompressobj(_GZIP)
        found = self._gzip.decompress(self._raw, READ_BYTES)
        self._raw = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail
        if self._gzip.eof:
            self._gzip = None
        return found

    def _unzstd(self) -> bytes:
        if self._zstd is None:
            self._zstd = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        found = self._zstd.decompress(self._raw, READ_BYTES)
        self._raw = self._zstd.unused_data if self._zstd.eof else b""
        if self._zstd.eof:
            self._zstd = None
        return found

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.fd)


SourceFile = PlainFile | PackedFile


def open_as(fd: int, packing: str) -> SourceFile:
    """The file behind a descriptor, which is taken over."""
    return PackedFile(fd, packing) if packing else PlainFile(fd)
