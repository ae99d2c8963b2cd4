"""S4.1, S4.5-S4.7: the document's example on stand-ins, and what runs with sources and transforms really do."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conduit_local.dialects.s4 import models
from tests.appliance import Appliance, serving
from tests.dialects.pages import Pages, held_pages
from tests.dialects.s4.asking import (
    EXAMPLE,
    PIPELINES,
    change,
    ended,
    good,
    logs_of,
    make,
    refused,
    run_of,
    runs_of,
    send,
    shown,
    start,
    until,
)

CONTACTS = [{"id": str(n), "properties": {"email": f"{n}@example.com"}} for n in range(30)]
SLOW = {
    "type": "sql",
    "query": """SELECT (payload->>'n')::INTEGER AS n, h FROM events,
                (SELECT max(hash(range)) AS h FROM range(12000000 * (SELECT count(*) FROM events)::INTEGER // 5))""",
}


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with held_pages([{"n": n} for n in range(9)], [{"n": 9}]) as found:
        yield found


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory, pages: Pages) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("stand-ins")
    settings = {
        "stand_ins": {
            "sources": {
                "hubspot": {"type": "fixture", "path": "crm/contacts.jsonl", "event_type": "contact"},
                "pipedrive": {"type": "fixture", "path": "crm/not-there.jsonl"},
                "stripe": pages.source,
            },
            "destinations": {"bigquery": {"type": "files", "path": "warehouse"}},
        }
    }
    with serving(folder, {}, "--testing", settings=json.dumps(settings)) as running:
        (running.data / "crm").mkdir()
        (running.data / "crm" / "contacts.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in CONTACTS))
        yield running
        assert "Traceback" not in running.log.read_text()


def of(appliance: Appliance, source: str, name: str, **fields: Any) -> dict[str, Any]:
    """A pipeline from a connector into the warehouse."""
    config = {"source": {"name": source, "token": "hidden-1"}, "destination": {"name": "bigquery"}}
    return make(appliance, name, config, schedule="0 0 1 1 *", **fields)


def landed(appliance: Appliance, run: dict[str, Any]) -> list[Any]:
    """The payloads, or rows, of what a run's download holds."""
    answer = appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert len(answer.body) == run["output_file_size"]
    return [row.get("payload", row) for row in map(json.loads, answer.body.splitlines())]


def test_s4_1_the_documents_example_runs_as_it_stands(appliance: Appliance) -> None:
    made = good(appliance.ask("POST", PIPELINES, EXAMPLE), 201, models.PipelineShown)
    queued = start(appliance, made["id"])
    assert (queued["status"], queued["triggered_by"]) == ("pending", "manual")
    run = ended(appliance, queued["id"])
    assert (run["status"], run["error"]) == ("success", None)
    assert landed(appliance, run) == CONTACTS
    assert (appliance.data / "warehouse" / run["output_file"]).stat().st_size == run["output_file_size"]
    lines = logs_of(appliance, run["id"])
    assert lines[0].endswith(" INFO started: manual")
    assert any("30 rows" in line for line in lines)
    assert shown(appliance, made["id"])["config"] == EXAMPLE["config"]

    again = ended(appliance, start(appliance, made["id"])["id"])
    assert (again["status"], again["output_file"], again["output_file_size"]) == ("success", None, None)
    anew = ended(appliance, start(appliance, made["id"], full_refresh=True)["id"])
    assert landed(appliance, anew) == CONTACTS
    assert "hidden" not in appliance.log.read_text()


def test_s4_6_its_schedule_runs_it(appliance: Appliance) -> None:
    made = good(appliance.ask("POST", PIPELINES, {**EXAMPLE, "name": "By the Clock"}), 201, models.PipelineShown)
    assert runs_of(appliance, made["id"]) == []
    assert appliance.ask("POST", "/_local/test/clock", {"advance": 6 * 3_600 + 1}).status == 200
    (found,) = until(lambda: runs_of(appliance, made["id"], "?status=success"), bool)
    assert found["triggered_by"] == "schedule"
    assert landed(appliance, run_of(appliance, found["id"])) == CONTACTS
    change(appliance, made["id"], enabled=False)


def test_s4_5_a_dry_run_looks_and_has_no_output(appliance: Appliance) -> None:
    made = of(appliance, "hubspot", "dry")
    run = ended(appliance, start(appliance, made["id"], dry_run=True)["id"])
    assert (run["status"], run["output_file"], run["output_file_size"]) == ("success", None, None)
    assert any("30 rows would go to bigquery" in line for line in logs_of(appliance, run["id"]))
    refused(appliance.ask("GET", f"{PIPELINES}/runs/{run['id']}/download"), 404, "output_not_found")
    assert landed(appliance, ended(appliance, start(appliance, made["id"])["id"])) == CONTACTS


def test_s4_8_a_source_that_fails_makes_the_run_fail_with_its_message(appliance: Appliance) -> None:
    made = of(appliance, "pipedrive", "lost")
    run = ended(appliance, start(appliance, made["id"])["id"])
    assert (run["status"], run["output_file"]) == ("failed", None)
    assert "there is no file crm/not-there.jsonl" in run["error"]
    assert logs_of(appliance, run["id"])[-1].endswith(f"ERROR {run['error']}")
    assert [one["id"] for one in runs_of(appliance, made["id"], "?status=failed")] == [run["id"]]


def test_s4_8_a_server_that_refuses_makes_the_run_fail_and_says_so(appliance: Appliance) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403, "no such token")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{listening.server_port}/contacts"
        config = {"source": {"name": "http", "config": {"url": url, "headers": {"X-Token": "hidden-2"}}}}
        made = make(appliance, "refused", config, schedule="0 0 1 1 *")
        run = ended(appliance, start(appliance, made["id"])["id"])
        listening.shutdown()
        thread.join()
    assert run["status"] == "failed"
    assert "it answered 403" in run["error"]
    assert "hidden-2" not in json.dumps([run, logs_of(appliance, run["id"])])
    assert "hidden-2" not in appliance.log.read_text()


def test_s4_8_pending_running_success_and_cancelled_while_the_source_is_read(
    appliance: Appliance, pages: Pages
) -> None:
    made = of(appliance, "stripe", "charges")
    first, second = start(appliance, made["id"])["id"], start(appliance, made["id"])["id"]
    until(lambda: run_of(appliance, first)["status"], lambda status: status == "running")
    assert run_of(appliance, second)["status"] == "pending"
    answer = appliance.ask("POST", f"{PIPELINES}/runs/{first}/cancel")
    assert good(answer, 200, models.RunCancelled) == {"status": "cancelled"}
    assert run_of(appliance, first)["output_file"] is None
    until(lambda: run_of(appliance, second)["status"], lambda status: status == "running")
    pages.go_on.set()
    run = ended(appliance, second)
    assert run["status"] == "success"
    assert [one["n"] for one in landed(appliance, run)] == list(range(10)), "what the first had read is not lost"
    assert [one["status"] for one in runs_of(appliance, made["id"])] == ["success", "cancelled"]


def test_s4_7_a_run_is_cancelled_at_the_end_of_a_batch(appliance: Appliance) -> None:
    made = {"name": "stepwise", "transforms": [SLOW], "batch": {"max_events": 5, "max_age": "1h"}, "status": "paused"}
    assert appliance.ask("POST", "/api/v1/pipelines", made).status == 201
    send(appliance, "stepwise", 40)
    run = start(appliance, "stepwise")["id"]
    until(lambda: run_of(appliance, run)["output_file_size"], bool)
    assert appliance.ask("POST", f"{PIPELINES}/runs/{run}/cancel").json == {"status": "cancelled"}
    rest = ended(appliance, start(appliance, "stepwise")["id"])
    found = run_of(appliance, run)
    assert (found["status"], found["error"], rest["status"]) == ("cancelled", None, "success")
    loaded = [
        appliance.ask("GET", f"/api/v1/pipelines/stepwise/runs/{one}").json["data"]["rows_loaded"]
        for one in (run, rest["id"])
    ]
    assert loaded[0] % 5 == 0
    assert 0 < loaded[0] < 40
    assert sum(loaded) == 40
    rows = [
        row["n"] for path in sorted(Path(appliance.data / "out" / "stepwise").rglob("*.jsonl")) for row in of_file(path)
    ]
    assert rows == list(range(40)), "each once, in order, whoever delivered it"


def of_file(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_s4_7_what_the_transforms_left_is_what_there_is_to_download(appliance: Appliance) -> None:
    keep = {
        "type": "sql",
        "query": "SELECT (payload->>'n')::INTEGER AS n FROM events WHERE (payload->>'n')::INTEGER >= 7",
    }
    made = {"name": "sparse", "transforms": [keep], "batch": {"max_events": 5, "max_age": "1h"}, "status": "paused"}
    assert appliance.ask("POST", "/api/v1/pipelines", made).status == 201
    send(appliance, "sparse", 10)
    one = ended(appliance, start(appliance, "sparse")["id"])
    assert one["output_file"].endswith("000000000006-000000000010.jsonl"), "the other batch left nothing"
    assert landed(appliance, one) == [{"n": 7}, {"n": 8}, {"n": 9}]
    send(appliance, "sparse", 5)
    none = ended(appliance, start(appliance, "sparse")["id"])
    assert (none["status"], none["output_file"], none["output_file_size"]) == ("success", None, None)
    refused(appliance.ask("GET", f"{PIPELINES}/runs/{none['id']}/download"), 404, "output_not_found")
    send(appliance, "sparse", 20)
    three = ended(appliance, start(appliance, "sparse")["id"])
    answer = appliance.ask("GET", f"{PIPELINES}/runs/{three['id']}/download")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert three["output_file"].endswith(".zip")
        found = [json.loads(line)["n"] for name in archive.namelist() for line in archive.read(name).splitlines()]
        assert (len(archive.namelist()), found) == (3, list(range(7, 20)))
        assert sum(info.file_size for info in archive.infolist()) == three["output_file_size"]


@pytest.mark.parametrize(
    ("source", "field", "message"),
    [
        ({"name": "files", "config": {"path": "/etc/*.conf"}}, "config.source.config.path", "outside the data folder"),
        ({"name": "http", "config": {"url": "http://169.254.169.254/"}}, "config.source.config.url", ""),
        ({"name": "fixture"}, "config.source.config.path", "is required"),
        ({"name": "fixture", "config": {"path": "crm/*.jsonl"}}, "config.source.config.path", "must name one file"),
    ],
)
def test_s4_1_a_source_that_may_not_be_read_is_named_as_it_stands_in_config(
    appliance: Appliance, source: dict[str, Any], field: str, message: str
) -> None:
    said = refused(
        appliance.ask("POST", PIPELINES, {"name": "x", "config": {"source": source}}), 400, "invalid_request"
    )
    assert said.startswith(f"{field}: ")
    assert message in said


def test_s4_5_a_variable_that_has_no_value_is_refused_before_there_is_a_run(appliance: Appliance) -> None:
    source = {"type": "http", "url": "http://127.0.0.1:9/${WHAT}", "every": "1h"}
    made = {"name": "open", "sources": [source], "variables": {"WHAT": None}, "schedule": "0 0 1 1 *"}
    assert appliance.ask("POST", "/api/v1/pipelines", made).status == 201
    said = refused(appliance.ask("POST", f"{PIPELINES}/open/run"), 400, "invalid_request")
    assert said.startswith("config.source.config.url: ")
    assert "WHAT" in said
    assert runs_of(appliance, "open") == []
