"""
S3's words for errors: flat, `{"error", "message"}`, codes that never change.

A body that is wrong adds `errors`, a text for each dot path (S3.5); what may be repeated adds `request_id` (S3.7).

Source: S3.5, S3.7.
"""

import uuid
from collections.abc import Sequence

from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Invalid, NotAccepting
from conduit_local.core.problems import Problem
from conduit_local.http.answers import json_answer
from conduit_local.http.wording import UNEXPECTED, headers_of, status_of


class InvalidPipeId(Invalid):
    """What stands in the path is not a UUID."""

    code = "invalid_pipe_id"


class InvalidPayload(Invalid):
    """The body is neither a JSON object nor an array of objects."""

    code = "invalid_payload"


class EmptyPayload(Invalid):
    """The body holds no record."""

    code = "empty_payload"


class InvalidKey(Invalid):
    """The request's idempotency key is empty or too long, or there are two."""

    code = "invalid_idempotency_key"


class NoOriginRule(Broken):
    """A pipe that needs no key says nothing of origins either: nobody may send."""

    code = "configuration_error"


_INGEST = (InvalidPipeId, InvalidPayload, EmptyPayload, InvalidKey)
_CODES: Sequence[tuple[type[ConduitError], str]] = (
    (errors.TooManyRecords, "batch_too_large"),
    (errors.TooLarge, "payload_too_large"),
    (errors.UnsupportedMediaType, "unsupported_media_type"),
    (errors.HeaderMismatch, "forbidden"),
    (errors.PipelineNotFound, "pipe_not_found"),
    (errors.NotAccepting, "pipe_not_found"),
    (errors.KeyNotFound, "api_key_not_found"),
    (errors.Conflict, "conflict"),
    (errors.BodyTooSlow, "request_timeout"),
    (errors.Unavailable, "buffer_unavailable"),
)
"""Where the document, or one status, groups several of our errors under one code; every other keeps its own."""


def words(error: ConduitError) -> web.Response:
    """The answer to a request that ended in `error`."""
    status = _status(error)
    said: dict[str, object] = {"error": _code(error), "message": error.message}
    match error:
        case NoOriginRule():
            pass
        case errors.Unavailable():
            said["request_id"] = str(uuid.uuid4())
        case Invalid() if not isinstance(error, _INGEST):
            problems = error.problems or (Problem(path=(), message=error.message),)
            said |= {
                "error": "validation_error",
                "message": _summary(problems),
                "errors": {dotted(one): one.message for one in problems},
            }
        case _ if status == 500:
            said = {"error": "server_error", "message": UNEXPECTED}
    return json_answer(said, status, headers_of(error))


def dotted(problem: Problem) -> str:
    """Where a problem is, as the document writes it: `destinations.0.destination_type`; empty for the whole body."""
    return ".".join(map(str, problem.path))


def _status(error: ConduitError) -> int:
    return 404 if isinstance(error, NotAccepting) else status_of(error)


def _code(error: ConduitError) -> str:
    return next((code for kind, code in _CODES if isinstance(error, kind)), error.code)


def _summary(problems: Sequence[Problem]) -> str:
    first, more = problems[0], len(problems) - 1
    where = f"{dotted(first)}: " if first.path else ""
    return f"{where}{first.message}{f' (and {more} more)' if more else ''}"
