"""S3.5, S3.7: every error of the tree in S3's words; any bytes at its decoders; ids and rules by themselves."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Invalid, Refused, TooLarge, Unavailable
from conduit_local.core.event import MAX_EVENTS_PER_REQUEST
from conduit_local.core.ids import part_uuid
from conduit_local.core.log import Receipt
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.spec import AccessSpec, LimitsSpec
from conduit_local.dialects.s3 import destination_wire, models, origins, records, told, wire
from conduit_local.dialects.s3.errors import (
    EmptyPayload,
    InvalidKey,
    InvalidPayload,
    InvalidPipeId,
    NoOriginRule,
    words,
)
from conduit_local.http.decode import decode_object
from conduit_local.http.wording import UNEXPECTED
from tests.house.test_wordings import MESSAGE, every_leaf, made
from tests.making import MODEL, pipeline

CODES = {
    400: {"validation_error"},
    401: {"unauthorized"},
    403: {"forbidden"},
    404: {
        "pipe_not_found",
        "api_key_not_found",
        "destination_not_found",
        "origin_not_found",
        "not_found",
        "event_not_found",
        "run_not_found",
        "webhook_not_found",
        "domain_not_found",
        "dead_letter_not_found",
        "output_not_found",
    },
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    409: {"conflict"},
    412: {"precondition_failed"},
    413: {"batch_too_large", "payload_too_large"},
    415: {"unsupported_media_type"},
    422: {"idempotency_mismatch"},
    429: {"rate_limited"},
    500: {"server_error"},
    503: {"buffer_unavailable"},
}


@every_leaf
def test_s3_7_every_error_has_a_status_a_code_and_a_message(kind: type[ConduitError]) -> None:
    answer = words(made(kind))
    assert isinstance(answer.body, bytes)
    said: dict[str, Any] = json.loads(answer.body)
    assert said["error"] in CODES[answer.status]
    assert (answer.status == 500) == issubclass(kind, Broken)
    if issubclass(kind, Broken):
        assert said["message"] == UNEXPECTED
    elif not issubclass(kind, Invalid):
        assert said["message"] == MESSAGE
    assert said.get("errors") == ({"a.0": "wrong"} if issubclass(kind, Invalid) else None)
    assert ("request_id" in said) == issubclass(kind, Unavailable)
    assert len(said) == 2 + issubclass(kind, Invalid | Unavailable)
    assert (400 <= answer.status < 500) == issubclass(kind, Refused | errors.BodyTooSlow)
    assert ("Retry-After" in answer.headers) == issubclass(kind, Unavailable | errors.RateLimited)
    assert ("Allow" in answer.headers) == issubclass(kind, errors.MethodNotAllowed)
    assert ("WWW-Authenticate" in answer.headers) == issubclass(kind, errors.Unauthorized)
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (InvalidPipeId, 400, "invalid_pipe_id"),
        (InvalidPayload, 400, "invalid_payload"),
        (EmptyPayload, 400, "empty_payload"),
        (InvalidKey, 400, "invalid_idempotency_key"),
        (NoOriginRule, 500, "configuration_error"),
        (errors.TooManyRecords, 413, "batch_too_large"),
        (errors.PayloadTooLarge, 413, "payload_too_large"),
        (errors.BodyTooLarge, 413, "payload_too_large"),
        (errors.PipelineNotFound, 404, "pipe_not_found"),
        (errors.NotAccepting, 404, "pipe_not_found"),
    ],
)
def test_s3_7_the_documents_own_codes(kind: type[ConduitError], status: int, code: str) -> None:
    answer = words(kind(MESSAGE))
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)) == (status, {"error": code, "message": MESSAGE})


def test_s3_5_the_message_names_the_first_field_and_how_many_more() -> None:
    answer = words(refusal([Problem(path=("a", 0, "b"), message="is bad"), Problem(path=(), message="so is this")]))
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "error": "validation_error",
        "message": "a.0.b: is bad (and 1 more)",
        "errors": {"a.0.b": "is bad", "": "so is this"},
    }


# Any bytes -------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("[redacted]"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted(
    {
        name
        for model in (models.NewPipe, models.NewDestination, models.NewKey, models.NewOrigin)
        for name in model.model_fields
    }
)
GOOD = st.sampled_from(
    ["active", "blocked", "files", "postgres", "https://a.example", {"path": "x"}, ["admin"], [], True]
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), VALUES | GOOD)
BODIES = st.binary(max_size=300) | DOCUMENTS.map(msgspec.json.encode) | VALUES.map(msgspec.json.encode)


@given(BODIES | st.lists(DOCUMENTS, max_size=5).map(msgspec.json.encode), st.none() | st.integers(1, 3))
def test_any_bytes_are_records_or_refused(body: bytes, most: int | None) -> None:
    with suppress(InvalidPayload, EmptyPayload, TooLarge):
        found = records.decode_records(body, LimitsSpec(ingest_max_records_per_request=most))
        assert 1 <= len(found) <= (most or MAX_EVENTS_PER_REQUEST)
        value = json.loads(body)
        assert [json.loads(payload) for payload in found.payloads] == (value if isinstance(value, list) else [value])
        assert all(b"\n" not in payload and b"\r" not in payload for payload in found.payloads)


def _destination(body: bytes) -> object:
    return destination_wire.decode_destination(decode_object(body))


def _pipe(body: bytes) -> object:
    return wire.configuration_of(wire.decode_new_pipe(body), lambda _: True)


def _change(body: bytes) -> object:
    return wire.changes_of(wire.decode_change(body, models.PipeChange), lambda _: True)


def _destination_change(body: bytes) -> object:
    change = wire.decode_change(body, models.DestinationChange)
    old = pipeline("orders").spec.destinations[0].model_dump(mode="json")
    return destination_wire.changed_document(old, change)


def _limits(body: bytes) -> object:
    return wire.limits_of(wire.decode_change(body, models.LimitsChange))


@pytest.mark.parametrize("decode", [_pipe, _change, _destination, _destination_change, _limits, wire.decode_key])
@given(body=BODIES)
def test_any_bytes_are_a_change_or_refused(decode: Callable[[bytes], object], body: bytes) -> None:
    with suppress(Invalid):
        assert decode(body) is not None


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_text_is_an_origin_that_matches_itself_or_never_comes_in(origin: str) -> None:
    anybody = origins.Rule(AccessSpec(allow_any_origin=True))
    assert anybody.admits(origin) == (origins.normal_origin(origin) is not None)
    assert not origins.Rule(AccessSpec(allowed_origins=("https://app.example.com",))).admits(f"{origin}x")
    assert origins.echo(origin).get("Access-Control-Allow-Origin") in {origin, None}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("8f3a1c52-0000-4000-8000-0123456789ab", True),
        ("8F3A1C52-0000-4000-8000-0123456789AB", True),
        ("8f3a1c52000040008000 0123456789ab", False),
        ("8f3a1c520000400080000123456789ab", False),
        ("{8f3a1c52-0000-4000-8000-0123456789ab}", False),
        ("8f3a1c52-0000-4000-8000-0123456789a\u0661", False),
        ("8f3a1c52-0000-4000-8000-0123456789ab\n", False),
        ("", False),
    ],
)
def test_s3_7_what_a_pipes_id_looks_like(text: str, is_one: bool) -> None:
    assert records.is_pipe_id(text) == is_one


# Ids and answers -------------------------------------------------------------------------------------------------


@given(st.uuids(), st.text(max_size=20), st.text(max_size=20))
def test_s3_2_ids_of_parts_are_those_of_version_5(owner: uuid.UUID, kind: str, name: str) -> None:
    assert part_uuid(str(owner), kind, name) == str(uuid.uuid5(owner, f"{kind}:{name}"))


@given(st.text(min_size=1, max_size=30).filter(str.isprintable), st.integers(1, 1 << 40), st.integers(1, 10_000))
def test_s3_6_an_answer_is_json_whatever_the_pipe_is_called(title: str, seq: int, count: int) -> None:
    with suppress(errors.InvalidRequest):
        found = pipeline("orders", title=title.strip() or "x")
        encoded = records.encode_accepted(found, Receipt(found.number, seq, count, 0))
        said = told.Accepted.model_validate_json(encoded)
        assert (said.pipe_name, said.records_count) == (found.spec.label, count)
        assert said.request_id == part_uuid(found.uuid, "request", str(seq))


def test_s3_2_a_setting_of_a_destination_has_a_word_in_this_api() -> None:
    """`destination_wire` knows each field that every destination has; a new one would show among its settings."""
    shown = destination_wire.encode_destination(found := pipeline("orders"), found.spec.destinations[0])
    assert set(shown["destination_config"]) == {"path", "format", "compression", "record", "partition"}
    assert MODEL.model_fields["limits"].annotation is LimitsSpec
    assert {f"pl_{name}" for name in LimitsSpec.model_fields} == set(models.LimitsChange.model_fields)
