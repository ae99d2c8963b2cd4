"""
A batch: a run of events on one route that becomes one object.

Where a batch closes, and what its object is called, follows from the events and the configuration alone; the only
exception is age. `cut` is that rule.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.spec import BatchSpec
from conduit_local.core.times import SECOND_US


class Chunk(NamedTuple):
    """
    Events as the log keeps them: the JSON lines of their envelopes.

    Shape: `lines` holds `last_seq - first_seq + 1` lines, each ending in a line feed; all were received at one time.
    """

    first_seq: int
    last_seq: int
    received_at_us: int
    lines: bytes


class Mark(NamedTuple):
    """A place on a pipeline's log: behind event `seq`, with `bytes_before` bytes of lines up to it."""

    seq: int
    bytes_before: int
    received_at_us: int


class Closing(StrEnum):
    """Why a batch ends where it does."""

    COUNT = "count"
    BYTES = "bytes"
    PARTITION = "partition"
    THROUGH = "through"
    AGE = "age"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """The events of the next batch. `closing` is None where more events could still join."""

    first_seq: int
    last_seq: int
    partition: str
    parts: tuple[bytes, ...]
    size_bytes: int
    received_at_us: int
    """When the first of them was received."""
    closing: Closing | None

    @property
    def count(self) -> int:
        """How many events these are."""
        return self.last_seq - self.first_seq + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The intent: written to the store before a destination is called, closed with the cursor after it."""

    number: int
    pipeline: PipelineNumber
    route: str
    run: int
    first_seq: int
    last_seq: int
    key: str
    destination: str
    """The destination's configuration at that time, as JSON: a repeat goes where the first attempt went."""
    recipe: str = ""
    """The transforms at that time, as `Texts.of_recipe`: a repeat makes the same rows. Empty for none."""
    attempt: int

    @property
    def count(self) -> int:
        """How many events these are."""
        return self.last_seq - self.first_seq + 1


class Written(NamedTuple):
    """
    What became of a batch. `place` is the object's address for people: a path, a URL. `sha256` is that of its bytes,
    in hexadecimal digits; where the destination keeps rows and no bytes, that of the JSON lines it took.
    """

    place: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """
    A folder pattern over the time of receipt, like `dt=%Y-%m-%d/hour=%H`; empty for none.

    Raises: ValueError when the pattern could name anything but plain folders below the pipeline's.
    """

    pattern: str

    def __post_init__(self) -> None:
        if len(self.pattern) > 200:
            raise ValueError("a partition has at most 200 characters")
        if self.pattern and not _PARTITION.fullmatch(self.pattern):
            raise ValueError(
                "a partition is folders of letters, digits, =, _, - and %Y %m %d %H %M (times are UTC), "
                "like dt=%Y-%m-%d/hour=%H"
            )

    def of(self, received_at_us: int) -> str:
        """The folder of an event that was received then."""
        return _folder(self.pattern, received_at_us // SECOND_US) if self.pattern else ""


_PARTITION = re.compile(r"(?:[A-Za-z0-9=_-]|%[YmdHM])+(?:/(?:[A-Za-z0-9=_-]|%[YmdHM])+)*")


@lru_cache(maxsize=1024)
def _folder(pattern: str, at_s: int) -> str:
    return time.strftime(pattern, time.gmtime(at_s))


def object_key(folder: str, partition: str, first_seq: int, last_seq: int, extension: str) -> str:
    """`<folder>/<partition>/<first seq>-<last seq>.<extension>`, with twelve digits a number."""
    name = f"{first_seq:012d}-{last_seq:012d}.{extension}"
    return "/".join(part for part in (folder, partition, name) if part)


_OBJECT_NAME = re.compile(r"(?:.*/)?(\d{12,19})-(\d{12,19})\.[^/]+")


def seqs_of(key: str) -> tuple[int, int] | None:
    """The first and the last seq in an object's key; None where it is no `object_key`."""
    found = _OBJECT_NAME.fullmatch(key)
    return (int(found[1]), int(found[2])) if found else None


def cut(
    chunks: Iterable[Chunk], spec: BatchSpec, partition: Callable[[int], str], through_seq: int | None
) -> Cut | None:
    """
    The next batch out of `chunks`, which follow one another; None when there are none.

    A batch holds at most `spec.max_events` events and `spec.max_bytes` bytes of lines (at least one event), all of
    one partition (a folder by time of receipt), none behind `through_seq`.
    """
    parts: list[bytes] = []
    first_seq = last_seq = size = received_at_us = 0
    folder = ""
    closing: Closing | None = None
    for chunk in chunks:
        if not parts:
            received_at_us = chunk.received_at_us
            first_seq, last_seq, folder = (
                chunk.first_seq,
                chunk.first_seq - 1,
                partition(chunk.received_at_us),
            )
        elif partition(chunk.received_at_us) != folder:
            closing = Closing.PARTITION
            break
        lines, count = chunk.lines, chunk.last_seq - chunk.first_seq + 1
        room = spec.max_events - (last_seq - first_seq + 1)
        if count >= room:
            closing = Closing.COUNT
            count, lines = room, first_lines(lines, room) if count > room else lines
        if through_seq is not None and chunk.first_seq + count - 1 >= through_seq:
            closing = Closing.THROUGH
            keep = through_seq - chunk.first_seq + 1
            count, lines = keep, first_lines(lines, keep) if count > keep else lines
        if size + len(lines) >= spec.max_bytes:
            fitting = lines[: lines.rfind(b"\n", 0, spec.max_bytes - size) + 1] if size < spec.max_bytes else b""
            if not fitting and not parts:
                fitting = first_lines(lines, 1)
            count, lines = fitting.count(b"\n"), fitting
            closing = Closing.BYTES
        if count > 0:
            parts.append(lines)
            size += len(lines)
            last_seq += count
        if closing:
            break
    if not parts:
        return None
    return Cut(
        first_seq=first_seq,
        last_seq=last_seq,
        partition=folder,
        parts=tuple(parts),
        size_bytes=size,
        received_at_us=received_at_us,
        closing=closing,
    )


def first_lines(lines: bytes, count: int) -> bytes:
    """The first `count` lines, line feeds included."""
    rest = lines.split(b"\n", count)
    return lines if len(rest) <= count else lines[: len(lines) - len(rest[-1])]
