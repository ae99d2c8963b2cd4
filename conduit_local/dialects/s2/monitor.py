"""The figures of `monitor`: how much, how fast, how often not. Source: S2.5."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from conduit_local.core.times import SECOND_US
from conduit_local.engine.engine import Engine
from conduit_local.engine.samples import percentiles
from conduit_local.engine.topology import LivePipeline

_RANKS = (50, 95, 99)


def figures(engine: Engine, lives: Sequence[LivePipeline], window_s: int) -> dict[str, Any]:
    """Of these pipelines together, over the last `window_s` seconds."""
    since_us = engine.clock.steady_us() - window_s * SECOND_US
    windows = [engine.rates.window(live, window_s) for live in lives]
    measured_us = max((window.took_us for window in windows), default=0)
    accepted = sum(window.accepted for window in windows)
    delivered = sum(window.delivered for window in windows)
    errors = sum(window.died for window in windows)
    errors += sum(at_us >= since_us for live in lives for route in live.routes.values() for at_us in route.failures)
    return {
        "window_s": window_s,
        "measured_s": round(measured_us / SECOND_US, 3),
        "throughput": {
            "in_per_s": _rate(accepted, measured_us),
            "out_per_s": _rate(delivered, measured_us),
            "accepted": accepted,
            "delivered": delivered,
        },
        "errors": {"count": errors, "per_minute": round(errors * 60 / window_s, 3)},
        "latency": {
            "accept_ms": _percentiles([live.accept_us.since(since_us) for live in lives]),
            "delivery_ms": _percentiles([live.deliver_us.since(since_us) for live in lives]),
        },
        "pending": sum(live.pending(engine.log.head(live.pipeline).seq) for live in lives),
    }


def _rate(count: int, time_us: int) -> float:
    return round(count * SECOND_US / time_us, 3) if time_us else 0.0


def _percentiles(durations_us: Sequence[Sequence[int]]) -> dict[str, float | None]:
    found = percentiles(chain.from_iterable(durations_us), *_RANKS)
    return {
        f"p{rank}": None if took_us is None else round(took_us / 1000, 1)
        for rank, took_us in zip(_RANKS, found, strict=True)
    }
