"""S4.5-S4.8: runs, against a running appliance."""

import io
import json
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from conduit_local.dialects.s4 import models
from tests.appliance import Appliance
from tests.dialects.s4.asking import (
    EXAMPLE,
    PIPELINES,
    change,
    ended,
    good,
    listed,
    logs_of,
    make,
    quiet,
    refused,
    run_of,
    runs_of,
    send,
    shown,
    start,
    until,
)
from tests.dialects.s4.conftest import BLOCKED

QUEUED = ["id", "pipeline_id", "status", "triggered_by", "created_at"]
RUN = [*QUEUED, "started_at", "finished_at", "error"]
DETAIL = [*RUN, "output_file", "output_file_size"]


def delivered(appliance: Appliance, name: str, count: int) -> dict[str, Any]:
    """A run that has delivered so many events."""
    send(appliance, name, count)
    return ended(appliance, start(appliance, name)["id"])


# To start one ----------------------------------------------------------------------------------------------


def test_s4_5_a_run_by_hand_is_answered_as_documented(appliance: Appliance) -> None:
    made = quiet(appliance, "by-hand")
    found = start(appliance, made["id"])
    assert list(found) == QUEUED
    assert (found["pipeline_id"], found["status"], found["triggered_by"]) == (made["id"], "pending", "manual")
    assert str(uuid.UUID(found["id"])) == found["id"]
    assert len(found["created_at"]) == len("2024-01-15T10:30:00Z")


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"full_refresh": null}', b'{"dry_run": true, "variables": {}}'])
def test_s4_5_a_run_needs_no_body(appliance: Appliance, body: bytes | None) -> None:
    if not any(one["name"] == "no-body" for one in listed(appliance, "?limit=1000")):
        quiet(appliance, "no-body")
    found = good(appliance.ask("POST", f"{PIPELINES}/no-body/run", body), 202, models.RunQueued)
    assert ended(appliance, found["id"])["status"] == "success"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"full_refresh": "yes"}, "full_refresh"), ({"variables": {"a": 1}}, "variables.a"), ({"n": 1}, "n")],
)
def test_s4_5_a_wrong_option_is_a_400_that_names_it(appliance: Appliance, body: dict[str, Any], field: str) -> None:
    message = refused(appliance.ask("POST", f"{PIPELINES}/orders-stream/run", body), 400, "invalid_request")
    assert message.startswith(f"{field}: ")


def test_s4_1_the_documents_pipeline_runs_on_stand_ins_and_its_file_is_downloaded(appliance: Appliance) -> None:
    made = good(appliance.ask("POST", PIPELINES, EXAMPLE), 201, models.PipelineShown)
    records = [{"email": f"{n}@example.com"} for n in range(20)]
    assert appliance.ask("POST", f"/v1/ingest/{made['id']}", records).status == 202
    run = ended(appliance, start(appliance, made["id"])["id"])
    assert (run["status"], run["error"]) == ("success", None)
    assert (appliance.data / "warehouse" / run["output_file"]).stat().st_size == run["output_file_size"]
    answer = appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line)["payload"] for line in answer.body.splitlines()] == records
    (one,) = listed(appliance, f"?domain_id=uuid&limit=1&offset={len(listed(appliance, '?domain_id=uuid')) - 1}")
    assert (one["id"], one["last_run_status"]) == (made["id"], "success")


@pytest.mark.parametrize("role", ["source", "destination"])
def test_s4_1_a_connector_without_a_stand_in_makes_the_run_fail_and_says_what_to_do(
    appliance: Appliance, role: str
) -> None:
    made = make(appliance, f"unknown {role}", {role: {"name": "salesforce", "password": "hidden-1"}})
    run = ended(appliance, start(appliance, made["id"])["id"])
    assert (run["status"], run["output_file"], run["output_file_size"]) == ("failed", None, None)
    assert "'salesforce' is not built in and has no stand-in" in run["error"]
    assert f"stand_ins: {{{role}s: {{salesforce: {{type: " in run["error"]
    assert any(f"ERROR {run['error']}" in line for line in logs_of(appliance, run["id"]))
    refused(appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download"), 404, "output_not_found")
    assert [one["id"] for one in runs_of(appliance, made["id"], "?status=failed")] == [run["id"]]
    one = next(one for one in listed(appliance, "?limit=1000") if one["id"] == made["id"])
    assert one["last_run_status"] == "failed"


def test_s4_8_a_paused_pipeline_can_be_run_by_hand(appliance: Appliance) -> None:
    quiet(appliance, "resting")
    change(appliance, "resting", enabled=False)
    assert delivered(appliance, "resting", 3)["status"] == "success"
    assert appliance.pipeline("resting")["pending"] == 0


def test_s4_5_a_dry_run_writes_nothing(appliance: Appliance) -> None:
    quiet(appliance, "dry")
    send(appliance, "dry", 3)
    run = ended(appliance, start(appliance, "dry", dry_run=True)["id"])
    assert (run["status"], run["output_file"]) == ("success", None)
    refused(appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download"), 404, "output_not_found")
    assert appliance.pipeline("dry")["pending"] == 3


# To look at them -------------------------------------------------------------------------------------------


def test_s4_6_a_list_has_what_the_document_shows_the_newest_first(appliance: Appliance) -> None:
    made = quiet(appliance, "history")
    runs = [delivered(appliance, "history", 2) for _ in range(3)]
    found = runs_of(appliance, "history")
    assert [one["id"] for one in found] == [one["id"] for one in runs[::-1]]
    assert list(found[0]) == RUN
    assert list(runs[0]) == DETAIL
    assert found == [{name: one[name] for name in RUN} for one in runs[::-1]]
    assert (found[0]["status"], found[0]["triggered_by"], found[0]["error"]) == ("success", "manual", None)
    assert found[0]["created_at"] <= found[0]["started_at"] <= found[0]["finished_at"]
    assert {one["pipeline_id"] for one in found} == {made["id"]}


def test_s4_6_runs_are_filtered_by_status(appliance: Appliance) -> None:
    quiet(appliance, "filtered")
    run = delivered(appliance, "filtered", 1)
    for status in ("pending", "running", "failed", "cancelled"):
        assert runs_of(appliance, "filtered", f"?status={status}") == []
    assert [one["id"] for one in runs_of(appliance, "filtered", "?status=success")] == [run["id"]]


def test_s4_6_a_run_by_schedule_is_in_the_list(appliance: Appliance) -> None:
    made = make(appliance, "timed", schedule="0 * * * *")
    send(appliance, "timed", 2)
    assert appliance.ask("POST", "/_local/test/clock", {"advance": 3_601}).status == 200
    (found,) = until(lambda: runs_of(appliance, made["id"], "?status=success"), bool)
    assert found["triggered_by"] == "schedule"
    assert run_of(appliance, found["id"])["output_file_size"] > 0


def test_s4_6_pages_neither_skip_nor_repeat_while_runs_arrive(appliance: Appliance) -> None:
    quiet(appliance, "paged")
    runs = [ended(appliance, start(appliance, "paged")["id"])["id"] for _ in range(5)]
    for query in ("", "&status=success"):
        seen: list[str] = []
        for offset in (0, 2, 4):
            seen += [one["id"] for one in runs_of(appliance, "paged", f"?limit=2&offset={offset}{query}")]
            fresh = ended(appliance, start(appliance, "paged")["id"])["id"]
            runs.append(fresh)
        assert seen == runs[:-3][::-1][:6]
    assert len(runs_of(appliance, "paged")) == 11
    assert runs_of(appliance, "paged", "?offset=1000000000") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("status=", "status"),
        ("status=done", "status"),
    ],
)
def test_s4_6_a_parameter_out_of_range_is_a_400_that_names_it(appliance: Appliance, query: str, field: str) -> None:
    message = refused(appliance.ask("GET", f"{PIPELINES}/orders-stream/runs?{query}"), 400, "invalid_request")
    assert message.startswith(f"{field}: ")


def test_s4_7_the_log_is_text_line_by_line(appliance: Appliance) -> None:
    quiet(appliance, "logged")
    run = delivered(appliance, "logged", 2)
    lines = logs_of(appliance, run["id"])
    assert len(lines) >= 2
    for line in lines:
        at, level = line[:19], line[20:].split()[0]
        assert time.strptime(at, "%Y-%m-%d %H:%M:%S")
        assert level in {"INFO", "WARNING", "ERROR"}
    assert any(run["output_file"].rsplit("/", 1)[-1] in line for line in lines)


def test_s4_7_a_run_is_found_by_its_other_id_too(appliance: Appliance) -> None:
    quiet(appliance, "two-ids")
    run = delivered(appliance, "two-ids", 1)
    ours = appliance.ask("GET", "/_local/runs?pipeline=two-ids").json["data"][0]["id"]
    assert run_of(appliance, ours) == run
    for wrong in ("run_zzzzzzzz", str(uuid.uuid4()), "x", "é" * 300, "\0", "run_" + "9" * 400):
        for path in ("", "/logs", "/download"):
            refused(appliance.ask("GET", f"{PIPELINES}/runs/{quote(wrong)}{path}"), 404, "run_not_found")
        refused(appliance.ask("POST", f"{PIPELINES}/runs/{quote(wrong)}/cancel"), 404, "run_not_found")


# To download -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "destination", "content_type"),
    [
        ("plain", {"format": "jsonl"}, "application/x-ndjson"),
        ("zipped", {"format": "jsonl", "compression": "gzip"}, "application/gzip"),
        ("zstd", {"format": "jsonl", "compression": "zstd"}, "application/zstd"),
    ],
)
def test_s4_7_one_object_comes_as_it_is(
    appliance: Appliance, name: str, destination: dict[str, Any], content_type: str
) -> None:
    quiet(appliance, f"as-{name}", **destination)
    run = delivered(appliance, f"as-{name}", 5)
    answer = appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download")
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.body == (appliance.data / "out" / run["output_file"]).read_bytes()
    assert len(answer.body) == run["output_file_size"]
    assert run["output_file"].rsplit("/", 1)[-1] in answer.headers["Content-Disposition"]


def test_s4_7_several_objects_come_as_a_zip(appliance: Appliance) -> None:
    assert appliance.ask("PUT", "/_local/pipelines/several", {"batch": {"max_events": 5}}).status == 201
    change(appliance, "several", enabled=False)
    run = delivered(appliance, "several", 13)
    answer = appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert sum(one.file_size for one in archive.infolist()) == run["output_file_size"]
        assert len(archive.namelist()) == 3
        lines = [line for name in archive.namelist() for line in archive.read(name).splitlines()]
    assert [json.loads(line)["payload"]["n"] for line in lines] == list(range(13))
    assert run["output_file"].endswith(".zip")
    assert run["output_file"] in answer.headers["Content-Disposition"]


def test_s4_7_nothing_to_download_is_a_404(appliance: Appliance) -> None:
    quiet(appliance, "empty")
    run = ended(appliance, start(appliance, "empty")["id"])
    assert (run["status"], run["output_file"], run["output_file_size"]) == ("success", None, None)
    refused(appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download"), 404, "output_not_found")
    quiet(appliance, "lost")
    lost = delivered(appliance, "lost", 1)
    (appliance.data / "out" / lost["output_file"]).unlink()
    refused(appliance.ask("GET", f"{PIPELINES}/runs/{lost['id']}/download"), 404, "output_not_found")


# To cancel -------------------------------------------------------------------------------------------------


def test_s4_7_a_run_under_way_and_one_that_waits_are_cancelled(appliance: Appliance) -> None:
    made = quiet(appliance, "stuck", path=BLOCKED)
    send(appliance, "stuck", 3)
    under_way, waits = start(appliance, made["id"])["id"], start(appliance, made["id"])["id"]
    until(lambda: run_of(appliance, under_way)["error"], bool)
    assert [run_of(appliance, run)["status"] for run in (under_way, waits)] == ["running", "pending"]
    waiting = run_of(appliance, waits)
    assert (waiting["started_at"], waiting["finished_at"], waiting["error"]) == (None, None, None)
    assert [one["id"] for one in runs_of(appliance, "stuck", "?status=pending")] == [waits]
    for run in (waits, under_way):
        answer = appliance.ask("POST", f"{PIPELINES}/runs/{run}/cancel")
        assert good(answer, 200, models.RunCancelled) == {"status": "cancelled"}
        found = run_of(appliance, run)
        assert (found["status"], found["finished_at"] is None) == ("cancelled", False)
        refused(appliance.ask("POST", f"{PIPELINES}/runs/{run}/cancel"), 409, "run_ended")
    assert appliance.pipeline("stuck")["pending"] == 3
    assert shown(appliance, "stuck")["enabled"] is True


def test_s4_7_a_run_that_has_ended_cannot_be_cancelled(appliance: Appliance) -> None:
    quiet(appliance, "over")
    run = delivered(appliance, "over", 1)
    message = refused(appliance.ask("POST", f"{PIPELINES}/runs/{run['id']}/cancel"), 409, "run_ended")
    assert "has ended already" in message
    assert run_of(appliance, run["id"]) == run


def test_s4_7_of_many_that_cancel_at_once_one_does(appliance: Appliance) -> None:
    made = quiet(appliance, "raced", path=BLOCKED)
    send(appliance, "raced", 1)
    run = start(appliance, made["id"])["id"]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: appliance.ask("POST", f"{PIPELINES}/runs/{run}/cancel"), range(6)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert [line.endswith("INFO cancelled") for line in logs_of(appliance, run)].count(True) == 1


def test_s4_5_many_runs_at_once_all_happen_one_after_the_other(appliance: Appliance) -> None:
    quiet(appliance, "crowd")
    send(appliance, "crowd", 20)
    with ThreadPoolExecutor(8) as threads:
        runs = {one["id"] for one in threads.map(lambda _: start(appliance, "crowd"), range(12))}
    assert len(runs) == 12
    found = [ended(appliance, run) for run in runs]
    assert {one["status"] for one in found} == {"success"}
    assert [one["output_file"] is not None for one in found].count(True) == 1
