"""Orders: make, change, pause, resume, drain, flush, delete. Whatever was answered survives a crash."""

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable
from dataclasses import replace

from conduit_local.core.errors import Conflict, NameTaken
from conduit_local.core.ids import base32_of
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.run import Run, RunState, Trigger
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.webhook import kind_of_change, kind_of_edit
from conduit_local.engine.journal import say
from conduit_local.engine.parts import Parts, cancel_run, limit_of, live_pipeline
from conduit_local.engine.topology import LivePipeline, LiveRoute

_ID_WIDTH = 8
_TRIES = 5


class Manage:
    """Changes pipelines: first in the catalog, then in the topology, then the routes are woken."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._naming = asyncio.Lock()  # held from the choice of a free name until the pipeline has it

    # Make and change -------------------------------------------------------------------------------------

    async def create(
        self, spec: PipelineSpec, *, managed_by: str | None = None, state: State = State.ACTIVE
    ) -> Pipeline:
        """
        Make a pipeline; it is active at once, unless another state is asked for.

        Raises: NameTaken; InvalidRequest when an API asks for what only a file may have; StoreUnavailable.
        """
        parts = self._parts
        await parts.checks.check(spec, by_file=managed_by is not None)
        public_id = spec.id or f"pl_{base32_of(secrets.token_bytes(_ID_WIDTH), _ID_WIDTH)}"
        self._check_free(spec.name, public_id, None)
        pipeline = Pipeline(
            number=PipelineNumber(0),
            id=public_id,
            uuid=str(uuid.uuid4()),
            folder=spec.name,
            state=state,
            spec=spec.model_copy(update={"id": public_id}),
            managed_by=managed_by,
            created_at_us=parts.clock.now_us(),
            updated_at_us=None,
            first_seq=1,
        )
        pipeline = await parts.catalog.add_pipeline(pipeline, parts.route_texts(spec, pipeline.uuid))
        live = live_pipeline(pipeline)
        parts.topology.add(live)
        for name, destination in spec.routes().items():
            live.routes[name] = LiveRoute(
                name=name,
                spec=destination,
                start_seq=pipeline.first_seq - 1,
                cursor=pipeline.first_seq - 1,
                delivered=0,
                dead=0,
                through_seq=None,
            )
        parts.come_alive(live)
        say(logging.INFO, "created", pipeline.name)
        return pipeline

    async def create_as(self, make: Callable[[Callable[[str], bool]], PipelineSpec], *, state: State) -> Pipeline:
        """
        Make a pipeline under a name that `make` chooses; it is given what says whether one is free.

        Order: one at a time, so that two made of one title at once get two names.
        Raises: what `make` raises, and what `create` does.
        """
        async with self._naming:
            return await self.create(make(self._parts.topology.is_free), state=state)

    async def change(
        self,
        ref: str,
        become: Callable[[PipelineSpec], PipelineSpec],
        *,
        managed_by: str | None = None,
        expects: str | None = None,
    ) -> Pipeline:
        """
        Replace a pipeline's configuration by what `become` makes of the one it has; `expects` is an `If-Match`.

        A destination that is new gets the events from here on; one that is gone still gets what was accepted before,
        unless it was paused: what it had still to deliver is then given up.
        Raises: PipelineNotFound, PreconditionFailed, ManagedByFile, NameTaken, InvalidRequest, StoreUnavailable.
        """
        parts, by_file = self._parts, managed_by is not None
        for _ in range(_TRIES):
            now = parts.topology.find(ref).pipeline
            now.require_changeable(expects, managed_by)
            await parts.checks.check(become(now.spec), by_file=by_file, old=now.spec)  # may take its time: no lock
            async with parts.changing(ref) as live:
                old = live.pipeline
                old.require_changeable(expects, managed_by)
                spec = become(old.spec)
                if not parts.checks.must_ask(spec, old.spec):
                    await parts.checks.check(spec, by_file=by_file, old=old.spec)
                    return await self._change(live, spec, managed_by)
        raise Conflict(f"the pipeline {now.name!r} is being changed by others; try again")

    async def _change(self, live: LivePipeline, spec: PipelineSpec, managed_by: str | None) -> Pipeline:
        parts, old = self._parts, live.pipeline
        public_id = spec.id or old.id
        self._check_free(spec.name, public_id, live)
        spec = spec.model_copy(update={"id": public_id})
        new = old.changed(parts.clock.now_us(), id=public_id, spec=spec, managed_by=managed_by)
        if new.spec == old.spec and new.managed_by == old.managed_by:
            return old
        head_seq = await parts.log.settled(old)
        given_up = self._give_up(live, spec)
        try:
            texts, names = parts.route_texts(spec, new.uuid), [route.name for route in given_up]
            records = await parts.catalog.change_pipeline(new, texts, head_seq, names, tells=kind_of_edit(old, new))
        except BaseException:
            for route in given_up:
                route.given_up = False
            raise
        for route in given_up:
            route.ended = True
            live.routes.pop(route.name, None)
        parts.topology.replace(live, new)
        live.limit = limit_of(spec)
        for record in records:
            parts.take_up(live, record)
        parts.pull(live)
        parts.hurry(live)
        say(logging.INFO, "changed", new.name)
        return new

    async def delete(self, ref: str, *, managed_by: str | None = None) -> Pipeline:
        """
        Delete a pipeline: gone from every list at once; what was accepted is still delivered, then all is purged.

        Only what a paused destination had still to deliver is given up.
        Raises: PipelineNotFound, ManagedByFile, StoreUnavailable.
        """
        parts = self._parts
        async with parts.changing(ref) as live:
            live.pipeline.require_managed_by(managed_by)
            old = live.pipeline
            gone = old.changed(parts.clock.now_us(), deleted=True)
            parts.topology.replace(live, gone)  # no new event is taken from here on
            try:
                await parts.catalog.delete_pipeline(gone, await parts.log.settled(gone))
            except BaseException:
                parts.topology.restore(live, old)
                raise
            for runs in (live.runs, live.waiting):
                runs.clear()
            live.extraction = None
            live.end_looking()
            parts.pull(live)
        parts.hurry(live)
        say(logging.INFO, "deleted; delivering what was accepted", old.name)
        return old

    # States ----------------------------------------------------------------------------------------------

    async def pause(self, ref: str) -> Pipeline:
        """
        Stop delivering; go on accepting. Runs under way are cancelled, those that wait too.
        Raises: PipelineNotFound; Conflict when it is stopped; StoreUnavailable.
        """
        async with self._parts.changing(ref) as live:
            if live.pipeline.state is State.STOPPED:
                raise Conflict(f"the pipeline {live.pipeline.name!r} is stopped; resume it first")
            return await self._enter(live, State.PAUSED, "paused; still accepting", live.asked_for())

    async def resume(self, ref: str) -> Pipeline:
        """Make it active; a drain under way is cancelled. Raises: PipelineNotFound, StoreUnavailable."""
        async with self._parts.changing(ref) as live:
            return await self.call_off_drain(live)

    async def call_off_drain(self, live: LivePipeline) -> Pipeline:
        """`resume` for who holds the pipeline's lock already. Raises: StoreUnavailable."""
        drains = [run for run in live.runs if run.trigger is Trigger.DRAIN]
        return await self._enter(live, State.ACTIVE, "active", drains)

    async def drain(self, ref: str) -> Pipeline:
        """
        Refuse new events, deliver everything pending, then stop.

        Raises: PipelineNotFound, StoreUnavailable.
        """
        parts = self._parts
        async with parts.changing(ref) as live:
            old = live.pipeline
            if old.state in {State.DRAINING, State.STOPPED}:
                return old
            new = old.changed(parts.clock.now_us(), state=State.DRAINING)
            parts.topology.replace(live, new)  # no new event is taken from here on, so the head is final
            try:
                run = self._run_of(live, Trigger.DRAIN, await parts.log.settled(new))
                number = await parts.catalog.set_state(new, begins=run)
            except BaseException:
                parts.topology.replace(live, old)
                raise
            self._keep_run(live, replace(run, number=number or 0))
        parts.hurry(live)
        say(logging.INFO, "draining: no new events, delivering what is pending", new.name)
        return new

    async def enter(self, ref: str, state: State) -> Pipeline:
        """
        Resume, pause or drain it: what leads to `state`.

        Raises: PipelineNotFound; Conflict when it is stopped and is to pause; StoreUnavailable.
        """
        match state:
            case State.ACTIVE:
                return await self.resume(ref)
            case State.PAUSED:
                return await self.pause(ref)
            case State.DRAINING | State.STOPPED:
                return await self.drain(ref)

    async def flush(self, ref: str) -> Run:
        """
        Deliver what is pending now, without waiting and without changing the state; a run with trigger `manual`.

        Raises: PipelineNotFound, StoreUnavailable.
        """
        parts = self._parts
        async with parts.changing(ref) as live:
            run = self._run_of(live, Trigger.MANUAL, await parts.log.settled(live.pipeline))
            run = await parts.catalog.begin_run(run)
            self._keep_run(live, run)
        parts.hurry(live)
        say(logging.INFO, "flushing", live.pipeline.name)
        return run

    # ------------------------------------------------------------------------------------------------------

    async def _enter(self, live: LivePipeline, state: State, said: str, cancel: list[Run]) -> Pipeline:
        """Another state, if it is another one; these runs are cancelled."""
        parts = self._parts
        old = live.pipeline
        for run in cancel:
            await cancel_run(parts, live, run)
        if old.state is not state:
            new = old.changed(parts.clock.now_us(), state=state)
            await parts.catalog.set_state(new, tells=kind_of_change(old.state, state))
            parts.topology.replace(live, new)
            say(logging.INFO, said, new.name)
        for route in live.routes.values():
            route.retry_at_us = None
        for source in live.sources.values():
            source.retry_at_us = None
        parts.bell.ring(live.number)
        parts.pull_bell.ring(live.number)
        parts.completion.tell(live)
        return live.pipeline

    @staticmethod
    def _give_up(live: LivePipeline, spec: PipelineSpec) -> list[LiveRoute]:
        """The paused routes that `spec` has no more: they take nothing up from here on."""
        kept = spec.routes().keys()
        given_up = [
            route for route in live.routes.values() if route.spec.paused and route.name.partition("@")[0] not in kept
        ]
        for route in given_up:
            route.given_up = True
            text = f"{route.name}: removed while it was paused; what it had still to deliver is given up"
            say(logging.WARNING, text, live.pipeline.name)
        return given_up

    @staticmethod
    def _keep_run(live: LivePipeline, run: Run) -> None:
        live.runs.append(run)
        live.runs.sort(key=lambda one: (one.through_seq, one.number))
        live.behind_at_begin[run.number] = live.pending(run.through_seq)

    def _run_of(self, live: LivePipeline, trigger: Trigger, through_seq: int) -> Run:
        return Run(
            number=0,
            pipeline=live.number,
            trigger=trigger,
            state=RunState.RUNNING,
            through_seq=through_seq,
            created_at_us=(now_us := self._parts.clock.now_us()),
            started_at_us=now_us,
        )

    def _check_free(self, name: str, public_id: str, live: LivePipeline | None) -> None:
        for what, ref in (("name", name), ("id", public_id)):
            if not self._parts.topology.is_free(ref, besides=live):
                raise NameTaken(f"the {what} {ref!r} is taken by another pipeline")
