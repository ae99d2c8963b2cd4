"""`pipelines`: list, show, apply, pause, resume, drain, flush, delete."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.appliance import ORDERS, Appliance, serving
from tests.cli.commands import Operator

COLLECTING = "batch: {max_events: 1000, max_age: 1h}\n"


def applied(conduit: Operator, folder: Path, name: str, text: str = COLLECTING) -> str:
    """A pipeline made by `apply`; returns its id."""
    file = folder / f"{name}.yaml"
    file.write_text(f"name: {name}\n{text}")
    found: dict[str, Any] = conduit.json("pipelines", "apply", str(file))
    return str(found["id"])


def send(conduit: Operator, pipeline: str, count: int, first: int = 0) -> None:
    for n in range(first, first + count):
        conduit.ok("events", "send", pipeline, "order.created", f'{{"n":{n}}}')


def landed(appliance: Appliance, name: str) -> list[int]:
    """The events of a pipeline that are in its files, in the order of the files' names."""
    paths = sorted((appliance.data / "out" / name).glob("*.jsonl"))
    return [json.loads(line)["payload"]["n"] for path in paths for line in path.read_text().splitlines()]


def test_the_list_shows_each_with_where_it_comes_from(appliance: Appliance, conduit: Operator, tmp_path: Path) -> None:
    pipeline = applied(conduit, tmp_path, "listed", "batch: {max_events: 7}\n")
    head, *rows = conduit.table("pipelines", "list")
    assert head == ["NAME", "ID", "STATE", "BATCH", "DESTINATIONS", "FROM"]
    assert ["orders-stream", "pl_8f3a", "active", "100", "files", "pipelines/orders.yaml"] in rows
    assert ["listed", pipeline, "active", "7", "files", "API"] in rows
    names = {one["name"] for one in conduit.json("pipelines", "list")}
    assert {"orders-stream", "listed"} <= names


def test_one_is_shown_as_yaml_that_could_be_applied_again(conduit: Operator, tmp_path: Path) -> None:
    pipeline = applied(conduit, tmp_path, "shown")
    said = conduit.ok("pipelines", "show", "shown")
    assert said.startswith(f"# {pipeline}  active  made ")
    assert "# files: ok, 0 delivered, 0 pending\n" in said
    file = tmp_path / "again.yaml"
    file.write_text(said)
    assert conduit.ok("pipelines", "apply", str(file)) == f"shown ({pipeline}): active\n"
    found = conduit.json("pipelines", "show", pipeline)
    assert found["configuration"] == yaml.safe_load(said)
    assert found["now"]["name"] == "shown"


def test_apply_makes_a_pipeline_and_applied_again_changes_it(conduit: Operator, tmp_path: Path) -> None:
    pipeline = applied(conduit, tmp_path, "changing", "batch: {max_events: 5}\n")
    assert applied(conduit, tmp_path, "changing", "batch: {max_events: 6}\n") == pipeline
    assert conduit.json("pipelines", "show", pipeline)["configuration"]["batch"]["max_events"] == 6


def test_apply_takes_variables_from_the_environment(
    conduit: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", "elsewhere")
    pipeline = applied(conduit, tmp_path, "variable", "destinations: [{type: files, path: '${FOLDER}'}]\n")
    found = conduit.json("pipelines", "show", pipeline)
    assert found["configuration"]["destinations"][0]["path"] == "elsewhere"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\nbatch:\n  max_events: 0\n", "{file}:3: batch.max_events: must be at least 1, not 0"),
        ("name: x\ncolour: 1\n", "{file}:2: colour: unknown field; known here: access, batch, "),
        ("name: x\nbatch: {max_event: 1}", "{file}:2: batch.max_event: unknown field; did you mean 'max_events'?"),
        ("name: Big\n", "{file}:1: name: must be 1 to 63 lowercase letters"),
        ("id: x\nname: n", "{file}:1: id: must be pl_ and 1 to 32 lowercase"),
        ("name: n\ndestinations:\n- {type: files}\n- {path: x}\n", "{file}:4: destinations[1]: needs a type"),
        ("name: n\nschedule: '@hourly'\n", "{file}:2: schedule: a schedule has five fields"),
        ("name: [\n", "{file}:1: is not YAML"),
        ("name: ${NOT_SET}\n", "{file}:1: the environment has no NOT_SET; set it"),
        ("nam: x\n", "{file}: a pipeline needs at least a name"),
        ("- 1\n", "{file}: a pipeline needs at least a name"),
        ("", "{file}: a pipeline needs at least a name"),
    ],
)
def test_a_configuration_that_is_wrong_exits_2_and_says_where(
    conduit: Operator, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "it.yaml"
    file.write_text(text)
    done = conduit("pipelines", "apply", str(file))
    assert (done.code, done.out) == (2, "")
    assert said.format(file=file) in done.err
    assert "x" not in {one["name"] for one in conduit.json("pipelines", "list")}


def test_all_that_is_wrong_is_said_at_once(conduit: Operator, tmp_path: Path) -> None:
    file = tmp_path / "it.yaml"
    file.write_text("name: x\ncolour: 1\nbatch: {max_events: 0}\n")
    first, *rest = conduit("pipelines", "apply", str(file)).err.splitlines()
    assert first == "conduit-local: the configuration is not valid"
    assert [line.split(": ")[:2] for line in sorted(rest)] == [
        [f"{file}:2", "colour"],
        [f"{file}:3", "batch.max_events"],
    ]


def test_a_pipeline_from_a_file_is_changed_there(conduit: Operator, tmp_path: Path) -> None:
    file = tmp_path / "it.yaml"
    file.write_text("name: orders-stream\n")
    for args in (("apply", str(file)), ("delete", "pl_8f3a", "--yes")):
        done = conduit("pipelines", *args)
        assert done.code == 1
        assert "pipelines/orders.yaml; change it there (pipeline_managed_by_file)" in done.err


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "drain", "flush", "delete"])
def test_a_pipeline_that_is_not_there_fails_by_name(conduit: Operator, verb: str) -> None:
    for name in ("nope", "../../keys", "a b?c#d", "\x1b[31m", "\udcff"):
        done = conduit("pipelines", verb, name)
        assert done.code == 1
        assert "(pipeline_not_found)" in done.err
        assert "\x1b" not in done.err


# Orders ----------------------------------------------------------------------------------------------------


def test_paused_files_do_not_grow_and_resumed_the_rest_lands_also_over_a_kill(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as appliance:
        conduit = Operator(appliance)
        send(conduit, "orders-stream", 2)
        appliance.until_delivered()
        assert conduit.ok("pipelines", "pause", "pl_8f3a") == "orders-stream: paused\n"
        send(conduit, "orders-stream", 3, first=2)
        appliance.kill()
        appliance.start()
        conduit = Operator(appliance)
        send(conduit, "orders-stream", 1, first=5)
        now = conduit.json("pipelines", "show", "orders-stream")["now"]
        assert (now["state"], now["pending"]) == ("paused", 4)
        assert landed(appliance, "orders-stream") == [0, 1]
        assert conduit.ok("pipelines", "resume", "orders-stream") == "orders-stream: active\n"
        appliance.until_delivered()
        assert landed(appliance, "orders-stream") == [0, 1, 2, 3, 4, 5]


def test_drained_all_is_delivered_and_new_events_are_refused(
    appliance: Appliance, conduit: Operator, tmp_path: Path
) -> None:
    applied(conduit, tmp_path, "drained")
    send(conduit, "drained", 3)
    assert conduit.json("pipelines", "drain", "drained", "--wait", "20")["state"] == "stopped"
    assert landed(appliance, "drained") == [0, 1, 2]
    done = conduit("events", "send", "drained", "a.b", "{}")
    assert done.code == 1
    assert "stopped and takes no new events (pipeline_not_accepting)" in done.err
    assert conduit.ok("pipelines", "resume", "drained") == "drained: active\n"
    send(conduit, "drained", 1, first=3)


def test_flushed_what_is_pending_lands_and_the_state_stays(
    appliance: Appliance, conduit: Operator, tmp_path: Path
) -> None:
    applied(conduit, tmp_path, "flushed")
    send(conduit, "flushed", 3)
    said = conduit.ok("pipelines", "flush", "flushed", "--wait", "20").split()
    assert (said[0], said[1], said[3]) == ("flushed:", "run", "success")
    assert landed(appliance, "flushed") == [0, 1, 2]
    run = conduit.json("pipelines", "flush", "flushed")
    assert run["trigger"] == "manual"
    assert conduit.json("pipelines", "show", "flushed")["state"] == "active"


def test_waiting_has_an_end(appliance: Appliance, conduit: Operator, tmp_path: Path) -> None:
    (appliance.data / "in-the-way").write_text("")
    applied(conduit, tmp_path, "stuck", "destinations: [{type: files, path: in-the-way}]\n")
    send(conduit, "stuck", 1)
    done = conduit("pipelines", "drain", "stuck", "--wait", "0.2")
    assert (done.code, done.out) == (1, "")
    assert done.err == "conduit-local: stuck is still draining after 0.2 seconds\n"
    said = next(line for line in conduit.ok("status").splitlines() if " stuck " in line)
    assert said.startswith("blocked")
    assert "in-the-way" in said


def test_deleting_asks_first_and_delivers_what_was_accepted(
    appliance: Appliance, conduit: Operator, tmp_path: Path
) -> None:
    pipeline = applied(conduit, tmp_path, "doomed")
    send(conduit, "doomed", 3)
    for answer in (b"n\n", b""):
        done = conduit("pipelines", "delete", "doomed", stdin=answer)
        assert done.code == 1
        assert done.out.startswith(f"Delete doomed ({pipeline}) on {appliance.url}, with its run history?")
    done = conduit("pipelines", "delete", "doomed", stdin=b"y\n")
    assert done.code == 0
    assert done.out.endswith("doomed: deleted; what was accepted is still delivered\n")
    assert conduit("pipelines", "show", "doomed").code == 1
    appliance.until(lambda found: not found["departing"])
    assert landed(appliance, "doomed") == [0, 1, 2]


def test_a_key_without_the_scope_may_look_and_not_touch(appliance: Appliance, conduit: Operator) -> None:
    reader = Operator(appliance, conduit.json("keys", "create", "reader", "--scope", "read")["secret"])
    assert reader.json("pipelines", "list")
    done = reader("pipelines", "pause", "pl_8f3a")
    assert (done.code, done.err) == (1, "conduit-local: the API key lacks the scope 'manage' (forbidden)\n")
