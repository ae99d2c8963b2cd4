"""Starts runs at the times that schedules name."""

from collections.abc import Awaitable

from conduit_local.core.errors import ConduitError
from conduit_local.core.pipeline import State
from conduit_local.core.ports import Clock
from conduit_local.core.run import RunOptions, Trigger
from conduit_local.core.schedule import next_tick
from conduit_local.engine.journal import LOGGER
from conduit_local.engine.runs import Runs
from conduit_local.engine.topology import LivePipeline, Topology

_LOOK_EVERY_S = 1.0
_BELIEVED_AHEAD_US = 2 * 86_400 * 1_000_000


class Scheduler:
    """
    A tick starts at most one run; those that passed while the appliance was down, or the pipeline was not active, do
    not. While the run of an earlier tick still waits, a further one adds none. Nor does a tick come again where the
    time of day was set back, over a restart either.
    """

    def __init__(self, topology: Topology, runs: Runs, clock: Clock) -> None:
        self._topology = topology
        self._runs = runs
        self._clock = clock

    def next_run_us(self, live: LivePipeline) -> int | None:
        """When the next run by schedule starts; None where there is no schedule, or it does not act now."""
        line = live.pipeline.spec.schedule
        if line is None or live.pipeline.state is not State.ACTIVE:
            return None
        return next_tick(line, max(self._clock.now_us(), live.ticked_us))

    async def run(self) -> None:
        """Look every second, for ever."""
        looked_us = self._clock.now_us()
        for live in self._topology.live():
            if live.pipeline.spec.schedule is not None:
                await self._guarded(live, self._remember(live, looked_us))
        while True:
            await self._clock.wait(None, _LOOK_EVERY_S)
            now_us = self._clock.now_us()
            for live in self._topology.live():
                if live.pipeline.spec.schedule is not None:
                    await self._guarded(live, self._look(live, live.pipeline.spec.schedule, looked_us, now_us))
            looked_us = now_us

    @staticmethod
    async def _guarded(live: LivePipeline, step: Awaitable[None]) -> None:
        """One pipeline's trouble is not that of the others."""
        try:
            await step
        except ConduitError as error:
            LOGGER.warning("start a run by schedule: %s", error.message, extra={"pipeline": live.pipeline.name})
        except Exception:  # noqa: BLE001 - shown, and the next tick is tried
            LOGGER.exception("start a run by schedule", extra={"pipeline": live.pipeline.name})

    async def _remember(self, live: LivePipeline, now_us: int) -> None:
        """Up to where its ticks were acted on before the restart; not what a clock that was far ahead wrote down."""
        last_us = await self._runs.last_asked_us(live, Trigger.SCHEDULE)
        if last_us < now_us + _BELIEVED_AHEAD_US:
            live.ticked_us = last_us

    async def _look(self, live: LivePipeline, line: str, looked_us: int, now_us: int) -> None:
        since_us = max(looked_us, live.ticked_us)
        tick_us = next_tick(line, since_us) if since_us < now_us else None
        if tick_us is None or tick_us > now_us or live.pipeline.state is not State.ACTIVE:
            return
        live.ticked_us = now_us
        if any(run.trigger is Trigger.SCHEDULE for run in live.waiting):
            return
        await self._runs.request(live.pipeline.id, RunOptions(), Trigger.SCHEDULE)
