"""
Public ids.

An event's id is `evt_`, the store's tag (5 characters), the pipeline's number (4) and the event's `seq` (8), in
lowercase Crockford base32: unique across stores, sortable within a pipeline, and found again without an index.
"""

import hashlib
import uuid
from functools import lru_cache
from typing import NamedTuple

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TAG_WIDTH = 5
PIPELINE_WIDTH = 4
SEQ_WIDTH = 8
MAX_SEQ = 32**SEQ_WIDTH - 1

PAIRS: tuple[bytes, ...] = tuple((a + b).encode() for a in ALPHABET for b in ALPHABET)
"""All two-character strings in order, so that the last ten bits of 1,024 ids are one slice of this."""

_TEXT_PAIRS = tuple(pair.decode() for pair in PAIRS)
_VALUES = {char: value for value, char in enumerate(ALPHABET)}
_EVENT_LENGTH = 4 + TAG_WIDTH + PIPELINE_WIDTH + SEQ_WIDTH


def to_base32(number: int, width: int) -> str:
    """`number` in exactly `width` characters. Raises: ValueError when it does not fit."""
    if not 0 <= number < 32**width:
        raise ValueError(f"{number} does not fit {width} characters of base32")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (width - 1), -1, -5))


def from_base32(text: str) -> int:
    """The number that `to_base32` wrote. Raises: ValueError on any other character."""
    number = 0
    for char in text:
        if char not in _VALUES:
            raise ValueError(f"{char!r} is not a base32 character")
        number = number << 5 | _VALUES[char]
    return number


def base32_of(random: bytes, width: int) -> str:
    """`width` characters drawn from `random` bytes (one byte a character)."""
    return "".join(ALPHABET[byte & 31] for byte in random[:width])


class EventId(NamedTuple):
    """An event's id, taken apart."""

    tag: str
    pipeline: int
    seq: int

    def __str__(self) -> str:
        return event_id(self.tag, self.pipeline, self.seq)


@lru_cache(maxsize=1024)
def event_prefix(tag: str, pipeline: int) -> str:
    """What all event ids of a pipeline begin with."""
    return f"evt_{tag}{to_base32(pipeline, PIPELINE_WIDTH)}"


def event_id(tag: str, pipeline: int, seq: int) -> str:
    """An event's id. Made once an event, so by table: 0.4 us instead of 1.8."""
    pairs = _TEXT_PAIRS
    return (
        f"{event_prefix(tag, pipeline)}{pairs[seq >> 30]}{pairs[seq >> 20 & 1023]}{pairs[seq >> 10 & 1023]}"
        f"{pairs[seq & 1023]}"
    )


def parse_event_id(text: str) -> EventId | None:
    """The parts of an event id, or None when `text` is not one."""
    if len(text) != _EVENT_LENGTH or not text.startswith("evt_"):
        return None
    tag, rest = text[4 : 4 + TAG_WIDTH], text[4 + TAG_WIDTH :]
    try:
        from_base32(tag)
        return EventId(tag, from_base32(rest[:PIPELINE_WIDTH]), from_base32(rest[PIPELINE_WIDTH:]))
    except ValueError:
        return None


def run_id(number: int) -> str:
    """A run's public id: `run_` and its number, so that ids sort as the runs began."""
    return f"run_{to_base32(number, 8)}"


def parse_run_id(text: str) -> int | None:
    """The run's number, or None when `text` is not a run id."""
    if len(text) != 12 or not text.startswith("run_"):
        return None
    try:
        return from_base32(text[4:])
    except ValueError:
        return None


@lru_cache(maxsize=8)
def _run_space(tag: str) -> int:
    """48 bits that stand for a store."""
    return int.from_bytes(hashlib.sha256(f"runs of {tag}".encode()).digest()[:6])


def run_uuid(tag: str, number: int) -> str:
    """A run's id where a UUID is wanted (S4): version 8, its first 48 bits are the store's, its last 62 the number."""
    return str(uuid.UUID(int=_run_space(tag) << 80 | 8 << 76 | 2 << 62 | number))


def parse_run_uuid(tag: str, text: str) -> int | None:
    """The run's number, or None when `text` is not a run of this store."""
    try:
        value = uuid.UUID(text).int
    except ValueError:
        return None
    number = value & (1 << 62) - 1
    return number if str(uuid.UUID(int=value)) == run_uuid(tag, number) else None


def part_uuid(owner: str, kind: str, name: str) -> str:
    """
    The UUID of a part that has none of its own: version 5 below its owner's.

    `uuid.uuid5` gives the same; by way of its objects that was a sixth of what a request with one record costs.
    """
    told = hashlib.sha1(_bytes_of(owner) + f"{kind}:{name}".encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(told[16], 16) & 3]
    return f"{told[:8]}-{told[8:12]}-5{told[13:16]}-{variant}{told[17:20]}-{told[20:32]}"


@lru_cache(maxsize=1024)
def _bytes_of(text: str) -> bytes:
    return uuid.UUID(text).bytes


def delivery_id(webhook: str, number: int) -> str:
    """
    A webhook delivery's id, which is also its `webhook-id`: `msg_`, 8 characters of the webhook's own id, and the
    number, which alone would come again from another store: receivers drop what they have seen.
    """
    return f"msg_{webhook[3:11]}{to_base32(number, 8)}"


def parse_delivery_id(text: str) -> int | None:
    """The delivery's number, or None when `text` is not a delivery's id."""
    if len(text) != 20 or not text.startswith("msg_"):
        return None
    try:
        return from_base32(text[4:]) % 32**8
    except ValueError:
        return None
