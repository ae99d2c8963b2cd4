"""S1.3, S1.4: runs, against a running appliance."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from conduit_local.core.ids import parse_run_id, run_uuid
from conduit_local.core.times import parse_rfc3339
from conduit_local.dialects.s1 import models
from tests.appliance import Appliance
from tests.dialects.s1.asking import PIPELINES, ended, good, make, refused, run_of, runs_of, shown, start, until
from tests.dialects.s1.conftest import BLOCKED

STARTED = ["id", "pipeline", "status", "started_at", "progress"]
WHOLE = [*STARTED, "finished_at", "duration_ms", "rows_loaded", "error", "trigger", "dry_run", "full_refresh"]
BATCH = {"max_age": "1h", "max_events": 1_000}
STUCK: dict[str, Any] = {"batch": {"max_age": "100ms"}, "destinations": [{"type": "files", "path": BLOCKED}]}


def send(appliance: Appliance, name: str, count: int) -> None:
    events = json.dumps([{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]).encode()
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200


def landed(appliance: Appliance, name: str) -> list[int]:
    """What lies in the files of a pipeline, in order."""
    paths = sorted((appliance.data / "out" / name).rglob("*.jsonl"))
    return [json.loads(line)["payload"]["n"] for path in paths for line in path.read_text().splitlines()]


# To start one ----------------------------------------------------------------------------------------------


def test_s1_3_a_run_is_answered_as_documented_and_delivers_what_waits(appliance: Appliance) -> None:
    make(appliance, "by-hand", batch=BATCH)
    send(appliance, "by-hand", 25)
    found = start(appliance, "by-hand", full_refresh=False)
    assert list(found) == STARTED
    assert (found["pipeline"], found["status"]) == ("by-hand", "running")
    assert found["progress"] == {"stage": "extract", "rows_processed": 0}
    assert len(found["started_at"]) == len("2026-02-15T10:30:00Z")
    after = ended(appliance, "by-hand", found["id"])
    assert (after["status"], after["rows_loaded"]) == ("success", 25)
    assert landed(appliance, "by-hand") == list(range(25))


def test_s1_3_a_paused_pipeline_can_be_run_by_hand_and_stays_paused(appliance: Appliance) -> None:
    make(appliance, "asleep", status="paused")
    send(appliance, "asleep", 250)
    after = ended(appliance, "asleep", start(appliance, "asleep")["id"])
    assert (after["status"], after["rows_loaded"]) == ("success", 250)
    assert shown(appliance, "asleep")["status"] == "paused"
    assert landed(appliance, "asleep") == list(range(250))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"variables": {}}', b'{"full_refresh": null, "dry_run": null}'])
def test_s1_3_every_option_may_be_left_out(appliance: Appliance, body: bytes) -> None:
    name = f"plain-{len(body)}"
    make(appliance, name)
    found = good(appliance.ask("POST", f"{PIPELINES}/{name}/runs", body), 202, models.StartedRun)["data"]
    after = ended(appliance, name, found["id"])
    assert (after["status"], after["dry_run"], after["full_refresh"]) == ("success", False, False)


def test_s1_3_an_empty_body_needs_no_content_type(appliance: Appliance) -> None:
    make(appliance, "no-body")
    good(appliance.ask("POST", f"{PIPELINES}/no-body/runs"), 202, models.StartedRun)


def test_s1_3_a_dry_run_writes_nothing(appliance: Appliance) -> None:
    make(appliance, "dry", batch=BATCH)
    send(appliance, "dry", 5)
    after = ended(appliance, "dry", start(appliance, "dry", dry_run=True)["id"])
    assert (after["status"], after["dry_run"], after["rows_loaded"]) == ("success", True, 0)
    assert landed(appliance, "dry") == []
    assert appliance.pipeline("dry")["pending"] == 5


def test_s1_3_a_full_refresh_delivers_all_once_more(appliance: Appliance) -> None:
    make(appliance, "again", batch=BATCH)
    send(appliance, "again", 6)
    ended(appliance, "again", start(appliance, "again")["id"])
    for times in range(2, 8):  # what it delivers is counted as its own, however soon it begins
        after = ended(appliance, "again", start(appliance, "again", full_refresh=True)["id"])
        assert (after["status"], after["full_refresh"], after["rows_loaded"]) == ("success", True, 6)
        assert sorted(landed(appliance, "again")) == sorted([*range(6)] * times)
    assert runs_of(appliance, "again")["meta"]["total"] == 7


def test_s1_3_variables_are_texts(appliance: Appliance) -> None:
    make(appliance, "varied")
    assert start(appliance, "varied", variables={"REGION": "eu"})["status"] == "running"
    body = {"variables": {"REGION": 5}}
    said = refused(appliance.ask("POST", f"{PIPELINES}/varied/runs", body), 400, "invalid_request")
    assert list(said["details"]) == ["variables.REGION"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"full_refresh": "yes"}, "full_refresh"),
        ({"full_refresh": 1}, "full_refresh"),
        ({"dry_run": []}, "dry_run"),
        ({"variables": []}, "variables"),
        ({"variables": "x"}, "variables"),
        ({"full_refersh": True}, "full_refersh"),
    ],
)
def test_s1_3_a_wrong_option_is_a_400_that_names_it(appliance: Appliance, body: dict[str, Any], field: str) -> None:
    said = refused(appliance.ask("POST", f"{PIPELINES}/orders-stream/runs", body), 400, "invalid_request")
    assert list(said["details"]) == [field]


def test_s1_3_a_run_that_waits_reads_running_and_one_that_was_cancelled_cancelled(appliance: Appliance) -> None:
    make(appliance, "stuck", **STUCK)
    send(appliance, "stuck", 3)
    under_way, waits = start(appliance, "stuck")["id"], start(appliance, "stuck")["id"]
    until(lambda: run_of(appliance, "stuck", under_way)["progress"]["stage"], lambda stage: stage == "load")
    for run, stage in ((under_way, "load"), (waits, "extract")):
        found = run_of(appliance, "stuck", run)
        assert (found["status"], found["finished_at"], found["duration_ms"]) == ("running", None, None)
        assert found["progress"] == {"stage": stage, "rows_processed": 0}
        assert (found["rows_loaded"], found["trigger"]) == (0, "manual")
    assert {waits, under_way} <= {one["id"] for one in runs_of(appliance, "stuck", "?status=running")["data"]}
    assert shown(appliance, "stuck")["last_run"]["status"] == "running"
    appliance.ask("PATCH", "/v1/pipelines/stuck", {"status": "paused"})
    for run in (under_way, waits):
        found = run_of(appliance, "stuck", run)
        assert found["status"] == "cancelled"
        assert found["finished_at"] >= found["started_at"]
    cancelled = {one["id"] for one in runs_of(appliance, "stuck", "?status=cancelled")["data"]}
    assert cancelled == {under_way, waits}


# To look at them -------------------------------------------------------------------------------------------


def test_s1_4_a_run_that_ended_shows_what_became_of_it(appliance: Appliance) -> None:
    make(appliance, "told", batch=BATCH)
    send(appliance, "told", 4)
    found = ended(appliance, "told", start(appliance, "told")["id"])
    assert list(found) == WHOLE
    assert (found["error"], found["trigger"]) == (None, "manual")
    assert found["progress"] == {"stage": "load", "rows_processed": 4}
    seconds = (parse_rfc3339(found["finished_at"]) - parse_rfc3339(found["started_at"])) / 1_000_000
    assert abs(found["duration_ms"] / 1_000 - seconds) <= 1
    (listed,) = runs_of(appliance, "told")["data"]
    assert listed == found
    last = shown(appliance, "told")["last_run"]
    assert last == {name: found[name] for name in last}


def test_s1_4_a_run_that_failed_says_why(appliance: Appliance) -> None:
    make(appliance, "fails", destinations=[{"type": "connector", "connector": "bigquery"}])
    found = ended(appliance, "fails", start(appliance, "fails")["id"])
    assert found["status"] == "failed"
    assert "'bigquery' is not built in" in found["error"]
    assert [one["id"] for one in runs_of(appliance, "fails", "?status=failed")["data"]] == [found["id"]]
    assert runs_of(appliance, "fails", "?status=success")["meta"]["total"] == 0


def test_s1_4_a_run_by_schedule_is_in_the_history(appliance: Appliance) -> None:
    make(appliance, "timed", schedule="0 * * * *")
    send(appliance, "timed", 2)
    at = shown(appliance, "timed")["next_run_at"]
    assert appliance.ask("POST", "/_local/test/clock", {"advance": 3_601}).status == 200
    found = until(lambda: runs_of(appliance, "timed", "?status=success")["data"], bool)[0]
    assert (found["trigger"], found["rows_loaded"]) == ("schedule", 2)
    assert found["started_at"] >= at
    assert shown(appliance, "timed")["next_run_at"] > at


def test_s1_4_pages_go_on_from_the_first_whatever_has_come_since(appliance: Appliance) -> None:
    make(appliance, "paged")
    runs = [start(appliance, "paged")["id"] for _ in range(5)]
    for run in runs:
        ended(appliance, "paged", run)
    seen: list[str] = []
    for number in (1, 2, 3):
        found = runs_of(appliance, "paged", f"?page={number}&per_page=2")
        assert found["meta"] == {"total": 5, "page": number, "per_page": 2}
        seen += [one["id"] for one in found["data"]]
        start(appliance, "paged")
    assert seen == runs[::-1]
    fresh = runs_of(appliance, "paged")
    assert (fresh["meta"]["total"], fresh["meta"]["per_page"], len(fresh["data"])) == (8, 20, 8)
    assert runs_of(appliance, "paged", "?page=1000000000&per_page=100")["data"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("per_page=101", "per_page"),
        ("per_page=0", "per_page"),
        ("status=pending", "status"),
        ("status=", "status"),
        ("status=active", "status"),
    ],
)
def test_s1_4_a_parameter_out_of_range_is_a_400_that_names_it(appliance: Appliance, query: str, field: str) -> None:
    said = refused(appliance.ask("GET", f"{PIPELINES}/orders-stream/runs?{query}"), 400, "invalid_request")
    assert list(said["details"]) == [field]


def test_s1_4_a_run_is_found_by_its_uuid_and_on_its_own_pipeline_only(appliance: Appliance) -> None:
    make(appliance, "owner")
    make(appliance, "stranger")
    run = start(appliance, "owner")["id"]
    found = ended(appliance, "owner", run)
    tag = appliance.emit({}, pipeline="owner").json["event_id"][4:9]
    number = parse_run_id(run)
    assert number is not None
    assert run_of(appliance, "owner", run_uuid(tag, number)) == found
    refused(appliance.ask("GET", f"{PIPELINES}/stranger/runs/{run}"), 404, "run_not_found")
    for wrong in ("run_002", "run_zzzzzzzz", "x", "é" * 300, "\0", "run_" + "9" * 400):
        refused(appliance.ask("GET", f"{PIPELINES}/owner/runs/{quote(wrong)}"), 404, "run_not_found")


def test_s1_4_an_unknown_pipeline_has_no_runs(appliance: Appliance) -> None:
    for method, path in (("GET", "runs"), ("POST", "runs"), ("GET", "runs/run_00000001")):
        body = b"{}" if method == "POST" else None
        refused(appliance.ask(method, f"{PIPELINES}/nobody/{path}", body), 404, "pipeline_not_found")


def test_s1_4_many_runs_asked_for_at_once_all_happen_one_after_the_other(appliance: Appliance) -> None:
    make(appliance, "crowd", batch=BATCH)
    send(appliance, "crowd", 30)
    with ThreadPoolExecutor(8) as threads:
        runs = set(threads.map(lambda _: start(appliance, "crowd")["id"], range(16)))
    assert len(runs) == 16
    found = [ended(appliance, "crowd", run) for run in runs]
    assert {one["status"] for one in found} == {"success"}
    assert sum(one["rows_loaded"] for one in found) == 30
    assert landed(appliance, "crowd") == list(range(30))
