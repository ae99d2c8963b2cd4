"""Every error of the core in the words of every API: a status, the documented shape, nothing of our inside."""

import json
from collections.abc import Callable, Iterator

import pytest
from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Invalid, MethodNotAllowed, RateLimited, Refused, Unavailable
from conduit_local.core.problems import Problem
from conduit_local.dialects.s0.errors import words
from conduit_local.http.wording import coded_error

MESSAGE = "what was attempted"


def leaves(kind: type[ConduitError]) -> Iterator[type[ConduitError]]:
    below = [inner for inner in kind.__subclasses__() if inner.__module__ == errors.__name__]
    if not below:
        yield kind
    for inner in below:
        yield from leaves(inner)


def made(kind: type[ConduitError]) -> ConduitError:
    """An error of that kind, with all that it can carry."""
    if issubclass(kind, MethodNotAllowed):
        return kind(MESSAGE, allowed=["GET", "POST"])
    if issubclass(kind, RateLimited):
        return kind(MESSAGE, retry_after_s=7, limit=10, reset_at_s=9)
    if issubclass(kind, Unavailable):
        return kind(MESSAGE, retry_after_s=7)
    if issubclass(kind, Invalid):
        return kind(MESSAGE, problems=[Problem(path=("a", 0), message="wrong")])
    return kind(MESSAGE)


every_leaf = pytest.mark.parametrize("kind", list(dict.fromkeys(leaves(ConduitError))))


def shape(answer: web.Response) -> dict[str, object]:
    assert isinstance(answer.body, bytes)
    body: dict[str, dict[str, object]] = json.loads(answer.body)
    assert list(body) == ["error"]
    return body["error"]


S0_CODES = {
    400: {"invalid_request", "invalid_json", "idempotency_keys_differ"},
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
    413: {"payload_too_large", "batch_too_large"},
    415: {"unsupported_media_type"},
    422: {"idempotency_mismatch"},
    429: {"rate_limited"},
    500: {"internal_error"},
    503: {"unavailable"},
}


@every_leaf
def test_s0_has_a_status_a_code_and_a_message_for_every_error(kind: type[ConduitError]) -> None:
    answer = words(made(kind))
    said = shape(answer)
    assert list(said) == ["code", "message"]
    assert said["code"] in S0_CODES[answer.status]
    assert (answer.status == 500) == issubclass(kind, Broken)
    assert (MESSAGE in str(said["message"])) == (answer.status != 500)


@every_leaf
@pytest.mark.parametrize("worded", [words, coded_error])
def test_who_must_act_shows_in_the_status_and_the_headers(
    kind: type[ConduitError], worded: Callable[[ConduitError], web.Response]
) -> None:
    answer = worded(made(kind))
    assert (400 <= answer.status < 500) == issubclass(kind, Refused | errors.BodyTooSlow)
    assert ("Retry-After" in answer.headers) == issubclass(kind, Unavailable | RateLimited)
    assert ("Allow" in answer.headers) == issubclass(kind, MethodNotAllowed)
    assert ("WWW-Authenticate" in answer.headers) == issubclass(kind, errors.Unauthorized)
    assert answer.content_type == "application/json"


@every_leaf
def test_our_own_api_says_the_errors_own_code_and_each_field(kind: type[ConduitError]) -> None:
    said = shape(coded_error(made(kind)))
    assert said["code"] == ("internal_error" if issubclass(kind, Broken) else kind.code)
    assert said.get("details") == ({"a[0]": "wrong"} if issubclass(kind, Invalid) else None)
