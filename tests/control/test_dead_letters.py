"""`/_local/dead`: what died, why, mended, replayed, discarded, saved."""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import KEY, Appliance, serving

CAST = [{"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}]
FIELDS = [
    "id", "pipeline_id", "pipeline", "destination", "stage", "event_id", "seq", "event_type", "error", "reason",
    "origin", "at", "run_id", "attempts", "edited_at", "replaying",
]  # fmt: skip
HOSTILE = {
    b'{"half": ': '{"half":',
    b"\xff\xfe\x1b[31mred \xe2\x80\xae \x9b2J": "\\xff\\xfe\x1b[31mred \u202e \\x9b2J",
    b'{"big": "' + b"x" * 262_144 + b'"}': None,
    b"[" * 50_000: "[" * 50_000,
    b'"\\ud800"': '"\\ud800"',
}
"""Input that is no event, and how it is shown."""


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("dead"), {}) as running:
        yield running


def make(appliance: Appliance, name: str, **fields: Any) -> str:
    body = {"batch": {"max_age": "50ms"}, "transforms": CAST, **fields}
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", body).status in {200, 201}
    return name


def dying(appliance: Appliance, name: str, *values: Any, **fields: Any) -> list[str]:
    """A pipeline on which these values of `n` are sent; the ids of the letters, once all have landed or died."""
    make(appliance, name, **fields)
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in values]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
    appliance.until_delivered(name)
    return [one["id"] for one in letters(appliance, name)]


def letters(appliance: Appliance, name: str, query: str = "") -> Any:
    answer = appliance.ask("GET", f"/_local/dead?pipeline={name}&limit=1000{query}")
    assert answer.status == 200, answer
    return answer.json["data"]


def order(appliance: Appliance, verb: str, **chosen: Any) -> Any:
    answer = appliance.ask("POST", f"/_local/dead/{verb}", chosen)
    assert answer.status == {"replay": 202, "discard": 200}[verb], answer
    return answer.json


def ended(appliance: Appliance, run: str) -> Any:
    end = time.monotonic() + 20
    while (found := appliance.ask("GET", f"/_local/runs/{run}").json)["finished_at"] is None:
        assert time.monotonic() < end, found
    return found


def landed(appliance: Appliance, name: str) -> list[Any]:
    """The values that are in the pipeline's objects."""
    paths = sorted((appliance.data / "out" / name).rglob("*.jsonl"))
    return [json.loads(line)["n"] for path in paths for line in path.read_text().splitlines()]


def account(appliance: Appliance, name: str) -> tuple[int, int, int]:
    (route,) = appliance.pipeline(name)["destinations"]
    ledger = route["ledger"]
    assert ledger["closes"] is True
    return ledger["delivered"], ledger["dead"], ledger["purged"]


# Look ------------------------------------------------------------------------------------------------------


def test_a_letter_says_what_died_where_and_why(appliance: Appliance) -> None:
    (letter,) = dying(appliance, "told", 1, "x", 3)
    (shown,) = letters(appliance, "told")
    assert list(shown) == FIELDS
    event = appliance.ask("GET", "/_local/events?pipeline=told").json["data"][1]
    assert (shown["event_id"], shown["seq"], shown["event_type"]) == (event["event_id"], 2, "a.b")
    assert (shown["destination"], shown["stage"], shown["origin"], shown["attempts"]) == ("files", "transform", None, 1)
    assert "'x'" in shown["error"]
    assert "'x'" not in shown["reason"]
    assert shown["run_id"] == appliance.pipeline("told")["last_run"]
    found = appliance.ask("GET", f"/_local/dead/{letter}").json
    assert found == {**shown, "payload": {"n": "x"}, "payload_kind": "json"}


def test_letters_are_paged_newest_first_and_filtered(appliance: Appliance) -> None:
    ids = dying(appliance, "paged", *(f"x{n}" for n in range(45)))
    numbers = [int(one.removeprefix("dead_")) for one in ids]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 45
    seen: list[str] = []
    cursor = ""
    while True:
        page = appliance.ask("GET", f"/_local/dead?pipeline=paged&limit=20{cursor}").json
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids
    whole = appliance.ask("GET", "/_local/dead?pipeline=paged&limit=45").json
    assert (whole["has_more"], whole["next_cursor"]) == (False, None)
    assert len(letters(appliance, "paged", "&stage=transform&destination=files")) == 45
    assert letters(appliance, "paged", "&stage=load") == letters(appliance, "paged", "&destination=other") == []


def test_letters_of_one_reason_are_a_group(appliance: Appliance) -> None:
    query = "SELECT CAST(payload->>'n' AS INTEGER) AS n, CAST(payload->>'day' AS DATE) AS day FROM events"
    make(appliance, "grouped", transforms=[{"type": "sql", "query": query}])
    payloads = [{"n": "x"}, {"n": "y"}, {"n": 1, "day": "never"}, {"n": 2, "day": "2026-01-01"}]
    events = [{"event_type": "a.b", "payload": one} for one in payloads]
    assert appliance.ask("POST", "/_local/pipelines/grouped/events", events).status == 200
    appliance.until_delivered("grouped")
    groups = appliance.ask("GET", "/_local/dead/groups?pipeline=grouped").json["data"]
    assert [one["count"] for one in groups] == [2, 1]
    for group in groups:
        assert (group["pipeline"], group["destination"], group["stage"]) == ("grouped", "files", "transform")
        reason = group["reason"].replace(" ", "%20").encode()
        query = "&reason=" + "".join(chr(one) if one < 128 else f"%{one:02X}" for one in reason).replace("&", "%26")
        same = letters(appliance, "grouped", query)
        assert same[0]["id"] == group["example"]
        assert len(same) == group["count"]
        assert group["first_at"] == same[-1]["at"]
        assert group["last_at"] == same[0]["at"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("stage=asleep", "stage"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("limit=1001", "limit")],
)
def test_a_query_that_makes_no_sense_names_its_field(appliance: Appliance, query: str, field: str) -> None:
    answer = appliance.ask("GET", f"/_local/dead?{query}")
    assert (answer.status, answer.code, list(answer.json["error"]["details"])) == (400, "invalid_request", [field])


@pytest.mark.parametrize("path", ["", "/groups", "/export"])
def test_a_pipeline_that_is_not_there_has_none(appliance: Appliance, path: str) -> None:
    assert appliance.ask("GET", f"/_local/dead{path}?pipeline=nobody").code == "pipeline_not_found"


@pytest.mark.parametrize("letter", ["x", "dead_", "dead_999999", "dead_" + "9" * 40, "dead_-1", "dead_%F0%9F%92%80"])
def test_a_letter_that_never_was_is_404(appliance: Appliance, letter: str) -> None:
    assert appliance.ask("GET", f"/_local/dead/{letter}").code == "dead_letter_not_found"
    assert appliance.ask("PATCH", f"/_local/dead/{letter}", {"payload": {}}).code == "dead_letter_not_found"


# Mend ------------------------------------------------------------------------------------------------------


def test_a_mended_letter_lands_once_and_is_gone(appliance: Appliance) -> None:
    (letter,) = dying(appliance, "mended", 1, "x", 3)
    exact = b'{"payload": {"n": 2, "big": 12345678901234567890.10, "kept": "\\u00e9"}}'
    answer = appliance.ask("PATCH", f"/_local/dead/{letter}", exact)
    assert answer.status == 200
    assert b'"payload":{"n": 2, "big": 12345678901234567890.10, "kept": "\\u00e9"}' in answer.body
    assert answer.json["edited_at"] is not None
    begun = order(appliance, "replay", ids=[letter])
    assert (begun["letters"], begun["left"], begun["refused"]) == (1, 0, [])
    (replay,) = begun["replays"]
    assert (replay["run"]["trigger"], replay["run"]["pipeline"]) == ("replay", "mended")
    run = ended(appliance, replay["run"]["id"])
    assert (run["state"], run["events"], run["rows"], run["dead"]) == ("success", 1, 1, 0)
    assert letters(appliance, "mended") == []
    assert sorted(landed(appliance, "mended")) == [1, 2, 3]
    assert account(appliance, "mended") == (3, 0, 0)
    assert appliance.ask("GET", f"/_local/dead/{letter}").status == 404


def test_what_dies_again_stays_with_the_reason_of_now(appliance: Appliance) -> None:
    ids = dying(appliance, "again", "x", "y")
    assert appliance.ask("PATCH", f"/_local/dead/{ids[0]}", {"payload": {"n": "z"}}).status == 200
    begun = order(appliance, "replay", pipeline="again", all=True)
    run = ended(appliance, begun["replays"][0]["run"]["id"])
    assert (begun["letters"], run["dead"], run["rows"]) == (2, 2, 0)
    assert [(one["id"], one["attempts"], one["run_id"]) for one in letters(appliance, "again")] == [
        (one, 2, run["id"]) for one in ids
    ]
    assert "'z'" in letters(appliance, "again")[0]["error"]
    assert account(appliance, "again") == (0, 2, 0)


def test_a_mended_transform_lands_what_a_filter_chooses(appliance: Appliance) -> None:
    dying(appliance, "fixed", 1, "x", "", 4)
    wanted = letters(appliance, "fixed")[0]
    better = "SELECT coalesce(TRY_CAST(payload->>'n' AS INTEGER), 0) AS n FROM events"
    make(appliance, "fixed", transforms=[{"type": "sql", "query": better}])
    begun = order(appliance, "replay", pipeline="fixed", stage="transform", reason=wanted["reason"])
    ended(appliance, begun["replays"][0]["run"]["id"])
    assert letters(appliance, "fixed") == []
    assert sorted(landed(appliance, "fixed")) == [0, 0, 1, 4]


def test_letters_of_several_pipelines_are_a_run_each(appliance: Appliance) -> None:
    ids = dying(appliance, "left", "x") + dying(appliance, "right", "x", "y")
    begun = order(appliance, "replay", ids=ids)
    assert sorted((one["run"]["pipeline"], one["letters"]) for one in begun["replays"]) == [("left", 1), ("right", 2)]
    assert begun["letters"] == 3
    for one in begun["replays"]:
        ended(appliance, one["run"]["id"])
    assert order(appliance, "discard", ids=ids) == {"discarded": 3, "refused": []}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"payload": 1}', "invalid_request"),
        (b'{"payload": []}', "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"payload": {}, "other": 1}', "invalid_request"),
        (b'{"payload": {}, "event_type": "other.type"}', "invalid_request"),
        (b'{"payload": {"n": NaN}}', "invalid_json"),
        (b'{"payload": {"n": "\xff"}}', "invalid_json"),
        (b'{"payload": {"n": "' + b"x" * 262_144 + b'"}}', "invalid_request"),
        (b'{"payload": {"n": ' + b"[" * 200 + b"]" * 200 + b"}}", "invalid_request"),
    ],
    ids=range(9),
)
def test_a_payload_that_could_be_no_events_is_refused_and_changes_nothing(
    appliance: Appliance, body: bytes, code: str
) -> None:
    ids = [one["id"] for one in letters(appliance, make(appliance, "strict"))] or dying(appliance, "strict", "x")
    answer = appliance.ask("PATCH", f"/_local/dead/{ids[0]}", body)
    assert (answer.status, answer.code) == (400, code), answer
    found = appliance.ask("GET", f"/_local/dead/{ids[0]}").json
    assert (found["payload"], found["edited_at"]) == ({"n": "x"}, None)


def test_a_letter_that_a_run_has_in_hand_is_left_alone(appliance: Appliance) -> None:
    obstacle = appliance.data / "out-of-the-way"
    (letter,) = dying(appliance, "held", "x", destinations=[{"type": "files", "path": "out-of-the-way"}])
    obstacle.write_text("a file where a folder belongs")
    assert appliance.ask("PATCH", f"/_local/dead/{letter}", {"payload": {"n": 5}}).status == 200
    run = order(appliance, "replay", ids=[letter])["replays"][0]["run"]["id"]
    appliance.until(lambda _: appliance.pipeline("held")["health"] == "blocked")
    (shown,) = letters(appliance, "held")
    assert shown["replaying"] == run
    (now,) = appliance.pipeline("held")["runs"]
    assert (now["id"], now["trigger"], now["stage"]) == (run, "replay", "load")
    assert appliance.ask("PATCH", f"/_local/dead/{letter}", {"payload": {"n": 6}}).code == "dead_letter_in_hand"
    assert appliance.ask("POST", "/_local/dead/discard", {"ids": [letter]}).status == 409
    assert appliance.ask("POST", "/_local/dead/replay", {"ids": [letter]}).code == "dead_letter_not_found"
    obstacle.unlink()
    assert appliance.ask("POST", f"/_local/runs/{run}/cancel").status == 200
    appliance.until(lambda _: not letters(appliance, "held"))  # what it had in hand might have landed: it does


def test_a_letter_whose_destination_is_gone_stays_the_event_that_it_is(appliance: Appliance) -> None:
    (letter,) = dying(appliance, "bereft", "x")
    before = appliance.ask("GET", f"/_local/dead/{letter}").json
    make(appliance, "bereft", destinations=[{"type": "files", "name": "elsewhere", "path": "elsewhere"}])
    ended(appliance, order(appliance, "replay", ids=[letter])["replays"][0]["run"]["id"])
    found = appliance.ask("GET", f"/_local/dead/{letter}").json
    assert "no destination 'files' any more" in found["error"]
    same = ("stage", "event_id", "seq", "event_type", "payload", "destination")
    assert {name: found[name] for name in same} == {name: before[name] for name in same}
    mended = appliance.ask("PATCH", f"/_local/dead/{letter}", {"payload": {"n": 1}}).json
    assert (mended["event_id"], mended["payload"]) == (before["event_id"], {"n": 1})


# Discard ---------------------------------------------------------------------------------------------------


def test_what_is_discarded_counts_as_purged(appliance: Appliance) -> None:
    ids = dying(appliance, "dropped", "x", "y", 3)
    assert order(appliance, "discard", ids=ids[:1])["discarded"] == 1
    assert account(appliance, "dropped") == (1, 1, 1)
    assert order(appliance, "discard", pipeline="dropped", destination="files")["discarded"] == 1
    assert order(appliance, "discard", pipeline="dropped", all=True)["discarded"] == 0
    assert account(appliance, "dropped") == (1, 0, 2)


@pytest.mark.parametrize("verb", ["replay", "discard"])
@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({}, "pipeline"),
        ({"all": True}, "pipeline"),
        ({"reason": "x"}, "pipeline"),
        ({"pipeline": "spared"}, "all"),
        ({"pipeline": "spared", "all": False}, "all"),
        ({"pipeline": "spared", "all": True, "stage": "load"}, "all"),
        ({"pipeline": "spared", "all": "yes"}, "all"),
        ({"pipeline": "spared", "stage": "asleep"}, "stage"),
        ({"ids": []}, "ids"),
        ({"ids": ["dead_1"] * 1_001}, "ids"),
        ({"ids": ["dead_1"], "pipeline": "spared"}, "ids"),
        ({"ids": ["dead_1"], "all": True}, "ids"),
        ({"pipeline": "spared", "all": True, "everything": True}, "everything"),
    ],
)
def test_nothing_is_chosen_by_leaving_something_out(
    appliance: Appliance, verb: str, chosen: dict[str, Any], field: str
) -> None:
    make(appliance, "spared")
    if not letters(appliance, "spared"):
        dying(appliance, "spared", "x")
    answer = appliance.ask("POST", f"/_local/dead/{verb}", chosen)
    assert (answer.status, list(answer.json["error"]["details"])) == (400, [field]), answer
    assert appliance.ask("POST", f"/_local/dead/{verb}", b"").status == 400
    assert len(letters(appliance, "spared")) == 1


@pytest.mark.parametrize("verb", ["replay", "discard"])
def test_one_letter_that_is_not_there_spares_the_others(appliance: Appliance, verb: str) -> None:
    ids = dying(appliance, f"spared-by-{verb}", "x")
    for other in ("dead_999999", "dead_x"):
        assert appliance.ask("POST", f"/_local/dead/{verb}", {"ids": [*ids, other]}).code == "dead_letter_not_found"
    assert [one["id"] for one in letters(appliance, f"spared-by-{verb}")] == ids


# Save ------------------------------------------------------------------------------------------------------


def test_an_export_has_each_letter_whole_on_a_line(appliance: Appliance) -> None:
    ids = dying(appliance, "saved", *(f"x{n}" for n in range(70)))
    answer = appliance.ask("GET", "/_local/dead/export?pipeline=saved")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert 'filename="dead-letters.ndjson"' in answer.headers["Content-Disposition"]
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [one["id"] for one in lines] == ids
    assert lines[5] == appliance.ask("GET", f"/_local/dead/{ids[5]}").json
    assert appliance.ask("GET", "/_local/dead/export?pipeline=saved&stage=load").body == b""
    assert appliance.ask("HEAD", "/_local/dead/export?pipeline=saved").status == 200


def test_an_export_takes_the_memory_of_a_few_letters(tmp_path: Path) -> None:
    with serving(tmp_path, {}) as appliance:
        make(appliance, "large", transforms=[], sources=[{"type": "files", "path": "large/*.jsonl"}])
        (appliance.data / "large").mkdir()
        (appliance.data / "large" / "a.jsonl").write_bytes(
            (b'{"n": ' + b"x" * 200_000 + b"\n") * 300
        )  # too large to be memory that was let go of
        appliance.until(lambda _: appliance.pipeline("large")["dead"] == 300, within_s=60)
        before = appliance.rss_mib()
        assert len(appliance.ask("GET", "/_local/dead/export").body) > 60_000_000
        assert len(appliance.ask("GET", "/_local/dead?limit=1000").json["data"]) == 300
        assert appliance.rss_mib() - before < 40


# Input that is no event ------------------------------------------------------------------------------------


@pytest.fixture
def inbox(appliance: Appliance, request: pytest.FixtureRequest) -> str:
    """A pipeline with an inbox of its name in which is what no event can be."""
    name = f"inbox-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    make(appliance, name, transforms=[], sources=[{"type": "files", "path": f"{name}/*.jsonl"}])
    (appliance.data / name).mkdir()
    (appliance.data / name / "a.jsonl").write_bytes(b'{"n": 1}\n' + b"\n".join(HOSTILE) + b"\n")
    appliance.until(lambda _: appliance.pipeline(name)["dead"] == len(HOSTILE))
    return name


def test_input_that_is_no_event_is_shown_as_text_whatever_it_is(appliance: Appliance, inbox: str) -> None:
    found = letters(appliance, inbox)[::-1]
    for place, (shown, (content, text)) in enumerate(zip(found, HOSTILE.items(), strict=True), 2):
        assert (shown["stage"], shown["destination"], shown["event_id"], shown["seq"]) == ("extract", None, None, None)
        assert shown["origin"] == f"{inbox}/a.jsonl:{place}"
        answer = appliance.ask("GET", f"/_local/dead/{shown['id']}")
        assert answer.json["payload_kind"] == "text"
        assert answer.json["payload"] == (text if text is not None else content[:262_144].decode())
        assert not re.search(rb"[\x00-\x1f\x7f]", answer.body)
    export = appliance.ask("GET", f"/_local/dead/export?pipeline={inbox}&stage=extract").body
    assert [json.loads(line)["id"] for line in export.splitlines()] == [one["id"] for one in found[::-1]]


def test_input_that_is_mended_becomes_an_event(appliance: Appliance, inbox: str) -> None:
    letter = letters(appliance, inbox)[-1]["id"]
    body = {"payload": {"n": 2}, "event_type": "mended.input"}
    assert appliance.ask("PATCH", f"/_local/dead/{letter}", body).json["event_type"] == "mended.input"
    ended(appliance, order(appliance, "replay", ids=[letter])["replays"][0]["run"]["id"])
    assert appliance.ask("GET", f"/_local/dead/{letter}").status == 404
    event = appliance.ask("GET", f"/_local/events?pipeline={inbox}").json["data"][0]
    assert (event["event_type"], event["payload"]) == ("mended.input", {"n": 2})
    assert appliance.pipeline(inbox)["dead"] == len(HOSTILE) - 1


# What else tells of them -----------------------------------------------------------------------------------


def test_they_are_an_alarm_until_they_are_gone(appliance: Appliance) -> None:
    dying(appliance, "alarming", "x", "y")
    alarms = [one for one in appliance.snapshot()["alarms"] if one["pipeline"] == "alarming"]
    assert alarms == [{"kind": "dead_letters", "pipeline": "alarming", "text": "2 dead letters"}]
    assert appliance.pipeline("alarming")["dead"] == 2
    order(appliance, "discard", pipeline="alarming", all=True)
    assert not [one for one in appliance.snapshot()["alarms"] if one["pipeline"] == "alarming"]


def test_sources_are_in_the_snapshot(appliance: Appliance, inbox: str) -> None:
    (source,) = appliance.pipeline(inbox)["sources"]
    assert source["last_pulled_at"] is not None
    assert {**source, "last_pulled_at": None} == {
        "name": f"files:{inbox}/*.jsonl",
        "type": "files",
        "health": "ok",
        "message": None,
        "attempt": 0,
        "retry_s": None,
        "pulled": 1,
        "last_pulled_at": None,
    }


def test_a_dry_run_counts_what_would_die_and_nothing_dies(appliance: Appliance) -> None:
    make(appliance, "looked-at", batch={"max_age": "1h"}, variables={"LIMIT": "5"})
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in (1, "x", 3)]
    assert appliance.ask("POST", "/_local/pipelines/looked-at/events", events).status == 200
    wanted = {"dry_run": True, "variables": {"LIMIT": "a-secret-value"}}
    answer = appliance.ask("POST", "/_local/pipelines/looked-at/runs", wanted)
    run = ended(appliance, answer.json["id"])
    assert (run["dry_run"], run["events"], run["rows"], run["dead"]) == (True, 3, 2, 1)
    assert run["variables"] == ["LIMIT"]
    assert "a-secret-value" not in json.dumps(run)
    assert letters(appliance, "looked-at") == []


def test_reading_is_not_changing(appliance: Appliance) -> None:
    (letter,) = dying(appliance, "scoped", "x")
    reader = appliance.ask("POST", "/_local/keys", {"name": "reader", "scopes": ["read"]}).json["secret"]
    assert appliance.ask("GET", f"/_local/dead/{letter}", key=reader).status == 200
    for method, path, body in (
        ("PATCH", letter, {"payload": {"n": 1}}),
        ("POST", "replay", {"ids": [letter]}),
        ("POST", "discard", {"ids": [letter]}),
    ):
        assert appliance.ask(method, f"/_local/dead/{path}", body, key=reader).status == 403
    assert appliance.ask("GET", f"/_local/dead/{letter}", key=KEY).json["edited_at"] is None
