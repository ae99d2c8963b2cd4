"""The engine, put together: the one object that the floors above call."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import StoreUnavailable, only_error
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock, Destinations, Log, Sender
from conduit_local.core.run import RunState
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.texts import Texts
from conduit_local.engine.bell import LocalBell
from conduit_local.engine.completion import Completion
from conduit_local.engine.courier import Courier
from conduit_local.engine.domains import Domains
from conduit_local.engine.ingest import Ingest
from conduit_local.engine.journal import Journal, say
from conduit_local.engine.keys import Keys
from conduit_local.engine.manage import Manage
from conduit_local.engine.parts import Parts, live_pipeline, live_route
from conduit_local.engine.queries import Queries
from conduit_local.engine.rates import Rates
from conduit_local.engine.retention import Kept, Retention
from conduit_local.engine.route import Route, World
from conduit_local.engine.runs import Runs
from conduit_local.engine.scheduler import Scheduler
from conduit_local.engine.sealing import KeyRing, Sealing
from conduit_local.engine.topology import LivePipeline, LiveRoute, Topology
from conduit_local.engine.webhooks import Webhooks


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
    scheduler: Scheduler
    webhooks: Webhooks
    domains: Domains
    sealing: Sealing
    queries: Queries
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
    log, catalog, clock, destinations = ports.log, ports.catalog, ports.clock, ports.destinations
    chance = chance or Random()  # noqa: S311 - jitter, not a secret
    topology = Topology()
    bell = LocalBell(clock)
    completion = Completion(topology, log, catalog, clock, bell)
    keys = Keys(catalog, clock, required=settings.keys_required)
    await keys.load()
    webhooks = Webhooks(catalog, clock, ports.sender, log.tag)
    await webhooks.load()
    domains = Domains(catalog, topology)
    await domains.load()
    courier = Courier(webhooks, catalog, clock, ports.sender, settings.webhook_timeout_s, chance)
    catalog.on_notice(courier.ring)
    retention = Retention(topology, log, catalog, clock, keys, settings.kept)
    rates = Rates(topology, log, clock)
    stopping = asyncio.Event()
    world = World(
        log=log,
        catalog=catalog,
        bell=bell,
        clock=clock,
        destinations=destinations,
        texts=ports.texts,
        hands=asyncio.Semaphore(settings.batches_in_memory),
        stopping=stopping,
        chance=chance,
        delivered=completion.tell,
    )
    await _load(topology, catalog, ports.texts)
    try:
        async with asyncio.TaskGroup() as tasks:
            routes: set[asyncio.Task[None]] = set()

            def start_route(live: LivePipeline, route: LiveRoute) -> None:
                task = tasks.create_task(Route(live, route, world).run(), name=f"route {live.number}/{route.name}")
                routes.add(task)
                task.add_done_callback(routes.discard)

            parts = Parts(
                topology=topology,
                log=log,
                catalog=catalog,
                texts=ports.texts,
                bell=bell,
                clock=clock,
                destinations=destinations,
                completion=completion,
                start_route=start_route,
            )
            manage = Manage(parts)
            runs = Runs(parts, manage)
            completion.begin_next = runs.begin_next
            scheduler = Scheduler(topology, runs, clock)
            for live in topology:
                for route in live.routes.values():
                    start_route(live, route)
                completion.tell(live)
            helpers = [
                tasks.create_task(completion.run(), name="completion"),
                tasks.create_task(retention.run(), name="retention"),
                tasks.create_task(rates.run(), name="rates"),
                tasks.create_task(scheduler.run(), name="scheduler"),
                tasks.create_task(courier.run(), name="courier"),
            ]
            try:
                yield Engine(
                    topology=topology,
                    ingest=Ingest(topology, log, bell, clock),
                    manage=manage,
                    runs=runs,
                    scheduler=scheduler,
                    webhooks=webhooks,
                    domains=domains,
                    sealing=Sealing(catalog, ports.key_ring),
                    queries=Queries(topology, log, catalog, journal),
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
                    bell.ring(live.number)
                for helper in helpers:
                    helper.cancel()
                await _end_softly(routes, settings.grace_s)
                with suppress(StoreUnavailable):
                    await keys.keep_last_used()
    except BaseExceptionGroup as group:
        raise only_error(group) from group


async def _end_softly(routes: set["asyncio.Task[None]"], grace_s: float) -> None:
    if not routes:
        return
    _, late = await asyncio.wait(set(routes), timeout=grace_s)
    for task in late:
        say(logging.WARNING, f"{task.get_name()}: not done within {grace_s:g}s; its batch is repeated at next start")
        task.cancel()


async def _load(topology: Topology, catalog: Catalog, texts: Texts) -> None:
    """The topology as the catalog has it, with the batches and runs that a crash or a pause left open."""
    lives: dict[PipelineNumber, LivePipeline] = {}
    for pipeline in await catalog.pipelines():
        lives[pipeline.number] = live_pipeline(pipeline)
    for record in await catalog.routes():
        live = lives[record.pipeline]
        live.routes[record.name] = live_route(record, texts.destination(record.destination, live.pipeline.uuid))
    for batch in await catalog.open_batches():
        lives[batch.pipeline].routes[batch.route].open_batch = batch
    for run in await catalog.under_way():
        live = lives[run.pipeline]
        (live.waiting if run.state is RunState.PENDING else live.runs).append(run)
    for live in lives.values():
        topology.add(live)
