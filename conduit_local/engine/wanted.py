"""What a route is asked to deliver: by its pipeline's state, by runs, by an end that it has."""

from conduit_local.core.batch import Batch
from conduit_local.core.pipeline import State
from conduit_local.core.run import Run
from conduit_local.engine.topology import LivePipeline, LiveRoute


class Wanted:
    """Asked before each step: what is wanted changes while batches are on their way."""

    def __init__(self, live: LivePipeline, route: LiveRoute) -> None:
        self._live = live
        self._route = route
        self._own_run = route.name.rpartition("@")[2] if "@" in route.name else None

    def run_of(self, seq: int) -> Run | None:
        """The run under way that asks for this event."""
        if self._own_run is not None:
            return next((run for run in self._live.runs if run.id == self._own_run), None)
        return next((run for run in self._live.runs if run.through_seq >= seq), None)

    def streams(self) -> bool:
        """Whether it delivers without being asked to: a schedule asks through its runs."""
        pipeline = self._live.pipeline
        return (
            pipeline.state is State.ACTIVE
            and not pipeline.deleted
            and pipeline.spec.schedule is None
            and not self._route.spec.paused
        )

    def is_retired(self) -> bool:
        """Whether its destination was taken out of the configuration, and it has delivered all it was left with."""
        route = self._route
        return route.through_seq is not None and route.cursor >= route.through_seq and not route.given_up

    def is_to_land(self, batch: Batch) -> bool:
        """Whether a batch whose intent is written may be tried now."""
        if self._route.spec.paused:
            return False
        return self.streams() or self._ends() or self._live.wanted_through(batch.last_seq) >= batch.last_seq

    def through(self, from_seq: int, last_seq: int) -> int:
        """
        How far behind `from_seq`, and not behind `last_seq`, to deliver without waiting; 0 for nowhere. A run that ends
        sooner comes first, so that batches are of one run.
        """
        if self._route.spec.paused:
            return 0
        if self._own_run is not None:
            return last_seq
        runs = [run.through_seq for run in self._live.runs if run.through_seq > from_seq]
        if runs:
            return min(*runs, last_seq)
        if self._route.through_seq is not None:
            return last_seq
        return min(self._live.wanted_through(last_seq), last_seq)

    def _ends(self) -> bool:
        """Whether it has an end to come to; what is left of a cancelled replay waits while the pipeline is paused."""
        if self._route.replays is not None and self._live.pipeline.state is State.PAUSED:
            return any(run.number == self._route.replays for run in self._live.runs)
        return self._route.through_seq is not None
