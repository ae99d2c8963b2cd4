"""What orders work with, and how a pipeline comes alive."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from conduit_local.core.catalog import Catalog, RouteRecord
from conduit_local.core.delivering import Destinations
from conduit_local.core.errors import PipelineNotFound
from conduit_local.core.log import Log
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.ports import Bell, Clock
from conduit_local.core.pulling import Sources
from conduit_local.core.run import Run, RunLine, RunState
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.core.texts import Texts
from conduit_local.core.transforming import Transforms
from conduit_local.engine.checks import Checks
from conduit_local.engine.completion import Completion
from conduit_local.engine.limits import Bucket
from conduit_local.engine.topology import LivePipeline, LiveRoute, LiveSource, Topology


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What orders work with."""

    topology: Topology
    log: Log
    catalog: Catalog
    texts: Texts
    bell: Bell
    pull_bell: Bell
    """Wakes sources: those that nobody sends to must not hear of every event that is sent."""
    clock: Clock
    destinations: Destinations
    transforms: Transforms
    sources: Sources
    checks: Checks
    completion: Completion
    start_route: Callable[[LivePipeline, LiveRoute], None]
    start_source: Callable[[LivePipeline, LiveSource], None]
    spawn: Callable[[Coroutine[None, None, None], str], Callable[[], object]]
    """Starts what takes its time, and gives what cuts it off; an error of it is its own to show."""

    def hurry(self, live: LivePipeline) -> None:
        """A person asked: routes and sources that wait for their next attempt try at once."""
        for route in live.routes.values():
            route.retry_at_us = None
        for source in live.sources.values():
            source.retry_at_us = None
        self.bell.ring(live.number)
        self.pull_bell.ring(live.number)
        self.completion.tell(live)

    @asynccontextmanager
    async def changing(self, ref: str) -> AsyncIterator[LivePipeline]:
        """The pipeline that `ref` names, while nobody else changes it. Raises: PipelineNotFound, once it is deleted."""
        live = self.topology.find(ref)
        async with live.changing:
            if live.pipeline.deleted:
                raise PipelineNotFound(f"no pipeline {ref[:80]!r}: it was deleted meanwhile")
            yield live

    def take_up(self, live: LivePipeline, record: RouteRecord) -> None:
        """A route is as the catalog has it: it starts, or goes on so."""
        spec = self.texts.destination(record.destination, live.pipeline.uuid)
        route = live.routes.get(record.name)
        if route is None:
            route = live_route(record, spec)
            live.routes[record.name] = route
            self.start_route(live, route)
        route.spec, route.through_seq, route.retry_at_us = spec, record.through_seq, None

    def come_alive(self, live: LivePipeline) -> None:
        """The routes and sources of a pipeline start."""
        for route in live.routes.values():
            self.start_route(live, route)
        self.pull(live)

    def pull(self, live: LivePipeline) -> None:
        """The sources of the pipeline are those of its configuration: new ones start, others go on or end."""
        pulled = self.sources.pulled(live.pipeline.spec) if not live.pipeline.deleted else {}
        for name in live.sources.keys() - pulled.keys():
            live.sources.pop(name).ended = True
            if live.extraction is not None:
                live.extraction.left.discard(name)
        for name, spec in pulled.items():
            source = live.sources.get(name)
            if source is None:
                source = live.sources[name] = LiveSource(name=name, spec=spec)
                self.start_source(live, source)
            source.spec, source.retry_at_us = spec, None
        self.pull_bell.ring(live.number)

    def route_texts(self, spec: PipelineSpec, owner: str) -> list[tuple[str, str]]:
        """The routes of a configuration as the catalog takes them; ask right before the call that keeps them."""
        return [(name, self.texts.of_destination(one, owner)) for name, one in spec.routes().items()]


def live_route(record: RouteRecord, spec: DestinationSpec) -> LiveRoute:
    """A route as the catalog has it, come alive."""
    return LiveRoute(
        name=record.name,
        spec=spec,
        start_seq=record.start_seq,
        cursor=record.cursor,
        delivered=record.delivered,
        dead=record.dead,
        filtered=record.filtered,
        purged=record.purged,
        through_seq=record.through_seq,
        replays=record.replays,
    )


def live_pipeline(pipeline: Pipeline) -> LivePipeline:
    """A pipeline, come alive, without its routes."""
    return LivePipeline(pipeline=pipeline, routes={}, limit=limit_of(pipeline.spec))


def limit_of(spec: PipelineSpec) -> Bucket | None:
    """A pipeline's own rate limit."""
    most = spec.limits.requests_per_minute
    return Bucket(most, 60.0) if most is not None else None


async def cancel_run(parts: Parts, live: LivePipeline, run: Run) -> Run:
    """
    A run that is under way, or waits, ends here; the caller holds the pipeline's lock. What a replay has in hand may
    have landed already, so that its routes end behind that batch only.

    Raises: StoreUnavailable.
    """
    now_us = parts.clock.now_us()
    cancelled = replace(run, state=RunState.CANCELLED, finished_at_us=now_us, error=None)
    own = [route for route in live.own_routes(run) if route.replays is None or not route.hands]
    going_on = {
        route.name: (route, route.hands.batches[-1].last_seq)
        for route in live.own_routes(run)
        if route.replays is not None and route.hands
    }
    for route in own:
        route.given_up = True
    line = RunLine(at_us=now_us, level="INFO", message="cancelled")
    try:
        through = {name: last_seq for name, (_, last_seq) in going_on.items()}
        await parts.catalog.keep_run(cancelled, [line], ends=[route.name for route in own], through=through)
    except BaseException:
        for route in own:
            route.given_up = False
        parts.bell.ring(live.number)
        raise
    for route in own:
        route.ended = True
        live.routes.pop(route.name, None)
    for route, last_seq in going_on.values():
        route.through_seq = last_seq
    for runs in (live.runs, live.waiting):
        if run in runs:
            runs.remove(run)
    if live.extracting is not None and live.extracting.number == run.number:
        live.extraction = None
    if live.looking is not None and live.looking.number == run.number:
        live.end_looking()
    live.behind_at_begin.pop(run.number, None)
    return cancelled
