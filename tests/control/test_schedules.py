"""Schedules of a real appliance, with a hand on its clock: through changes of the clocks, and over a restart."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Appliance, serving

TIMED = """
name: timed
id: pl_timed
schedule: "{line}"
timezone: {zone}
"""
CLOCK = "/_local/test/clock"


@pytest.fixture
def berlin(tmp_path: Path) -> Iterator[Appliance]:
    """Three pipelines that go by the wall of Berlin; the clock stands."""
    lines = {"daily": "30 2 * * *", "hourly": "0 * * * *", "minutely": "*/1 * * * *"}
    texts = {name: TIMED.format(line=line, zone="Europe/Berlin").replace("timed", name) for name, line in lines.items()}
    with serving(tmp_path, {}, "--testing") as running:
        steer(running, freeze=True)
        running.texts = texts  # type: ignore[attr-defined]
        yield running


def steer(appliance: Appliance, **order: object) -> None:
    answer = appliance.ask("POST", CLOCK, order)
    assert answer.status == 200, answer


def make(appliance: Appliance, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        appliance.write_pipeline(name, text)
    answer = appliance.ask("POST", "/_local/config/reload")
    assert answer.status == 200, answer
    assert answer.json["problems"] == []


def runs(appliance: Appliance, name: str) -> list[Any]:
    answer = appliance.ask("GET", f"/_local/runs?pipeline={name}&trigger=schedule&limit=500")
    assert answer.status == 200, answer
    return list(reversed(answer.json["data"]))


def starts(appliance: Appliance, name: str) -> list[str]:
    """When its runs by schedule were asked for, to the minute, the oldest first."""
    return [run["created_at"][:16] for run in runs(appliance, name)]


def until_started(appliance: Appliance, name: str, count: int) -> list[str]:
    """
    Until so many runs by schedule were started and ended: a tick adds none to one that waits. Where the scheduler was
    still busy with its last look when time passed, a second more does.
    """
    now = time.monotonic()
    end, late = now + 20, now + 2
    while time.monotonic() < end:
        found = runs(appliance, name)
        if len(found) >= count and all(run["state"] == "success" for run in found):
            break
        if time.monotonic() > late:
            late += 2
            steer(appliance, advance=1)
    return starts(appliance, name)


def next_of(appliance: Appliance, name: str) -> Any:
    return appliance.pipeline(f"pl_{name}")["next_run_at"]


@pytest.mark.parametrize(
    ("eve", "daily", "hourly", "following"),
    [
        ("2026-03-29T00:30:20Z", "2026-03-29T01:00", ["2026-03-29T01:00", "2026-03-29T02:00"], "2026-03-30T00:30:00"),
        ("2026-10-24T23:30:20Z", "2026-10-25T00:30", ["2026-10-25T00:00", "2026-10-25T01:00"], "2026-10-26T01:30:00"),
    ],
    ids=["spring", "autumn"],
)
def test_through_a_change_of_the_clocks_each_tick_starts_one_run(
    berlin: Appliance, eve: str, daily: str, hourly: list[str], following: str
) -> None:
    steer(berlin, set=eve)
    make(berlin, berlin.texts)  # type: ignore[attr-defined]
    assert next_of(berlin, "daily")[:16] == daily
    started = datetime.fromisoformat(eve).replace(second=20)
    minutes = []
    for passed in range(1, 111):
        steer(berlin, advance=60)
        assert len(until_started(berlin, "minutely", passed)) == passed
        minutes.append((started + timedelta(minutes=passed)).strftime("%Y-%m-%dT%H:%M"))
        steer(berlin, set=(started + timedelta(minutes=passed)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert starts(berlin, "minutely") == minutes
    assert starts(berlin, "hourly") == hourly
    assert starts(berlin, "daily") == [daily]
    assert next_of(berlin, "daily")[:19] == following


def test_three_hours_of_downtime_start_one_run(tmp_path: Path) -> None:
    timed = TIMED.format(line="*/1 * * * *", zone="America/New_York")
    with serving(tmp_path, {}, "--testing") as running:
        then = datetime.now(UTC) - timedelta(hours=3)
        steer(running, freeze=True)
        steer(running, set=then.strftime("%Y-%m-%dT%H:%M:05Z"))
        make(running, {"timed": timed})
        assert running.emit({"n": 1}, pipeline="pl_timed").status == 200
        assert starts(running, "timed") == []
        assert running.stop() == 0
        running.start()
        steer(running, freeze=True)
        steer(running, advance=1)
        (made_up,) = until_started(running, "timed", 1)
        running.until_delivered("pl_timed")
        for count in (2, 3):
            steer(running, advance=60)
            assert len(until_started(running, "timed", count)) == count
        assert datetime.fromisoformat(f"{made_up}:00Z") - then > timedelta(hours=2, minutes=58)


def test_an_unknown_zone_is_refused_with_its_field_and_what_may_be_meant(berlin: Appliance) -> None:
    berlin.write_pipeline("wrong", TIMED.format(line="0 2 * * *", zone="Europe/Berln"))
    answer = berlin.ask("POST", "/_local/config/reload")
    (problem,) = answer.json["problems"]
    assert (problem["field"], problem["line"]) == ("timezone", 5)
    assert "did you mean 'Europe/Berlin'" in problem["message"]


def test_while_it_is_held_no_document_shows_a_next_run(berlin: Appliance) -> None:
    make(berlin, berlin.texts)  # type: ignore[attr-defined]
    assert berlin.ask("GET", "/api/v1/pipelines/daily").json["data"]["next_run_at"] is not None
    assert berlin.ask("POST", "/_local/pipelines/daily/pause").status == 200
    assert next_of(berlin, "daily") is None
    assert berlin.ask("GET", "/api/v1/pipelines/daily").json["data"]["next_run_at"] is None
