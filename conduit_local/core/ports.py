"""
What the engine needs from the world, but for the catalog (`core/catalog.py`). One implementation of each stands above;
a contract suite in `tests/` runs over every one of them.

Three rules keep a distributed log possible behind `Log` later: no operation spans `Log` and `Catalog`, the bell
carries no truth, and nobody reads another part's memory.
"""

from collections.abc import Awaitable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.problems import Problem
from conduit_local.core.spec import DestinationSpec, PipelineSpec


class Destination(Protocol):
    """Where a route lands batches. Made for one route, used by it alone, one batch at a time."""

    extension: str
    """What object keys end with: `jsonl.zst`."""

    def partition(self, received_at_us: int) -> str:
        """The folder, below the pipeline's, of an event that was received then."""
        ...

    async def write(self, key: str, content: Content) -> Written:
        """
        Put the rows at `key`; return once they are there for good. The content stays the caller's to close.

        Order:  the same key with the same rows twice leaves one object, whatever interrupted the first call.
        Raises: DestinationUnavailable; the caller repeats the same call later.
        """
        ...

    async def read(self, key: str) -> "ObjectContent | None":
        """
        The object at `key`, or None when it is not there, or this kind cannot be read back.

        Raises: DestinationUnavailable.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds. Objects stay."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectContent:
    """An object's bytes, to be read in a thread, once. Shape: pieces of at most 1 MiB, `size_bytes` in all."""

    size_bytes: int
    pieces: Generator[bytes, None, None]

    def close(self) -> None:
        """Let go of it; what a thread is reading just now lets go by itself, at its end."""
        with suppress(ValueError):
            self.pieces.close()


class Destinations(Protocol):
    """Makes destinations out of their settings."""

    def make(self, spec: DestinationSpec) -> Destination:
        """The destination that `spec` describes; one that answers Unavailable where it cannot be had here."""
        ...

    def missing(self, spec: PipelineSpec) -> str | None:
        """Why no run of this pipeline can come to anything (a connector that is not here), or None."""
        ...

    def refused_to_apis(self, spec: PipelineSpec) -> list[Problem]:
        """What a configuration file may have, but a pipeline that is made through an API may not."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a receiver on the network said."""

    status: int
    retry_after_s: float | None
    excerpt: str
    """The begin of its body, made plain."""


class Sender(Protocol):
    """Sends to elsewhere over HTTP, within what the guard allows."""

    async def check(self, url: str) -> None:
        """Raises: ValueError, saying why nothing may be sent there."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answered:
        """Send once; follows no redirect. Raises: SendFailed."""
        ...


class SendFailed(Exception):
    """Nobody answered; `message` says why, without what the URL may hide in its query."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Clock(Protocol):
    """The one source of time."""

    def now_us(self) -> int:
        """The time of day, microseconds since 1970 in UTC. May jump."""
        ...

    def steady_us(self) -> int:
        """The same scale, but never jumps while the process runs: for what expires."""
        ...

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        """
        Return True when `until` is done (None never is), or False when that much steady time has passed first
        (None: for ever). `until` is cancelled when the wait ends without it.
        """
        ...


class Bell(Protocol):
    """Tells a pipeline's routes that there may be something to do. A hint: the log is the truth."""

    def ring(self, pipeline: PipelineNumber) -> None:
        """Wake all that wait for this pipeline."""
        ...

    def heard(self, pipeline: PipelineNumber) -> int:
        """How often it was rung. Ask before looking, so that a ring between looking and waiting is not missed."""
        ...

    async def wait(self, pipeline: PipelineNumber, heard: int, seconds: float | None) -> None:
        """Return when the bell was rung more than `heard` times, or after `seconds` (None: for ever)."""
        ...
