"""
What the engine needs from the world, but for the catalog (`core/catalog.py`). One implementation of each stands above;
a contract suite in `tests/` runs over every one of them.

Three rules keep a distributed log possible behind `Log` later: no operation spans `Log` and `Catalog`, the bell
carries no truth, and nobody reads another part's memory.
"""

from collections.abc import Awaitable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.batch import Chunk, Mark, Written
from conduit_local.core.event import EventFilter, EventPage, NewEvents, StoredEvent
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.problems import Problem
from conduit_local.core.spec import DestinationSpec, PipelineSpec


@dataclass(kw_only=True, slots=True)  # not frozen: made once an event, and freezing doubles what that costs
class Keyed:
    """An idempotency key, and what its first use must be remembered by."""

    key: str
    pipeline_ref: str
    """The pipeline as the caller named it: echoed in the first answer, and so in every repeat (S0.3, S0.5)."""
    fingerprint: bytes | None = None
    """Of the events as they were sent: the key is refused when it comes again with others. None: it is not."""


@dataclass(slots=True)
class Receipt:
    """
    What came of an `append`.

    Shape: the events got `first_seq` to `first_seq + count - 1`. When `replayed`, these are the numbers of the first
    use of the key, and `pipeline_ref` and `event_type` are what that request said.
    """

    pipeline: PipelineNumber
    first_seq: int
    count: int
    received_at_us: int
    replayed: bool = False
    pipeline_ref: str = ""
    event_type: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the store takes and may take. Shape: bytes."""

    used_bytes: int
    file_bytes: int
    free_bytes: int
    quota_bytes: int
    trouble: str | None
    """Why events are refused, or None."""


class Log(Protocol):
    """All accepted events, in the order of commit."""

    tag: str
    """The store's tag: part of every event id."""

    async def append(self, pipeline: Pipeline, events: NewEvents, keyed: Keyed | None) -> Receipt:
        """
        Put `events` on the pipeline's log; return once they are on disk.

        Shape:  1 to 10,000 events; each payload at most 262,144 bytes of JSON.
        Order:  sequence numbers rise in the order of the calls and of the events, without gaps, and never repeat.
        Raises: QuotaSpent, StoreUnavailable, IdempotencyMismatch; in each case nothing was kept.
        """
        ...

    async def settled(self, pipeline: Pipeline) -> int:
        """The last `seq` once every `append` that was under way has come to its end."""
        ...

    def head(self, pipeline: Pipeline) -> Mark:
        """The end of the pipeline's log, as far as it is on disk. Costs nothing."""
        ...

    async def mark(self, pipeline: PipelineNumber, seq: int) -> Mark:
        """The place behind event `seq`; its `received_at_us` is that of the event that follows, or 0."""
        ...

    async def read(
        self, pipeline: PipelineNumber, after_seq: int, through_seq: int, max_events: int, max_bytes: int
    ) -> list[Chunk]:
        """
        The events behind `after_seq`, up to `through_seq`.

        Shape:  whole chunks but for the first, until there are `max_events` or more than `max_bytes`, or no more.
        Raises: StoreUnavailable; Broken when a chunk cannot be read.
        """
        ...

    async def first_kept(self, pipeline: Pipeline) -> int:
        """The first `seq` that is still on the log; the next one to come where nothing is."""
        ...

    async def find(self, pipeline: PipelineNumber, seq: int) -> StoredEvent | None:
        """One event, or None when it is not, or no longer, on the log."""
        ...

    async def received_since(self, pipelines: Sequence[Pipeline], since_us: int) -> dict[PipelineNumber, int]:
        """How many events of each pipeline were received since then and are still kept; by a few seeks each."""
        ...

    async def newest(
        self,
        pipelines: Sequence[PipelineNumber],
        before: tuple[int, int] | None,
        limit: int,
        wanted: EventFilter | None = None,
    ) -> EventPage:
        """
        Events of these pipelines, the newest first, `limit` at most; a filtered page may be shorter than the limit
        and still say where to go on.

        Order: by position in the log, then by `seq`, both falling; `before` is where a page before said to go on.
        """
        ...

    async def trim(self, pipeline: PipelineNumber, through_seq: int, before_us: int, keep_bytes: int) -> int:
        """
        Drop whole chunks whose events are all at or before `through_seq`, and which were received before `before_us`
        or lie further than `keep_bytes` behind `through_seq`. Returns how many events went; call again until 0.
        """
        ...

    async def drop_expired_keys(self) -> int:
        """Drop a slice of the idempotency keys whose 24 hours are over. Returns how many went; call again until 0."""
        ...

    async def give_back(self) -> None:
        """Give a slice of unused space back to the disk, where there is much of it."""
        ...

    def usage(self) -> Usage:
        """How much room there is, as last looked at."""
        ...

    async def forget(self, pipeline: PipelineNumber) -> bool:
        """Drop a slice of all that a deleted pipeline left on the log; False once nothing is left."""
        ...


class Destination(Protocol):
    """Where a route lands batches. Made for one route, used by it alone, one batch at a time."""

    extension: str
    """What object keys end with: `jsonl.zst`."""

    def partition(self, received_at_us: int) -> str:
        """The folder, below the pipeline's, of an event that was received then."""
        ...

    async def write(self, key: str, parts: Sequence[bytes]) -> Written:
        """
        Put the events at `key`; return once they are there for good.

        Shape:  `parts` are envelope lines, as `Chunk.lines`.
        Order:  the same key with the same parts twice leaves one object, whatever interrupted the first call.
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
