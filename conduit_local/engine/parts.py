"""What orders work with, and how a pipeline comes alive."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from conduit_local.core.catalog import Catalog, RouteRecord
from conduit_local.core.errors import PipelineNotFound
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.ports import Bell, Clock, Destinations, Log
from conduit_local.core.run import Run, RunLine, RunState
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.core.texts import Texts
from conduit_local.engine.completion import Completion
from conduit_local.engine.limits import Bucket
from conduit_local.engine.topology import LivePipeline, LiveRoute, Topology


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What orders work with."""

    topology: Topology
    log: Log
    catalog: Catalog
    texts: Texts
    bell: Bell
    clock: Clock
    destinations: Destinations
    completion: Completion
    start_route: Callable[[LivePipeline, LiveRoute], None]

    def hurry(self, live: LivePipeline) -> None:
        """A person asked: routes that wait for their next attempt try at once."""
        for route in live.routes.values():
            route.retry_at_us = None
        self.bell.ring(live.number)
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
        through_seq=record.through_seq,
    )


def live_pipeline(pipeline: Pipeline) -> LivePipeline:
    """A pipeline, come alive, without its routes."""
    return LivePipeline(pipeline=pipeline, routes={}, limit=limit_of(pipeline.spec))


def limit_of(spec: PipelineSpec) -> Bucket | None:
    """A pipeline's own rate limit."""
    most = spec.limits.requests_per_minute
    return Bucket(most, 60.0) if most is not None else None


async def cancel_run(parts: Parts, live: LivePipeline, run: Run) -> Run:
    """A run that is under way, or waits, ends here; the caller holds the pipeline's lock. Raises: StoreUnavailable."""
    now_us = parts.clock.now_us()
    cancelled = replace(run, state=RunState.CANCELLED, finished_at_us=now_us, error=None)
    own = [route for route in live.routes.values() if route.name.endswith(f"@{run.id}")]
    for route in own:
        route.given_up = True
    line = RunLine(at_us=now_us, level="INFO", message="cancelled")
    try:
        await parts.catalog.keep_run(cancelled, [line], ends=[route.name for route in own])
    except BaseException:
        for route in own:
            route.given_up = False
        parts.bell.ring(live.number)
        raise
    for route in own:
        route.ended = True
        live.routes.pop(route.name, None)
    for runs in (live.runs, live.waiting):
        if run in runs:
            runs.remove(run)
    live.behind_at_begin.pop(run.number, None)
    return cancelled
