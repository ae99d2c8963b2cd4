"""
S2's words for errors: seven codes, eight statuses, in the envelope.

A wrong method is a 404, as the document knows no 405. What the caller must change (a conflict, a body that is too
large, a key used twice) is a VALIDATION_ERROR; a body that came too slowly is a TIMEOUT, for it may be sent again.

Source: S2.2, S2.3.
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import ConduitError
from conduit_local.http.answers import json_answer
from conduit_local.http.wording import UNEXPECTED, headers_of, status_of

_STATUS: Mapping[int, int] = {405: 404, 408: 503, 409: 400, 412: 400, 413: 400, 415: 400, 422: 400}
"""The document's status for each that it does not have."""
_CODES: Mapping[int, str] = {
    400: "VALIDATION_ERROR",
    401: "AUTHENTICATION_ERROR",
    403: "AUTHORIZATION_ERROR",
    404: "NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "INTERNAL_ERROR",
}
STATUSES = tuple(_CODES)


def words(error: ConduitError, meta: Mapping[str, Any]) -> web.Response:
    """The answer to a request that ended in `error`."""
    status = status_of(error)
    status = _STATUS.get(status, status)
    code = "TIMEOUT" if isinstance(error, errors.TimedOut | errors.BodyTooSlow) else _CODES[status]
    problems = error.problems if isinstance(error, errors.Invalid) else ()
    said = {
        "code": code,
        "message": UNEXPECTED if status == 500 else error.message,
        "details": {one.field: one.message for one in problems if one.path},
    }
    return json_answer({"success": False, "error": said, "meta": meta}, status, headers_of(error))
