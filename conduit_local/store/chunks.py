"""Lines to the bytes of a chunk, and back."""

import sys
from collections.abc import Iterator

from conduit_local.core.envelope import payload_of, type_of
from conduit_local.core.event import StoredEvent
from conduit_local.core.ids import EventId

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLAIN, ZSTD = 0, 1
MAX_CHUNK_EVENTS = 4_000
MAX_CHUNK_BYTES = 1_048_576
MAX_TYPES_TEXT = 2_000

_WORTH_IT_BYTES = 2_048
"""Below this, a zstd frame saves less than its set-up costs: 20 us to decode, measured."""


class Encoder:
    """
    Writes chunks in one thread; keeps its compressor.

    zstd level 1: JSON lines shrink 9 to 18 times at 600 to 1,500 MB/s, so the log, its WAL and the checkpoint write
    a tenth of the bytes; without it, writing them was half of all CPU (2 of 4 us an event, measured).
    """

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=1)

    def encode(self, lines: bytes) -> tuple[int, bytes]:
        """The coding and the body that keep `lines`."""
        if len(lines) < _WORTH_IT_BYTES:
            return PLAIN, lines
        return ZSTD, self._compressor.compress(lines, zstd.ZstdCompressor.FLUSH_FRAME)


def decode(coding: int, body: bytes) -> bytes:
    """The lines that `Encoder.encode` kept."""
    return zstd.decompress(body) if coding == ZSTD else body


def behind(lines: bytes, count: int) -> bytes:
    """What follows the first `count` lines."""
    return lines.split(b"\n", count)[-1] if count else lines


def stored_events(
    tag: str, pipeline: int, first_seq: int, received_at_us: int, position: int, lines: bytes
) -> Iterator[StoredEvent]:
    """The events of a chunk, the newest first."""
    rows = lines.split(b"\n")[:-1]
    for place in range(len(rows) - 1, -1, -1):
        yield StoredEvent(
            id=EventId(tag, pipeline, first_seq + place),
            event_type=type_of(rows[place]),
            received_at_us=received_at_us,
            payload=payload_of(rows[place]),
            position=position,
        )
