"""Counts a second, per pipeline, for the last minutes: what sparklines are drawn from."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock, Log
from conduit_local.engine.topology import LivePipeline, Topology

_KEPT = 600
_OVER_S = 5


class Sample(NamedTuple):
    """One second: events in, events out (of the slowest route), and events pending at its end."""

    accepted: int
    delivered: int
    pending: int


@dataclass(slots=True)
class _Track:
    accepted: int
    delivered: int
    samples: "deque[Sample]" = field(default_factory=lambda: deque(maxlen=_KEPT))


class Rates:
    """Samples every second. Costs follow pipelines, never events."""

    def __init__(self, topology: Topology, log: Log, clock: Clock) -> None:
        self._topology = topology
        self._log = log
        self._clock = clock
        self._tracks: dict[PipelineNumber, _Track] = {}
        self._begun = False

    async def run(self) -> None:
        """Sample, for ever."""
        while True:
            self.sample()
            await self._clock.wait(None, 1.0)

    def sample(self) -> None:
        """Take one sample of every pipeline."""
        seen: dict[PipelineNumber, _Track] = {}
        for live in self._topology:
            accepted, delivered = self._counts(live)
            track = self._tracks.get(live.number)
            if track is None:  # it was there at the start, with all it had accepted before; or it was made just now
                track = _Track(0, 0) if self._begun else _Track(accepted, delivered)
            track.samples.append(Sample(accepted - track.accepted, delivered - track.delivered, accepted - delivered))
            track.accepted, track.delivered = accepted, delivered
            seen[live.number] = track
        self._tracks = seen
        self._begun = True

    def history(self, live: LivePipeline, seconds: int) -> list[Sample]:
        """The last samples, the oldest first; fewer where the appliance has not run that long."""
        track = self._tracks.get(live.number)
        return list(track.samples)[-seconds:] if track else []

    def now(self, live: LivePipeline) -> tuple[float, float]:
        """Events a second in and out, over the last five seconds."""
        samples = self.history(live, _OVER_S)
        if not samples:
            return 0.0, 0.0
        return (
            sum(sample.accepted for sample in samples) / len(samples),
            sum(sample.delivered for sample in samples) / len(samples),
        )

    def _counts(self, live: LivePipeline) -> tuple[int, int]:
        head_seq = self._log.head(live.pipeline).seq
        accepted = head_seq - live.pipeline.first_seq + 1
        return accepted, accepted - live.pending(head_seq)
