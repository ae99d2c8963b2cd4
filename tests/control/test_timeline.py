"""`/_local/runs/timeline`: what ran when, and how it is folded."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.control.timeline import MOST_SEGMENTS, segments
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.run import Run, RunOptions, RunState, Trigger
from tests.appliance import Appliance
from tests.control.conftest import Make

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SINCE_US = 1_750_000_000_000_000
FIELDS = ["id", "trigger", "state", "started_at", "finished_at", "runs", "rows", "dead"]


def run(number: int, at_us: int, state: RunState = RunState.SUCCESS, *, took_us: int = 1_000, **fields: Any) -> Run:
    return Run(
        number=number,
        pipeline=PipelineNumber(1),
        state=state,
        through_seq=0,
        created_at_us=SINCE_US + at_us,
        started_at_us=None if state is RunState.PENDING else SINCE_US + at_us,
        finished_at_us=SINCE_US + at_us + took_us if state.has_ended else None,
        **{"trigger": Trigger.STREAM, "rows": 10, **fields},
    )


def folded(*runs: Run) -> list[dict[str, Any]]:
    return segments(sorted(runs, key=lambda one: -one.created_at_us), SINCE_US, SINCE_US + DAY_US)


def test_few_runs_stay_what_they_are() -> None:
    found = folded(
        run(1, HOUR_US, trigger=Trigger.SCHEDULE, dead=2),
        run(2, 2 * HOUR_US, RunState.RUNNING),
        run(3, 3 * HOUR_US, RunState.PENDING),
    )
    assert [list(one) for one in found] == [FIELDS] * 3
    assert [(one["trigger"], one["state"], one["runs"], one["rows"], one["dead"]) for one in found] == [
        ("schedule", "success", 1, 10, 2),
        ("stream", "running", 1, 10, 0),
        ("stream", "pending", 1, 10, 0),
    ]
    assert [one["finished_at"] is None for one in found] == [False, True, True]


def test_many_are_folded_and_the_worst_of_a_slot_is_shown() -> None:
    slot_us = DAY_US // MOST_SEGMENTS
    many = [run(n, n * slot_us // 10) for n in range(1, 1_000)]  # ten a slot, in the first half of the day
    many[500] = run(501, 501 * slot_us // 10, RunState.FAILED, trigger=Trigger.MANUAL, dead=3)
    found = folded(*many, run(5_000, DAY_US - 1, RunState.RUNNING))
    assert len(found) == 101
    (failed,) = (one for one in found if one["state"] == "failed")
    assert (failed["trigger"], failed["runs"], failed["rows"], failed["dead"]) == (None, 10, 100, 3)
    assert found[-1]["state"] == "running"
    assert datetime.fromisoformat(found[-1]["started_at"]) - datetime.fromisoformat(found[-2]["finished_at"]) > (
        timedelta(hours=11)
    ), "a pause stays a pause"


def test_a_dry_run_landed_nothing() -> None:
    (found,) = folded(run(1, 5, rows=7, dead=2, options=RunOptions(dry_run=True)))
    assert (found["rows"], found["dead"]) == (0, 0)


RUNS = st.builds(
    run,
    st.integers(1, 1 << 30),
    st.integers(-3 * HOUR_US, DAY_US),
    st.sampled_from(RunState),
    took_us=st.integers(0, DAY_US),
    rows=st.integers(0, 9),
    dead=st.integers(0, 3),
)


@given(st.lists(RUNS, max_size=900))
def test_folding_loses_nothing_and_keeps_the_order(runs: list[Run]) -> None:
    found = folded(*runs)
    assert len(found) <= MOST_SEGMENTS
    assert sum(one["runs"] for one in found) == len(runs)
    assert sum(one["rows"] for one in found) == sum(one.rows for one in runs)
    assert sum(one["dead"] for one in found) == sum(one.dead for one in runs)
    assert [one["started_at"] for one in found] == sorted(one["started_at"] for one in found)
    assert ("failed" in {one["state"] for one in found}) == (RunState.FAILED in {one.state for one in runs})


def test_what_ran_is_told_of_one_pipeline_or_all(appliance: Appliance, make: Make) -> None:
    quiet, name = make(), make(batch={"max_events": 1})
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(260)]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
    appliance.until_delivered(name)
    found = appliance.ask("GET", f"/_local/runs/timeline?pipeline={name}&hours=1").json
    window = datetime.fromisoformat(found["until"]) - datetime.fromisoformat(found["since"])
    assert window == timedelta(hours=1)
    (of,) = found["data"]
    assert (of["pipeline"], of["has_more"]) == (name, False)
    assert sum(one["runs"] for one in of["segments"]) == sum(one["rows"] for one in of["segments"]) == 260
    assert len(of["segments"]) <= 3, "they began within two slots of 18 seconds, or three"
    everything = appliance.ask("GET", "/_local/runs/timeline").json["data"]
    by_name = {one["pipeline"]: one for one in everything}
    assert by_name[quiet]["segments"] == []
    assert sum(one["runs"] for one in by_name[name]["segments"]) == 260


@pytest.mark.parametrize("hours", ["0", "169", "x", "1.5", "-1"])
def test_a_window_that_makes_no_sense_names_its_field(appliance: Appliance, hours: str) -> None:
    answer = appliance.ask("GET", f"/_local/runs/timeline?hours={hours}")
    assert (answer.status, list(answer.json["error"]["details"])) == (400, ["hours"])


def test_a_pipeline_that_is_not_there_has_no_timeline(appliance: Appliance) -> None:
    assert appliance.ask("GET", "/_local/runs/timeline?pipeline=nobody").code == "pipeline_not_found"
