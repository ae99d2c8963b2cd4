"""Getting an object into a bucket: in one request, or in parts."""

import hashlib
import http.client
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.s3.bucket import Bucket
from conduit_local.destinations.s3.failures import Failure, Present
from conduit_local.engine.journal import LOGGER
from conduit_local.formats.objects import Pieces

_IN_MEMORY_BYTES = 8 * 1024**2
_PIECE_BYTES = 1 << 20
_NOT_FOR_US = {403, 404, 405, 501}
"""What servers say that do not know uploads' lists, or not for these keys."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a file. One thread at a time."""

    file: IO[bytes]
    start: int
    size_bytes: int

    def pieces(self) -> Iterator[bytes]:
        """`Body.pieces`."""
        self.file.seek(self.start)
        left = self.size_bytes
        while left:
            piece = self.file.read(min(left, _PIECE_BYTES))
            left -= len(piece)
            yield piece


@dataclass(frozen=True, slots=True)
class Spooled(Stretch):
    """A whole object."""

    sha256: str

    def part(self, start: int, size_bytes: int) -> Stretch:
        """A stretch of it."""
        return Stretch(self.file, start, min(size_bytes, self.size_bytes - start))


@contextmanager
def spooled(pieces: Pieces, folder: Path) -> Iterator[Spooled]:
    """
    The object's bytes, ready to be sent as often as it takes: in memory up to 8 MiB, else in a file without a name.

    Raises: DestinationUnavailable when there is no room for them.
    """
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+b", dir=str(folder)) as file:
        digest = hashlib.sha256()
        size = 0
        for piece in pieces():
            digest.update(piece)
            size += len(piece)
            try:
                file.write(piece)
            except OSError as error:
                raise DestinationUnavailable(f"keep an object in {folder} to send it: {error.strerror}") from error
        yield Spooled(file, 0, size, digest.hexdigest())


class Uploader:
    """
    Puts objects into a bucket, each once. For threads.

    `heeds_condition` says that the server is known to refuse to write over what is there when it is told so; else each
    object is looked for first.
    """

    def __init__(self, bucket: Bucket, part_size: int, *, heeds_condition: bool) -> None:
        self._bucket = bucket
        self._part_size = part_size
        self._looks_first = not heeds_condition
        self._sends_condition = True
        self._lists_uploads = True

    def put(self, key: str, body: Spooled) -> None:
        """The object is there, with these bytes, whoever put it there. Raises: Failure."""
        try:
            if self._looks_first and self._bucket.size_of(key) is not None:
                raise Present
            if body.size_bytes <= self._part_size:
                self._bucket.put(key, body, create=self._sends_condition)
            else:
                self._put_in_parts(key, body)
        except Present:
            self._require_same(key, body)
        except Failure as failure:
            if failure.status != http.client.NOT_IMPLEMENTED or not self._sends_condition:
                raise
            self._looks_first, self._sends_condition = True, False  # it does not take the header at all
            self.put(key, body)

    def _put_in_parts(self, key: str, body: Spooled) -> None:
        """
        What an attempt that was killed has left of the same object is cleared away first. An upload that fails is
        aborted at once, unless nobody knows whether it was completed: aborting it then would, on some servers, take the
        parts away from the object. That is left to the next attempt, which finds either the object or the upload.
        """
        self._clear(key)
        upload = self._bucket.begin(key)
        is_in_doubt = False
        try:
            parts = [
                self._bucket.put_part(key, upload, number, body.part(start, self._part_size))
                for number, start in enumerate(range(0, body.size_bytes, self._part_size), 1)
            ]
            try:
                self._bucket.complete(key, upload, parts, create=self._sends_condition)
            except Failure as failure:
                is_in_doubt = failure.status is None or failure.status >= http.client.INTERNAL_SERVER_ERROR
                raise
        except (Failure, Present):
            if not is_in_doubt:
                self._abort(key, upload)
            raise

    def _clear(self, key: str) -> None:
        """Abort what earlier attempts have begun at this key and not ended. Raises: Failure."""
        if not self._lists_uploads:
            return
        try:
            left = self._bucket.uploads(key)
        except Failure as failure:
            if failure.status not in _NOT_FOR_US:
                raise
            self._lists_uploads = False
            LOGGER.warning(
                "s3: what broken uploads leave cannot be looked for (%s); let the bucket drop it after a day",
                failure.reason,
            )
            return
        for upload in left:
            self._bucket.abort(key, upload)

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._bucket.abort(key, upload)
        except Failure as failure:
            LOGGER.warning("s3: a broken upload is still there (%s); the next attempt clears it away", failure.reason)

    def _require_same(self, key: str, body: Spooled) -> None:
        """Raises: Failure, for a person, unless the object at `key` has these bytes."""
        found = self._bucket.open(key)
        if found is None:
            raise Failure("the object was there, and is gone")
        size, pieces = found
        try:
            if size == body.size_bytes and _sha256(pieces) == body.sha256:
                return
        finally:
            pieces.close()
        raise Failure(
            "an object with other content is there; move it away, or give the destination another prefix",
            needs_person=True,
        )


def _sha256(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
