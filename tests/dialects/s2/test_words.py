"""S2.2, S2.3: every error of the tree in S2's words; and any bytes at its decoders."""

import json
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Invalid, Refused, Unavailable
from conduit_local.core.problems import Problem
from conduit_local.dialects.s2 import events, models, parameters, wire
from conduit_local.dialects.s2.errors import words
from conduit_local.dialects.s2.operations import OPERATIONS
from conduit_local.http.wording import UNEXPECTED
from tests.house.test_wordings import MESSAGE, every_leaf, made

META = {"requestId": "req_123", "timestamp": "2025-01-01T12:00:00Z"}
CODES = {
    400: "VALIDATION_ERROR",
    401: "AUTHENTICATION_ERROR",
    403: "AUTHORIZATION_ERROR",
    404: "NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "INTERNAL_ERROR",
}
LATE = (errors.TimedOut, errors.BodyTooSlow)
SENT_AS = {
    errors.InvalidJson: 400,
    errors.KeysDiffer: 400,
    errors.PayloadTooLarge: 400,
    errors.BodyTooLarge: 400,
    errors.TooManyRecords: 400,
    errors.UnsupportedEncoding: 400,
    errors.HeaderMismatch: 403,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.PipelineNotFound: 404,
    errors.WebhookNotFound: 404,
    errors.PathNotFound: 404,
    errors.MethodNotAllowed: 404,
    errors.NotAccepting: 400,
    errors.NameTaken: 400,
    errors.ManagedByFile: 400,
    errors.PreconditionFailed: 400,
    errors.IdempotencyMismatch: 400,
    errors.RateLimited: 429,
    errors.StoreUnavailable: 503,
    errors.QuotaSpent: 503,
    errors.BodyTooSlow: 503,
    errors.TimedOut: 503,
}


def body_of(answer: web.Response) -> Any:
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


@every_leaf
def test_s2_3_every_error_has_a_status_and_a_code_of_the_document(kind: type[ConduitError]) -> None:
    answer = words(made(kind), META)
    said = body_of(answer)
    models.Failure.model_validate(said)
    assert list(said) == ["success", "error", "meta"]
    assert (said["success"], said["meta"]) == (False, META)
    error = said["error"]
    assert list(error) == ["code", "message", "details"]
    assert error["code"] == ("TIMEOUT" if issubclass(kind, LATE) else CODES[answer.status])
    assert error["message"] == (UNEXPECTED if answer.status == 500 else MESSAGE)
    assert error["details"] == ({"a[0]": "wrong"} if issubclass(kind, Invalid) else {})
    assert answer.status == SENT_AS.get(kind, answer.status)


@every_leaf
def test_s2_3_the_status_says_who_must_act(kind: type[ConduitError]) -> None:
    answer = words(made(kind), META)
    assert (400 <= answer.status < 500) == issubclass(kind, Refused)
    assert (answer.status == 503) == issubclass(kind, Unavailable)
    assert (answer.status == 500) == issubclass(kind, Broken)
    assert ("Retry-After" in answer.headers) == issubclass(kind, Unavailable | errors.RateLimited)
    assert ("WWW-Authenticate" in answer.headers) == issubclass(kind, errors.Unauthorized)
    assert answer.content_type == "application/json"


# Any bytes ---------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *sorted({name for one in OPERATIONS.values() for name in one.takes.model_fields}),
        *("operation", "parameters", "options", "timeout", "retries", "url", "secret", "nonsense"),
    ]
)
OBJECTS = st.dictionaries(NAMES, VALUES | st.sampled_from(["orders", [{}], {"n": 1}]), max_size=6)
BODIES = st.binary(max_size=200) | (OBJECTS | VALUES).map(json.dumps).map(str.encode)


@given(BODIES)
def test_any_body_is_a_request_or_refused(body: bytes) -> None:
    with suppress(Refused):
        found = wire.decode_request(body)
        assert isinstance(found.operation, str)


@given(st.sampled_from(sorted(OPERATIONS)), BODIES)
def test_any_parameters_are_read_or_refused_below_parameters(operation: str, given: bytes) -> None:
    found, problems = read(operation, given)
    assert found is None or isinstance(found, parameters.Parameters | events.EventsSent)
    assert all(one.path[:1] == ("parameters",) for one in problems)


def read(operation: str, given: bytes) -> tuple[object, Sequence[Problem]]:
    """What the parameters of an operation are, or what is wrong with them."""
    try:
        return OPERATIONS[operation].read(given), ()
    except Refused as error:
        return None, error.problems if isinstance(error, Invalid) else ()


@given(st.text(max_size=30) | st.just("msg_0123456789abcdef") | st.none())
def test_any_cursor_is_a_place_or_refused(text: str | None) -> None:
    with suppress(Refused):
        assert (wire.decode_cursor(text) is None) == (text is None)


@given(st.builds(lambda name, more: {"name": name, **more}, st.text(max_size=70), OBJECTS))
def test_any_creation_is_a_configuration_or_refused(document: dict[str, Any]) -> None:
    with suppress(Refused):
        wanted = wire.decode_parameters(json.dumps(document).encode(), parameters.Create)
        found = wire.configuration(wanted, "made-of-it")
        assert (found["name"], found.get("title", "made-of-it")) == ("made-of-it", wanted.name)


# Large bodies ------------------------------------------------------------------------------------------------


def test_a_hostile_body_costs_little_before_it_is_refused() -> None:
    """32 MiB of tiny values would be a gigabyte of objects: they are counted, or not looked at."""
    tiny = b"{}," * 10_000_000 + b"{}"
    deep = b'{"a":[' + tiny + b"]}"
    for operation, sent, refusal in (
        ("ingest", b'{"pipeline":"x","events":[' + tiny + b"]}", errors.TooManyRecords),
        ("ingest", b'{"pipeline":"x","events":[' + deep + b"]}", errors.PayloadTooLarge),
        ("ingest", b'{"pipeline":"x","event":' + deep + b"}", errors.PayloadTooLarge),
        ("ingest", b'{"pipeline":"x","nonsense":' + deep + b"}", errors.InvalidRequest),
        ("pipeline", b'{"pipeline":' + deep + b"}", errors.BodyTooLarge),
        ("create", b'{"name":"x","sources":[' + tiny + b"]}", errors.BodyTooLarge),
    ):
        asked = wire.decode_request(b'{"operation":"%b","parameters":%b}' % (operation.encode(), sent))
        tracemalloc.start()
        try:
            with pytest.raises(refusal):
                OPERATIONS[operation].read(asked.parameters)
            assert tracemalloc.get_traced_memory()[1] < 100 * 1024**2, "the body thrice, and no more"
        finally:
            tracemalloc.stop()
    with pytest.raises(errors.BodyTooLarge):
        wire.decode_request(b'{"operation":"pipeline","options":' + deep + b"}")


def test_many_events_in_a_list_with_many_commas_are_read() -> None:
    event = json.dumps({"list": list(range(300))}, separators=(",", ":"))
    sent = events.decode_ingest(f'{{"pipeline":"x","events":[{",".join([event] * 1_000)}]}}'.encode())
    assert [payload.decode() for payload in sent.events.payloads] == [event] * 1_000
