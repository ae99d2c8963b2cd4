"""`replay`: the lines of a file as events, each once, whatever comes in between."""

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from conduit_local.cli.demo import sample_folder
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.cli.commands import Operator, process

QUAKES = sample_folder() / "events" / "earthquakes.jsonl"


def who(appliance: Appliance) -> tuple[str, ...]:
    return ("--url", appliance.url, "--key", KEY)


def landed(appliance: Appliance, folder: str) -> list[Any]:
    """What lies in the files of a folder, line by line, in the order of the files' names."""
    paths = sorted((appliance.data / folder).rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def test_all_earthquakes_land_once_each_in_order_and_equal_as_json(tmp_path: Path) -> None:
    pipelines = {"quakes": (sample_folder() / "pipelines" / "earthquakes.yaml").read_text()}
    sent = [json.loads(line) for line in QUAKES.read_bytes().splitlines()]
    assert len(sent) == 1_707
    with serving(tmp_path, pipelines) as appliance:
        conduit = Operator(appliance)
        for again in ("", ", 1,707 of them before"):
            said = conduit.ok("replay", str(QUAKES), "--pipeline", "earthquakes", "--type", "earthquake.reported")
            assert said.startswith("1,707 events accepted in ")
            assert said.endswith(f"/s){again}\n")
        conduit.ok("pipelines", "drain", "earthquakes", "--wait", "20")
        envelopes = landed(appliance, "out")
        assert [one["payload"] for one in envelopes] == sent
        assert {one["event_type"] for one in envelopes} == {"earthquake.reported"}
        ids = [one["event_id"] for one in envelopes]
        assert ids == sorted(set(ids))
        ledgers = [route["ledger"] for route in appliance.pipeline("earthquakes")["destinations"]]
        assert [(one["accepted"], one["delivered"], one["closes"]) for one in ledgers] == [(1_707, 1_707, True)] * 2


def numbered(folder: Path, count: int) -> Path:
    """A file of so many lines."""
    file = folder / "lines.jsonl"
    file.write_text("".join(f'{{"n":{n}}}\n' for n in range(count)))
    return file


def test_a_replay_that_was_killed_is_taken_up_where_it_was(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as appliance:
        args = ("replay", str(numbered(tmp_path, 500)), "--pipeline", "pl_8f3a", "--batch", "10")
        command = [sys.executable, "-m", "conduit_local", *args, "--rate", "200", *who(appliance)]
        slow = subprocess.Popen(command)
        appliance.until(lambda found: found["pipelines"][0]["accepted"] >= 50)
        slow.send_signal(signal.SIGKILL)
        slow.wait(timeout=30)
        assert appliance.pipeline("pl_8f3a")["accepted"] < 500
        said = Operator(appliance).ok(*args)
        assert said.startswith("500 events accepted")
        assert said.endswith(" of them before\n")
        appliance.until_delivered()
        assert [one["payload"]["n"] for one in landed(appliance, "out")] == list(range(500))


def test_an_appliance_that_is_killed_meanwhile_gets_each_event_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(tmp_path, {"orders": ORDERS}, "--port", str(port)) as appliance:
        args = ("replay", str(numbered(tmp_path, 400)), "--pipeline", "pl_8f3a", "--batch", "10", "--rate", "400")
        said: list[str] = []
        replay = threading.Thread(target=lambda: said.append(process(*args, *who(appliance)).out))
        replay.start()
        for accepted in (50, 200):
            appliance.until(lambda found, least=accepted: found["pipelines"][0]["accepted"] >= least)  # type: ignore[misc]
            appliance.kill()
            appliance.start()
        replay.join(timeout=30)
        assert said[0].startswith("400 events accepted")
        appliance.until_delivered()
        assert [one["payload"]["n"] for one in landed(appliance, "out")] == list(range(400))


def test_large_lines_are_spread_over_more_requests_than_asked_for(
    appliance: Appliance, conduit: Operator, tmp_path: Path
) -> None:
    large = tmp_path / "large.jsonl"
    large.write_text("".join(json.dumps({"n": n, "filling": "x" * 250_000}) + "\n" for n in range(150)))
    said = conduit.ok("replay", str(large), "--pipeline", "pl_8f3a", "--batch", "10000")  # 37 MB; a request takes 32
    assert said.startswith("150 events accepted")


# What a line may be ----------------------------------------------------------------------------------------


def test_a_line_is_an_event_an_envelope_or_a_payload(appliance: Appliance, conduit: Operator) -> None:
    lines = b"""{"a": 1.50}

{"event_type":"order.created","payload":{"b":2}}
{"event_id":"evt_1","pipeline_id":"pl_x","event_type":"x.y","received_at":"2020-01-01T00:00:00Z","payload":{"c":3}}
{"event_type":"not.a.type","payload":[1]}\r
{"n":%s}""" % (b"9" * 5_000)
    done = process("replay", "-", "--pipeline", "pl_8f3a", "--type", "from.stdin", *who(appliance), stdin=lines)
    assert done.out.startswith("5 events accepted")
    page = conduit.json("events", "list", "--limit", "5")["data"]
    assert [(one["event_type"], one["payload"]) for one in reversed(page)] == [
        ("from.stdin", {"a": 1.5}),
        ("order.created", {"b": 2}),
        ("x.y", {"c": 3}),
        ("from.stdin", {"event_type": "not.a.type", "payload": [1]}),
        ("from.stdin", {"n": "9" * 5_000}),
    ]


def test_what_was_delivered_can_be_replayed_as_it_is(appliance: Appliance, conduit: Operator, tmp_path: Path) -> None:
    (tmp_path / "copy.yaml").write_text("name: copy\nbatch: {max_age: 100ms}\n")
    conduit.ok("pipelines", "apply", str(tmp_path / "copy.yaml"))
    appliance.emit({"one": 1})
    appliance.until_delivered()
    (path, *_) = sorted((appliance.data / "out" / "orders-stream").glob("*.jsonl"))
    conduit.ok("replay", str(path), "--pipeline", "copy")
    appliance.until_delivered("copy")
    (copy,) = (appliance.data / "out" / "copy").glob("*.jsonl")
    assert [parts(line) for line in copy.read_bytes().splitlines()] == [
        parts(line) for line in path.read_bytes().splitlines()
    ]


def parts(line: bytes) -> tuple[bytes, bytes]:
    """The type and the payload of an envelope, to the byte."""
    head, _, payload = line.partition(b',"payload":')
    return head.partition(b'"event_type":')[2].partition(b",")[0], payload


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"x", "not JSON: Expecting value"),
        (b'{"a":NaN}', "not JSON: NaN is no number"),
        (b'{"a":"\xff"}', "not JSON: 'utf-8' codec can't decode"),
        (b"[1]", "a line must be a JSON object, this one is list"),
        (b"[" * 100_000, "not JSON: it is nested too deeply"),
    ],
)
def test_a_line_that_is_none_of_these_is_named_and_nothing_after_it_is_sent(
    appliance: Appliance, conduit: Operator, tmp_path: Path, line: bytes, said: str
) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_bytes(b'{"n":1}\n{"n":2}\n' + line + b'\n{"n":4}\n')
    before = appliance.pipeline("pl_8f3a")["accepted"]
    done = conduit("replay", str(file), "--pipeline", "pl_8f3a", "--batch", "1", "--type", tmp_path.name)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"conduit-local: lines.jsonl:3: {said}")
    assert appliance.pipeline("pl_8f3a")["accepted"] == before + 2


def test_an_empty_file_is_no_event(conduit: Operator, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\n\n")
    assert conduit.ok("replay", str(tmp_path / "empty"), "--pipeline", "pl_8f3a").startswith("0 events accepted")


def test_what_is_called_wrongly_exits_2(conduit: Operator, tmp_path: Path) -> None:
    for args in (("-",), (str(tmp_path / "gone"), "--pipeline", "x"), ("-", "--pipeline", "x", "--rate", "0")):
        assert conduit("replay", *args).code == 2
    done = conduit("replay", str(numbered(tmp_path, 1)), "--pipeline", "nope")
    assert (done.code, done.err) == (1, "conduit-local: no pipeline 'nope' (pipeline_not_found)\n")
