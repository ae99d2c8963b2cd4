"""S0, promise by promise, against a running appliance. Each test names the numbers it holds."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from conduit_local.core.times import parse_rfc3339
from tests.appliance import KEY, ORDERS, Appliance, serving

EVENT = {"pipeline_id": "pl_8f3a", "event_type": "order.created", "payload": {"orderId": "ord_1042"}}
WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("s0"), {"orders": ORDERS}, "--testing") as running:
        yield running


def new_pipeline(appliance: Appliance, name: str, **fields: Any) -> dict[str, Any]:
    answer = appliance.ask("POST", "/v1/pipelines", {"name": name, **fields})
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.json
    return found


# Events ----------------------------------------------------------------------------------------------------


def test_s0_1_and_3_the_documents_call_gives_the_documented_answer(appliance: Appliance) -> None:
    body = b"""{
"pipeline_id": "pl_8f3a",
"event_type": "order.created",
"payload": { "orderId": "ord_1042", "amount": 4999, "currency": "usd" },
"idempotency_key": "evt-key-3f9c2a"
}"""
    answer = appliance.ask("POST", "/v1/events", body)
    assert answer.status == 200
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    found = answer.json
    assert list(found) == ["event_id", "pipeline_id", "event_type", "status", "received_at"]
    assert (found["pipeline_id"], found["event_type"], found["status"]) == ("pl_8f3a", "order.created", "accepted")
    assert found["event_id"].startswith("evt_")
    assert WHOLE_SECONDS.fullmatch(found["received_at"])


@pytest.mark.parametrize("key", ["", "ck_live_wrong", "bp_v1_x", "x" * 10_000])
def test_s0_2_a_missing_or_invalid_key_is_401(appliance: Appliance, key: str) -> None:
    answer = appliance.ask("POST", "/v1/events", EVENT, key=key[:8_000] or None)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Basic abc", f"Token {KEY}", f"Bearer{KEY}", f"Bearer  {KEY}", "Bearer"])
def test_s0_2_the_scheme_is_bearer(appliance: Appliance, header: str) -> None:
    assert appliance.ask("GET", "/v1/events", headers={"Authorization": header}).status == 401


def test_s0_2_the_schemes_name_may_be_in_any_case(appliance: Appliance) -> None:
    assert appliance.ask("GET", "/v1/events", headers={"Authorization": f"bearer {KEY}"}).status == 200


def test_s0_2_a_key_without_the_scope_is_403(appliance: Appliance) -> None:
    made = appliance.ask("POST", "/_local/keys", {"name": "reader", "scopes": ["read"]}).json
    assert appliance.ask("GET", "/v1/events", key=made["secret"]).status == 200
    answer = appliance.ask("POST", "/v1/events", EVENT, key=made["secret"])
    assert (answer.status, answer.code) == (403, "forbidden")


def test_s0_2_over_the_rate_limit_is_429_with_retry_after(tmp_path: Path) -> None:
    settings = "rate_limit: {requests: 5, per_s: 3600}"
    with serving(tmp_path, {"orders": ORDERS}, settings=settings) as small:
        answers = [small.ask("POST", "/v1/events", EVENT) for _ in range(8)]
        assert [one.status for one in answers] == [200] * 5 + [429] * 3
        assert answers[-1].code == "rate_limited"
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 720
        assert small.ask("GET", "/_local/snapshot").status == 200


def test_s0_3_pipeline_and_type_are_echoed_as_sent(appliance: Appliance) -> None:
    uuid = appliance.pipeline("pl_8f3a")["uuid"]
    ids = set()
    for ref in ("pl_8f3a", "orders-stream", uuid):
        found = appliance.ask("POST", "/v1/events", {**EVENT, "pipeline_id": ref, "event_type": "A.b-c_9"}).json
        assert (found["pipeline_id"], found["event_type"]) == (ref, "A.b-c_9")
        ids.add(found["event_id"][:13])
    assert len(ids) == 1


def sized(size: int) -> dict[str, Any]:
    return {**EVENT, "payload": {"x": "y" * (size - len('{"x": ""}'))}}


def test_s0_4_a_payload_of_256_kb_passes_and_one_byte_more_is_413(appliance: Appliance) -> None:
    assert appliance.ask("POST", "/v1/events", sized(262_144)).status == 200
    for size in (262_145, 300_000, 3_000_000):
        answer = appliance.ask("POST", "/v1/events", sized(size))
        assert (answer.status, answer.code) == (413, "payload_too_large")
        assert answer.json["error"]["message"].startswith("payload exceeds the 256KB limit")
    exact = appliance.ask("POST", "/v1/events", sized(262_145)).json["error"]
    assert exact == {"code": "payload_too_large", "message": "payload exceeds the 256KB limit"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_type": ""}, "event_type"),
        ({"event_type": "a..b"}, "event_type"),
        ({"event_type": "a b"}, "event_type"),
        ({"event_type": "x" * 256}, "event_type"),
        ({"event_type": 5}, "event_type"),
        ({"event_type": None}, "event_type"),
        ({"payload": []}, "payload"),
        ({"payload": "x"}, "payload"),
        ({"payload": None}, "payload"),
        ({"pipeline_id": 5}, "pipeline_id"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 256}, "idempotency_key"),
        ({"idempotency_key": 5}, "idempotency_key"),
    ],
)
def test_s0_4_a_field_that_is_wrong_is_named(appliance: Appliance, change: dict[str, Any], field: str) -> None:
    answer = appliance.ask("POST", "/v1/events", {**EVENT, **change})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json["error"]["message"].startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["pipeline_id", "event_type", "payload"])
def test_s0_4_a_field_that_is_missing_is_named(appliance: Appliance, field: str) -> None:
    answer = appliance.ask("POST", "/v1/events", {name: value for name, value in EVENT.items() if name != field})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json["error"]["message"] == f"{field}: is required"


def test_s0_5_a_repeated_key_returns_the_original_byte_for_byte(appliance: Appliance) -> None:
    first = appliance.emit({"n": 1}, "again")
    before = appliance.pipeline("pl_8f3a")["accepted"]
    other = {
        **EVENT,
        "pipeline_id": "orders-stream",
        "event_type": "x.y",
        "payload": {"other": 1},
        "idempotency_key": "again",
    }
    again = appliance.ask("POST", "/v1/events", other)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert appliance.pipeline("pl_8f3a")["accepted"] == before


def test_s0_5_one_key_a_hundred_times_at_once_makes_one_event(appliance: Appliance) -> None:
    before = appliance.pipeline("pl_8f3a")["accepted"]
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: bodies.append(appliance.emit({"n": n}, "at-once").body)) for n in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 100
    assert len(set(bodies)) == 1
    assert appliance.pipeline("pl_8f3a")["accepted"] == before + 1


def test_s0_5_the_key_may_stand_in_a_header_and_two_that_differ_are_400(appliance: Appliance) -> None:
    first = appliance.emit({}, "in-body")
    for header in ("Idempotency-Key", "X-Idempotency-Key"):
        again = appliance.ask("POST", "/v1/events", EVENT, headers={header: "in-body"})
        assert again.body == first.body
        both = appliance.ask("POST", "/v1/events", {**EVENT, "idempotency_key": "other"}, headers={header: "in-body"})
        assert (both.status, both.code) == (400, "invalid_request")


def test_s0_5_keys_of_one_pipeline_are_not_those_of_another(appliance: Appliance) -> None:
    other = new_pipeline(appliance, "another")["id"]
    first = appliance.emit({}, "shared")
    second = appliance.emit({}, "shared", pipeline=other)
    assert second.json["event_id"] != first.json["event_id"]
    assert "Idempotent-Replayed" not in second.headers


def test_s0_5_after_24_hours_a_key_is_new(appliance: Appliance) -> None:
    first = appliance.emit({}, "for-a-day")
    assert appliance.ask("POST", "/_local/test/clock", {"advance": 86_399}).status == 200
    assert appliance.emit({}, "for-a-day").body == first.body
    appliance.ask("POST", "/_local/test/clock", {"advance": 2})
    assert appliance.emit({}, "for-a-day").json["event_id"] != first.json["event_id"]


def test_s0_5_a_strict_pipeline_refuses_another_body_with_422(appliance: Appliance) -> None:
    strict = new_pipeline(appliance, "strict", idempotency="strict")["id"]
    assert appliance.emit({"a": 1}, "k", pipeline=strict).status == 200
    assert appliance.emit({"a": 1}, "k", pipeline=strict).headers["Idempotent-Replayed"] == "true"
    answer = appliance.emit({"a": 2}, "k", pipeline=strict)
    assert (answer.status, answer.code) == (422, "idempotency_mismatch")


def test_s0_6_events_are_listed_newest_first_and_pages_neither_repeat_nor_skip(appliance: Appliance) -> None:
    pipeline = new_pipeline(appliance, "pages")["id"]
    sent = [appliance.emit({"n": n}, pipeline=pipeline).json["event_id"] for n in range(23)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = appliance.ask("GET", f"/v1/events?pipeline_id={pipeline}&limit=5{cursor}").json
        assert list(page) == ["data", "has_more", "next_cursor"]
        seen += [one["event_id"] for one in page["data"]]
        appliance.emit({"new": True}, pipeline=pipeline)
        if not page["has_more"]:
            assert page["next_cursor"] is None
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sent[::-1]
    one = page["data"][0]
    assert list(one) == ["event_id", "pipeline_id", "event_type", "received_at"]
    assert WHOLE_SECONDS.fullmatch(one["received_at"])


def test_s0_6_without_a_pipeline_all_are_listed(appliance: Appliance) -> None:
    assert appliance.emit({}).status == 200
    one = appliance.emit({}).json["event_id"]
    other = appliance.emit({}, pipeline=new_pipeline(appliance, "listed")["id"]).json["event_id"]
    page = appliance.ask("GET", "/v1/events?limit=2").json
    assert [found["event_id"] for found in page["data"]] == [other, one]
    assert page["has_more"] is True


def test_s0_6_fifty_are_the_default(appliance: Appliance) -> None:
    pipeline = new_pipeline(appliance, "default-page")["id"]
    events = json.dumps([{"event_type": "a", "payload": {}}] * 120).encode()
    appliance.ask("POST", f"/_local/pipelines/{pipeline}/events", events)
    assert len(appliance.ask("GET", f"/v1/events?pipeline_id={pipeline}").json["data"]) == 50
    assert len(appliance.ask("GET", f"/v1/events?pipeline_id={pipeline}&limit=100").json["data"]) == 100


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "1e1", "٣", "9" * 30])
def test_s0_6_a_limit_outside_1_to_100_is_400(appliance: Appliance, limit: str) -> None:
    from urllib.parse import quote

    answer = appliance.ask("GET", f"/v1/events?limit={quote(limit)}")
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json["error"]["message"].startswith("limit: ")


@pytest.mark.parametrize(
    "cursor", ["", "x", "ev_cursor_2a7f", "ev_cursor_zz_1", f"ev_cursor_{'f' * 16}_1", "ev_cursor_1_1%00"]
)
def test_s0_6_a_cursor_that_was_never_given_is_400(appliance: Appliance, cursor: str) -> None:
    assert appliance.ask("GET", f"/v1/events?cursor={cursor}").status == 400


def test_s0_6_one_event_shows_its_payload_and_deliveries(appliance: Appliance) -> None:
    raw = b'{"pipeline_id":"pl_8f3a","event_type":"a.b","payload":{"z":1.50,"a":[1e999,12345678901234567890]}}'
    sent = appliance.ask("POST", "/v1/events", raw).json
    appliance.until_delivered()
    answer = appliance.ask("GET", f"/v1/events/{sent['event_id']}")
    assert b'"payload":{"z":1.50,"a":[1e999,12345678901234567890]}' in answer.body
    (delivery,) = answer.json["deliveries"]
    assert (delivery["destination"], delivery["status"]) == ("files", "delivered")
    assert (appliance.data / "out" / delivery["object_key"]).exists()
    assert delivery["run_id"].startswith("run_")
    for wrong in ("evt_5b1c9d", "evt_" + "0" * 17, sent["event_id"][:-1] + "z", "x"):
        answer = appliance.ask("GET", f"/v1/events/{wrong}")
        assert (answer.status, answer.code) == (404, "event_not_found")


# Pipelines -------------------------------------------------------------------------------------------------


def test_s0_7_a_pipeline_is_shown_as_documented(appliance: Appliance) -> None:
    found = appliance.ask("GET", "/v1/pipelines/pl_8f3a").json
    assert list(found) == ["id", "name", "status", "batch_size", "created_at"]
    assert (found["id"], found["name"], found["status"], found["batch_size"]) == (
        "pl_8f3a",
        "orders-stream",
        "active",
        100,
    )
    assert WHOLE_SECONDS.fullmatch(found["created_at"])
    assert appliance.ask("GET", "/v1/pipelines/orders-stream").json == found


def test_s0_7_every_state_has_its_word(appliance: Appliance) -> None:
    pipeline = new_pipeline(appliance, "states", batch={"max_age": "1h"})["id"]
    path = f"/v1/pipelines/{pipeline}"
    assert appliance.ask("PATCH", path, {"status": "paused"}).json["status"] == "paused"
    assert appliance.emit({}, pipeline=pipeline).status == 200
    assert appliance.ask("PATCH", path, {"status": "active"}).json["status"] == "active"
    assert appliance.ask("PATCH", path, {"status": "draining"}).json["status"] in {"draining", "paused"}
    appliance.until(lambda found: appliance.pipeline("states")["state"] == "stopped")
    assert appliance.ask("GET", path).json["status"] == "paused"


def test_s0_8_deleted_it_is_gone_and_what_was_accepted_still_lands(appliance: Appliance) -> None:
    pipeline = new_pipeline(appliance, "doomed", batch={"max_age": "1h", "max_events": 100})["id"]
    for n in range(7):
        appliance.emit({"n": n}, pipeline=pipeline)
    answer = appliance.ask("DELETE", f"/v1/pipelines/{pipeline}")
    assert (answer.status, answer.json) == (200, {"id": pipeline, "deleted": True})
    for gone in (
        appliance.emit({}, pipeline=pipeline),
        appliance.ask("GET", f"/v1/pipelines/{pipeline}"),
        appliance.ask("DELETE", f"/v1/pipelines/{pipeline}"),
        appliance.ask("GET", f"/v1/events?pipeline_id={pipeline}"),
    ):
        assert (gone.status, gone.code) == (404, "pipeline_not_found")
    appliance.until(lambda found: not found["departing"])
    (path,) = (appliance.data / "out" / "doomed").iterdir()
    assert [json.loads(line)["payload"]["n"] for line in path.read_text().splitlines()] == list(range(7))


def test_s0_9_a_pipeline_is_made_with_its_resolved_values(appliance: Appliance) -> None:
    made = new_pipeline(appliance, "made", batch_size=7)
    assert list(made) == ["id", "name", "status", "batch_size", "created_at"]
    assert (made["name"], made["status"], made["batch_size"]) == ("made", "active", 7)
    assert made["id"].startswith("pl_")
    assert new_pipeline(appliance, "made-too")["batch_size"] == 1_000


@pytest.mark.parametrize(
    ("body", "status", "code", "text"),
    [
        ({}, 400, "invalid_request", "name: is required"),
        ({"name": "Made"}, 400, "invalid_request", "name: must be 1 to 63 lowercase"),
        ({"name": "../x"}, 400, "invalid_request", "name: "),
        ({"name": "orders-stream"}, 409, "name_taken", "orders-stream"),
        ({"name": "taken-id", "id": "pl_8f3a"}, 409, "name_taken", "pl_8f3a"),
        ({"name": "n", "batch_size": 0}, 400, "invalid_request", "batch_size: "),
        ({"name": "n", "batch_size": True}, 400, "invalid_request", "batch_size: "),
        ({"name": "n", "batch_size": 5, "batch": {"max_events": 6}}, 400, "invalid_request", "batch_size: differs"),
        (
            {"name": "n", "destinations": [{"type": "kafka"}]},
            400,
            "invalid_request",
            "no destination of type 'kafka'",
        ),
        ({"name": "n", "destinations": [{"type": "files", "path": "/etc"}]}, 400, "invalid_request", "allowed_folders"),
        (
            {"name": "n", "destinations": [{"type": "files", "path": "../.."}]},
            400,
            "invalid_request",
            "destinations[0].path",
        ),
        ({"name": "n", "schedule": "* * * * * *"}, 400, "invalid_request", "five fields"),
        ({"name": "n", "colour": 1}, 400, "invalid_request", "colour: unknown field"),
        ([], 400, "invalid_request", "must be a JSON object"),
    ],
)
def test_s0_9_what_cannot_be_made_says_why(
    appliance: Appliance, body: object, status: int, code: str, text: str
) -> None:
    answer = appliance.ask("POST", "/v1/pipelines", body)
    assert (answer.status, answer.code) == (status, code)
    assert text in answer.json["error"]["message"]


def test_s0_9_pipelines_are_paged_like_events(appliance: Appliance) -> None:
    names = [f"paged-{n}" for n in range(7)]
    for name in names:
        new_pipeline(appliance, name)
    seen: list[str] = []
    cursor = ""
    while True:
        page = appliance.ask("GET", f"/v1/pipelines?limit=3{cursor}").json
        seen += [one["name"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen[:7] == names[::-1]
    assert seen[-1] == "orders-stream"
    assert len(seen) == len(set(seen))
    assert appliance.ask("GET", "/v1/pipelines?cursor=x").status == 400


def test_s0_9_name_and_batch_size_may_change(appliance: Appliance) -> None:
    made = new_pipeline(appliance, "before")
    path = f"/v1/pipelines/{made['id']}"
    changed = appliance.ask("PATCH", path, {"name": "after", "batch_size": 5})
    assert (changed.status, changed.json) == (200, {**made, "name": "after", "batch_size": 5})
    assert appliance.ask("GET", "/v1/pipelines/before").status == 404
    assert appliance.ask("GET", "/v1/pipelines/after").json == changed.json
    for body, text in (
        ({}, "at least one of"),
        ({"status": "stopped"}, "status: must be"),
        ({"status": []}, "status: must be"),
        ({"id": "pl_x"}, "id: cannot be changed"),
        ({"batch_size": "5"}, "batch_size: "),
        ({"name": "A"}, "name: "),
    ):
        answer = appliance.ask("PATCH", path, body)
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert text in answer.json["error"]["message"]
    taken = appliance.ask("PATCH", path, {"name": "orders-stream"})
    assert (taken.status, taken.code) == (409, "name_taken")


def test_s0_9_a_pipeline_from_a_file_is_changed_in_the_file(appliance: Appliance) -> None:
    for answer in (
        appliance.ask("PATCH", "/v1/pipelines/pl_8f3a", {"batch_size": 5}),
        appliance.ask("DELETE", "/v1/pipelines/pl_8f3a"),
    ):
        assert (answer.status, answer.code) == (409, "pipeline_managed_by_file")
        assert "pipelines/orders.yaml" in answer.json["error"]["message"]
    assert appliance.ask("PATCH", "/v1/pipelines/pl_8f3a", {"status": "paused"}).json["status"] == "paused"
    assert appliance.ask("PATCH", "/v1/pipelines/pl_8f3a", {"status": "active"}).json["status"] == "active"


def test_s0_9_an_unknown_pipeline_is_404_and_a_draining_one_409(appliance: Appliance) -> None:
    unknown = appliance.emit({}, pipeline="pl_nope")
    assert (unknown.status, unknown.code) == (404, "pipeline_not_found")
    pipeline = new_pipeline(appliance, "drained")["id"]
    appliance.ask("PATCH", f"/v1/pipelines/{pipeline}", {"status": "draining"})
    for _ in range(2):
        answer = appliance.emit({}, pipeline=pipeline)
        assert (answer.status, answer.code) == (409, "pipeline_not_accepting")
        appliance.until(lambda _: appliance.pipeline("drained")["state"] == "stopped")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'a':1}", b'{"a":NaN}', b"\xff\xfe", b"{} {}", b"\xef\xbb\xbf{}", b'{"a":"\xff"}']
)
def test_s0_9_a_body_that_is_not_json_is_400(appliance: Appliance, body: bytes) -> None:
    for path in ("/v1/events", "/v1/pipelines"):
        answer = appliance.ask("POST", path, body)
        assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx", "json"]
)
def test_s0_9_any_other_content_type_is_415(appliance: Appliance, content_type: str) -> None:
    answer = appliance.ask("POST", "/v1/events", EVENT, headers={"Content-Type": content_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_s0_9_json_may_be_written_in_any_case_and_with_a_charset(appliance: Appliance, content_type: str) -> None:
    assert appliance.ask("POST", "/v1/events", EVENT, headers={"Content-Type": content_type}).status == 200


def test_s0_10_errors_have_one_shape_on_every_path_of_the_api(appliance: Appliance) -> None:
    for answer, status, code in (
        (appliance.ask("GET", "/v1/events/x/y"), 404, "not_found"),
        (appliance.ask("PUT", "/v1/events", EVENT), 405, "method_not_allowed"),
        (appliance.ask("POST", "/v1/pipelines/pl_8f3a", {}), 405, "method_not_allowed"),
        (appliance.ask("GET", "/v1/pipelines/"), 404, "not_found"),
        (
            appliance.ask("POST", "/v1/events", gzip.compress(b"{}")[:-4], headers={"Content-Encoding": "gzip"}),
            400,
            "invalid_request",
        ),
        (appliance.ask("POST", "/v1/events", EVENT, headers={"Content-Encoding": "br"}), 415, "unsupported_media_type"),
    ):
        assert (answer.status, answer.code) == (status, code)
        assert list(answer.json) == ["error"]
        assert list(answer.json["error"]) == ["code", "message"]
    assert set(appliance.ask("PUT", "/v1/events", EVENT).headers["Allow"].split(", ")) == {"GET", "POST"}


def test_head_answers_as_get_without_a_body(appliance: Appliance) -> None:
    answer = appliance.ask("HEAD", "/v1/pipelines/pl_8f3a")
    assert (answer.status, answer.body) == (200, b"")


# Bodies ----------------------------------------------------------------------------------------------------


def test_bodies_may_be_gzip_or_zstd(appliance: Appliance) -> None:
    raw = json.dumps(EVENT).encode()
    for name, content in (
        ("gzip", gzip.compress(raw)),
        ("x-gzip", gzip.compress(raw[:20]) + gzip.compress(raw[20:])),
        ("zstd", zstd.compress(raw)),
        ("ZSTD", zstd.compress(raw[:20]) + zstd.compress(raw[20:])),
        ("identity", raw),
    ):
        assert appliance.ask("POST", "/v1/events", content, headers={"Content-Encoding": name}).status == 200


def test_numbers_key_order_and_unicode_land_as_they_came(appliance: Appliance) -> None:
    name = "exact"
    pipeline = new_pipeline(appliance, name, batch={"max_age": "100ms"})["id"]
    payloads = [
        '{"z":1,"a":2,"m":{"b":1.10,"a":-0.0}}',
        '{"big":123456789012345678901234567890,"exp":1E+400,"tiny":1e-999}',
        '{"text":"Größe 地震 \\u00e9 \\ud83d\\ude00 😀 \\"quoted\\" \\/ \\u2028"}',
        '{"dup":1,"dup":2}',
        '{"nested":' + "[" * 62 + "]" * 62 + "}",
        '{ "spaces" :\t[ 1 ,\n 2 ] }',
    ]
    for payload in payloads:
        body = f'{{"pipeline_id":"{pipeline}","event_type":"a","payload":{payload}}}'.encode()
        assert appliance.ask("POST", "/v1/events", body).status == 200
    appliance.until_delivered(name)
    lines = b"".join(path.read_bytes() for path in sorted((appliance.data / "out" / name).iterdir())).splitlines()
    found = [line[line.index(b'"payload":') + 10 : -1].decode() for line in lines]
    assert found == [payload.replace("\n", " ") for payload in payloads]


def test_received_at_is_the_appliances_clock(appliance: Appliance) -> None:
    said = appliance.ask("POST", "/_local/test/clock", {"set": "2030-01-02T03:04:05Z"})
    assert said.status == 200
    received = appliance.emit({}).json["received_at"]
    assert 0 <= parse_rfc3339(received) - parse_rfc3339("2030-01-02T03:04:05Z") <= 5_000_000
