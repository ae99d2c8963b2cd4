"""What is complete once cursors have moved: runs end, drained pipelines stop, deleted ones are purged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import Unavailable
from conduit_local.core.log import Log
from conduit_local.core.pipeline import State
from conduit_local.core.ports import Bell, Clock
from conduit_local.core.run import RunState, Trigger
from conduit_local.core.webhook import NoticeKind
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.topology import LivePipeline, Topology

_REPEAT_S = 1.0


class Completion:
    """
    Looks at each pipeline it was told of, and ends what has come to its end.

    Told by routes after each batch and by `manage` after each order; when the store is unavailable it looks again.
    """

    def __init__(self, topology: Topology, log: Log, catalog: Catalog, clock: Clock, bell: Bell) -> None:
        self._topology = topology
        self._routes_bell = bell
        self._log = log
        self._catalog = catalog
        self._clock = clock
        self._told: dict[int, LivePipeline] = {}
        self._bell = asyncio.Event()
        self.go_on: Callable[[LivePipeline], Awaitable[None]] | None = None
        """Takes a run to its next stage, or begins one that waits; asked while the pipeline's lock is held."""

    def tell(self, live: LivePipeline) -> None:
        """Something of this pipeline may be complete."""
        if live.is_running or live.waiting or live.pipeline.deleted or live.pipeline.state is State.DRAINING:
            self._told[live.number] = live
            self._bell.set()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            told, self._told = self._told, {}
            again = False
            for live in told.values():
                try:
                    await self._look(live)
                except Unavailable:
                    self._told.setdefault(live.number, live)
                    again = True
                except Exception:  # noqa: BLE001 - shown, and tried again
                    LOGGER.exception("complete what %s has reached", live.pipeline.name)
                    self._told.setdefault(live.number, live)
                    again = True
            if again:
                await self._clock.wait(None, _REPEAT_S)
                self._bell.set()

    async def _look(self, live: LivePipeline) -> None:
        async with live.changing:
            if not live.pipeline.deleted:
                await self._end_runs(live)
                if self.go_on is not None:
                    await self.go_on(live)
            elif live.has_reached(self._log.head(live.pipeline).seq):
                await self._purge(live)

    async def _end_runs(self, live: LivePipeline) -> None:
        done = [run for run in live.runs if live.has_ended(run)]
        for run in done:
            now_us = self._clock.now_us()
            ended = replace(run, state=RunState.SUCCESS, finished_at_us=now_us, error=None)
            if run.trigger is Trigger.DRAIN and live.pipeline.state is State.DRAINING:
                stopped = live.pipeline.changed(now_us, state=State.STOPPED)
                await self._catalog.set_state(stopped, ends=ended, tells=NoticeKind.STOPPED)
                self._topology.replace(live, stopped)
                say(logging.INFO, "drained; stopped", live.pipeline.name)
            else:
                await self._catalog.keep_run(ended)
            live.runs.remove(run)
            live.behind_at_begin.pop(run.number, None)

    async def _purge(self, live: LivePipeline) -> None:
        """Drop a slice of what is left of a deleted pipeline: others that wait have their turn before the next one."""
        for route in live.routes.values():  # a paused one may have a batch in hand: nobody is to hear of it any more
            route.given_up = True
        if await self._log.forget(live.number):
            self._told[live.number] = live
            self._bell.set()
            return
        await self._catalog.purge_pipeline(live.number)
        for route in live.routes.values():
            route.ended = True
        self._topology.remove(live)
        self._routes_bell.ring(live.number)
        say(logging.INFO, "deleted; all that was accepted is delivered", live.pipeline.name)
