"""Destinations through `/_local/`: how they are, tried out, compared with the ledger; and the evidence of a run."""

import hashlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.control.conftest import Make

TENS = {"max_events": 10, "max_age": "50ms"}


def send(appliance: Appliance, name: str, count: int) -> list[str]:
    """The ids of events that were sent and have landed."""
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
    appliance.until_delivered(name)
    page = appliance.ask("GET", f"/_local/events?pipeline={name}&limit={count}").json["data"]
    return [event["event_id"] for event in page][::-1]


def verify(appliance: Appliance, name: str, query: str = "") -> list[dict[str, Any]]:
    """What was found, without how far it was."""
    answer = appliance.ask("GET", f"/_local/pipelines/{name}/verify{query}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert answer.body.endswith(b"\n")
    return [line for line in map(json.loads, answer.body.splitlines()) if line["kind"] != "progress"]


def files(appliance: Appliance, name: str, path: str = "out") -> list[Path]:
    return sorted((appliance.data / path / name).rglob("*.jsonl*"))


# A run's evidence ------------------------------------------------------------------------------------------


def test_a_run_has_the_evidence_of_each_object(appliance: Appliance, make: Make) -> None:
    two = [{"type": "files", "name": "one"}, {"type": "files", "name": "two", "path": "two", "compression": "gzip"}]
    name = make(batch={"max_events": 10, "max_age": "1h"}, schedule="0 0 1 1 *", destinations=two)
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(25)]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
    run = appliance.ask("POST", f"/_local/pipelines/{name}/runs", {}).json["id"]
    appliance.until(lambda _: appliance.ask("GET", f"/_local/runs/{run}").json["state"] == "success")
    page = appliance.ask("GET", f"/_local/events?pipeline={name}").json["data"]
    ids = [event["event_id"] for event in page][::-1]
    found = appliance.ask("GET", f"/_local/runs/{run}").json
    assert (len(found["objects"]), found["objects_count"]) == (6, 6)
    assert {one["destination"] for one in found["objects"]} == {"one", "two"}
    for one in found["objects"]:
        content = Path(one["place"]).read_bytes()
        assert one["place"].endswith(one["key"])
        assert (one["size_bytes"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert one["rows"] == one["last_seq"] - one["first_seq"] + 1
        assert (one["first_event"], one["last_event"]) == (ids[one["first_seq"] - 1], ids[one["last_seq"] - 1])
        assert found["started_at"] <= one["landed_at"] <= found["finished_at"]
    few = appliance.ask("GET", f"/_local/runs/{run}?objects=2").json
    assert (few["objects"], few["objects_count"]) == (found["objects"][:2], 6)
    none = appliance.ask("GET", f"/_local/runs/{run}?objects=0").json
    assert (none["objects"], none["objects_count"]) == ([], None)
    assert appliance.ask("GET", f"/_local/runs/{run}?objects=1001").status == 400


# How they are, and tried out -------------------------------------------------------------------------------


def test_destinations_are_listed_with_how_they_are(appliance: Appliance, make: Make) -> None:
    obstacle = appliance.data / "held-up"
    obstacle.write_text("in the way")
    two = [{"type": "files", "title": "Archive"}, {"type": "files", "name": "stuck", "path": "held-up"}]
    name = make(batch=TENS, destinations=two)
    appliance.ask("POST", f"/_local/pipelines/{name}/events", [{"event_type": "a.b", "payload": {}}])
    appliance.until(lambda _: [one["health"] for one in appliance.pipeline(name)["destinations"]] == ["ok", "blocked"])
    appliance.until(lambda _: appliance.pipeline(name)["destinations"][0]["last_written_at"])
    well, stuck = appliance.ask("GET", f"/_local/pipelines/{name}/destinations").json["data"]
    assert (well["name"], well["type"], well["title"], well["settings"]["path"]) == ("files", "files", "Archive", "out")
    assert (well["health"], well["in_flight"], well["message"], well["paused"]) == ("ok", 0, None, False)
    assert well["last_object"].startswith(f"{name}/")
    assert (stuck["name"], stuck["in_flight"], stuck["retiring"]) == ("stuck", 1, False)
    assert "held-up" in stuck["message"]
    obstacle.unlink()


def test_a_destination_is_tried_out(appliance: Appliance, make: Make) -> None:
    (appliance.data / "wall").write_text("in the way")
    two = [{"type": "files"}, {"type": "files", "name": "stuck", "path": "wall"}]
    name = make(batch=TENS, destinations=two)
    well = appliance.ask("POST", f"/_local/pipelines/{name}/destinations/files/test").json
    assert (well["destination"], well["type"], well["ok"]) == ("files", "files", True)
    assert [one["step"] for one in well["findings"]] == ["write", "read back", "overwrite", "remove"]
    stuck = appliance.ask("POST", f"/_local/pipelines/{name}/destinations/stuck/test").json
    assert (stuck["ok"], [one["ok"] for one in stuck["findings"]]) == (False, [False])
    assert files(appliance, name) == []


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/_local/pipelines/{name}/destinations/sink/test", "destination_not_found"),
        ("POST", "/_local/pipelines/nobody/destinations/files/test", "pipeline_not_found"),
        ("GET", "/_local/pipelines/nobody/destinations", "pipeline_not_found"),
        ("GET", "/_local/pipelines/nobody/verify", "pipeline_not_found"),
        ("GET", "/_local/pipelines/{name}/verify?destination=sink", "destination_not_found"),
        ("GET", "/_local/pipelines/{name}/verify?quick=maybe", "invalid_request"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_done(
    appliance: Appliance, make: Make, method: str, path: str, code: str
) -> None:
    answer = appliance.ask(method, path.format(name=make()))
    assert (answer.status, answer.code) == (400 if code == "invalid_request" else 404, code)


# Compared --------------------------------------------------------------------------------------------------


def test_what_is_well_is_said_in_two_lines(appliance: Appliance, make: Make) -> None:
    name = make(batch=TENS)
    send(appliance, name, 25)
    one, end = verify(appliance, name)
    size = sum(path.stat().st_size for path in files(appliance, name))
    assert one == {
        "kind": "destination", "destination": "files", "type": "files", "configured": True, "ok": True,
        "lookable": True, "unavailable": None, "objects": one["objects"], "rows": 25, "size_bytes": size,
        "compared": one["objects"], "compared_by_size": 0, "missing": 0, "altered": 0, "unreadable": 0, "extra": 0,
        "older": 0,
    }  # fmt: skip
    assert one["objects"] == len(files(appliance, name)) >= 3
    assert end == {"kind": "end", "ok": True}


def test_what_is_wrong_is_a_line_each(appliance: Appliance, make: Make) -> None:
    two = [{"type": "files"}, {"type": "files", "name": "away", "path": "away"}]
    name = make(batch=TENS, destinations=two)
    ids = send(appliance, name, 10)
    lost, *_ = files(appliance, name)
    lost.unlink()
    (lost.parent / "notes.txt").write_text("mine")
    (appliance.data / "away").rename(appliance.data / "gone-away")
    (appliance.data / "away").write_text("in the way")
    *problems, first, second, end = verify(appliance, name)
    by_problem = {line["problem"]: line for line in problems}
    assert by_problem.keys() == {"missing", "extra"}
    missing, extra = by_problem["missing"], by_problem["extra"]
    assert (missing["destination"], missing["place"]) == ("files", str(lost))
    assert missing["first_event"] == ids[0]
    assert missing["run_id"].startswith("run_")
    assert (extra["key"], extra["place"], extra["rows"], extra["run_id"]) == (f"{name}/notes.txt", None, None, None)
    assert (first["ok"], first["missing"], first["extra"], second["ok"]) == (False, 1, 1, False)
    assert "list" in second["unavailable"]
    assert end == {"kind": "end", "ok": False}
    (only, _) = verify(appliance, name, "?destination=away&quick=true")
    assert only["destination"] == "away"


def test_a_head_request_starts_no_check(appliance: Appliance, make: Make) -> None:
    answer = appliance.ask("HEAD", f"/_local/pipelines/{make()}/verify")
    assert (answer.status, answer.body) == (200, b"")


def test_a_client_that_goes_away_ends_the_check(appliance: Appliance, make: Make) -> None:
    name = make(batch=TENS)
    send(appliance, name, 10)
    folder = files(appliance, name)[0].parent
    for n in range(1_500):
        (folder / f"{n}.txt").touch()
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", appliance.port, timeout=10)
        connection.request("GET", f"/_local/pipelines/{name}/verify", headers={"Authorization": f"Bearer {KEY}"})
        connection.getresponse().read(1)
        connection.close()
    lines = verify(appliance, name)
    assert (len(lines), lines[-2]["extra"]) == (1_502, 1_500)
    assert "Traceback" not in appliance.log.read_text()


def test_a_client_that_does_not_read_holds_up_nobody_who_stops_the_appliance(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as running:
        folder = running.data / "out" / "orders-stream"
        folder.mkdir(parents=True)
        for n in range(5_000):
            (folder / f"{n}-{'x' * 150}.txt").touch()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", running.port))
            head = f"Host: 127.0.0.1:{running.port}\r\nAuthorization: Bearer {KEY}\r\n\r\n"
            client.sendall(f"GET /_local/pipelines/pl_8f3a/verify HTTP/1.1\r\n{head}".encode())
            assert client.recv(12) == b"HTTP/1.1 200"
            assert running.process is not None
            running.process.terminate()
            assert running.ended_within(5), "the grace for requests is 10 seconds"
