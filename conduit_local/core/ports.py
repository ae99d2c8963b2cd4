"""
What the engine needs from the world. One implementation of each stands above; a contract suite in `tests/` runs over
every one of them.

Three rules keep a distributed log possible behind `Log` later: no operation spans `Log` and `Catalog`, the bell
carries no truth, and nobody reads another part's memory.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.batch import Batch, Chunk, Mark, Written
from conduit_local.core.event import EventFilter, EventPage, NewEvents, StoredEvent
from conduit_local.core.keys import ApiKey
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.problems import Problem
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.core.spec import DestinationSpec, PipelineSpec


@dataclass(kw_only=True, slots=True)  # not frozen: made once an event, and freezing doubles what that costs
class Keyed:
    """An idempotency key, and what its first use must be remembered by."""

    key: str
    pipeline_ref: str
    """The pipeline as the caller named it: echoed in the first answer, and so in every repeat (S0.3, S0.5)."""
    strict: bool = False
    """Refuse the key when it comes again with other events."""


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

    async def find(self, pipeline: PipelineNumber, seq: int) -> StoredEvent | None:
        """One event, or None when it is not, or no longer, on the log."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRecord:
    """A route as the catalog has it."""

    pipeline: PipelineNumber
    name: str
    destination: str
    """Its configuration as JSON."""
    start_seq: int
    """The route delivers what comes behind this."""
    cursor: int
    delivered: int
    dead: int
    through_seq: int | None
    """Where it ends, once its destination was taken out of the configuration."""


class Catalog(Protocol):
    """Everything but the events: what there is, and how far it came."""

    # Pipelines and routes

    async def pipelines(self) -> list[Pipeline]:
        """All pipelines, those that are deleted and not yet purged among them."""
        ...

    async def routes(self) -> list[RouteRecord]:
        """All routes of all pipelines."""
        ...

    async def add_pipeline(self, pipeline: Pipeline, routes: Sequence[tuple[str, str]]) -> Pipeline:
        """
        Keep a new pipeline and its routes (name, destination as JSON); return it with its number and first seq.

        Raises: NameTaken when a live pipeline has its name, id or UUID.
        """
        ...

    async def change_pipeline(
        self, pipeline: Pipeline, routes: Sequence[tuple[str, str]], head_seq: int
    ) -> list[RouteRecord]:
        """
        Keep a changed specification. New routes begin behind `head_seq`; those that are no longer named end there.

        Raises: NameTaken.
        """
        ...

    async def set_state(self, pipeline: Pipeline, *, begins: Run | None = None, ends: Run | None = None) -> int | None:
        """Keep the pipeline's state, with a run that begins or ends by it; return the number of the one that begins."""
        ...

    async def delete_pipeline(self, pipeline: Pipeline, head_seq: int) -> None:
        """Mark it deleted; its numbering is kept for a successor in the same folder."""
        ...

    async def purge_pipeline(self, pipeline: PipelineNumber) -> None:
        """Drop a deleted pipeline, its routes, batches and runs."""
        ...

    async def end_route(self, pipeline: PipelineNumber, route: str) -> None:
        """Drop a route that has delivered all it was left with."""
        ...

    # Batches and runs

    async def open_batch(self, batch: Batch, at_us: int, closing: "BatchEnd | None" = None) -> Batch:
        """Close the batch before, write the intent of the next, in one commit; return it with its numbers."""
        ...

    async def close_batch(self, end: "BatchEnd") -> None:
        """Move the cursor behind the batch and close its run where that was its only batch, in one commit."""
        ...

    async def open_batches(self) -> list[Batch]:
        """Intents that a crash, or a pause, left open."""
        ...

    async def note_attempt(self, batch: Batch, error: str, line: RunLine) -> None:
        """Keep that an attempt failed, and why."""
        ...

    async def begin_run(self, run: Run) -> Run:
        """Keep a new run; return it with its number."""
        ...

    async def finish_run(self, run: Run) -> None:
        """Keep a run's end: its state and time."""
        ...

    async def running(self) -> list[Run]:
        """Runs of several batches that have not ended."""
        ...

    async def runs(
        self,
        pipelines: Sequence[PipelineNumber],
        *,
        before: int | None,
        limit: int,
        state: RunState | None = None,
        trigger: Trigger | None = None,
    ) -> list[Run]:
        """Runs of these pipelines, the newest first; `before` is the last run's number of the page before."""
        ...

    async def run(self, number: int) -> Run | None:
        """One run."""
        ...

    async def run_lines(self, number: int, limit: int) -> list[RunLine]:
        """The last `limit` lines of a run's log, the oldest first."""
        ...

    async def batch_of(self, pipeline: PipelineNumber, route: str, seq: int) -> tuple[Batch, int | None] | None:
        """The batch that took an event, and when it was closed; None when no longer kept."""
        ...

    async def prune_runs(self, pipeline: PipelineNumber, keep: int) -> int:
        """Drop ended runs but for the newest `keep`. Returns how many went; call again until 0."""
        ...

    # Keys

    async def keys(self) -> list[ApiKey]:
        """All keys, revoked ones among them."""
        ...

    async def add_key(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    async def revoke_key(self, key_id: str, at_us: int) -> None:
        """Mark a key as revoked."""
        ...

    async def touch_keys(self, used_at_us: dict[str, int]) -> None:
        """Keep when keys were last used."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchEnd:
    """A batch that was delivered: what is written when it is closed."""

    batch: Batch
    written: Written
    at_us: int
    line: RunLine


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

    async def close(self) -> None:
        """Let go of what it holds. Objects stay."""
        ...


class Destinations(Protocol):
    """Makes destinations out of their settings."""

    def make(self, spec: DestinationSpec) -> Destination:
        """The destination that `spec` describes."""
        ...

    def parse(self, text: str) -> DestinationSpec:
        """Settings out of the JSON that the catalog keeps."""
        ...

    def refused_to_apis(self, spec: PipelineSpec) -> list[Problem]:
        """What a configuration file may have, but a pipeline that is made through an API may not."""
        ...


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
