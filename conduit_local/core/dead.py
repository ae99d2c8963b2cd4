"""
A dead letter: an event that a transform or a destination refused for good, or a piece of input that is no event.

It is kept with the reason, can be edited, is replayed, or discarded. Replayed successfully, it is gone from here: the
run that replayed it tells of it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.plain import plain, shorten

MAX_ERROR_LENGTH = 4_000
_LONGEST_REASON = 200
_LONGEST_HEADLINE = 300
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NUMBER = re.compile(r"(?<!\w)[-+]?\d[\d.,:eE+-]*")


class Stage(StrEnum):
    """Where an event died."""

    EXTRACT = "extract"
    TRANSFORM = "transform"
    LOAD = "load"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDeadLetter:
    """An event that dies, as the batch or the look that it dies in says so."""

    seq: int
    """Its number on the log, or its place in a replay; 0 for input that never was an event."""
    stage: Stage
    error: str
    event_type: str
    content: bytes
    """The envelope's line, without its line feed; in the stage `extract` the piece of input as it was found."""
    origin: str | None = None
    """Where a piece of input was found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A dead letter as the catalog has it."""

    number: int
    pipeline: PipelineNumber
    route: str
    """
    The route that did not deliver it: that of a destination (`files`), or of a run of its own (`files@run_…`), or one
    that is no more (`files@`). Empty in the stage `extract`, where none did.
    """
    seq: int
    stage: Stage
    error: str
    reason: str
    event_type: str
    content: bytes
    origin: str | None
    at_us: int
    run: int | None
    """The run in which it died."""
    attempts: int
    """How often it died: 1, and 1 more for each replay that failed."""
    edited_at_us: int | None
    replay: int | None
    """The run that has it in hand."""

    @property
    def id(self) -> str:
        """The public id."""
        return f"dead_{self.number}"

    @property
    def destination(self) -> str | None:
        """The name of the destination that lacks it; None where all do."""
        return self.route.partition("@")[0] or None


def headline(error: str) -> str:
    """An error on one line, for logs: what made it may be in it, whole."""
    return shorten(plain(error.strip().split("\n", 1)[0]), _LONGEST_HEADLINE)


def parse_dead_id(text: str) -> int | None:
    """The number in a public id; None when it is none."""
    digits = text.removeprefix("dead_")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadFilter:
    """Which dead letters; what is None does not matter."""

    pipeline: PipelineNumber | None = None
    route: str | None = None
    """With those of its former namesakes and of the runs that delivered everything once more."""
    without: tuple[str, ...] = ()
    """Destinations that are left out."""
    stage: Stage | None = None
    reason: str | None = None
    numbers: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadGroup:
    """The dead letters of a pipeline that died of the same reason."""

    pipeline: PipelineNumber
    route: str
    stage: Stage
    reason: str
    count: int
    first_at_us: int
    last_at_us: int
    example: int
    """The number of the newest."""


def reason_of(error: str) -> str:
    """
    What errors of one kind have in common: their first line, with what is quoted or a number left out.

    `Could not convert string 'abc' to DOUBLE` and the same with 'xyz' are one reason.
    """
    line = error.strip().split("\n", 1)[0][:2_000]
    return _NUMBER.sub("…", _QUOTED.sub("…", line))[:_LONGEST_REASON]
