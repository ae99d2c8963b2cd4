"""Files that change under a running appliance; and what a bad one does at its start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.appliance import ORDERS, Appliance, serving


@pytest.fixture
def appliance(tmp_path: Path) -> Appliance:
    return Appliance(tmp_path, {"orders": ORDERS})


def test_a_changed_file_is_applied_and_a_broken_one_is_shown(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as running:
        running.write_pipeline("more", "name: more")
        running.until(lambda found: {one["name"] for one in found["pipelines"]} == {"orders-stream", "more"})
        running.write_pipeline("more", "name: more\nbatch: {max_events: -1}")
        found = running.until(lambda found: found["configuration"]["problems"])
        assert found["configuration"]["problems"] == [
            {
                "file": "pipelines/more.yaml",
                "line": 2,
                "field": "batch.max_events",
                "message": "must be at least 1, not -1",
            }
        ]
        assert {one["name"] for one in found["pipelines"]} == {"orders-stream", "more"}
        for n in range(30):  # rapidly, and half of it broken
            running.write_pipeline("more", f"name: more\nbatch: {{max_events: {n + 1}" + ("}" if n % 2 else ""))
        running.until(lambda found: running.pipeline("more")["batch"]["max_events"] == 30)
        assert not running.snapshot()["configuration"]["problems"]
        (running.config / "pipelines" / "more.yaml").unlink()
        running.until(lambda found: [one["name"] for one in found["pipelines"]] == ["orders-stream"])


def test_a_reload_tells_its_outcome(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as running:
        (running.config / "conduit-local.yaml").write_text("port: 1")
        running.until(lambda _: running.ask("GET", "/_local/config").json["restart_needed"])
        answer = running.ask("POST", "/_local/config/reload").json
        assert answer == {"created": [], "changed": [], "deleted": [], "problems": []}
        report = running.ask("GET", "/_local/config").json
        assert report["files"] == [{"file": "pipelines/orders.yaml", "pipeline": "orders-stream"}]
        sources = {row["name"]: row["source"] for row in report["settings"]}
        assert sources["port"] == "flag --port"


def test_the_last_good_goes_on_after_a_restart_with_a_broken_file(appliance: Appliance) -> None:
    with appliance:
        assert appliance.emit({}).status == 200
    appliance.write_pipeline("orders", "name: [")
    appliance.write_pipeline("new", "nam: x")
    with appliance:
        assert appliance.emit({}).status == 200
        assert {one["file"] for one in appliance.snapshot()["configuration"]["problems"]} == {
            "pipelines/orders.yaml",
            "pipelines/new.yaml",
        }


def test_on_the_first_start_a_broken_file_is_refused_with_exit_code_2(appliance: Appliance) -> None:
    appliance.write_pipeline("orders", ORDERS + "colour: blue\n")
    command = [sys.executable, "-m", "conduit_local", "serve", "--port", "0", "--data-dir", str(appliance.data)]
    command += ["--config-dir", str(appliance.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "pipelines/orders.yaml:5: colour: unknown field" in done.stderr
    assert "Traceback" not in done.stderr


def test_pipelines_from_files_are_those_of_the_file_after_a_restart(appliance: Appliance) -> None:
    with appliance:
        uuid = appliance.pipeline("pl_8f3a")["uuid"]
        assert appliance.ask("POST", "/_local/pipelines/pl_8f3a/pause").status == 200
    appliance.write_pipeline("orders", ORDERS.replace("100", "7"))
    with appliance:
        found = appliance.pipeline("pl_8f3a")
        assert (found["uuid"], found["state"], found["batch"]["max_events"]) == (uuid, "paused", 7)


def test_the_schema_accepts_what_the_appliance_accepts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conduit_local", "schema", "pipeline"], capture_output=True, text=True, check=True
    )
    schema = json.loads(done.stdout)
    assert schema["required"] == ["name"]
    assert {"name", "id", "batch", "destinations", "idempotency"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
