"""`dead`: list, groups, show, edit, replay, discard, export."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Appliance, serving
from tests.cli.commands import Done, Operator

CAST = [{"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}]
HOSTILE = "x\x1b[31m\u202e\x9b2J"


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("dead"), {}) as running:
        yield running


def dying(appliance: Appliance, conduit: Operator, name: str, *values: Any) -> list[str]:
    """A pipeline on which these values of `n` are sent; the ids of its letters, the newest first."""
    body = {"batch": {"max_age": "50ms"}, "transforms": CAST}
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", body).status == 201
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in values]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
    appliance.until_delivered(name)
    return [one["id"] for one in conduit.json("dead", "list", "--pipeline", name)["data"]]


def harmless(done: Done) -> str:
    """What was said, where no character of it drives a terminal."""
    said = done.out + done.err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said), said
    return said


def test_letters_are_listed_and_grouped_by_reason(appliance: Appliance, conduit: Operator) -> None:
    newest, oldest = dying(appliance, conduit, "listed", 1, "x", "y")
    head, first, second = conduit.table("dead", "list", "--pipeline", "listed")
    assert head[:5] == ["LETTER", "DIED", "PIPELINE", "DESTINATION", "STAGE"]
    assert (first[0], first[2:6], second[0]) == (newest, ["listed", "files", "transform", "1"], oldest)
    assert conduit.table("dead", "list", "--pipeline", "listed", "--stage", "extract")[1:] == []
    assert "and more" in conduit.ok("dead", "list", "--pipeline", "listed", "--limit", "1")
    (row,) = conduit.table("dead", "groups", "--pipeline", "listed")[1:]
    assert row[:4] == ["2", "listed", "files", "transform"]
    (group,) = conduit.json("dead", "groups", "--pipeline", "listed")
    assert (group["count"], group["example"]) == (2, newest)
    assert "ALARM: listed: 2 dead letters" in conduit.ok("status")
    assert "# files: ok, 1 delivered, 0 pending, 2 dead" in conduit.ok("pipelines", "show", "listed")


def test_a_letter_is_shown_with_what_it_holds_and_nothing_of_it_drives_the_terminal(
    appliance: Appliance, conduit: Operator
) -> None:
    (letter,) = dying(appliance, conduit, "hostile", HOSTILE)
    said = harmless(conduit("dead", "show", letter))
    assert "stage:       transform" in said
    assert '"n": "x\\u001b[31m\\u202e\\x9b2J"' in said
    harmless(conduit("dead", "list", "--pipeline", "hostile"))
    harmless(conduit("dead", "groups", "--pipeline", "hostile"))
    harmless(conduit("dead", "replay", letter, "--wait", "20"))
    assert conduit.json("dead", "show", letter)["payload"] == {"n": HOSTILE}
    done = conduit("dead", "show", "dead_\x1b[2J")
    assert done.code == 1
    assert "(dead_letter_not_found)" in harmless(done)


def test_input_that_was_no_event_is_shown_too(appliance: Appliance, conduit: Operator) -> None:
    sources = [{"type": "files", "path": "inbox/*.jsonl"}]
    assert appliance.ask("PUT", "/_local/pipelines/inbox", {"sources": sources}).status == 201
    (appliance.data / "inbox").mkdir()
    (appliance.data / "inbox" / "a.jsonl").write_bytes(b"\xff\xfe\x1b[2J\n" + b'{"n": ' + b"x" * 262_000 + b"\n")
    appliance.until(lambda _: appliance.pipeline("inbox")["dead"] == 2)
    large, small = (one["id"] for one in conduit.json("dead", "list", "--pipeline", "inbox")["data"])
    assert "\\xff\\xfe\\x1b[2J" in harmless(conduit("dead", "show", small))
    assert len(harmless(conduit("dead", "show", large))) > 262_000
    assert "inbox/a.jsonl:2" in harmless(conduit("dead", "list", "--pipeline", "inbox"))
    said = conduit.ok("dead", "edit", small, "--payload", '{"n": 1}', "--type", "was.lost")
    assert said == f"{small} of inbox: edited; conduit-local dead replay {small}\n"
    conduit.ok("dead", "replay", small, "--wait", "20")
    assert conduit.json("events", "list", "--pipeline", "inbox")["data"][0]["event_type"] == "was.lost"
    assert "# from files:inbox/*.jsonl: ok" in conduit.ok("pipelines", "show", "inbox")


def test_a_mended_letter_is_replayed_and_waited_for(appliance: Appliance, conduit: Operator, tmp_path: Path) -> None:
    (letter,) = dying(appliance, conduit, "mended", "x")
    done = conduit("dead", "replay", letter, "--wait", "20")
    assert done.code == 1
    assert re.fullmatch(r"conduit-local: 1 of 1 dead letter died again in run_\w{8}\n", done.err)
    (tmp_path / "payload.json").write_text('{"n":\n 12345678901}')
    assert conduit("dead", "edit", letter, "--file", str(tmp_path / "payload.json")).code == 0
    again = conduit("dead", "replay", letter, "--wait", "20", "--json")
    assert (again.code, again.json["replays"][0]["died_again"]) == (1, 1), "it fits no INTEGER"
    assert conduit("dead", "edit", letter, "--file", "-", stdin=b'{"n": 5}').code == 0
    said = conduit.ok("dead", "replay", "--pipeline", "mended", "--all", "--wait", "20")
    assert re.fullmatch(r"mended: run run_\w{8} success: 1 dead letter\n", said)
    (run,) = (one for one in conduit.json("runs", "list", "--trigger", "replay", "--limit", "1")["data"])
    shown = json.loads(conduit.ok("runs", "show", run["id"]))
    assert (shown["stage"], shown["events"], shown["rows"], shown["dead"]) == ("load", 1, 1, 0)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("edit", "dead_1"), "give the payload by --payload or by --file"),
        (("edit", "dead_1", "--payload", "{}", "--file", "-"), "give the payload by --payload or by --file"),
        (("edit", "dead_1", "--payload", "{"), "the payload is not JSON: "),
        (("edit", "dead_1", "--payload", '{"n": NaN}'), "the payload is not JSON: NaN is no number"),
        (("replay",), "name letters, or a --pipeline"),
        (("discard", "--yes"), "name letters, or a --pipeline"),
        (("discard", "--all", "--yes"), "name letters, or a --pipeline"),
        (("discard", "--pipeline", "p", "--yes"), "say --all, or which: --destination, --stage, --reason"),
        (("discard", "--pipeline", "p", "--all", "--stage", "load"), "say --all, or which: "),
        (("discard", "dead_1", "--all"), "name letters, or options that choose some, not both"),
        (("replay", "dead_1", "--pipeline", "p"), "name letters, or options that choose some, not both"),
    ],
)
def test_what_makes_no_sense_exits_2_and_asks_nobody(conduit: Operator, args: tuple[str, ...], said: str) -> None:
    done = conduit("dead", *args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"conduit-local: {said}")


def test_discarding_says_what_and_how_many_and_asks(appliance: Appliance, conduit: Operator) -> None:
    letters = dying(appliance, conduit, "dropped", "x", "y", "z")
    done = conduit("dead", "discard", "--pipeline", "dropped", "--stage", "transform", stdin=b"n\n")
    assert done.code == 1
    assert done.out.startswith(f"Discard 3 dead letters of dropped, stage transform on {appliance.url} for good? [y/N]")
    assert f"Discard {letters[0]} on" in conduit("dead", "discard", letters[0], stdin=b"n\n").out
    assert len(conduit.json("dead", "list", "--pipeline", "dropped")["data"]) == 3
    assert "1 dead letter discarded" in conduit("dead", "discard", letters[0], stdin=b"y\n").out
    assert conduit.ok("dead", "discard", "--pipeline", "dropped", "--all", "--yes") == "2 dead letters discarded\n"
    assert conduit.json("dead", "discard", "--pipeline", "dropped", "--all", "--yes") == {
        "discarded": 0,
        "refused": [],
    }
    assert "# files: ok, 0 delivered, 0 pending, 3 purged" in conduit.ok("pipelines", "show", "dropped")


def test_letters_are_saved_whole(
    appliance: Appliance, conduit: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = dying(appliance, conduit, "saved", "x", "y")
    monkeypatch.chdir(tmp_path)
    assert conduit.ok("dead", "export", "--pipeline", "saved").startswith("dead-letters.ndjson: ")
    lines = [json.loads(line) for line in (tmp_path / "dead-letters.ndjson").read_text().splitlines()]
    assert lines == [conduit.json("dead", "show", one) for one in letters]
    done = conduit("dead", "export", "--pipeline", "saved")
    assert (done.code, done.err) == (1, "conduit-local: dead-letters.ndjson is there already; --force replaces it\n")
    conduit.ok("dead", "export", "--pipeline", "saved", "--stage", "load", "-o", "none.ndjson")
    assert (tmp_path / "none.ndjson").read_bytes() == b""
