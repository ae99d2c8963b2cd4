"""
The log: all accepted events, in the order of commit. A part of `core.ports`, by subject.

What comes along with events is kept in their commit, as headers of a message would be: a distributed log can do that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.batch import Chunk, Mark
from conduit_local.core.dead import NewDeadLetter
from conduit_local.core.event import EventFilter, EventPage, NewEvents, StoredEvent
from conduit_local.core.pipeline import Pipeline, PipelineNumber


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
class Forwarded:
    """
    Events that have numbers of their own elsewhere: `origin` is a route of another appliance, for ever, and these are
    what it calls `first_seq` to `last_seq`, however many they became. An origin sends in the order of its numbers.
    """

    origin: str
    first_seq: int
    last_seq: int
    fingerprint: bytes
    """Of the events as they were sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Along:
    """What is kept in the same commit as the events it came with, as headers of a message would be."""

    source: str = ""
    cursor: str | None = None
    """Where the source goes on; None: it stays where it is."""
    dead: Sequence[NewDeadLetter] = ()
    """What the source brought that is no event."""
    run: int | None = None
    """The run that it was brought for."""
    replayed: Sequence[int] = ()
    """Dead letters that are events now: they are dropped."""
    forwarded: Forwarded | None = None
    """Whose events these are: what is on the log already is not taken again, whenever it comes."""


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

    async def append(
        self, pipeline: Pipeline, events: NewEvents, keyed: Keyed | None, along: Along | None = None
    ) -> Receipt:
        """
        Put `events` on the pipeline's log, with what comes `along`; return once they are on disk.

        Shape:  1 to 10,000 events; each payload at most 262,144 bytes of JSON.
        Order:  sequence numbers rise in the order of the calls and of the events, without gaps, and never repeat.
        Raises: QuotaSpent, StoreUnavailable, IdempotencyMismatch, OutOfOrder; in each case nothing was kept.
        """
        ...

    async def note(self, pipeline: Pipeline, along: Along) -> None:
        """What came without events. Raises: StoreUnavailable."""
        ...

    async def source_cursors(self, pipeline: PipelineNumber) -> dict[str, str]:
        """How far each source of a pipeline was read, by its name."""
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
