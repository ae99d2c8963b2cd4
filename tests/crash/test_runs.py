"""`kill -9` while runs wait and while they are under way: each goes on over the same range, and lands it once."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Appliance
from tests.crash.oracle import PIPELINE
from tests.engines import payloads_below

COLLECTS = f"{{name: orders, id: {PIPELINE}, schedule: 0 0 1 1 *, batch: {{max_events: 2}}}}"
COUNT = 20


def victim(folder: Path, point: str, number: int) -> Appliance:
    return Appliance(folder, {"orders": COLLECTS}, program=("tests.crash.victim", point, str(number)))


def send(appliance: Appliance, first: int = 0, count: int = COUNT) -> None:
    batch = [{"event_type": "a.b", "payload": {"n": n}} for n in range(first, first + count)]
    assert appliance.ask("POST", f"/_local/pipelines/{PIPELINE}/events", batch).status == 200


def order(appliance: Appliance, **options: bool) -> str:
    """A run that was answered for, or "" where the appliance was gone before it could."""
    try:
        answer = appliance.ask("POST", f"/_local/pipelines/{PIPELINE}/runs", options)
    except OSError:
        return ""
    assert answer.status == 202
    return str(answer.json["id"])


def runs(appliance: Appliance) -> dict[str, Any]:
    """Those that were asked for, by id."""
    found = appliance.ask("GET", f"/_local/runs?pipeline={PIPELINE}&limit=200").json["data"]
    return {one["id"]: one for one in found if one["trigger"] != "stream"}


def until_ended(appliance: Appliance) -> dict[str, Any]:
    appliance.until(lambda _: {one["state"] for one in runs(appliance).values()} <= {"success", "cancelled"})
    return runs(appliance)


def numbers(folder: Path) -> list[int]:
    return [found["n"] for found in payloads_below(folder)]


@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("run kept", 1),
        ("file synced", 9),
        ("renamed", 4),
        ("batch closed", 4),
        ("refresh kept", 1),
        ("batch close", 14),
    ],
)
def test_killed_at_any_step_runs_go_on_in_their_order_over_the_same_range(
    tmp_path: Path, point: str, number: int
) -> None:
    with victim(tmp_path, point, number) as dying:
        send(dying)
        asked = [run for run in (order(dying), order(dying, full_refresh=True), order(dying)) if run]
        if not dying.ended_within(10):
            pytest.fail(f"{point} was not passed {number} times")
        assert dying.killed
    with Appliance(tmp_path, {"orders": COLLECTS}) as appliance:
        done = until_ended(appliance)
        assert set(asked) <= set(done), "what was answered is there"
        in_order = [done[run] for run in sorted(done)]
        assert {one["state"] for one in in_order} == {"success"}
        assert [one["finished_at"] for one in in_order] == sorted(one["finished_at"] for one in in_order)
        snapshot = appliance.pipeline(PIPELINE)
        assert [route["name"] for route in snapshot["destinations"]] == ["files"]
        assert all(route["ledger"]["closes"] for route in snapshot["destinations"])
        out = appliance.data / "out" / "orders"
        refreshed = [path for path in out.iterdir() if path.is_dir()]
        for folder in refreshed:
            assert numbers(folder) == list(range(COUNT)), folder
        assert len(refreshed) == (1 if len(asked) > 1 else len(refreshed))
        if asked:
            landed = [
                json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_bytes().splitlines()
            ]
            assert [one["payload"]["n"] for one in landed] == list(range(COUNT))


def test_killed_at_once_after_the_answer_every_run_is_there_and_ends(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": COLLECTS}) as appliance:
        send(appliance)
        asked = [order(appliance, full_refresh=number % 2 == 1) for number in range(6)]
        appliance.kill()
        appliance.start()
        send(appliance, COUNT, 4)
        cancelled = appliance.ask("POST", f"/_local/runs/{asked[-1]}/cancel").status
        appliance.kill()
        appliance.start()
        done = until_ended(appliance)
        assert list(done) == asked[::-1]
        assert [done[run]["state"] for run in asked[:-1]] == ["success"] * 5
        assert (done[asked[-1]]["state"] == "cancelled") == (cancelled == 200)
        for run in asked[1:5:2]:
            assert numbers(appliance.data / "out" / "orders" / run) in [list(range(COUNT)), list(range(COUNT + 4))]
