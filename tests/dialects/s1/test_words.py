"""S1.6: every error of the tree in S1's words; and any bytes at its decoders."""

from contextlib import suppress

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Invalid, InvalidRequest, Refused, Unavailable
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.run import RunState
from conduit_local.dialects.s1 import models, wire
from conduit_local.dialects.s1.errors import InvalidConfiguration, InvalidYaml, configuration_checked, words
from tests.house.test_wordings import MESSAGE, every_leaf, made, shape
from tests.making import pipeline

CODES = {
    400: {"invalid_request", "invalid_json", "invalid_yaml"},
    401: {"unauthorized"},
    403: {"forbidden"},
    404: {
        "not_found",
        "pipeline_not_found",
        "event_not_found",
        "run_not_found",
        "key_not_found",
        "webhook_not_found",
        "destination_not_found",
        "origin_not_found",
        "domain_not_found",
        "output_not_found",
        "dead_letter_not_found",
    },
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    409: {
        "pipeline_not_accepting",
        "name_taken",
        "pipeline_managed_by_file",
        "key_in_use",
        "run_ended",
        "run_not_cancellable",
        "dead_letter_in_hand",
        "events_out_of_order",
    },
    412: {"precondition_failed"},
    413: {"body_too_large"},
    415: {"unsupported_media_type"},
    422: {"idempotency_mismatch", "invalid_configuration"},
    429: {"rate_limited"},
    500: {"internal_error"},
    503: {"unavailable"},
}


def looked_at(answer: web.Response, kind: type[ConduitError]) -> None:
    said = shape(answer)
    models.ErrorSaid.model_validate(said)
    assert said["code"] in CODES[answer.status]
    assert (answer.status == 500) == issubclass(kind, Broken)
    assert (MESSAGE in str(said["message"])) == (answer.status != 500)
    assert said.get("details") == ({"a.0": "wrong"} if issubclass(kind, Invalid) else None)
    assert (400 <= answer.status < 500) == issubclass(kind, Refused | errors.BodyTooSlow)
    assert ("Retry-After" in answer.headers) == issubclass(kind, Unavailable | errors.RateLimited)
    assert ("Allow" in answer.headers) == issubclass(kind, errors.MethodNotAllowed)
    assert ("WWW-Authenticate" in answer.headers) == issubclass(kind, errors.Unauthorized)
    assert answer.content_type == "application/json"


@every_leaf
def test_s1_6_every_error_has_a_status_a_code_and_a_message(kind: type[ConduitError]) -> None:
    looked_at(words(made(kind)), kind)


@pytest.mark.parametrize(("kind", "status"), [(InvalidYaml, 400), (InvalidConfiguration, 422)])
def test_s1_6_its_own_errors_have_them_too(kind: type[Invalid], status: int) -> None:
    answer = words(made(kind))
    looked_at(answer, kind)
    assert answer.status == status
    assert shape(answer)["code"] == kind.code


def test_s1_6_only_fields_that_are_wrong_make_a_configuration_wrong() -> None:
    with pytest.raises(InvalidConfiguration) as caught, configuration_checked():
        raise refusal([Problem(path=("batch", "max_events"), message="wrong")])
    assert shape(words(caught.value))["details"] == {"batch.max_events": "wrong"}
    with pytest.raises(InvalidRequest, match="cut short"), configuration_checked():
        raise InvalidRequest("the body is cut short")


# Any bytes -------------------------------------------------------------------------------------------------

CONTENT_TYPES = st.sampled_from([*wire.JSON, *wire.YAML, "", "text/plain"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["name", "status", "last_run", "next_run_at", "id", "version"]) | st.text(max_size=5), VALUES
)


@given(st.binary(max_size=300) | DOCUMENTS.map(msgspec.json.encode), CONTENT_TYPES)
def test_any_bytes_are_a_definition_or_refused(body: bytes, content_type: str) -> None:
    with suppress(Invalid):
        document, state = wire.definition_of(wire.decode_document(body, content_type))
        assert not document.keys() & {"status", "last_run", "next_run_at"}
        assert state is None or state in {"active", "paused"}
        found = wire.replacing(pipeline("orders", id="pl_8f3a"), document)
        assert (found["name"], found["id"]) == ("orders", "pl_8f3a")


@given(st.none() | st.text())
def test_any_status_is_one_or_refused(text: str | None) -> None:
    with suppress(Invalid):
        assert wire.decode_status(text) in {None, "active", "paused", "error"}
    with suppress(Invalid):
        states = wire.decode_run_status(text)
        assert bool(states) == (text is not None)
        assert set(states) <= set(RunState)


def test_every_state_of_a_run_is_under_one_status() -> None:
    found = [
        state for status in ("running", "success", "failed", "cancelled") for state in wire.decode_run_status(status)
    ]
    assert sorted(found) == sorted(RunState)
