"""`events`: send, list, show, tail."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.appliance import KEY, Appliance
from tests.cli.commands import Operator, process


def test_an_event_is_sent_and_shown_with_what_became_of_it(appliance: Appliance, conduit: Operator) -> None:
    said = conduit.ok("events", "send", "pl_8f3a", "order.created", '{"orderId": "ord_1042"}').split()
    assert said[1:] == ["accepted"]
    appliance.until_delivered()
    found = json.loads(conduit.ok("events", "show", said[0]))
    assert (found["event_type"], found["payload"]) == ("order.created", {"orderId": "ord_1042"})
    (delivery,) = found["deliveries"]
    assert delivery["status"] == "delivered"
    assert (appliance.data / "out" / delivery["object_key"]).exists()


def test_a_payload_may_come_from_standard_input_and_span_lines(appliance: Appliance, conduit: Operator) -> None:
    said = conduit.ok("events", "send", "pl_8f3a", "a.b", stdin='{\n  "place": "Größe 地震"\n}\n'.encode())
    found = json.loads(conduit.ok("events", "show", said.split()[0]))
    assert found["payload"] == {"place": "Größe 地震"}


def test_sent_twice_with_one_key_it_is_one_event(appliance: Appliance, conduit: Operator) -> None:
    args = ("events", "send", "pl_8f3a", "a.b", "{}", "--idempotency-key", "Schlüssel ключ")
    first, second = conduit.ok(*args).split(), conduit.ok(*args).split()
    assert first == [second[0], "accepted"]
    assert second[1:] == ["accepted", "before"]
    assert conduit.json(*args)["replayed"] is True
    in_the_body = appliance.emit({}, key="Schlüssel ключ").json["event_id"]
    assert in_the_body == first[0]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"not json", b"{} {}", b'{"a":NaN}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b"[" * 100_000]
)
def test_a_payload_that_is_not_json_exits_2(conduit: Operator, payload: bytes) -> None:
    done = conduit("events", "send", "pl_8f3a", "a.b", stdin=payload)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("conduit-local: the payload is not JSON: ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("nope", "a.b", "{}"), "no pipeline 'nope' (pipeline_not_found)"),
        (("pl_8f3a", "a..b", "{}"), "event_type: must be letters"),
        (("pl_8f3a", '"},{', "{}"), "event_type: must be letters"),
        (("pl_8f3a", "a.b", "[]"), "payload: must be a JSON object"),
        (("pl_8f3a", "a.b", '{"deep":' + "[" * 200 + "]" * 200 + "}"), "must not be nested more than"),
        (("pl_8f3a", "a.b", '{"a":"\\ud83d"}'), "the body is not JSON"),
        (("pl_8f3a", "a.b", json.dumps({"x": "y" * 262_144})), "payload exceeds the 256KB limit"),
        (("pl_8f3a", "a.b", "{}", "--idempotency-key", "x" * 256), "must have 1 to 255 characters"),
        (("pl_8f3a", "a.b", "{}", "--idempotency-key", "a\nb: c"), "Idempotency-Key cannot hold a line break"),
    ],
)
def test_an_event_that_is_refused_fails_with_the_reason(
    conduit: Operator, appliance: Appliance, args: tuple[str, ...], said: str
) -> None:
    before = appliance.pipeline("pl_8f3a")["accepted"]
    done = conduit("events", "send", *args)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert appliance.pipeline("pl_8f3a")["accepted"] == before


def test_numbers_that_python_cannot_hold_are_shown_as_text_and_never_as_broken_json(
    appliance: Appliance, conduit: Operator
) -> None:
    digits = "9" * 5_000
    conduit.ok(
        "events", "send", "pl_8f3a", "a.numbers", f'{{"huge":1e999,"long":{digits},"exact":123456789012345678901}}'
    )
    (one,) = conduit.json("events", "list", "--type", "a.numbers")["data"]
    assert one["payload"] == {"huge": "1e999", "long": digits, "exact": 123456789012345678901}
    assert digits[:50] in conduit.ok("events", "list", "--type", "a.numbers")


def test_events_are_listed_newest_first_and_filtered(conduit: Operator) -> None:
    ids = [conduit.ok("events", "send", "pl_8f3a", f"listed.{n % 2}", f'{{"n":{n}}}').split()[0] for n in range(4)]
    rows = conduit.table("events", "list", "--pipeline", "orders-stream", "--limit", "2")
    assert rows[0] == ["RECEIVED", "PIPELINE", "TYPE", "EVENT", "PAYLOAD"]
    assert [row[1:4] for row in rows[1:3]] == [
        ["orders-stream", "listed.1", ids[3]],
        ["orders-stream", "listed.0", ids[2]],
    ]
    assert rows[3][:3] == ["…", "and", "more;"]

    def found(*filters: str) -> list[Any]:
        return [one["event_id"] for one in conduit.json("events", "list", *filters)["data"]]

    assert found("--type", "listed.0") == [ids[2], ids[0]]
    assert found("--type", "listed.1", "--text", '"n":3') == [ids[3]]
    assert found("--type", "listed.1", "--until", "2020-01-01T00:00:00Z") == []
    assert found("--since", "2020-01-01T00:00:00Z", "--limit", "1") == [ids[3]]
    assert found("--text", "\udcff") == []


@pytest.mark.parametrize("args", [("--since", "yesterday"), ("--pipeline", "nope")])
def test_a_filter_that_is_wrong_fails(conduit: Operator, args: tuple[str, ...]) -> None:
    assert conduit("events", "list", *args).code == 1


@pytest.mark.parametrize("args", [("list", "--limit", "0"), ("list", "--limit", "x"), ("show",), ("send", "pl_8f3a")])
def test_what_is_called_wrongly_exits_2(conduit: Operator, args: tuple[str, ...]) -> None:
    done = conduit("events", *args)
    assert done.code == 2
    assert done.err.startswith("Usage: conduit-local events ")


def test_an_event_that_is_not_there_fails(conduit: Operator) -> None:
    for event in ("evt_nope", "../pipelines", ""):
        assert conduit("events", "show", event).code == 1


def test_foreign_text_never_drives_the_terminal(conduit: Operator) -> None:
    conduit.ok("events", "send", "pl_8f3a", "a.escape", '{"x":"\\u001b[2J\\u202e\\u0007"}')
    said = conduit.ok("events", "list", "--type", "a.escape")
    assert not any(char in said for char in "\x1b\x07\u202e")


def test_a_terminal_that_lacks_a_letter_gets_an_escape(appliance: Appliance, conduit: Operator) -> None:
    conduit.ok("events", "send", "pl_8f3a", "a.letters", '{"ü":"地震"}')
    args = ("events", "list", "--type", "a.letters", "--url", appliance.url, "--key", KEY)
    done = subprocess.run(
        [sys.executable, "-c", "from conduit_local.cli.main import main; main()", *args],
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'{"\xfc": "\\u5730\\u9707"}' in done.stdout


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_tail_shows_events_as_they_arrive(appliance: Appliance, conduit: Operator, form: tuple[str, ...]) -> None:
    args = ["events", "tail", "--pipeline", "pl_8f3a", *form, "--url", appliance.url, "--key", KEY]
    tail = subprocess.Popen(
        [sys.executable, "-m", "conduit_local", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert tail.stdout is not None
    conduit.ok("events", "send", "pl_8f3a", "a.tail", '{"last":true}')
    said = next(line for line in tail.stdout if "a.tail" in line)
    tail.send_signal(signal.SIGINT)
    _, err = tail.communicate(timeout=30)
    assert (tail.returncode, err.strip()) == (1, "Aborted.")
    if form:
        assert json.loads(said)["payload"] == {"last": True}
    else:
        assert said.endswith(' orders-stream a.tail {"last": true}\n')


def test_a_reader_that_goes_away_ends_a_command_quietly(appliance: Appliance) -> None:
    script = f"{sys.executable} -m conduit_local schema | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert done.stderr == b""
    assert process("schema").code == 0
