"""Counts a second, per pipeline, for the last minutes: what sparklines and `monitor` are made of."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from conduit_local.core.log import Log
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.core.times import SECOND_US
from conduit_local.engine.topology import LivePipeline, Topology

_KEPT = 600
_OVER_S = 5


class Sample(NamedTuple):
    """One second: events in, events out (of the slowest route), and events pending at its end."""

    accepted: int
    delivered: int
    pending: int


class Window(NamedTuple):
    """The last seconds together."""

    accepted: int
    delivered: int
    died: int
    """Dead letters that came about."""
    took_us: int
    """How long it was in truth: a busy machine looks late."""


class _Second(NamedTuple):
    sample: Sample
    died: int
    took_us: int


@dataclass(slots=True)
class _Track:
    accepted: int
    delivered: int
    dead: Mapping[str, int]
    seconds: "deque[_Second]" = field(default_factory=lambda: deque(maxlen=_KEPT))


class Rates:
    """Samples every second. Costs follow pipelines, never events."""

    def __init__(self, topology: Topology, log: Log, clock: Clock) -> None:
        self._topology = topology
        self._log = log
        self._clock = clock
        self._tracks: dict[PipelineNumber, _Track] = {}
        self._sampled_us: int | None = None

    async def run(self) -> None:
        """Sample, for ever; one that comes late makes the next no later."""
        due_us = self._clock.steady_us()
        while True:
            self.sample()
            now_us = self._clock.steady_us()
            due_us += SECOND_US * (1 + max(0, now_us - due_us) // SECOND_US)
            await self._clock.wait(None, (due_us - now_us) / SECOND_US)

    def sample(self) -> None:
        """Take one sample of every pipeline."""
        now_us = self._clock.steady_us()
        begun = self._sampled_us is not None
        took_us = now_us - self._sampled_us if self._sampled_us is not None else 0
        seen: dict[PipelineNumber, _Track] = {}
        for live in self._topology:
            accepted, delivered = self._counts(live)
            dead = _dead(live)
            track = self._tracks.get(live.number)
            if track is None:  # it was there at the start, with all it had accepted before; or it was made just now
                track = _Track(0, 0, {}) if begun else _Track(accepted, delivered, dead)
            sample = Sample(accepted - track.accepted, delivered - track.delivered, accepted - delivered)
            died = sum(max(0, count - track.dead.get(name, 0)) for name, count in dead.items())
            track.seconds.append(_Second(sample, died, took_us))
            track.accepted, track.delivered, track.dead = accepted, delivered, dead
            seen[live.number] = track
        self._tracks = seen
        self._sampled_us = now_us

    def history(self, live: LivePipeline, seconds: int) -> list[Sample]:
        """The last samples, the oldest first; fewer where the appliance has not run that long."""
        return [one.sample for one in self._last(live, seconds)]

    def window(self, live: LivePipeline, seconds: int) -> Window:
        """The last samples together."""
        found = self._last(live, seconds)
        return Window(
            accepted=sum(one.sample.accepted for one in found),
            delivered=sum(one.sample.delivered for one in found),
            died=sum(one.died for one in found),
            took_us=sum(one.took_us for one in found),
        )

    def now(self, live: LivePipeline) -> tuple[float, float]:
        """Events a second in and out, over the last five seconds."""
        found = self.window(live, _OVER_S)
        if not found.took_us:
            return 0.0, 0.0
        return found.accepted * SECOND_US / found.took_us, found.delivered * SECOND_US / found.took_us

    def _last(self, live: LivePipeline, seconds: int) -> list[_Second]:
        track = self._tracks.get(live.number)
        return list(track.seconds)[-seconds:] if track else []

    def _counts(self, live: LivePipeline) -> tuple[int, int]:
        head_seq = self._log.head(live.pipeline).seq
        accepted = head_seq - live.pipeline.first_seq + 1
        return accepted, accepted - live.pending(head_seq)


def _dead(live: LivePipeline) -> dict[str, int]:
    """Dead letters by route; those that never were events have none."""
    return {"": live.dead_inputs, **{name: route.dead for name, route in live.routes.items()}}
