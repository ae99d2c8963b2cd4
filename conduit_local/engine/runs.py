"""Runs by hand and by schedule: asked for, one at a time on a pipeline, cancelled."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from conduit_local.core.batch import Batch
from conduit_local.core.catalog import RouteRecord
from conduit_local.core.errors import Conflict, NotStoppable, RunEnded, RunNotFound
from conduit_local.core.ids import parse_run_id, parse_run_uuid
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.ports import ObjectContent
from conduit_local.core.run import Run, RunLine, RunOptions, RunState, Trigger
from conduit_local.core.webhook import NoticeKind, notice_of
from conduit_local.engine.journal import say
from conduit_local.engine.manage import Manage
from conduit_local.engine.parts import Parts, cancel_run
from conduit_local.engine.topology import LivePipeline

_MOST_WAITING = 100
_SAMPLE = 1_000
_SAMPLE_BYTES = 4 * 1024**2


class Runs:
    """
    A run that is asked for waits until no other is under way on its pipeline, and then covers what is on the log.

    What one asks for survives a crash: a run is in the catalog before anybody is answered.
    """

    def __init__(self, parts: Parts, manage: Manage) -> None:
        self._parts = parts
        self._manage = manage

    async def request(self, ref: str, options: RunOptions, trigger: Trigger = Trigger.MANUAL) -> Run:
        """
        A run that waits, and begins as soon as it may. Of its variables the names are kept, for its log: their values
        may be secrets, and no configuration has a place for them yet.

        Raises: PipelineNotFound; Conflict when too many wait already; StoreUnavailable.
        """
        parts = self._parts
        async with parts.changing(ref) as live:
            if len(live.waiting) >= _MOST_WAITING:
                raise Conflict(f"{_MOST_WAITING} runs of {live.pipeline.name!r} wait already: cancel some")
            run = await parts.catalog.begin_run(
                Run(
                    number=0,
                    pipeline=live.number,
                    trigger=trigger,
                    state=RunState.PENDING,
                    through_seq=0,
                    created_at_us=parts.clock.now_us(),
                    started_at_us=None,
                    options=replace(options, variables=dict.fromkeys(options.variables, "")),
                )
            )
            live.waiting.append(run)
        parts.completion.tell(live)
        return run

    async def begin_next(self, live: LivePipeline) -> None:
        """Begin the run that waits longest, unless one is under way; the caller holds the pipeline's lock."""
        while live.waiting and not live.runs:
            run = live.waiting[0]
            begun = await self._begin(live, run)
            live.waiting.remove(run)
            if not begun.state.has_ended:
                live.behind_at_begin[begun.number] = live.pending(begun.through_seq)
                self._parts.hurry(live)

    async def cancel(self, public_id: str) -> tuple[Run, Pipeline]:
        """
        End a run that waits or is under way. A batch in hand is still delivered; the rest stays pending.

        Raises: RunNotFound, RunEnded, NotStoppable, StoreUnavailable.
        """
        run, live = await self.find(public_id)
        if run.trigger is Trigger.STREAM and not run.state.has_ended:
            raise NotStoppable(f"the run {run.id} is one batch of a stream; pause the pipeline instead")
        async with live.changing:
            here = next((one for one in (*live.runs, *live.waiting) if one.number == run.number), None)
            if here is None:
                raise RunEnded(f"the run {run.id} has ended already")
            if here.trigger is Trigger.DRAIN:
                await self._manage.call_off_drain(live)
                cancelled = replace(here, state=RunState.CANCELLED)
            else:
                cancelled = await cancel_run(self._parts, live, here)
            say(logging.INFO, f"run {run.id} cancelled", live.pipeline.name, run.id)
            self._parts.hurry(live)
            return cancelled, live.pipeline

    async def find(self, public_id: str) -> tuple[Run, LivePipeline]:
        """A run by its id or UUID, and its pipeline. Raises: RunNotFound, StoreUnavailable."""
        parts = self._parts
        number = parse_run_id(public_id)
        if number is None:
            number = parse_run_uuid(parts.log.tag, public_id)
        run = await parts.catalog.run(number) if number is not None else None
        live = parts.topology.by_number(run.pipeline) if run else None
        if run is None or live is None:
            raise RunNotFound(f"no run {public_id[:80]!r}, or it is no longer kept")
        return run, live

    async def last_asked_us(self, live: LivePipeline, trigger: Trigger) -> int:
        """When the newest run of this kind was asked for; 0 when there is none. Raises: StoreUnavailable."""
        found = await self._parts.catalog.runs([live.number], before=None, limit=1, trigger=trigger)
        return found[0].created_at_us if found else 0

    async def objects(self, run: Run, live: LivePipeline) -> AsyncIterator[tuple[Batch, ObjectContent]]:
        """What a run has written and is still there, in order. Raises: DestinationUnavailable, StoreUnavailable."""
        parts = self._parts
        for batch in await parts.catalog.batches_of(run.number):
            destination = parts.destinations.make(parts.texts.destination(batch.destination, live.pipeline.uuid))
            try:
                content = await destination.read(batch.key)
            finally:
                await destination.close()
            if content is not None:
                yield batch, content

    async def _begin(self, live: LivePipeline, run: Run) -> Run:
        parts, pipeline = self._parts, live.pipeline
        now_us = parts.clock.now_us()
        run = replace(run, started_at_us=now_us)
        missing = parts.destinations.missing(pipeline.spec)
        if missing is not None:
            failed = replace(run, state=RunState.FAILED, finished_at_us=now_us, error=missing)
            tells = notice_of(NoticeKind.FAILED, pipeline, now_us, run_id=run.id, error=missing)
            await parts.catalog.keep_run(failed, [_line(now_us, missing, "ERROR")], tells)
            say(logging.ERROR, f"run {run.id} failed: {missing}", pipeline.name, run.id)
            return failed
        lines = self._first_lines(live, run, now_us)
        through_seq = await parts.log.settled(pipeline)
        if run.options.dry_run:
            return await self._look_only(live, replace(run, through_seq=through_seq), lines)
        begun = replace(run, state=RunState.RUNNING, through_seq=through_seq)
        records = await self._own_routes(live, begun) if run.options.full_refresh else []
        await parts.catalog.start_run(begun, records, lines)
        live.runs.append(begun)
        for record in records:  # from here on: what they deliver belongs to the run, which they look up in `live.runs`
            parts.take_up(live, record)
        say(logging.INFO, f"run {run.id} begun", pipeline.name, run.id)
        return begun

    def _first_lines(self, live: LivePipeline, run: Run, now_us: int) -> list[RunLine]:
        lines = [_line(now_us, f"started: {run.trigger}")]
        if run.options.variables:
            names = ", ".join(sorted(run.options.variables))
            lines.append(_line(now_us, f"variables given: {names}; the configuration leaves none open", "WARNING"))
        lines += [
            _line(now_us, f"{name} is paused, and keeps its events until it goes on", "WARNING")
            for name, one in live.pipeline.spec.routes().items()
            if one.paused
        ]
        return lines

    async def _look_only(self, live: LivePipeline, run: Run, lines: list[RunLine]) -> Run:
        """A dry run: reads a sample of what it would deliver; writes and moves nothing."""
        parts = self._parts
        cursor = live.slowest_cursor if not run.options.full_refresh else await self._first_kept(live) - 1
        chunks = await parts.log.read(live.number, cursor, run.through_seq, _SAMPLE, _SAMPLE_BYTES)
        count = sum(chunk.last_seq - chunk.first_seq + 1 for chunk in chunks)
        now_us = parts.clock.now_us()
        names = ", ".join(live.pipeline.spec.routes())
        lines.append(
            _line(
                now_us,
                f"dry run: {run.through_seq - cursor:,} rows would go to {names}; a sample of {count:,} was read",
            )
        )
        ended = replace(run, state=RunState.SUCCESS, finished_at_us=now_us)
        await parts.catalog.keep_run(ended, lines)
        return ended

    async def _own_routes(self, live: LivePipeline, run: Run) -> list[RouteRecord]:
        """Those of a full refresh: from the first event that is kept to the last one now, under keys of the run."""
        parts = self._parts
        start_seq = await self._first_kept(live) - 1
        return [
            RouteRecord(
                pipeline=live.number,
                name=f"{name}@{run.id}",
                destination=parts.texts.of_destination(one, live.pipeline.uuid),
                start_seq=start_seq,
                cursor=start_seq,
                delivered=0,
                dead=0,
                through_seq=run.through_seq,
            )
            for name, one in live.pipeline.spec.routes().items()
        ]

    async def _first_kept(self, live: LivePipeline) -> int:
        return await self._parts.log.first_kept(live.pipeline)


def _line(at_us: int, message: str, level: str = "INFO") -> RunLine:
    return RunLine(at_us=at_us, level=level, message=message)
