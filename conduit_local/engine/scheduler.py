"""
Starts runs at the times that schedules name.

Each schedule counts from its base: the moment of its newest run, of its pipeline's making or resuming, or of a change
of the schedule, whichever is last. All ticks from there to now are due, and one run answers them together: also those
that passed while the appliance was down, the machine slept, or the store was unavailable.
"""

from dataclasses import dataclass

from conduit_local.core.errors import ConduitError
from conduit_local.core.pipeline import Pipeline, State
from conduit_local.core.ports import Clock
from conduit_local.core.run import RunOptions, Trigger
from conduit_local.core.schedule import next_tick
from conduit_local.engine.journal import LOGGER
from conduit_local.engine.runs import Runs
from conduit_local.engine.topology import LivePipeline, Topology

_LOOK_EVERY_S = 1.0
_BELIEVED_AHEAD_US = 2 * 86_400 * 1_000_000


@dataclass(slots=True, kw_only=True)
class _Base:
    """From when the ticks of one pipeline count."""

    pipeline: Pipeline
    """As it was when last looked at."""
    changed_us: int
    """When it was made or resumed, or its schedule changed."""
    looked_us: int
    """When it was last looked at."""
    asked_us: int = 0
    """When its ticks were last acted on, in this process; 0: never."""
    kept_us: int = 0
    """When its newest run by schedule was asked for, as it is written down; 0: never."""
    is_read: bool = False
    """Whether `kept_us` is what the store has."""
    counted_us: int | None = None
    """Counted from here, while what is written down is from a clock that was far ahead."""
    trouble: str | None = None
    """Why a tick could not be acted on, as it was last said."""
    tick: tuple[int, int | None] = (0, 0)
    """A time, and the first tick behind it."""

    def follow(self, pipeline: Pipeline) -> None:
        """
        The pipeline as it is now. Where a change was not one of state or schedule, its ticks go on: a pause that has
        ended again between two looks made two changes.
        """
        old = self.pipeline
        if pipeline is old:
            return
        if not (
            old.state is pipeline.state is State.ACTIVE
            and (old.spec.schedule, old.spec.timezone) == (pipeline.spec.schedule, pipeline.spec.timezone)
            and pipeline.revision == old.revision + 1
        ):
            self.changed_us = pipeline.updated_at_us or pipeline.created_at_us
            self.tick = (0, 0)
        self.pipeline = pipeline

    def look(self, now_us: int) -> None:
        """
        It is that time now.

        Where the time of day was set back, ticks that were acted on stay so. What a clock that was far ahead has
        written down would hold them up for years: then they count from the last look.
        """
        far_us = now_us + _BELIEVED_AHEAD_US
        if self.asked_us >= far_us:
            self.kept_us, self.asked_us = max(self.kept_us, self.asked_us), 0
        if self.kept_us < far_us:
            self.counted_us = None
        else:
            self.counted_us = min(self.looked_us if self.counted_us is None else self.counted_us, now_us)
        self.changed_us = min(self.changed_us, now_us)
        self.looked_us = now_us

    def since_us(self) -> int:
        """Behind what ticks are due, by the last look."""
        return max(self.asked_us, self.changed_us, self.kept_us if self.counted_us is None else self.counted_us)

    def fails(self, why: str) -> bool:
        """A tick could not be acted on; whether that is new. A run may have been kept all the same: the store knows."""
        self.is_read, before, self.trouble = False, self.trouble, why
        return why != before

    def tick_us(self, after_us: int) -> int | None:
        """The first tick behind `after_us`."""
        from_us, found_us = self.tick
        if not from_us <= after_us < (found_us if found_us is not None else 1 << 62):
            spec = self.pipeline.spec
            found_us = next_tick(spec.schedule, after_us, spec.timezone) if spec.schedule is not None else None
            self.tick = (after_us, found_us)
        return found_us


class Scheduler:
    """
    A tick starts at most one run, and those that are due at once start one together: none comes again over a restart,
    or where the time of day was set back. While the run of an earlier tick still waits, a further one adds none.

    A pipeline that is not active has no ticks; what passed meanwhile is not made up for. What passed while the
    appliance was down, the machine slept or the store was unavailable is made up for, by one run.
    """

    def __init__(self, topology: Topology, runs: Runs, clock: Clock) -> None:
        self._topology = topology
        self._runs = runs
        self._clock = clock
        self._bases: dict[int, _Base] = {}

    def next_run_us(self, live: LivePipeline) -> int | None:
        """When the next run by schedule starts; None where there is no schedule, or it does not act now."""
        if live.pipeline.spec.schedule is None or live.pipeline.state is not State.ACTIVE:
            return None
        base = self._base(live)
        return base.tick_us(max(self._clock.now_us(), base.since_us()))

    async def run(self) -> None:
        """
        Look every second, for ever.

        The first look comes a second after the start, when the configuration files have been applied: a schedule that
        was taken out of its file while the appliance was down starts nothing.
        """
        while True:
            here = {live.number: live for live in self._topology.live() if live.pipeline.spec.schedule is not None}
            self._bases = {number: self._base(live) for number, live in here.items()}
            await self._clock.wait(None, _LOOK_EVERY_S)
            now_us = self._clock.now_us()
            for live in self._topology.live():
                if live.pipeline.spec.schedule is not None:
                    await self._guarded(live, self._base(live), now_us)

    def _base(self, live: LivePipeline) -> _Base:
        base = self._bases.get(live.number)
        if base is None:
            changed_us = live.pipeline.updated_at_us or live.pipeline.created_at_us
            base = _Base(pipeline=live.pipeline, changed_us=changed_us, looked_us=self._clock.now_us())
            self._bases[live.number] = base
        base.follow(live.pipeline)
        return base

    async def _guarded(self, live: LivePipeline, base: _Base, now_us: int) -> None:
        """One pipeline's trouble is not that of the others; it is said once, and its tick is tried until it is kept."""
        extra = {"pipeline": live.pipeline.name}
        try:
            await self._look(live, base, now_us)
        except ConduitError as error:
            if base.fails(error.message):
                LOGGER.warning("start a run by schedule: %s; trying on", error.message, extra=extra)
        except Exception as error:  # noqa: BLE001 - shown, and the tick is tried again
            if base.fails(repr(error)):
                LOGGER.exception("start a run by schedule", extra=extra)
        else:
            if base.trouble is not None:
                base.trouble = None
                LOGGER.info("schedule: it acts again", extra=extra)

    async def _look(self, live: LivePipeline, base: _Base, now_us: int) -> None:
        if not base.is_read:
            base.kept_us = max(base.kept_us, await self._runs.last_asked_us(live, Trigger.SCHEDULE))
            base.is_read = True
            base.follow(live.pipeline)
        base.look(now_us)
        tick_us = base.tick_us(base.since_us())
        if tick_us is None or tick_us > now_us:
            return
        async with live.changing:  # who holds it may be pausing the pipeline
            acts = live.pipeline.state is State.ACTIVE and not live.pipeline.deleted
            waits = any(run.trigger is Trigger.SCHEDULE for run in live.waiting)
        if not acts or live.pipeline is not base.pipeline:
            return  # what changed is followed, and what is due then is seen, at the next look
        if not waits:
            run = await self._runs.request(live.pipeline.id, RunOptions(), Trigger.SCHEDULE)
            base.kept_us = max(base.kept_us, run.created_at_us)
        base.asked_us = now_us
