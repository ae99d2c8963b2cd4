"""`runs start`, `runs cancel`, `runs download`."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import Appliance, serving
from tests.cli.commands import Operator, command, process
from tests.client.servers import Said, answering

BLOCKED = "in-the-way"
QUIET = {"batch": {"max_age": "1h", "max_events": 1_000}}
SCHEDULED = """
name: scheduled
schedule: "0 0 1 1 *"
"""


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("orders"), {"scheduled": SCHEDULED}) as running:
        (running.data / BLOCKED).write_text("a file")
        yield running


def make(appliance: Appliance, name: str, events: int = 0, path: str = "out", **fields: object) -> None:
    body = {**QUIET, "destinations": [{"type": "files", "path": path}], **fields}
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", body).status == 201
    if events:
        sent = json.dumps([{"event_type": "a.b", "payload": {"n": n}} for n in range(events)]).encode()
        assert appliance.ask("POST", f"/_local/pipelines/{name}/events", sent).status == 200


def delivered(appliance: Appliance, conduit: Operator, name: str, events: int) -> str:
    """The id of a run that has delivered so many events."""
    make(appliance, name, events)
    run: str = conduit.json("runs", "start", name, "--wait", "20")["id"]
    return run


# Start -----------------------------------------------------------------------------------------------------


def test_a_run_is_started_and_waited_for(appliance: Appliance, conduit: Operator) -> None:
    make(appliance, "started", 5)
    said = conduit.ok("runs", "start", "started", "--wait", "20").split()
    assert (said[0], said[1], said[3]) == ("started:", "run", "success")
    found = json.loads(conduit.ok("runs", "show", said[2]))
    assert (found["trigger"], found["rows"]) == ("manual", 5)
    assert conduit.json("runs", "start", "started")["state"] == "pending"


def test_a_run_takes_options(appliance: Appliance, conduit: Operator) -> None:
    make(appliance, "optioned", 3)
    dry = conduit.json("runs", "start", "optioned", "--dry-run", "--var", "REGION=eu=west", "--wait", "20")
    assert (dry["state"], dry["rows"], dry["dry_run"], dry["variables"]) == ("success", 3, True, ["REGION"])
    assert "log" not in dry
    log = conduit.ok("runs", "logs", dry["id"])
    assert "variables given: REGION" in log
    assert "dry run: the sample's 3 rows would go to files" in log
    assert appliance.pipeline("optioned")["pending"] == 3
    conduit.ok("runs", "start", "optioned", "--wait", "20")
    for _ in range(2):
        again = conduit.json("runs", "start", "optioned", "--full-refresh", "--wait", "20")
        assert (again["state"], again["rows"]) == ("success", 3)


def test_a_dry_run_that_is_waited_for_is_reported(appliance: Appliance, conduit: Operator) -> None:
    cast = [{"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) - 1 AS less FROM events"}]
    make(appliance, "reported", 4, transforms=cast)
    said = conduit.ok("runs", "start", "reported", "--dry-run", "--wait", "20")
    assert "dry run: 4 events of the sample yield 4 rows, which would go to files" in said
    assert "columns: less INTEGER" in said
    assert appliance.pipeline("reported")["pending"] == 4
    (row,) = conduit.table("runs", "list", "--pipeline", "reported")[1:]
    assert row[2:5] == ["dry", "run", "success"]


def test_a_run_that_fails_exits_1_with_the_reason(appliance: Appliance, conduit: Operator) -> None:
    make(appliance, "absent", destinations=[{"type": "connector", "connector": "bigquery"}])
    done = conduit("runs", "start", "absent", "--wait", "20")
    assert (done.code, done.out.split()[-1]) == (1, "failed")
    assert "has failed: the connector 'bigquery' is not built in" in done.err
    assert [one["id"] for one in conduit.json("runs", "list", "--state", "failed")["data"]] == [done.out.split()[2]]


def test_a_run_that_does_not_end_in_time_goes_on(appliance: Appliance, conduit: Operator) -> None:
    make(appliance, "slow", 1, path=BLOCKED)
    done = conduit("runs", "start", "slow", "--wait", "0")
    assert done.code == 1
    assert "after 0 seconds; it goes on" in done.err
    (run,) = conduit.json("runs", "list", "--pipeline", "slow")["data"]
    assert run["state"] in {"pending", "running"}


@pytest.mark.parametrize("given", ["REGION", "=eu", ""])
def test_a_variable_without_a_value_exits_2(conduit: Operator, given: str) -> None:
    done = conduit("runs", "start", "scheduled", "--var", given)
    assert (done.code, done.err) == (2, f"conduit-local: --var takes NAME=VALUE, not {given!r}\n")


def test_a_pipeline_that_is_not_there_cannot_run(conduit: Operator) -> None:
    done = conduit("runs", "start", "nobody")
    assert (done.code, done.err) == (1, "conduit-local: no pipeline 'nobody' (pipeline_not_found)\n")


# Cancel ----------------------------------------------------------------------------------------------------


def test_runs_that_wait_or_are_under_way_are_cancelled_once(appliance: Appliance, conduit: Operator) -> None:
    make(appliance, "stuck", 1, path=BLOCKED)
    runs = [conduit.json("runs", "start", "stuck")["id"] for _ in range(2)]
    for run in runs[::-1]:
        assert conduit.ok("runs", "cancel", run) == f"stuck: run {run} cancelled\n"
        done = conduit("runs", "cancel", run)
        assert (done.code, done.err) == (1, f"conduit-local: the run {run} has ended already (run_ended)\n")
    assert {one["id"] for one in conduit.json("runs", "list", "--state", "cancelled")["data"]} == set(runs)


def test_a_run_that_waits_is_listed_so(appliance: Appliance, conduit: Operator) -> None:
    make(appliance, "queue", 1, path=BLOCKED)
    runs = [conduit.json("runs", "start", "queue")["id"] for _ in range(2)]
    (row,) = conduit.table("runs", "list", "--pipeline", "queue", "--state", "pending")[1:]
    assert (row[0], row[2:5]) == (runs[1], ["manual", "pending", "waits"])


# Download --------------------------------------------------------------------------------------------------


def test_what_a_run_has_written_is_downloaded_under_its_own_name(
    appliance: Appliance, conduit: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = delivered(appliance, conduit, "landed", 7)
    (kept,) = (appliance.data / "out" / "landed").rglob("*.jsonl")
    monkeypatch.chdir(tmp_path)
    assert conduit.ok("runs", "download", run).startswith(f"{kept.name}: ")
    assert (tmp_path / kept.name).read_bytes() == kept.read_bytes()
    done = conduit("runs", "download", run)
    assert (done.code, done.err) == (1, f"conduit-local: {kept.name} is there already; --force replaces it\n")
    (tmp_path / kept.name).write_text("old")
    conduit.ok("runs", "download", run, "--force")
    conduit.ok("runs", "download", run, "-o", "other.jsonl")
    (tmp_path / "folder").mkdir()
    conduit.ok("runs", "download", run, "--output", "folder")
    for path in (kept.name, "other.jsonl", f"folder/{kept.name}"):
        assert (tmp_path / path).read_bytes() == kept.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kept.name, "other.jsonl", "folder"])


def test_a_download_goes_to_standard_output_as_it_is(appliance: Appliance, conduit: Operator) -> None:
    run = delivered(appliance, conduit, "piped", 3)
    (kept,) = (appliance.data / "out" / "piped").rglob("*.jsonl")
    done = process("runs", "download", run, "-o", "-", "--data-dir", str(appliance.data))
    assert (done.code, done.err, done.out) == (0, "", kept.read_text())


def test_several_objects_are_one_zip(
    appliance: Appliance, conduit: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(appliance, "many", batch={"max_events": 2, "max_age": "1h"})
    conduit.ok("pipelines", "pause", "many")
    sent = json.dumps([{"event_type": "a.b", "payload": {"n": n}} for n in range(6)]).encode()
    assert appliance.ask("POST", "/_local/pipelines/many/events", sent).status == 200
    run = conduit.json("runs", "start", "many", "--wait", "20")["id"]
    assert conduit.ok("runs", "download", run).startswith(f"{run}.zip: ")
    with zipfile.ZipFile(io.BytesIO((tmp_path / f"{run}.zip").read_bytes())) as archive:
        assert len(archive.namelist()) == 3


def test_nothing_to_download_fails_and_leaves_nothing(
    appliance: Appliance, conduit: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = conduit.json("runs", "start", "scheduled", "--wait", "20")["id"]
    done = conduit("runs", "download", run)
    assert done.code == 1
    assert "(output_not_found)" in done.err
    for other in ("run_nope", "../keys"):
        assert "(run_not_found)" in conduit("runs", "download", other).err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_exits_74(appliance: Appliance, conduit: Operator, tmp_path: Path) -> None:
    run = delivered(appliance, conduit, "nowhere", 1)
    assert conduit("runs", "download", run, "-o", str(tmp_path / "no" / "file")).code == 74


def test_a_download_that_is_cut_off_exits_3_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cut = Said(200, b"0123456789", {"Content-Length": "100", "Connection": "close"})
    with answering(cut) as server:
        done = command("runs", "download", "run_00000001", "--url", server.url)
    assert (done.code, done.out) == (3, "")
    assert "was cut off: 90 bytes lack" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_name_from_outside_stays_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    for name, landed in (("../../evil", "evil"), ("/etc/evil2", "evil2"), ("..", None)):
        said = Said(200, b"x", {"Content-Disposition": f'attachment; filename="{name}"', "Connection": "close"})
        with answering(said) as server:
            done = command("runs", "download", "run_00000001", "--url", server.url)
        assert done.code == (0 if landed else 1)
        assert landed is None or (inner / landed).read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
