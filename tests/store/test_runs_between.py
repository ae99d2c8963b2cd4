"""Which runs touched a time, for the timeline."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.run import Run, RunState, Trigger
from conduit_local.store.runs import _RUNS_BETWEEN
from tests.making import store_at

ONE, OTHER = PipelineNumber(1), PipelineNumber(2)


async def keep(store: Any, at_us: int, ended_us: int | None, pipeline: PipelineNumber = ONE) -> int:
    """A run that was asked for at `at_us`; its number."""
    run = await store.catalog.begin_run(
        Run(
            number=0,
            pipeline=pipeline,
            trigger=Trigger.MANUAL,
            state=RunState.PENDING,
            through_seq=0,
            created_at_us=at_us,
            started_at_us=None,
        )
    )
    if ended_us is not None:
        await store.catalog.keep_run(replace(run, state=RunState.SUCCESS, started_at_us=at_us, finished_at_us=ended_us))
    return int(run.number)


async def test_runs_that_touch_a_time_are_found_the_newest_first(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        await keep(store, 10, 99)
        reaches_in = await keep(store, 20, 100)
        goes_on = await keep(store, 30, None)
        inside = await keep(store, 150, 160)
        reaches_out = await keep(store, 199, 500)
        await keep(store, 200, None)
        await keep(store, 150, 160, OTHER)
        found = await store.catalog.runs_between(ONE, 100, 200, 10)
        assert [run.number for run in found] == [reaches_out, inside, goes_on, reaches_in]
        assert [run.number for run in await store.catalog.runs_between(ONE, 100, 200, 2)] == [reaches_out, inside]
    db = sqlite3.connect(tmp_path / "conduit.db")
    try:
        ((*_, plan),) = db.execute(f"EXPLAIN QUERY PLAN {_RUNS_BETWEEN}", (1, 200, 100, 10)).fetchall()
    finally:
        db.close()
    assert plan == "SEARCH runs USING INDEX runs_by_time (pipeline=? AND created_at_us<?)", "and nothing is sorted"
