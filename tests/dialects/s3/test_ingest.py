"""S3.6, S3.7, S3.10: records in, one or many, all or none; what is added to them; what is refused."""

import gzip
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.appliance import KEY, Appliance
from tests.dialects.s3.asking import (
    APP,
    ELSEWHERE,
    MILLISECONDS,
    NOBODY,
    PIPES,
    PROXY,
    accepted,
    looked_at,
    make,
    payloads,
    refused,
    send,
    taken,
    through_proxy,
)


@pytest.fixture(scope="module")
def pipe(appliance: Appliance) -> str:
    return str(make(appliance, "records")["pipe_id"])


# Taken ---------------------------------------------------------------------------------------------------------


def test_s3_6_one_object_is_one_record(appliance: Appliance) -> None:
    made = make(appliance, "Web Signups")
    said = accepted(appliance, made["pipe_id"], {"event": "signup", "user_id": "123"})
    assert list(said) == ["accepted", "pipe_id", "pipe_name", "records_count", "request_id", "message"]
    uuid.UUID(said.pop("request_id"))
    assert said == {
        "accepted": True,
        "pipe_id": made["pipe_id"],
        "pipe_name": "Web Signups",
        "records_count": 1,
        "message": "Records accepted for processing",
    }
    assert payloads(appliance, made["pipe_id"]) == [{"event": "signup", "user_id": "123"}]


def test_s3_6_an_array_is_as_many_records_in_their_order(appliance: Appliance) -> None:
    pipe = make(appliance, "arrays")["pipe_id"]
    records: list[dict[str, Any]] = [{"n": n} for n in range(40)]
    assert accepted(appliance, pipe, records)["records_count"] == 40
    assert payloads(appliance, pipe) == records


def test_s3_6_a_record_comes_out_as_it_went_in(appliance: Appliance) -> None:
    pipe = make(appliance, "as-they-are")["pipe_id"]
    text = '{"big":12345678901234567890123,"exact":1.10,"ü":"\\ud83d\\ude00 \u2028","z":{"b":1,"a":[]},"":null}'
    accepted(appliance, pipe, f" \n[{text},\r\n\t{{}}]\n".encode())
    (event, _) = reversed(appliance.ask("GET", f"/v1/events?pipeline_id={pipe}").json["data"])
    assert text.encode() in appliance.ask("GET", f"/v1/events/{event['event_id']}").body


def test_s3_6_the_pipe_is_found_by_its_uuid_in_either_case(appliance: Appliance, pipe: str) -> None:
    assert accepted(appliance, pipe.upper(), {})["pipe_id"] == pipe


def test_s3_6_a_paused_pipe_still_takes_records(appliance: Appliance) -> None:
    pipe = make(appliance, "held")["pipe_id"]
    assert appliance.ask("POST", f"/_local/pipelines/{pipe}/pause").status == 200
    assert accepted(appliance, pipe, [{}, {}])["records_count"] == 2


def test_s3_6_all_records_of_a_request_are_accepted_or_none(appliance: Appliance) -> None:
    pipe = make(appliance, "all-or-none")["pipe_id"]
    many: list[Any] = [{"n": n} for n in range(50)]
    bad: list[Any] = [5, None, "text", [], {"x": "y" * 262_144}]
    for last in bad:
        assert send(appliance, pipe, [*many, last]).status in {400, 413}
    assert send(appliance, pipe, json.dumps(many).encode()[:-1]).status == 400
    assert taken(appliance, pipe) == 0
    accepted(appliance, pipe, many)
    assert taken(appliance, pipe) == 50


def test_s3_6_a_repeated_key_takes_nothing_and_says_the_same(appliance: Appliance) -> None:
    pipe = make(appliance, "repeats")["pipe_id"]
    headers = {"Idempotency-Key": "order-7"}
    first = send(appliance, pipe, [{"n": 1}, {"n": 2}], headers=headers)
    accepted(appliance, pipe, {"n": 3})
    again = send(appliance, pipe, [{"n": 1}, {"n": 2}], headers={"X-Idempotency-Key": "order-7"})
    assert (first.status, again.status) == (202, 202)
    assert first.body == again.body
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert taken(appliance, pipe) == 3
    other = accepted(appliance, pipe, [{"n": 1}, {"n": 2}], headers={"Idempotency-Key": "order-8"})
    assert other["request_id"] != first.json["request_id"]


def test_s3_6_of_many_at_once_with_one_key_one_is_taken(appliance: Appliance) -> None:
    pipe = make(appliance, "at-once")["pipe_id"]

    def go(n: int) -> str:
        headers = {"Idempotency-Key": f"key-{n % 5}"}
        return str(accepted(appliance, pipe, [{"n": n % 5}, {"n": n % 5}], headers=headers)["request_id"])

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(go, range(60)))
    assert len(set(ids)) == 5
    assert taken(appliance, pipe) == 10


@pytest.mark.parametrize(
    "headers", [{"Idempotency-Key": "x" * 256}, {"Idempotency-Key": "a", "X-Idempotency-Key": "b"}]
)
def test_s3_6_a_key_that_is_none_is_refused(appliance: Appliance, pipe: str, headers: dict[str, str]) -> None:
    refused(send(appliance, pipe, {}, headers=headers), 400, "invalid_idempotency_key")


def test_s3_6_a_pipe_that_is_strict_refuses_another_body_under_the_same_key(appliance: Appliance) -> None:
    pipe = appliance.pipeline("strict")["uuid"]
    accepted(appliance, pipe, {"n": 1}, headers={"Idempotency-Key": "k"})
    refused(send(appliance, pipe, {"n": 2}, headers={"Idempotency-Key": "k"}), 422, "idempotency_mismatch")


# Refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ref", ["nobody", "pl_8f3a", "orders-stream", NOBODY[:-1], NOBODY + "0", "%F0%9F%98%80", "a%2Fb"]
)
def test_s3_7_what_is_not_a_uuid_names_no_pipe(appliance: Appliance, ref: str) -> None:
    for method in ("GET", "POST"):
        refused(appliance.ask(method, f"/v1/ingest/{ref}", {} if method == "POST" else None), 400, "invalid_pipe_id")


def test_s3_7_an_unknown_an_inactive_and_a_deleted_pipe_are_not_found(appliance: Appliance) -> None:
    gone, still = (make(appliance, name)["pipe_id"] for name in ("gone", "still"))
    assert appliance.ask("DELETE", f"{PIPES}/{gone}").status == 200
    assert appliance.ask("PATCH", f"{PIPES}/{still}", {"pipe_status": "inactive"}).status == 200
    for pipe in (NOBODY, gone, still):
        refused(send(appliance, pipe, {}), 404, "pipe_not_found")
        refused(appliance.ask("GET", f"/v1/ingest/{pipe}"), 404, "pipe_not_found")
    assert appliance.ask("PATCH", f"{PIPES}/{still}", {"pipe_status": "active"}).status == 200
    accepted(appliance, still, {})


BAD = {
    "not JSON": b"{",
    "two values": b"{} {}",
    "NaN": b'{"n": NaN}',
    "no UTF-8": b'{"n": "\xff"}',
    "a comma too many": b"[{},]",
    "single quotes": b"{'n': 1}",
    "a number": b"5",
    "text": b'"x"',
    "null": b"null",
    "true": b"true",
    "an array of primitives": b"[1, 2]",
    "an array with an array": b"[{}, []]",
    "an array with null": b"[{}, null]",
    "half a surrogate is fine, a raw NUL is not": b'{"n": "\x00"}',
    "nested too deeply": b'{"a":' * 101 + b"1" + b"}" * 101,
    "nested far too deeply": b"[" * 100_000,
    "nested far too deeply, below a record": b'{"a":' + b"[" * 100_000,
}


@pytest.mark.parametrize("what", BAD)
def test_s3_7_a_body_that_is_no_record_is_an_invalid_payload(appliance: Appliance, pipe: str, what: str) -> None:
    before = taken(appliance, pipe)
    said = refused(send(appliance, pipe, BAD[what]), 400, "invalid_payload")
    assert list(said) == ["error", "message"]
    assert taken(appliance, pipe) == before


def test_s3_7_the_record_that_is_wrong_is_named(appliance: Appliance, pipe: str) -> None:
    assert "record 2 " in refused(send(appliance, pipe, [{}, {}, 5]), 400, "invalid_payload")["message"]
    large = [{}, {"x": "y" * 262_144}]
    assert "record 1 " in refused(send(appliance, pipe, large), 413, "payload_too_large")["message"]


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"[]", b" [ ] "])
def test_s3_7_a_body_without_a_record_is_an_empty_payload(appliance: Appliance, pipe: str, body: bytes) -> None:
    refused(send(appliance, pipe, body), 400, "empty_payload")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-ndjson", "multipart/form-data", "application/jsonx"])
def test_s3_7_another_content_type_is_a_415(appliance: Appliance, pipe: str, kind: str) -> None:
    refused(send(appliance, pipe, {}, headers={"Content-Type": kind}), 415, "unsupported_media_type")


def test_s3_7_the_content_type_may_have_parameters_and_any_case(appliance: Appliance, pipe: str) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        accepted(appliance, pipe, {}, headers={"Content-Type": kind})


def test_s3_7_a_compressed_body_is_read_and_a_broken_one_is_invalid(appliance: Appliance, pipe: str) -> None:
    packed = gzip.compress(b'[{"n":1},{"n":2}]')
    assert accepted(appliance, pipe, packed, headers={"Content-Encoding": "gzip"})["records_count"] == 2
    for broken in (b"no gzip", packed[:-4], packed[:12], packed[:-8] + b"\0" * 8):
        refused(send(appliance, pipe, broken, headers={"Content-Encoding": "gzip"}), 400, "invalid_payload")
    refused(send(appliance, pipe, {}, headers={"Content-Encoding": "br"}), 415, "unsupported_media_type")


def test_s3_7_a_compressed_body_is_as_large_as_what_it_holds(appliance: Appliance, pipe: str) -> None:
    bomb = gzip.compress(b" " * (33 << 20) + b"{}")
    refused(send(appliance, pipe, bomb, headers={"Content-Encoding": "gzip"}), 413, "payload_too_large")


def test_s3_7_the_limits_row_bounds_the_records_of_a_request(appliance: Appliance) -> None:
    pipe = make(appliance, "bounded", limits={"pl_ingest_max_records_per_request": 3})["pipe_id"]
    accepted(appliance, pipe, [{}] * 3)
    refused(send(appliance, pipe, [{}] * 4), 413, "batch_too_large")
    assert taken(appliance, pipe) == 3


def test_s3_7_without_a_row_the_appliance_takes_10_000(appliance: Appliance) -> None:
    pipe = make(appliance, "unbounded")["pipe_id"]
    assert accepted(appliance, pipe, [{}] * 10_000)["records_count"] == 10_000
    refused(send(appliance, pipe, [{}] * 10_001), 413, "payload_too_large")
    refused(send(appliance, pipe, b"[" + b"{}," * 500_000 + b"{}]"), 413, "payload_too_large")
    refused(send(appliance, pipe, b"[" + b"1," * 500_000 + b"1]"), 400, "invalid_payload")
    assert taken(appliance, pipe) == 10_000


def test_s3_7_a_pipes_own_rate_is_a_429(appliance: Appliance) -> None:
    pipe = make(appliance, "seldom", limits={"pl_requests_per_minute": 2})["pipe_id"]
    for _ in range(2):
        accepted(appliance, pipe, {})
    answer = send(appliance, pipe, {})
    refused(answer, 429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1
    assert taken(appliance, pipe) == 2


def test_s3_7_a_key_needs_the_scope_to_send(appliance: Appliance, pipe: str) -> None:
    for scope, status in (("ingest", 202), ("admin", 202), ("read", 403), ("manage", 403)):
        key = appliance.ask("POST", "/v1/api-keys", {"api_key_name": scope, "scopes": [scope]}).json["api_key"]
        answer = send(appliance, pipe, {}, key=key["secret"])
        assert answer.status == status
        if status == 403:
            assert "ingest" in refused(answer, 403, "forbidden")["message"]


def test_s3_7_a_missing_or_dead_key_is_a_401(appliance: Appliance, pipe: str) -> None:
    for key in (None, "bp_v1_dead", KEY[:-1]):
        answer = send(appliance, pipe, {}, key=key)
        refused(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    refused(send(appliance, pipe, {}, key=None, headers={"Authorization": f"Basic {KEY}"}), 401, "unauthorized")


def test_s3_7_another_method_or_path_is_refused_in_the_same_words(appliance: Appliance, pipe: str) -> None:
    for method in ("PUT", "PATCH", "DELETE", "PURGE"):
        answer = appliance.ask(method, f"/v1/ingest/{pipe}")
        refused(answer, 405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "OPTIONS", "POST"}
    for path in ("/v1/ingest", "/v1/ingest/", f"/v1/ingest/{pipe}/more", "/v1/pipes/a/b/c", "/v1/health/x"):
        refused(appliance.ask("GET", path), 404, "not_found")


def test_s3_7_a_host_that_is_not_ours_is_refused_in_the_same_words(appliance: Appliance, pipe: str) -> None:
    refused(send(appliance, pipe, {}, headers={"Host": "rebound.example"}), 403, "forbidden")


def test_s3_7_a_head_that_is_too_large_is_refused(appliance: Appliance, pipe: str) -> None:
    answer = looked_at(send(appliance, pipe, {}, headers={"X-Much": "x" * 40_000}))
    assert answer.status in {400, 431}


# Enriched ------------------------------------------------------------------------------------------------------


def test_s3_10_time_and_address_stand_in_the_fields_that_are_named(appliance: Appliance) -> None:
    made = make(appliance, "enriched", enrich_timestamp_field="ingested_at", enrich_ip_field="client ip")
    assert (made["enrich_timestamp_field"], made["enrich_ip_field"]) == ("ingested_at", "client ip")
    accepted(appliance, made["pipe_id"], [{"n": 1}, {}])
    first, second = payloads(appliance, made["pipe_id"])
    assert list(first) == ["n", "ingested_at", "client ip"]
    assert MILLISECONDS.fullmatch(first["ingested_at"])
    assert first == {"n": 1, "ingested_at": first["ingested_at"], "client ip": "127.0.0.1"}
    assert second == {"ingested_at": first["ingested_at"], "client ip": "127.0.0.1"}


def test_s3_10_a_field_of_that_name_is_kept(appliance: Appliance) -> None:
    pipe = make(appliance, "kept", enrich_timestamp_field="at", enrich_ip_field="ip")["pipe_id"]
    accepted(appliance, pipe, b'[{"at":null,"ip":"mine"},{"\\u0061t":"x"}]')
    assert payloads(appliance, pipe) == [{"at": None, "ip": "mine"}, {"at": "x", "ip": "127.0.0.1"}]


def test_s3_10_nothing_is_added_where_nothing_is_named(appliance: Appliance) -> None:
    pipe = make(appliance, "plain", enrich_timestamp_field="at")["pipe_id"]
    assert appliance.ask("PATCH", f"{PIPES}/{pipe}", {"enrich_timestamp_field": None}).status == 200
    accepted(appliance, pipe, {"n": 1})
    assert payloads(appliance, pipe) == [{"n": 1}]


def test_s3_10_only_a_trusted_proxy_is_believed_about_the_address(appliance: Appliance) -> None:
    pipe = make(appliance, "proxied", enrich_ip_field="ip")["pipe_id"]
    forwarded = {"X-Forwarded-For": f"203.0.113.9, 198.51.100.7, {PROXY}"}
    accepted(appliance, pipe, {}, headers=forwarded)
    assert through_proxy(appliance, pipe, {}, forwarded) == 202
    assert through_proxy(appliance, pipe, {}, {}) == 202
    assert through_proxy(appliance, pipe, {}, {"X-Forwarded-For": "nobody"}) == 202
    assert [one["ip"] for one in payloads(appliance, pipe)] == ["127.0.0.1", "198.51.100.7", PROXY, PROXY]


def test_s3_10_a_page_sends_without_a_key_and_is_enriched_too(appliance: Appliance) -> None:
    pipe = make(
        appliance, "beacon", requires_api_key=False, allowed_origins=[APP], enrich_timestamp_field="received_at"
    )["pipe_id"]
    accepted(appliance, pipe, {"page": "/"}, key=None, origin=APP)
    refused(send(appliance, pipe, {"page": "/"}, key=None, origin=ELSEWHERE), 403, "forbidden")
    (record,) = payloads(appliance, pipe)
    assert list(record) == ["page", "received_at"]
