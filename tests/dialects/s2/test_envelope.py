"""S2.1 to S2.4: what stands around every answer, whatever is asked and however badly."""

import gzip
import json
import os
from typing import Any

import pytest

from conduit_local.dialects.s2 import models
from conduit_local.dialects.s2.operations import OPERATIONS
from tests.appliance import KEY, ORDERS, Answer, Appliance, serving
from tests.dialects.s2.asking import OURS, create, good, held_for, ingest, looked_at, refused, send

DESCRIBE = {"operation": "pipeline", "parameters": {}}
STATUSES = {200, 400, 401, 403, 404, 429, 500, 503}


def post(appliance: Appliance, body: object, **headers: str) -> Answer:
    return appliance.ask("POST", "/pipeline", body, headers={name.replace("_", "-"): v for name, v in headers.items()})


# S2.1: the request -------------------------------------------------------------------------------------------


def test_s2_1_parameters_and_options_may_be_left_out(appliance: Appliance) -> None:
    assert good(post(appliance, {"operation": "pipeline"}), models.PipelineList)["pipelines"]
    assert good(post(appliance, {**DESCRIBE, "options": {}}), models.PipelineList)["pipelines"]
    both = {"timeout": 30_000, "retries": 3}
    assert good(post(appliance, {**DESCRIBE, "options": both}), models.PipelineList)["pipelines"]


@pytest.mark.parametrize("given", ["unique-request-id", "req_123", "!", "~" * 200, 'a"b\\c<script>'])
def test_s2_1_the_request_id_comes_back_in_answers_and_refusals(appliance: Appliance, given: str) -> None:
    assert post(appliance, DESCRIBE, X_Request_ID=given).json["meta"]["requestId"] == given
    assert post(appliance, b"{", X_Request_ID=given).json["meta"]["requestId"] == given
    for method, path, key in (("GET", "/webhooks", KEY), ("GET", "/webhooks", "wrong"), ("GET", "/pipeline/x", KEY)):
        answer = appliance.ask(method, path, key=key, headers={"X-Request-ID": given})
        assert answer.json["meta"]["requestId"] == given


@pytest.mark.parametrize("given", ["", "x" * 201, "x" * 7_000, "two words", "tab\there", "caf\xe9"])
def test_s2_1_a_request_id_that_could_do_harm_is_replaced_by_one_of_ours(appliance: Appliance, given: str) -> None:
    line = f"X-Request-ID: {given}\r\n".encode("latin-1")
    for body in (json.dumps(DESCRIBE).encode(), b"no JSON"):
        head = b"POST /pipeline HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" + line
        head += f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        found = json.loads(appliance.raw(head + body).partition(b"\r\n\r\n")[2])
        assert OURS.fullmatch(found["meta"]["requestId"])


def test_s2_1_ids_of_ours_never_repeat(appliance: Appliance) -> None:
    found = {post(appliance, DESCRIBE).json["meta"]["requestId"] for _ in range(20)}
    assert len(found) == 20
    assert all(map(OURS.fullmatch, found))


def test_s2_1_the_idempotency_key_may_stand_in_either_header_or_in_the_parameters(appliance: Appliance) -> None:
    create(appliance, "keyed")
    given = {"pipeline": "keyed", "event": {"n": 1}}
    first = send(appliance, "ingest", given, headers={"X-Idempotency-Key": "k-1"})
    assert "Idempotent-Replayed" not in first.headers
    for again in (
        send(appliance, "ingest", given, headers={"X-Idempotency-Key": "k-1"}),
        send(appliance, "ingest", given, headers={"Idempotency-Key": "k-1"}),
        send(appliance, "ingest", {**given, "idempotency_key": "k-1"}),
        send(appliance, "ingest", {**given, "idempotency_key": "k-1"}, headers={"X-Idempotency-Key": "k-1"}),
    ):
        assert again.headers["Idempotent-Replayed"] == "true"
        assert good(again, models.Ingested) == good(first, models.Ingested)
    differ = send(appliance, "ingest", {**given, "idempotency_key": "a"}, headers={"X-Idempotency-Key": "b"})
    assert "two different idempotency keys" in refused(differ, "VALIDATION_ERROR")["message"]
    too_long = send(appliance, "ingest", given, headers={"X-Idempotency-Key": "x" * 256})
    refused(too_long, "VALIDATION_ERROR", "idempotency_key")
    assert appliance.pipeline("keyed")["destinations"][0]["ledger"]["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "operation", "is required"),
        ({"operation": 5}, "operation", "must be text"),
        ({"operation": None}, "operation", "must be text"),
        ({"operation": "nonsense"}, "operation", "must be one of: create, delete, start, pause, resume, stop, ingest"),
        ({"operation": ""}, "operation", "must be one of"),
        ({"operation": "Pipeline"}, "operation", "not 'Pipeline'"),
        ({"operation": "x" * 9_000}, "operation", "must be one of"),
        ({"operation": "pipeline", "parameter": {}}, "parameter", "is not known here"),
        ({"operation": "pipeline", "parameters": []}, "parameters", "must be a JSON object"),
        ({"operation": "pipeline", "parameters": None}, "parameters", "must be a JSON object"),
        ({"operation": "pipeline", "parameters": "{}"}, "parameters", "must be a JSON object"),
        ({"operation": "ingest", "parameters": 7}, "parameters", "must be"),
        ({"operation": "pipeline", "options": []}, "options", "must be a JSON object"),
        ({"operation": "pipeline", "options": {"timeout": 0}}, "options.timeout", "must be at least 1, not 0"),
        ({"operation": "pipeline", "options": {"timeout": -5}}, "options.timeout", "must be at least 1, not -5"),
        ({"operation": "pipeline", "options": {"timeout": 600_001}}, "options.timeout", "must be at most 600000"),
        ({"operation": "pipeline", "options": {"timeout": 10**30}}, "options.timeout", "must be at most 600000"),
        ({"operation": "pipeline", "options": {"timeout": 1.5}}, "options.timeout", "valid integer"),
        ({"operation": "pipeline", "options": {"timeout": True}}, "options.timeout", "valid integer"),
        ({"operation": "pipeline", "options": {"timeout": "30000"}}, "options.timeout", "valid integer"),
        ({"operation": "pipeline", "options": {"retries": -1}}, "options.retries", "must be at least 0"),
        ({"operation": "pipeline", "options": {"retries": 11}}, "options.retries", "must be at most 10"),
        ({"operation": "pipeline", "options": {"retries": None}}, "options.retries", "valid integer"),
        ({"operation": "pipeline", "options": {"timeot": 1}}, "options.timeot", "did you mean 'timeout'?"),
    ],
)
def test_s2_1_what_is_wrong_with_a_request_is_said_of_its_field(
    appliance: Appliance, body: object, field: str, message: str
) -> None:
    error = refused(post(appliance, body), "VALIDATION_ERROR", field)
    assert message in error["details"][field]
    assert error["message"].startswith(f"{field}: ")
    assert len(error["message"]) < 400


# S2.2: the envelope ------------------------------------------------------------------------------------------


def test_s2_2_a_success_is_as_in_the_document(appliance: Appliance) -> None:
    answer = post(appliance, DESCRIBE, X_Request_ID="req_123")
    found = answer.json
    assert list(found) == ["success", "data", "meta"]
    assert found["success"] is True
    assert list(found["meta"]) == ["requestId", "timestamp", "duration"]
    assert found["meta"]["requestId"] == "req_123"
    assert type(found["meta"]["duration"]) is int
    looked_at(answer)


def test_s2_2_the_duration_is_in_milliseconds(tmp_path: Any) -> None:
    """A commit that waits for a lock of this test takes as long as the lock is held."""
    with serving(tmp_path, {"orders": ORDERS}) as appliance:
        quick = send(appliance, "pipeline").json["meta"]["duration"]
        with held_for(appliance, 0.2):
            answer = send(appliance, "ingest", {"pipeline": "pl_8f3a", "event": {}})
    assert answer.status == 200
    assert 0 <= quick < 150
    assert 100 <= answer.json["meta"]["duration"] < 5_000


def test_s2_2_a_refusal_is_as_in_the_document(appliance: Appliance) -> None:
    answer = post(appliance, {"operation": "delete", "parameters": {}}, X_Request_ID="req_123")
    found = answer.json
    assert list(found) == ["success", "error", "meta"]
    assert found["success"] is False
    assert found["error"] == {
        "code": "VALIDATION_ERROR",
        "message": "parameters.pipeline: is required",
        "details": {"parameters.pipeline": "is required"},
    }
    assert list(found["meta"]) == ["requestId", "timestamp"]
    looked_at(answer)


# S2.3: statuses and codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_s2_3_a_wrong_method_is_a_404(appliance: Appliance, method: str) -> None:
    paths = ["/pipeline", "/webhooks", "/webhooks/wh_x", "/webhooks/wh_x/deliveries/msg_x/retry"]
    for path in paths:
        answer = appliance.ask(method, path, {} if method == "PUT" else None)
        if method in {"GET", "HEAD"} and path in {"/webhooks", "/webhooks/wh_x"}:
            assert answer.status in {200, 404}
        elif method == "HEAD":
            assert answer.status == 404
        elif method != "DELETE" or path != "/webhooks/wh_x":
            assert "is not allowed on" in refused(answer, "NOT_FOUND")["message"]


@pytest.mark.parametrize("path", ["/pipeline/", "/pipeline/x", "/pipeline/x/y", "/webhooks/", "/webhooks/a/b/c/d/e"])
def test_s2_3_an_unknown_path_is_a_404(appliance: Appliance, path: str) -> None:
    for method in ("GET", "POST"):
        refused(appliance.ask(method, path, {} if method == "POST" else None), "NOT_FOUND")


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x", f" {KEY}x"])
def test_s2_3_without_a_live_key_it_is_a_401(appliance: Appliance, key: str | None) -> None:
    for method, path, body in (
        ("POST", "/pipeline", DESCRIBE),
        ("POST", "/pipeline", b"not JSON"),
        ("POST", "/webhooks", {}),
        ("GET", "/webhooks", None),
        ("GET", "/webhooks/wh_x/deliveries", None),
    ):
        answer = appliance.ask(method, path, body, key=key)
        refused(answer, "AUTHENTICATION_ERROR")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_s2_3_a_key_comes_as_bearer_only(appliance: Appliance) -> None:
    for given in (KEY, f"Basic {KEY}", f"Token {KEY}", f"Bearer {KEY} {KEY}"):
        answer = appliance.ask("POST", "/pipeline", DESCRIBE, key=None, headers={"Authorization": given})
        refused(answer, "AUTHENTICATION_ERROR")


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"", {}, "the body is not JSON: it is empty"),
        (b"{", {}, "the body is not JSON"),
        (b"[]", {}, "must be a JSON object"),
        (b"null", {}, "must be a JSON object"),
        (b"5", {}, "must be a JSON object"),
        (b'{"operation": "pipeline"} {}', {}, "the body is not JSON"),
        (b'{"operation": "pipeline", "parameters": {"pipeline": NaN}}', {}, "the body is not JSON"),
        (b'{"operation": "ingest", "parameters": {"event": {"n": Infinity}}}', {}, "the body is not JSON"),
        (b'{"operation": "\xff"}', {}, "the body is not UTF-8"),
        (b'{"operation": "\\ud800"}', {}, "the body is not JSON"),
        (b'{"operation": "pipeline", "parameters": ' + b"[" * 9_999 + b"]" * 9_999 + b"}", {}, "nested"),
        (b'{"operation": "pipeline", "parameters": {"pipeline": ' + b"[" * 120 + b"]" * 120 + b"}}", {}, "nested"),
        (b"not gzip", {"Content-Encoding": "gzip"}, "not whole gzip"),
        (gzip.compress(b'{"operation": "pipeline"}')[:-4], {"Content-Encoding": "gzip"}, "not whole gzip"),
        (b"not zstd", {"Content-Encoding": "zstd"}, "not whole zstd"),
        (b"{}", {"Content-Encoding": "br"}, "Content-Encoding 'br'"),
        (gzip.compress(b" " * (33 * 1024**2)), {"Content-Encoding": "gzip"}, "exceeds 33,554,432 bytes"),
        (b"{}", {"Content-Type": "text/plain"}, "must be application/json, not 'text/plain'"),
        (b"{}", {"Content-Type": ""}, "must be application/json"),
        (b"operation=pipeline", {"Content-Type": "application/x-www-form-urlencoded"}, "must be application/json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_s2_3_a_body_that_cannot_be_read_is_a_400(
    appliance: Appliance, body: bytes, headers: dict[str, str], message: str
) -> None:
    answer = appliance.ask("POST", "/pipeline", body, headers=headers)
    assert answer.status == 400
    assert answer.code == "VALIDATION_ERROR"
    assert message in answer.json["error"]["message"]
    looked_at(answer)


def test_s2_3_compressed_bodies_and_types_with_parameters_are_read(appliance: Appliance) -> None:
    body = gzip.compress(json.dumps(DESCRIBE).encode())
    good(appliance.ask("POST", "/pipeline", body, headers={"Content-Encoding": "gzip"}), models.PipelineList)
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        good(appliance.ask("POST", "/pipeline", DESCRIBE, headers={"Content-Type": kind}), models.PipelineList)


def test_s2_3_a_name_that_is_not_ours_is_a_403(appliance: Appliance) -> None:
    answer = appliance.ask("POST", "/pipeline", DESCRIBE, headers={"Host": "rebound.example"})
    refused(answer, "AUTHORIZATION_ERROR")
    answer = appliance.ask("POST", "/pipeline", DESCRIBE, headers={"Origin": "https://elsewhere.example"})
    refused(answer, "AUTHORIZATION_ERROR")


def test_s2_3_what_is_spent_or_away_is_a_503_and_says_when_to_come_again(tmp_path: Any) -> None:
    with serving(tmp_path, {"orders": ORDERS}, "--testing", settings="storage: {quota: 1MiB}\n") as appliance:
        create(appliance, "full", schedule="0 0 1 1 *")
        answers: list[Answer] = []
        while not answers or (answers[-1].status == 200 and len(answers) < 40):
            event = {"text": os.urandom(100_000).hex()}
            answers.append(send(appliance, "ingest", {"pipeline": "full", "event": event}))
        spent = answers[-1]
        assert (spent.status, spent.code) == (503, "INTERNAL_ERROR"), spent
        assert int(spent.headers["Retry-After"]) >= 1
        looked_at(spent)
        models.Failure.model_validate(spent.json)
        assert "quota" in spent.json["error"]["message"]
        tried = send(appliance, "ingest", {"pipeline": "full", "event": {}}, {"retries": 1, "timeout": 20_000})
        assert (tried.status, tried.code) == (503, "INTERNAL_ERROR"), tried


# S2.4: rate limits -------------------------------------------------------------------------------------------


def test_s2_4_every_answer_says_how_many_requests_are_left_and_over_it_429(tmp_path: Any) -> None:
    settings = "rate_limit: {requests: 4, per_s: 3600}\n"
    with serving(tmp_path, {"orders": ORDERS}, "--testing", settings=settings) as appliance:
        left: list[int] = []
        for answer in (
            send(appliance, "pipeline"),
            post(appliance, b"{"),
            appliance.ask("GET", "/webhooks"),
            appliance.ask("GET", "/webhooks/wh_x"),
        ):
            looked_at(answer)
            assert answer.headers["X-RateLimit-Limit"] == "4"
            left.append(int(answer.headers["X-RateLimit-Remaining"]))
        assert left == [3, 2, 1, 0]
        for answer in (
            send(appliance, "pipeline"),
            send(appliance, "ingest", {"pipeline": "pl_8f3a", "event": {}}),
            appliance.ask("GET", "/webhooks"),
        ):
            refused(answer, "RATE_LIMIT_EXCEEDED")
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.headers["X-RateLimit-Remaining"] == "0"
        refused(send(appliance, "pipeline", key="wrong"), "AUTHENTICATION_ERROR")
        assert appliance.ask("POST", "/_local/test/clock", {"advance": 3_600}).status == 200
        assert send(appliance, "pipeline").headers["X-RateLimit-Remaining"] == "3"


def test_s2_4_a_pipelines_own_limit_is_a_429_too(tmp_path: Any) -> None:
    limited = ORDERS + "limits: {requests_per_minute: 2, ingest_max_records_per_request: 3}\n"
    with serving(tmp_path, {"orders": limited}) as appliance:
        events = [{"n": n} for n in range(4)]
        refused(send(appliance, "ingest", {"pipeline": "pl_8f3a", "events": events}), "VALIDATION_ERROR")
        for _ in range(2):
            ingest(appliance, "pl_8f3a", event={})
        refused(send(appliance, "ingest", {"pipeline": "pl_8f3a", "event": {}}), "RATE_LIMIT_EXCEEDED")


# Scopes ------------------------------------------------------------------------------------------------------


def test_s2_3_each_operation_asks_for_the_scope_that_it_needs(appliance: Appliance) -> None:
    create(appliance, "scoped")
    keys = {
        scope: appliance.ask("POST", "/_local/keys", {"name": scope, "scopes": [scope]}).json["secret"]
        for scope in ("ingest", "read", "manage", "admin")
    }
    allowed = {"ingest": {"ingest"}, "read": {"read"}, "manage": {"read", "manage"}, "admin": set(keys)}
    for name, operation in OPERATIONS.items():
        for scope, key in keys.items():
            answer = send(appliance, name, {"pipeline": "not-there", "nonsense": 1}, key=key)
            if str(operation.scope) in allowed[scope]:
                assert refused(answer, "VALIDATION_ERROR", *answer.json["error"]["details"])
            else:
                assert str(operation.scope) in refused(answer, "AUTHORIZATION_ERROR")["message"]
    assert {str(one.scope) for one in OPERATIONS.values()} == {"ingest", "read", "manage"}
    assert good(send(appliance, "pipeline", {"pipeline": "scoped"}, key=keys["read"]), models.PipelineShown)
    answer = send(appliance, "ingest", {"pipeline": "scoped", "event": {}}, key=keys["ingest"])
    assert good(answer, models.Ingested)["accepted"] == 1


def test_s2_3_no_answer_of_these_tests_has_another_status(appliance: Appliance) -> None:
    """What the document of the API says it may answer is what S2.3 lists."""
    paths = appliance.ask("GET", "/openapi.json").json["paths"]
    own = [one for path, methods in paths.items() if path.startswith(("/pipeline", "/webhooks")) for one in methods]
    assert len(own) == 7
    for path, methods in paths.items():
        if path == "/pipeline" or path.startswith("/webhooks"):
            for one in methods.values():
                assert {int(status) for status in one["responses"]} <= STATUSES
