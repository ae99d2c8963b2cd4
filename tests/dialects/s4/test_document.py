"""S4: what the document and its page print, run as it is printed but for host, key and ids."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conduit_local.cli.demo import sample_folder
from conduit_local.dialects import s4
from conduit_local.dialects.s4 import models
from tests.appliance import Appliance, serving
from tests.dialects.curl import curl, matches, steps
from tests.dialects.s4.asking import EXAMPLE, PIPELINES, ended, good, listed, logs_of, make, run_of, runs_of
from tests.dialects.s4.conftest import STAND_INS

PAGE = (Path(s4.__file__).parent / "README.md").read_text()
AUTHORIZED = '-H "Authorization: Bearer ck_live_0"'


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("s4-document"), {}, settings=STAND_INS) as running:
        yield running


@pytest.fixture
def key(appliance: Appliance) -> str:
    secret: str = appliance.ask("POST", "/_local/keys", {"name": "document", "scopes": ["admin"]}).json["secret"]
    return secret


@pytest.fixture(autouse=True)
def nothing_is_there(appliance: Appliance) -> None:
    for one in listed(appliance, "?limit=1000"):
        good(appliance.ask("DELETE", f"{PIPELINES}/{one['id']}"), 204, None)


def ran(appliance: Appliance, key: str, command: str) -> str:
    """What a printed command prints, with our host and key in it."""
    return curl(command, {r"http://127\.0\.0\.1:8642": appliance.url, r"ck_live_\w+": key})


def like(shown: Any, found: Any) -> bool:
    """Whether an answer has the fields of the document's, each of its kind."""
    return list(shown) == list(found) and all(
        found[name] is None or value is None or type(found[name]) is type(value) for name, value in shown.items()
    )


def test_s4_the_documents_examples_one_after_the_other(appliance: Appliance, key: str) -> None:
    """Each pair of request and answer of the document, by curl, fields in its order."""

    def ask(method: str, path: str, body: object = None) -> Any:
        sent = f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'" if body is not None else ""
        text = ran(appliance, key, f"curl -s -X {method} {AUTHORIZED} {sent} http://127.0.0.1:8642{path}")
        return json.loads(text) if text else None

    made = ask("POST", "/api/pipelines", EXAMPLE)
    assert like(
        {
            "id": "uuid",
            "name": "HubSpot to BigQuery",
            "schedule": "0 */6 * * *",
            "enabled": True,
            "domain_id": "uuid",
            "created_at": "2024-01-15T10:00:00Z",
            "updated_at": None,
        },
        made,
    )
    uuid = made["id"]
    (one,) = ask("GET", "/api/pipelines")
    assert set(one) == {*made, "domain_name", "last_run_status", "last_run_at"} - {"updated_at"}
    whole = ask("GET", f"/api/pipelines/{uuid}")
    assert {**whole, "config": EXAMPLE["config"]} == whole
    body = {"name": "HubSpot Contacts (Production)", "schedule": "0 */4 * * *", "enabled": False}
    assert {**ask("PUT", f"/api/pipelines/{uuid}", body), **body, "updated_at": None} == {**made, **body}
    run = ask("POST", f"/api/pipelines/{uuid}/run")
    assert {**run, "pipeline_id": uuid, "status": "pending", "triggered_by": "manual"} == run
    copy = ask("POST", f"/api/pipelines/{uuid}/duplicate", {"name": "HubSpot to BigQuery (Copy)"})
    assert (copy["name"], copy["enabled"]) == ("HubSpot to BigQuery (Copy)", False)
    ended(appliance, run["id"])
    (found,) = ask("GET", f"/api/pipelines/{uuid}/runs")
    detail = ask("GET", f"/api/pipelines/runs/{run['id']}")
    assert detail == {**found, "output_file": None, "output_file_size": None}
    assert list(ask("GET", f"/api/pipelines/runs/{run['id']}/logs")) == ["logs"]
    assert ask("DELETE", f"/api/pipelines/{uuid}") is None


def test_the_pages_commands_print_what_it_shows(appliance: Appliance, key: str) -> None:
    found = steps(PAGE)
    assert len(found) == 3
    for command, shown in found:
        printed = ran(appliance, key, command)
        assert matches(shown, printed), printed
        for run in runs_of(appliance, "hubspot-contacts"):
            assert ended(appliance, run["id"])["status"] == "success"


def test_the_pages_stand_ins_are_settings(tmp_path: Path) -> None:
    """The document's example as it stands lands the sample that comes along."""
    (settings,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    contacts = [
        json.loads(line) for line in (sample_folder() / "fixtures/hubspot_contacts.jsonl").read_text().splitlines()
    ]
    with serving(tmp_path, {}, settings=settings) as running:
        made = good(running.ask("POST", PIPELINES, EXAMPLE), 201, models.PipelineShown)
        run = ended(running, good(running.ask("POST", f"{PIPELINES}/{made['id']}/run"), 202, models.RunQueued)["id"])
        assert (run["status"], run["error"]) == ("success", None)
        lines = (running.data / "warehouse" / run["output_file"]).read_text().splitlines()
    assert [json.loads(line)["payload"] for line in lines] == contacts
    assert len(contacts) == 12


def test_the_page_names_every_route(appliance: Appliance) -> None:
    paths = appliance.ask("GET", "/openapi.json").json["paths"]
    for path, methods in paths.items():
        for method, one in methods.items():
            if one["tags"] != ["organisation"]:
                continue
            tail = path.removeprefix("/api/pipelines/runs/{run_id}")
            shown = f"…{tail}" if tail and tail != path else path
            line = next(line for line in PAGE.splitlines() if line.startswith("|") and f"{shown}`" in line)
            assert method.upper() in line


def test_s4_7_a_log_reads_as_in_the_document(appliance: Appliance) -> None:
    made = make(appliance, "read")
    run = good(appliance.ask("POST", f"{PIPELINES}/{made['id']}/run"), 202, models.RunQueued)["id"]
    assert ended(appliance, run) == run_of(appliance, run)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO started: manual", logs_of(appliance, run)[0])
