"""
What can be done: each operation's parameters, the scope that it needs, and the call into the engine. Source: S2.5.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from conduit_local.core.errors import NameTaken, TimedOut, Unavailable
from conduit_local.core.keys import Scope
from conduit_local.core.kinds import edited_spec, parse_spec
from conduit_local.core.names import slug_of
from conduit_local.core.pipeline import State
from conduit_local.core.ports import Clock
from conduit_local.core.retry import Backoff
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.times import parse_rfc3339
from conduit_local.dialects.s2 import events, models, parameters, wire
from conduit_local.dialects.s2.monitor import figures
from conduit_local.engine.engine import Engine
from conduit_local.engine.topology import LivePipeline
from conduit_local.http.call import Call

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_BETWEEN = Backoff(initial_s=0.05, max_s=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What came of an operation."""

    data: Mapping[str, Any]
    replayed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One thing that can be done."""

    about: str
    scope: Scope
    takes: type[BaseModel]
    gives: Any
    """The model, or the union of models, of its `data`."""
    run: Callable[[Engine, Call, Any], Awaitable[Done]]
    decode: Callable[[bytes], Any] | None = None
    """Reads its parameters where that is not by `takes`."""

    def read(self, given: bytes) -> Any:
        """Its parameters. Raises: Invalid, TooLarge."""
        return self.decode(given) if self.decode is not None else wire.decode_parameters(given, self.takes)


async def perform(attempt: Callable[[], Awaitable[Done]], options: parameters.Options, clock: Clock, name: str) -> Done:
    """
    Carry out an operation within its time-out, and again while the appliance cannot take it.

    One that is under way when the time is over goes on to its end: half an order would be worse than a late one.
    Raises: TimedOut; whatever `attempt` raises.
    """
    if options.timeout is None:
        return await _persist(attempt, options.retries, clock)
    try:
        async with asyncio.timeout(options.timeout / 1000) as limit:
            return await _persist(lambda: asyncio.shield(attempt()), options.retries, clock)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimedOut(
            f"{name} took longer than {options.timeout} ms; what it changes may still be done, "
            "what it sends may still be kept: ask, or send it again with the same idempotency key"
        ) from None


async def _persist(attempt: Callable[[], Awaitable[Done]], retries: int, clock: Clock) -> Done:
    """Again and again while it is Unavailable, which promises that nothing was kept."""
    for failures in range(1, retries + 1):
        try:
            return await attempt()
        except Unavailable:
            await clock.wait(None, _BETWEEN.ceiling_s(failures))
    return await attempt()


def find(engine: Engine, ref: str) -> LivePipeline:
    """A pipeline by id, UUID, name, or the title that it alone has. Raises: PipelineNotFound."""
    return _known(engine, ref) or engine.topology.find(ref)


def _known(engine: Engine, ref: str) -> LivePipeline | None:
    live = engine.topology.get(ref)
    if live is not None:
        return live
    titled = [one for one in engine.topology.live() if one.pipeline.spec.title == ref]
    return titled[0] if len(titled) == 1 else None


def _shown(engine: Engine, live: LivePipeline) -> dict[str, Any]:
    pending = live.pending(engine.log.head(live.pipeline).seq)
    return wire.encode_pipeline(live, pending, engine.scheduler.next_run_us(live))


async def _create(engine: Engine, call: Call, wanted: parameters.Create) -> Done:
    if _known(engine, wanted.name) is not None:
        raise NameTaken(f"the name {wanted.name!r} is taken by another pipeline")
    document = wire.configuration(wanted, slug_of(wanted.name, engine.topology.is_free))
    with wire.below(wire.PARAMETERS), wire.query_as_sql():
        pipeline = await engine.manage.create(parse_spec(document, engine.spec_model))
    return Done(data=_shown(engine, engine.topology.find(pipeline.id)))


async def _delete(engine: Engine, call: Call, wanted: parameters.OfPipeline) -> Done:
    pipeline = await engine.manage.delete(find(engine, wanted.pipeline).pipeline.id)
    return Done(data={**wire.encode_named(pipeline), "deleted": True})


async def _enter(engine: Engine, call: Call, wanted: parameters.OfPipeline, *, state: State) -> Done:
    live = find(engine, wanted.pipeline)
    await engine.manage.enter(live.pipeline.id, state)
    return Done(data=_shown(engine, live))


async def _ingest(engine: Engine, call: Call, sent: events.EventsSent) -> Done:
    ref, key = find(engine, sent.pipeline).pipeline.id, call.idempotency_key(sent.idempotency_key)
    receipt = await engine.ingest.accept(ref, sent.events, key, call.client_address)
    return Done(data=wire.encode_receipt(receipt, engine.log.tag), replayed=receipt.replayed)


async def _transform(engine: Engine, call: Call, wanted: parameters.Transform) -> Done:
    live = find(engine, wanted.pipeline)

    def become(spec: PipelineSpec) -> PipelineSpec:
        return edited_spec(spec, lambda document: wire.with_query(document, wanted.sql), engine.spec_model)

    with wire.below(wire.PARAMETERS), wire.query_as_sql():
        await engine.manage.change(live.pipeline.id, become)
    return Done(data=_shown(engine, live))


async def _monitor(engine: Engine, call: Call, wanted: parameters.Monitor) -> Done:
    if wanted.pipeline is None:
        return Done(data={"pipeline": None, **figures(engine, engine.topology.live(), wanted.window_s)})
    live = find(engine, wanted.pipeline)
    return Done(data={"pipeline": wire.encode_named(live.pipeline), **figures(engine, [live], wanted.window_s)})


async def _logs(engine: Engine, call: Call, wanted: parameters.Logs) -> Done:
    ref = find(engine, wanted.pipeline).pipeline.id
    since_us = parse_rfc3339(wanted.since) if wanted.since is not None else 0
    lines = await engine.queries.lines(ref, wanted.limit, level=_LEVELS[wanted.level], since_us=since_us)
    return Done(data=wire.encode_lines(lines))


async def _describe(engine: Engine, call: Call, wanted: parameters.Describe) -> Done:
    if wanted.pipeline is not None:
        return Done(data=_shown(engine, find(engine, wanted.pipeline)))
    return Done(data={"pipelines": [_shown(engine, live) for live in engine.topology.live()]})


_OF_PIPELINE = partial(
    Operation, scope=Scope.MANAGE, takes=parameters.OfPipeline, gives=models.PipelineShown
)  # an order that names a pipeline and shows what became of it

OPERATIONS: Mapping[str, Operation] = {
    "create": Operation(
        about="Make a pipeline.",
        scope=Scope.MANAGE,
        takes=parameters.Create,
        gives=models.PipelineShown,
        run=_create,
    ),
    "delete": Operation(
        about="Remove a pipeline for good; what was accepted is still delivered.",
        scope=Scope.MANAGE,
        takes=parameters.OfPipeline,
        gives=models.PipelineDeleted,
        run=_delete,
    ),
    "start": _OF_PIPELINE(about="Process events.", run=partial(_enter, state=State.ACTIVE)),
    "pause": _OF_PIPELINE(
        about="Deliver nothing for now; events are still accepted and kept.", run=partial(_enter, state=State.PAUSED)
    ),
    "resume": _OF_PIPELINE(about="Go on after a pause.", run=partial(_enter, state=State.ACTIVE)),
    "stop": _OF_PIPELINE(
        about="Refuse new events, deliver what is pending, then stand still.", run=partial(_enter, state=State.STOPPED)
    ),
    "ingest": Operation(
        about="Send events; answered once they are on disk.",
        scope=Scope.INGEST,
        takes=parameters.Ingest,
        gives=models.Ingested,
        run=_ingest,
        decode=events.decode_ingest,
    ),
    "transform": Operation(
        about="Replace the SQL query; it is checked first, and holds for batches from here on.",
        scope=Scope.MANAGE,
        takes=parameters.Transform,
        gives=models.PipelineShown,
        run=_transform,
    ),
    "monitor": Operation(
        about="Throughput, errors, latency.",
        scope=Scope.READ,
        takes=parameters.Monitor,
        gives=models.Monitored,
        run=_monitor,
    ),
    "logs": Operation(
        about="What happened, the newest lines.",
        scope=Scope.READ,
        takes=parameters.Logs,
        gives=models.Logs,
        run=_logs,
    ),
    "pipeline": Operation(
        about="Describe one pipeline, or list all.",
        scope=Scope.READ,
        takes=parameters.Describe,
        gives=models.PipelineShown | models.PipelineList,
        run=_describe,
    ),
}
