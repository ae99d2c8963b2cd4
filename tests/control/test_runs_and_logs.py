"""`/_local/runs` and `/_local/logs`."""

from pathlib import Path

import pytest

from tests.appliance import Appliance, serving
from tests.control.conftest import Make

RUN_FIELDS = [
    "id", "pipeline_id", "pipeline", "trigger", "state", "stage", "destination", "created_at", "started_at",
    "finished_at", "duration_ms", "extracted", "events", "rows", "filtered", "dead", "size_bytes", "batches",
    "attempts", "object_key", "error", "full_refresh", "dry_run", "variables",
]  # fmt: skip


def send(appliance: Appliance, name: str, count: int) -> None:
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200


def test_each_batch_of_a_stream_is_a_run_with_its_line(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_events": 10, "max_age": "1h"})
    send(appliance, name, 35)
    appliance.until(lambda _: appliance.pipeline(name)["pending"] == 5)
    runs = appliance.ask("GET", f"/_local/runs?pipeline={name}").json["data"]
    assert [run["object_key"].rsplit("/", 1)[1][:25] for run in runs] == [
        "000000000021-000000000030",
        "000000000011-000000000020",
        "000000000001-000000000010",
    ]
    assert [list(run) for run in runs] == [RUN_FIELDS] * 3
    for run in runs:
        assert (run["trigger"], run["state"], run["destination"], run["rows"], run["batches"], run["attempts"]) == (
            "stream", "success", "files", 10, 1, 1,
        )  # fmt: skip
        assert run["size_bytes"] == (appliance.data / "out" / run["object_key"]).stat().st_size
        assert run["started_at"] <= run["finished_at"]
        found = appliance.ask("GET", f"/_local/runs/{run['id']}").json
        (line,) = found.pop("log")
        assert (len(found.pop("objects")), found.pop("objects_count")) == (1, 1)
        assert found == run
        assert line["level"] == "INFO"
        assert line["message"].startswith("10 rows ")


def test_a_run_that_fails_for_a_while_says_why_on_each_attempt(appliance: Appliance, make: Make) -> None:
    obstacle = appliance.data / "stubborn"
    obstacle.write_text("in the way")
    retry = {"initial": "10ms", "max": "20ms"}
    name = make(batch={"max_events": 2}, retry=retry, destinations=[{"type": "files", "path": "stubborn"}])
    send(appliance, name, 2)
    appliance.until(lambda _: appliance.pipeline(name)["destinations"][0]["attempt"] >= 3)
    (running,) = appliance.ask("GET", f"/_local/runs?pipeline={name}&state=running").json["data"]
    assert "stubborn" in running["error"]
    assert running["finished_at"] is None
    obstacle.unlink()
    appliance.until(lambda _: not appliance.pipeline(name)["pending"])
    found = appliance.ask("GET", f"/_local/runs/{running['id']}").json
    assert (found["state"], found["error"], found["rows"]) == ("success", None, 2)
    assert found["attempts"] == len(found["log"]) >= 4
    assert [line["level"] for line in found["log"]] == ["ERROR"] * (len(found["log"]) - 1) + ["INFO"]
    assert all("stubborn" in line["message"] and "again in" in line["message"] for line in found["log"][:-1])


def test_runs_are_filtered_and_paged_newest_first(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_events": 1})
    send(appliance, name, 12)
    appliance.until_delivered(name)
    flush = appliance.ask("POST", f"/_local/pipelines/{name}/flush").json["id"]
    query = f"/_local/runs?pipeline={name}"
    appliance.until(lambda _: not appliance.pipeline(name)["runs"])
    whole = appliance.ask("GET", query).json
    assert (len(whole["data"]), whole["has_more"], whole["next_cursor"]) == (13, False, None)
    assert [run["id"] for run in appliance.ask("GET", f"{query}&trigger=manual").json["data"]] == [flush]
    assert len(appliance.ask("GET", f"{query}&trigger=stream&state=success").json["data"]) == 12
    assert appliance.ask("GET", f"{query}&state=running").json["data"] == []
    seen: list[str] = []
    cursor = ""
    while True:
        page = appliance.ask("GET", f"{query}&limit=5{cursor}").json
        seen += [run["id"] for run in page["data"]]
        send(appliance, name, 1)
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [run["id"] for run in whole["data"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=asleep", "state"),
        ("trigger=x", "trigger"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=0", "cursor"),
    ],
)
def test_a_query_for_runs_that_makes_no_sense_names_its_field(appliance: Appliance, query: str, field: str) -> None:
    answer = appliance.ask("GET", f"/_local/runs?{query}")
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.json["error"]["details"]) == [field]


@pytest.mark.parametrize("run", ["x", "run_", "run_zzzzzzzz", "run_" + "9" * 40, "run_00000000"])
def test_a_run_that_never_was_is_404(appliance: Appliance, run: str) -> None:
    answer = appliance.ask("GET", f"/_local/runs/{run}")
    assert (answer.status, answer.code) == (404, "run_not_found")


def test_the_log_is_a_tail_oldest_first_that_can_be_followed(tmp_path: Path) -> None:
    with serving(tmp_path, {}) as appliance:  # one of its own, where nothing else has anything to say
        before = appliance.snapshot()["log_number"]
        names = [f"p{n}" for n in range(5)]
        for name in names:
            assert appliance.ask("PUT", f"/_local/pipelines/{name}", {}).status == 201
        check_tail(appliance, before, names)


def check_tail(appliance: Appliance, before: int, names: list[str]) -> None:
    """The lines after `before` tell that these were created, and can be asked for in parts."""
    lines = appliance.ask("GET", f"/_local/logs?after={before}").json["data"]
    assert [line["pipeline"] for line in lines if line["message"] == "created"] == names
    assert [list(line) for line in lines] == [["number", "at", "level", "pipeline", "message"]] * len(lines)
    assert [line["number"] for line in lines] == list(range(before + 1, before + 1 + len(lines)))
    assert appliance.ask("GET", f"/_local/logs?after={before}&limit=2").json["data"] == lines[-2:]
    assert appliance.ask("GET", f"/_local/logs?pipeline={names[2]}").json["data"] == lines[2:3]
    assert appliance.ask("GET", f"/_local/logs?after={lines[-1]['number']}").json["data"] == []


def test_the_log_is_filtered_by_level(appliance: Appliance, make: Make) -> None:
    (appliance.data / "level").write_text("in the way")
    name = make(batch={"max_events": 1}, destinations=[{"type": "files", "path": "level"}])
    send(appliance, name, 1)
    appliance.until(lambda _: appliance.pipeline(name)["health"] == "blocked")
    levels = {line["level"] for line in appliance.ask("GET", f"/_local/logs?pipeline={name}").json["data"]}
    assert levels == {"INFO", "ERROR"}
    errors = appliance.ask("GET", f"/_local/logs?pipeline={name}&level=error").json["data"]
    assert {line["level"] for line in errors} == {"ERROR"}
    (appliance.data / "level").unlink()
    answer = appliance.ask("GET", "/_local/logs?level=loud")
    assert (answer.status, list(answer.json["error"]["details"])) == (400, ["level"])
