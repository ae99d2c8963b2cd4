"""Runs by hand and by schedule: asked for, one at a time on a pipeline, cancelled."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from conduit_local.core.batch import Batch
from conduit_local.core.delivering import ObjectContent, opened
from conduit_local.core.errors import Conflict, NotStoppable, RunEnded, RunNotFound
from conduit_local.core.ids import parse_run_id, parse_run_uuid
from conduit_local.core.landed import Landed
from conduit_local.core.pipeline import Pipeline, State
from conduit_local.core.run import Run, RunOptions, RunState, Trigger
from conduit_local.engine.journal import say
from conduit_local.engine.manage import Manage
from conduit_local.engine.parts import Parts, cancel_run
from conduit_local.engine.topology import LivePipeline

MOST_WAITING = 100


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
        A run that waits, and begins as soon as it may. The values of its variables are kept sealed, as secrets are.

        Raises: PipelineNotFound; InvalidRequest when the configuration names a variable that has no value; Conflict
                when too many wait already; StoreUnavailable.
        """
        parts = self._parts
        async with parts.changing(ref) as live:
            require_room(live)
            if trigger is Trigger.SCHEDULE and live.pipeline.state is not State.ACTIVE:
                raise Conflict(f"the pipeline {live.pipeline.name!r} is {live.pipeline.state}: its schedule rests")
            parts.checks.check_variables(live.pipeline.spec, live.pipeline.spec.given(options.variables))
            run = await parts.catalog.begin_run(
                Run(
                    number=0,
                    pipeline=live.number,
                    trigger=trigger,
                    state=RunState.PENDING,
                    through_seq=0,
                    created_at_us=parts.clock.now_us(),
                    started_at_us=None,
                    options=replace(options, variables=parts.texts.of_variables(options.variables, live.pipeline.uuid)),
                )
            )
            live.waiting.append(run)
        parts.completion.tell(live)
        return run

    async def cancel(self, public_id: str) -> tuple[Run, Pipeline]:
        """
        End a run that waits or is under way. A batch in hand is still delivered; the rest stays pending.

        Raises: RunNotFound, RunEnded, NotStoppable, StoreUnavailable.
        """
        run, live = await self.find(public_id)
        if run.trigger is Trigger.STREAM and not run.state.has_ended:
            raise NotStoppable(f"the run {run.id} is one batch of a stream; pause the pipeline instead")
        async with live.changing:
            here = next((one for one in live.asked_for() if one.number == run.number), None)
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

    async def keys(self, run: Run) -> list[str]:
        """The keys of the objects that a run has written, in order. Raises: StoreUnavailable."""
        return [batch.key for batch in await self._parts.catalog.batches_of(run.number)]

    async def landed(self, run: Run) -> list[Landed]:
        """What is known of the objects that a run has delivered, in order. Raises: StoreUnavailable."""
        return await self._parts.catalog.landed_by(run.number)

    async def objects(self, run: Run, live: LivePipeline) -> AsyncIterator[tuple[Batch, ObjectContent]]:
        """What a run has written and is still there, in order. Raises: DestinationUnavailable, StoreUnavailable."""
        parts = self._parts
        for batch in await parts.catalog.batches_of(run.number):
            spec = parts.texts.destination(batch.destination, live.pipeline.uuid)
            async with opened(parts.destinations, spec) as destination:
                content = await destination.read(batch.key)
            if content is not None:
                yield batch, content


def require_room(live: LivePipeline) -> None:
    """Raises: Conflict when too many runs of the pipeline wait already."""
    if len(live.waiting) >= MOST_WAITING:
        raise Conflict(f"{MOST_WAITING} runs of {live.pipeline.name!r} wait already: cancel some")
