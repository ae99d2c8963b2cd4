"""Which pipelines there are now, and what is known of each while the appliance runs."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from conduit_local.core.errors import PipelineNotFound
from conduit_local.core.pipeline import Health, Pipeline, PipelineNumber, State
from conduit_local.core.run import Run
from conduit_local.core.spec import Component, DestinationSpec
from conduit_local.engine.hands import Hands
from conduit_local.engine.limits import Bucket
from conduit_local.engine.samples import Samples


@dataclass(slots=True, kw_only=True)
class LiveRoute:
    """A route as it stands: what its task knows, and what others may show."""

    name: str
    spec: DestinationSpec
    start_seq: int
    cursor: int
    """The last `seq` that is delivered and kept as delivered."""
    delivered: int
    dead: int
    through_seq: int | None
    """Where the route ends, once its destination was taken out of the configuration."""
    filtered: int = 0
    purged: int = 0
    replays: int | None = None
    """The run whose dead letters it reads instead of the log; its numbers are then their places in that run."""
    transforming: int = 0
    """How many of its batches are being transformed just now."""
    hands: Hands = field(default_factory=Hands)
    """Its batches on their way."""
    health: Health = Health.OK
    message: str | None = None
    """Why it is not well."""
    attempt: int = 0
    retry_at_us: int | None = None
    """When the next attempt is due, in steady time."""
    failures: deque[int] = field(default_factory=lambda: deque(maxlen=1000))
    """When attempts failed, in steady time."""
    failed: int = 0
    """How many attempts failed since the start."""
    next_us: int | None = None
    """When the oldest event that is in no batch yet was received, where it is known."""
    last_written_us: int | None = None
    last_run: int | None = None
    last_key: str | None = None
    ended: bool = False
    given_up: bool = False
    """Whether it takes nothing up any more, and keeps nothing of what it has in hand."""

    @property
    def oldest_us(self) -> int | None:
        """When the oldest pending event was received, where it is known."""
        return self.hands.oldest_us if self.hands else self.next_us

    def pending(self, through_seq: int) -> int:
        """How many events up to `through_seq` it has still to deliver; what comes behind its own end never counts."""
        end = through_seq if self.through_seq is None else min(through_seq, self.through_seq)
        return max(0, end - self.cursor)


@dataclass(slots=True, kw_only=True)
class LiveSource:
    """A source that is pulled from, as it stands."""

    name: str
    spec: Component
    health: Health = Health.OK
    message: str | None = None
    """Why it is not well, or what people should know of it."""
    attempt: int = 0
    retry_at_us: int | None = None
    """When the next attempt is due, in steady time."""
    pulled: int = 0
    """How many events it brought since the start."""
    last_pulled_us: int | None = None
    epoch: int = 0
    """Counts how often it was told to start over: what was read before is then dropped."""
    ended: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Extraction:
    """A run whose sources are read to their end."""

    run: Run
    left: set[str]
    """Those that were not read to their end yet."""
    error: str | None = None
    """Why one of them cannot be read."""


@dataclass(slots=True, kw_only=True)
class LivePipeline:
    """A pipeline and its routes as they stand."""

    pipeline: Pipeline
    routes: dict[str, LiveRoute]
    runs: list[Run] = field(default_factory=list)
    """Runs of several batches that are under way, by `through_seq`."""
    waiting: list[Run] = field(default_factory=list)
    """Runs that begin once no other is under way, the oldest first."""
    sources: dict[str, LiveSource] = field(default_factory=dict)
    extraction: Extraction | None = None
    """What the run is at whose sources are read just now."""
    rewinding: bool = False
    """Whether its sources are being told to start over."""
    looking: Run | None = None
    """The dry run that is under way."""
    stop_looking: Callable[[], object] | None = None
    """Cuts it off."""
    dead_inputs: int = 0
    """How many dead letters it has that never were events."""
    accept_us: Samples = field(default_factory=Samples)
    """How long requests with events took, from the call to the disk."""
    deliver_us: Samples = field(default_factory=Samples)
    """How long batches took, from the receipt of their first event to the end of their delivery."""
    behind_at_begin: dict[int, int] = field(default_factory=dict)
    """How many events were pending when a run began, by its number; for progress."""
    limit: Bucket | None = None
    """Its own rate limit on ingest requests."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever changes the pipeline."""
    runs_since_prune: int = 0

    @property
    def number(self) -> PipelineNumber:
        """The store's number."""
        return self.pipeline.number

    @property
    def health(self) -> Health:
        """As well as the worst of its routes."""
        found = {route.health for route in self.routes.values()} | {one.health for one in self.sources.values()}
        return next((health for health in (Health.BLOCKED, Health.RETRYING) if health in found), Health.OK)

    @property
    def slowest_cursor(self) -> int:
        """What every route that reads the log has delivered."""
        return min((route.cursor for route in self._of_the_log()), default=self.pipeline.first_seq - 1)

    def pending(self, through_seq: int) -> int:
        """How many events up to `through_seq` are still to be delivered, by the route that has most of them to do."""
        return max((route.pending(through_seq) for route in self._of_the_log()), default=0)

    def _of_the_log(self) -> list[LiveRoute]:
        return [route for route in self.routes.values() if route.replays is None]

    @property
    def is_running(self) -> bool:
        """Whether a run is under way, so that others wait."""
        return bool(self.runs) or self.extracting is not None or self.looking is not None

    @property
    def extracting(self) -> Run | None:
        """The run whose sources are read just now."""
        return self.extraction.run if self.extraction is not None else None

    def end_looking(self) -> None:
        """The dry run is over, or not wanted any more."""
        if self.stop_looking is not None:
            self.stop_looking()
        self.looking = self.stop_looking = None

    def asked_for(self) -> list[Run]:
        """The runs that are under way or wait, but for those of a stream."""
        now = [run for run in (self.extracting, self.looking) if run is not None]
        return [*self.runs, *now, *self.waiting]

    def own_routes(self, run: Run) -> list[LiveRoute]:
        """Those that are there for this run alone: of a full refresh, of a replay."""
        return [route for route in self.routes.values() if route.name.endswith(f"@{run.id}")]

    def has_ended(self, run: Run) -> bool:
        """Whether all that the run covers is delivered."""
        own = self.own_routes(run)
        return self.has_reached(run.through_seq) and all(route.cursor >= (route.through_seq or 0) for route in own)

    def has_reached(self, seq: int) -> bool:
        """
        Whether every route has delivered up to `seq`, or as far as it goes.

        One that is paused is left out: it keeps its events, and holds up nobody. The routes of a full refresh are the
        run's own, and waited for until nobody can make them go on any more.
        """
        return all(
            route.cursor >= (seq if route.through_seq is None else min(seq, route.through_seq))
            for route in self.routes.values()
            if not route.spec.paused or ("@" in route.name and not self.pipeline.deleted)
            if route.replays is None or self.pipeline.deleted
        )

    def wanted_through(self, head_seq: int) -> int:
        """How far to deliver at once, without waiting for company: what runs, a drain or a deletion ask for."""
        if self.pipeline.deleted or self.pipeline.state is State.DRAINING:
            return head_seq
        return max((run.through_seq for run in self.runs), default=0)


class Topology:
    """All live pipelines by any of their names, and those that are deleted but still deliver."""

    def __init__(self) -> None:
        self._by_ref: dict[str, LivePipeline] = {}
        self._live: dict[PipelineNumber, LivePipeline] = {}
        self._departing: dict[PipelineNumber, LivePipeline] = {}
        self.domains: set[str] = set()
        """Those that any pipeline was in, since the start."""

    def find(self, ref: str) -> LivePipeline:
        """By public id, UUID or name. Raises: PipelineNotFound."""
        found = self._by_ref.get(ref)
        if found is None:
            raise PipelineNotFound(f"no pipeline {ref[:80]!r}")
        return found

    def get(self, ref: str) -> LivePipeline | None:
        """By public id, UUID or name, or None."""
        return self._by_ref.get(ref)

    def is_free(self, ref: str, besides: LivePipeline | None = None) -> bool:
        """Whether nothing is found by `ref`, or `besides` alone is."""
        holder = self._by_ref.get(ref)
        return holder is None or holder is besides

    def by_number(self, number: PipelineNumber) -> LivePipeline | None:
        """A live pipeline by the store's number, or None."""
        return self._live.get(number)

    def add(self, live: LivePipeline) -> None:
        """A pipeline is there; one that is deleted is seen by its routes alone."""
        if live.pipeline.deleted:
            self._departing[live.number] = live
            return
        self._live[live.number] = live
        self._name(live)

    def replace(self, live: LivePipeline, pipeline: Pipeline) -> None:
        """The pipeline changed."""
        self._unname(live)
        live.pipeline = pipeline
        if pipeline.deleted:
            self._live.pop(live.number, None)
            self._departing[live.number] = live
        else:
            self._name(live)

    def restore(self, live: LivePipeline, pipeline: Pipeline) -> None:
        """The deletion could not be kept: the pipeline is there again."""
        self._departing.pop(live.number, None)
        live.pipeline = pipeline
        self.add(live)

    def remove(self, live: LivePipeline) -> None:
        """A deleted pipeline has delivered all and is purged."""
        self._departing.pop(live.number, None)

    def live(self) -> list[LivePipeline]:
        """The pipelines that APIs see, in the order in which they were made."""
        return list(self._live.values())

    def departing(self) -> list[LivePipeline]:
        """The deleted ones that still deliver."""
        return list(self._departing.values())

    def note_gone(self, gone: Mapping[tuple[PipelineNumber, str], int]) -> None:
        """Dead letters were dropped, so many of each pipeline and route: what is shown follows."""
        for (number, name), count in gone.items():
            live = self._live.get(number) or self._departing.get(number)
            if live is None:
                continue
            if not name:
                live.dead_inputs -= count
            elif (route := live.routes.get(name)) is not None:
                route.dead -= count
                route.purged += count

    def __iter__(self) -> Iterator[LivePipeline]:
        return iter([*self._live.values(), *self._departing.values()])

    def _name(self, live: LivePipeline) -> None:
        for ref in (live.pipeline.id, live.pipeline.uuid, live.pipeline.name):
            self._by_ref[ref] = live
        if live.pipeline.spec.domain is not None:
            self.domains.add(live.pipeline.spec.domain)

    def _unname(self, live: LivePipeline) -> None:
        for ref in (live.pipeline.id, live.pipeline.uuid, live.pipeline.name):
            if self._by_ref.get(ref) is live:
                del self._by_ref[ref]
