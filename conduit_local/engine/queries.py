"""Questions about events and runs."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from conduit_local.core.batch import Chunk
from conduit_local.core.catalog import Catalog
from conduit_local.core.envelope import payload_of, type_of
from conduit_local.core.errors import EventNotFound
from conduit_local.core.event import EventFilter, EventPage, StoredEvent
from conduit_local.core.ids import EventId, parse_event_id, run_id
from conduit_local.core.log import Log
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.engine.journal import Journal
from conduit_local.engine.topology import LivePipeline, LiveRoute, Topology

_PAGE_BYTES = 8 * 1024**2
"""About as much is read for a page; each page has one event at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What became of an event on one route."""

    destination: str
    type: str
    status: str
    """`delivered` or `pending`."""
    object_key: str | None
    delivered_at_us: int | None
    run_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventDetail:
    """An event and its deliveries."""

    event: StoredEvent
    pipeline: Pipeline
    deliveries: list[Delivery]


@dataclass(frozen=True, kw_only=True, slots=True)
class OldestPage:
    """Events of one pipeline, the oldest first."""

    pipeline: Pipeline
    events: list[StoredEvent]
    through_seq: int
    """Where to go on."""
    more: bool


class Queries:
    """Reads only. Lists are stable while events and runs arrive."""

    def __init__(self, topology: Topology, log: Log, catalog: Catalog, journal: Journal) -> None:
        self._topology = topology
        self._log = log
        self._catalog = catalog
        self._journal = journal

    async def events(
        self, ref: str | None, before: tuple[int, int] | None, limit: int, wanted: EventFilter | None = None
    ) -> tuple[EventPage, dict[PipelineNumber, Pipeline]]:
        """
        A page of events, the newest first, of one pipeline or all; with the pipelines they are on.

        Raises: PipelineNotFound, StoreUnavailable. Source: S0.6.
        """
        lives = [self._topology.find(ref)] if ref is not None else self._topology.live()
        page = await self._log.newest([live.number for live in lives], before, limit, wanted)
        return page, {live.number: live.pipeline for live in lives}

    async def oldest(self, ref: str, after_seq: int, limit: int) -> OldestPage:
        """
        The events of a pipeline behind `after_seq` that are still kept, the oldest first.

        Raises: PipelineNotFound, StoreUnavailable.
        """
        live = self._topology.find(ref)
        head = self._log.head(live.pipeline).seq
        chunks = await self._log.read(live.number, after_seq, head, limit, _PAGE_BYTES) if after_seq < head else []
        events: list[StoredEvent] = []
        for chunk in chunks:
            lines = chunk.lines.split(b"\n", limit - len(events))
            for place, line in enumerate(lines[: limit - len(events)]):
                if line:
                    events.append(_stored(self._log.tag, live.number, chunk, chunk.first_seq + place, line))
        through_seq = events[-1].id.seq if events else after_seq
        return OldestPage(
            pipeline=live.pipeline, events=events, through_seq=through_seq, more=bool(events) and through_seq < head
        )

    async def received_since(self, lives: Sequence[LivePipeline], since_us: int) -> dict[PipelineNumber, int]:
        """How many events of each pipeline were received since then and are still kept. Raises: StoreUnavailable."""
        return await self._log.received_since([live.pipeline for live in lives], since_us)

    async def event(self, event_id: str) -> EventDetail:
        """One event with its payload and deliveries. Raises: EventNotFound, StoreUnavailable. Source: S0.6."""
        found = parse_event_id(event_id)
        live = self._topology.by_number(PipelineNumber(found.pipeline)) if found else None
        if found is None or live is None or found.tag != self._log.tag:
            raise EventNotFound(f"no event {event_id[:80]!r}")
        event = await self._log.find(live.number, found.seq)
        if event is None:
            raise EventNotFound(f"no event {event_id!r}, or it is no longer kept")
        deliveries = [
            await self._delivery(live, route, found.seq)
            for route in live.routes.values()
            if found.seq > route.start_seq and (route.through_seq is None or found.seq <= route.through_seq)
        ]
        return EventDetail(event=event, pipeline=live.pipeline, deliveries=deliveries)

    async def runs(
        self,
        ref: str | None,
        *,
        before: int | None,
        limit: int,
        offset: int = 0,
        states: Collection[RunState] = (),
        trigger: Trigger | None = None,
    ) -> list[tuple[Run, Pipeline]]:
        """A page of runs, the newest first, of one pipeline or all. Raises: PipelineNotFound, StoreUnavailable."""
        pipelines = self._pipelines(ref)
        runs = await self._catalog.runs(
            list(pipelines), before=before, limit=limit, offset=offset, states=states, trigger=trigger
        )
        return [(run, pipelines[run.pipeline]) for run in runs]

    async def count_runs(self, ref: str | None, before: int | None, states: Collection[RunState] = ()) -> int:
        """How many runs `runs` has in all. Raises: PipelineNotFound, StoreUnavailable."""
        return await self._catalog.count_runs(list(self._pipelines(ref)), before, states)

    async def runs_between(
        self, ref: str | None, since_us: int, until_us: int, limit: int
    ) -> list[tuple[Pipeline, list[Run]]]:
        """
        Each pipeline, or this one, with the runs that touched this time: the newest `limit`, the newest first.

        Raises: PipelineNotFound, StoreUnavailable.
        """
        return [
            (pipeline, await self._catalog.runs_between(number, since_us, until_us, limit))
            for number, pipeline in self._pipelines(ref).items()
        ]

    async def last_runs(self, lives: Sequence[LivePipeline]) -> dict[PipelineNumber, Run]:
        """The newest run of each of these pipelines that has one. Raises: StoreUnavailable."""
        return await self._catalog.last_runs([live.number for live in lives])

    async def run_lines(self, run: Run, lines: int) -> list[RunLine]:
        """The last lines of a run's log. Raises: StoreUnavailable."""
        return await self._catalog.run_lines(run.number, lines)

    async def lines(
        self, ref: str, limit: int, *, level: int = logging.INFO, since_us: int = 0
    ) -> list[tuple[str | None, RunLine]]:
        """
        The last lines about a pipeline, the oldest first, each with the id of the run in whose log it stands: those of
        its runs, and since the start of the appliance all others.

        Raises: PipelineNotFound, StoreUnavailable.
        """
        live = self._topology.find(ref)
        names = logging.getLevelNamesMapping()
        levels = [name for name, rank in names.items() if rank >= level]
        found: list[tuple[str | None, RunLine]] = [
            (run_id(run), line) for run, line in await self._catalog.lines_of_runs(live.number, limit, levels, since_us)
        ]
        found += [
            (None, RunLine(at_us=line.at_us, level=line.level, message=line.message))
            for line in self._journal.after(0, limit, level=level, pipeline=live.pipeline.name, of_runs=False)
            if line.at_us >= max(since_us, live.pipeline.created_at_us)  # not those of an earlier one of this name
        ]
        return sorted(found, key=lambda entry: entry[1].at_us)[-limit:]

    def _pipelines(self, ref: str | None) -> dict[PipelineNumber, Pipeline]:
        lives = [self._topology.find(ref)] if ref is not None else self._topology.live()
        return {live.number: live.pipeline for live in lives}

    async def _delivery(self, live: LivePipeline, route: LiveRoute, seq: int) -> Delivery:
        batch = await self._catalog.batch_of(live.number, route.name, seq)
        delivered = seq <= route.cursor
        return Delivery(
            destination=route.name,
            type=route.spec.type,
            status="delivered" if delivered else "pending",
            object_key=batch[0].key if batch and delivered else None,
            delivered_at_us=batch[1] if batch and delivered else None,
            run_id=run_id(batch[0].run) if batch else None,
        )


def _stored(tag: str, number: PipelineNumber, chunk: Chunk, seq: int, line: bytes) -> StoredEvent:
    return StoredEvent(
        id=EventId(tag, number, seq),
        event_type=type_of(line),
        received_at_us=chunk.received_at_us,
        payload=payload_of(line),
        position=0,  # nobody goes on from here in the log of all pipelines
    )
