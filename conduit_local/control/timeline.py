"""What ran when, folded until it can be drawn: a stream has thousands of runs where a screen has a hundred columns."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from conduit_local.core.run import Run, RunState
from conduit_local.core.times import rfc3339_ms

MOST_RUNS = 5_000
"""So many of a pipeline are looked at, the newest."""
MOST_SEGMENTS = 200
_WORST_FIRST = (RunState.FAILED, RunState.CANCELLED, RunState.RUNNING, RunState.PENDING, RunState.SUCCESS)


def segments(newest_first: Sequence[Run], since_us: int, until_us: int) -> list[dict[str, Any]]:
    """
    The runs in the order in which they began, each a segment of its own.

    Where that were more than 200, the time is cut into 200 slots, and those that began in the same one are folded: a
    failure is then never smeared over more than its slot, and a pause stays a pause.
    """
    runs = sorted(newest_first, key=_began_us)
    if len(runs) <= MOST_SEGMENTS:
        return [_segment([run]) for run in runs]
    span_us = max(1, until_us - since_us)

    def slot(run: Run) -> int:
        return max(0, min(MOST_SEGMENTS - 1, (_began_us(run) - since_us) * MOST_SEGMENTS // span_us))

    return [_segment(list(some)) for _, some in groupby(runs, slot)]


def _segment(runs: Sequence[Run]) -> dict[str, Any]:
    ends_us = [run.finished_at_us for run in runs if run.finished_at_us is not None]
    real = [run for run in runs if not run.options.dry_run]  # what a dry run counts did not happen
    triggers = {run.trigger for run in runs}
    return {
        "id": runs[-1].id,
        "trigger": triggers.pop() if len(triggers) == 1 else None,
        "state": min((run.state for run in runs), key=_WORST_FIRST.index),
        "started_at": rfc3339_ms(_began_us(runs[0])),
        "finished_at": rfc3339_ms(max(ends_us)) if len(ends_us) == len(runs) else None,
        "runs": len(runs),
        "rows": sum(run.rows for run in real),
        "dead": sum(run.dead for run in real),
    }


def _began_us(run: Run) -> int:
    """When it began, or was asked for while it waits."""
    return run.started_at_us or run.created_at_us
