"""The engine, put together: the one object that the floors above call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.dead import DeadFilter
from conduit_local.core.delivering import Destinations
from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.log import Log
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock, Sender
from conduit_local.core.pulling import Sources
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.texts import Texts
from conduit_local.core.transforming import Transforms
from conduit_local.engine.bell import LocalBell
from conduit_local.engine.checks import Checks
from conduit_local.engine.completion import Completion
from conduit_local.engine.courier import Courier
from conduit_local.engine.dead import Dead
from conduit_local.engine.domains import Domains
from conduit_local.engine.hands import Hand
from conduit_local.engine.ingest import Ingest
from conduit_local.engine.journal import Journal
from conduit_local.engine.keys import Keys
from conduit_local.engine.manage import Manage
from conduit_local.engine.parts import Parts, live_pipeline, live_route
from conduit_local.engine.pull import Pull, PullWorld
from conduit_local.engine.queries import Queries
from conduit_local.engine.rates import Rates
from conduit_local.engine.retention import Kept, Retention
from conduit_local.engine.route import Route
from conduit_local.engine.runs import Runs
from conduit_local.engine.scheduler import Scheduler
from conduit_local.engine.sealing import KeyRing, Sealing
from conduit_local.engine.stages import Stages
from conduit_local.engine.topology import LivePipeline, LiveRoute, LiveSource, Topology
from conduit_local.engine.verify import Verifier
from conduit_local.engine.webhooks import Webhooks
from conduit_local.engine.workers import Workers
from conduit_local.engine.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineSettings:
    """How the engine behaves."""

    keys_required: bool = True
    kept: Kept = field(default_factory=Kept)
    batches_in_memory: int = 8
    """Over all routes; each is at most `batch.max_bytes` large."""
    webhook_timeout_s: float = 15.0
    """How long a receiver may take to answer."""
    grace_s: float = 10.0
    """How long routes may take to end the batch in hand when the appliance stops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """What the appliance can do. Dialects and the control API decode, make one call in here, and encode."""

    topology: Topology
    ingest: Ingest
    manage: Manage
    runs: Runs
    dead: Dead
    checks: Checks
    scheduler: Scheduler
    webhooks: Webhooks
    domains: Domains
    sealing: Sealing
    queries: Queries
    verifier: Verifier
    keys: Keys
    rates: Rates
    retention: Retention
    journal: Journal
    log: Log
    clock: Clock
    spec_model: type[PipelineSpec]
    started_at_us: int
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """The world, as the engine is given it."""

    log: Log
    catalog: Catalog
    destinations: Destinations
    transforms: Transforms
    sources: Sources
    sender: Sender
    clock: Clock
    texts: Texts
    key_ring: KeyRing


@asynccontextmanager
async def run_engine(
    ports: Ports,
    journal: Journal,
    spec_model: type[PipelineSpec],
    settings: EngineSettings,
    chance: Random | None = None,
) -> AsyncIterator[Engine]:
    """
    Start the engine: open batches are resumed, routes run, and what is old is dropped, until the block ends.

    Ending is soft: each route ends the batch in hand, within the grace; what is cut short is repeated at next start.
    """
    log, catalog, clock = ports.log, ports.catalog, ports.clock
    chance = chance or Random()  # noqa: S311 - jitter, not a secret
    topology = Topology()
    keys = Keys(catalog, clock, required=settings.keys_required)
    await keys.load()
    webhooks = Webhooks(catalog, clock, ports.sender, log.tag)
    await webhooks.load()
    domains = Domains(catalog, topology)
    await domains.load()
    courier = Courier(webhooks, catalog, clock, ports.sender, settings.webhook_timeout_s, chance)
    catalog.on_notice(courier.ring)
    rates = Rates(topology, log, clock)
    retention = Retention(topology, log, catalog, clock, keys, settings.kept)
    stopping = asyncio.Event()
    await _load(topology, catalog, ports.texts)
    under_way = await catalog.under_way()
    async with Workers.open() as workers:
        parts = _parts(ports, topology, settings, workers, stopping, chance)
        stages = Stages(parts)
        parts.completion.go_on = stages.go_on
        manage = Manage(parts)
        runs = Runs(parts, manage)
        scheduler = Scheduler(topology, runs, clock)
        for live in topology:
            parts.come_alive(live)
            for run in under_way:
                if run.pipeline == live.number:
                    stages.resume(live, run)
            parts.completion.tell(live)
        for name, helper in (
            ("completion", parts.completion.run()),
            ("retention", retention.run()),
            ("rates", rates.run()),
            ("scheduler", scheduler.run()),
            ("courier", courier.run()),
        ):
            workers.start(helper, name)
        try:
            yield Engine(
                topology=topology,
                ingest=Ingest(topology, log, parts.bell, clock),
                manage=manage,
                runs=runs,
                scheduler=scheduler,
                webhooks=webhooks,
                domains=domains,
                sealing=Sealing(catalog, ports.key_ring),
                dead=Dead(parts),
                checks=parts.checks,
                queries=Queries(topology, log, catalog, journal),
                verifier=Verifier(topology, log.tag, catalog, ports.destinations, ports.texts),
                keys=keys,
                rates=rates,
                retention=retention,
                journal=journal,
                log=log,
                clock=clock,
                spec_model=spec_model,
                started_at_us=clock.steady_us(),
                stopping=stopping,
            )
        finally:
            stopping.set()
            for live in topology:
                parts.bell.ring(live.number)
                parts.pull_bell.ring(live.number)
            await workers.end(settings.grace_s, ports.transforms.close)
            with suppress(StoreUnavailable):
                await keys.keep_last_used()


def _parts(
    ports: Ports,
    topology: Topology,
    settings: EngineSettings,
    workers: Workers,
    stopping: asyncio.Event,
    chance: Random,
) -> Parts:
    """What orders work with; its routes and sources start among the workers."""
    log, catalog, clock = ports.log, ports.catalog, ports.clock
    bell, pull_bell = LocalBell(clock), LocalBell(clock)
    completion = Completion(topology, log, catalog, clock, bell)
    world = World(
        log=log,
        catalog=catalog,
        bell=bell,
        clock=clock,
        destinations=ports.destinations,
        transforms=ports.transforms,
        texts=ports.texts,
        hands=asyncio.Semaphore(settings.batches_in_memory),
        remote_hands=asyncio.Semaphore(settings.batches_in_memory),
        stopping=stopping,
        chance=chance,
        delivered=completion.tell,
    )
    pull_world = PullWorld(
        log=log,
        catalog=catalog,
        sources=ports.sources,
        texts=ports.texts,
        clock=clock,
        pull_bell=pull_bell,
        bell=bell,
        completion=completion,
        stopping=stopping,
        chance=chance,
    )

    def start_route(live: LivePipeline, route: LiveRoute) -> None:
        workers.start_soft(Route(live, route, world).run(), f"route {live.number}/{route.name}")

    def start_source(live: LivePipeline, source: LiveSource) -> None:
        workers.start(Pull(live, source, pull_world).run(), f"source {live.number}/{source.name}")

    return Parts(
        topology=topology,
        log=log,
        catalog=catalog,
        texts=ports.texts,
        bell=bell,
        pull_bell=pull_bell,
        clock=clock,
        destinations=ports.destinations,
        transforms=ports.transforms,
        sources=ports.sources,
        checks=Checks(ports.destinations, ports.sources, ports.transforms),
        completion=completion,
        start_route=start_route,
        start_source=start_source,
        spawn=workers.start,
    )


async def _load(topology: Topology, catalog: Catalog, texts: Texts) -> None:
    """The topology as the catalog has it, with the batches and runs that a crash or a pause left open."""
    lives: dict[PipelineNumber, LivePipeline] = {}
    for pipeline in await catalog.pipelines():
        lives[pipeline.number] = live_pipeline(pipeline)
    for record in await catalog.routes():
        live = lives[record.pipeline]
        live.routes[record.name] = live_route(record, texts.destination(record.destination, live.pipeline.uuid))
    for batch in await catalog.open_batches():
        lives[batch.pipeline].routes[batch.route].hands.add(Hand(batch=batch, may_be_there=True))
    for group in await catalog.dead_groups(DeadFilter(route="")):
        if group.pipeline in lives:
            lives[group.pipeline].dead_inputs += group.count
    for live in lives.values():
        topology.add(live)
