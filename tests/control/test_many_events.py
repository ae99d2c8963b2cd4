"""`POST /_local/pipelines/{pipeline}/events`: many at once, by array or NDJSON; all or none."""

import gzip
import json

import pytest

from tests.appliance import Answer, Appliance
from tests.control.conftest import Make
from tests.engines import payloads_below

NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD = b'{"event_type":"a.b","payload":{"n":1}}'


def send(appliance: Appliance, name: str, body: object, **headers: str) -> Answer:
    return appliance.ask("POST", f"/_local/pipelines/{name}/events", body, headers=headers)


def head(appliance: Appliance, name: str) -> int:
    return int(appliance.pipeline(name)["accepted"])


def test_an_array_and_lines_make_the_same_events(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_age": "50ms"})
    rows = [b'{"event_type":"a.b","payload":{"n":%d,"x":1.50}}' % n for n in range(6)]
    first = send(appliance, name, b"[" + b",".join(rows[:3]) + b"]")
    second = send(appliance, name, b"\n".join(rows[3:]), **NDJSON)
    for answer in (first, second):
        assert answer.status == 200
        assert list(answer.json) == ["accepted", "first_event_id", "last_event_id", "received_at", "replayed"]
        assert (answer.json["accepted"], answer.json["replayed"]) == (3, False)
    appliance.until_delivered(name)
    landed = b"".join(path.read_bytes() for path in sorted((appliance.data / "out" / name).iterdir())).splitlines()
    assert [json.loads(line)["payload"]["n"] for line in landed] == list(range(6))
    assert all(b'"x":1.50}' in line for line in landed)
    ids = [json.loads(line)["event_id"] for line in landed]
    said = [answer.json[which] for answer in (first, second) for which in ("first_event_id", "last_event_id")]
    assert said == [ids[0], ids[2], ids[3], ids[5]]


@pytest.mark.parametrize("content_type", ["Application/X-NDJSON", "application/x-ndjson; charset=utf-8"])
def test_the_type_may_be_in_any_case_and_with_a_charset(appliance: Appliance, make: Make, content_type: str) -> None:
    answer = send(appliance, make(), GOOD + b"\n" + GOOD, **{"Content-Type": content_type})
    assert (answer.status, answer.json["accepted"]) == (200, 2)


def test_ten_thousand_pass_and_one_more_is_refused_whole(appliance: Appliance, make: Make) -> None:
    name = make()
    for separator, headers in ((b",", {}), (b"\n", NDJSON)):
        for count, status in ((10_000, 200), (10_001, 413)):
            rows = separator.join([GOOD] * count)
            answer = send(appliance, name, rows if headers else b"[" + rows + b"]", **headers)
            assert answer.status == status
            if status == 413:
                assert answer.code == "batch_too_large"
                assert "10,001 events in one request; the most is 10,000" in answer.json["error"]["message"]
    assert head(appliance, name) == 20_000


def test_a_pipelines_own_limit_is_lower(appliance: Appliance, make: Make) -> None:
    name = make(limits={"ingest_max_records_per_request": 2})
    assert send(appliance, name, b"[" + GOOD + b"," + GOOD + b"]").status == 200
    answer = send(appliance, name, b"\n".join([GOOD] * 3), **NDJSON)
    assert (answer.status, answer.code) == (413, "batch_too_large")
    assert "takes 2 at most" in answer.json["error"]["message"]
    assert head(appliance, name) == 2


def test_32_mib_are_the_most_that_is_read(appliance: Appliance, make: Make) -> None:
    name = make()
    row = b'{"event_type":"a.b","payload":{"x":"%s"}}' % (b"y" * 200_000)
    body = b"\n".join([row] * 170)
    assert len(body) > 32 * 1024**2
    for content, headers in ((body, NDJSON), (gzip.compress(body, 1), {**NDJSON, "Content-Encoding": "gzip"})):
        answer = send(appliance, name, content, **headers)
        assert (answer.status, answer.code) == (413, "body_too_large")
    assert head(appliance, name) == 0


LINES: list[tuple[bytes, str, str, str]] = [
    (b'{"event_type":', "invalid_json", "line 3 of the body is not JSON", ""),
    (b"not json", "invalid_json", "line 3 of the body is not JSON", ""),
    (b'{"event_type":"a.b","payload":{"n":NaN}}', "invalid_json", "line 3 of the body is not JSON", ""),
    (b'{"event_type":"a.b","payload":{"x":"\xff"}}', "invalid_json", "line 3 of the body is not UTF-8", ""),
    (b'{"event_type":"a.b"}', "invalid_request", "[2].payload: is required", "[2].payload"),
    (b'{"event_type":"a..b","payload":{}}', "invalid_request", "[2].event_type: must be letters", "[2].event_type"),
    (b'{"event_type":"a.b","payload":[]}', "invalid_request", "[2].payload: must be a JSON object", "[2].payload"),
    (b"7", "invalid_request", "[2]: must be a JSON object, not a whole number", "[2]"),
]


@pytest.mark.parametrize(("line", "code", "text", "field"), LINES)
def test_a_bad_third_line_is_named_and_nothing_of_the_request_is_kept(
    appliance: Appliance, make: Make, line: bytes, code: str, text: str, field: str
) -> None:
    name = make()
    for between in (b"\n", b"\r\n"):
        answer = send(appliance, name, between.join([GOOD, GOOD, line, GOOD]), **NDJSON)
        assert (answer.status, answer.code) == (400, code)
        assert answer.json["error"]["message"].startswith(text)
        assert list(answer.json["error"].get("details", {})) == ([field] if field else [])
    assert head(appliance, name) == 0
    assert send(appliance, name, GOOD, **NDJSON).status == 200
    assert head(appliance, name) == 1


@pytest.mark.parametrize(
    "lines",
    [
        b'{"event_type":"a.b","payload":{"x":"1\n2"}}',
        b'{"event_type":"a.b","payload":{"x":"1\n2"}},' + GOOD,
        b'{"event_type":"a.b","payload":{"x":"1\n{2"}},' + GOOD,
        GOOD + b"," + GOOD,
        GOOD + b"],[" + GOOD,
        GOOD + b"\n]\n[\n" + GOOD,
        GOOD + b",\n" + GOOD,
        b"\x0c" + GOOD,
        b'{"event_type":"a.b",\n"payload":{}}',
    ],
)
def test_what_is_no_line_of_json_is_taken_for_none(appliance: Appliance, make: Make, lines: bytes) -> None:
    name = make()
    assert send(appliance, name, lines, **NDJSON).status == 400
    assert head(appliance, name) == 0


def test_empty_lines_count_as_lines_but_not_as_events(appliance: Appliance, make: Make) -> None:
    name = make()
    broken = send(appliance, name, b"\n\n" + GOOD + b"\n\n{\n", **NDJSON)
    assert broken.json["error"]["message"].startswith("line 5 of the body is not JSON")
    for bad in (b'{"event_type":"a"}', b'{"event_type":"..","payload":{}}'):
        answer = send(appliance, name, b"\n\n" + GOOD + b"\n\n" + bad, **NDJSON)
        assert answer.json["error"]["message"].startswith("[1].")
    assert send(appliance, name, b"\n\n" + GOOD + b"\n\n" + GOOD + b"\n", **NDJSON).json["accepted"] == 2


@pytest.mark.parametrize("body", [b"[]", b"{}", b"", b"7", b"null", b"[[]]", b"[{}]", b'["a"]'])
def test_what_is_no_array_of_events_is_400(appliance: Appliance, make: Make, body: bytes) -> None:
    name = make()
    assert send(appliance, name, body).status == 400
    assert head(appliance, name) == 0


def test_a_payload_over_256_kib_is_413_and_named(appliance: Appliance, make: Make) -> None:
    name = make()
    events = [{"event_type": "a", "payload": {}}, {"event_type": "a", "payload": {"x": "y" * 262_144}}]
    answer = send(appliance, name, events)
    assert (answer.status, answer.code) == (413, "payload_too_large")
    assert "(event 1)" in answer.json["error"]["message"]
    assert head(appliance, name) == 0


def test_a_request_with_a_key_counts_once(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_age": "50ms"})
    body = b"[" + GOOD + b"," + GOOD + b"]"
    first = send(appliance, name, body, **{"Idempotency-Key": "k"})
    again = send(appliance, name, GOOD, **NDJSON, **{"X-Idempotency-Key": "k"})
    assert (first.json["replayed"], again.json["replayed"]) == (False, True)
    assert {**again.json, "replayed": False} == first.json
    both = send(appliance, name, body, **{"Idempotency-Key": "k", "X-Idempotency-Key": "other"})
    assert (both.status, both.code) == (400, "idempotency_keys_differ")
    appliance.until_delivered(name)
    assert payloads_below(appliance.data / "out" / name) == [{"n": 1}] * 2


def test_a_compressed_body_is_taken_as_what_it_holds(appliance: Appliance, make: Make) -> None:
    name = make()
    body = b"\n".join([GOOD] * 500)
    answer = send(appliance, name, gzip.compress(body), **NDJSON, **{"Content-Encoding": "gzip"})
    assert (answer.status, answer.json["accepted"]) == (200, 500)


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/json-seq", "application/ndjson"])
def test_any_other_type_is_415_and_says_which_are_taken(appliance: Appliance, make: Make, content_type: str) -> None:
    answer = send(appliance, make(), GOOD, **{"Content-Type": content_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert "application/json or application/x-ndjson" in answer.json["error"]["message"]
