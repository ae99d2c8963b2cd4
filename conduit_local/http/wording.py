"""What HTTP itself says about an error: the status, and the headers that go with it. The body is each API's own."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import ConduitError
from conduit_local.http.answers import json_answer

_STATUS: Sequence[tuple[type[ConduitError], int]] = (
    (errors.TooLarge, 413),
    (errors.Invalid, 400),
    (errors.UnsupportedMediaType, 415),
    (errors.HeaderMismatch, 403),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.MethodNotAllowed, 405),
    (errors.Conflict, 409),
    (errors.PreconditionFailed, 412),
    (errors.IdempotencyMismatch, 422),
    (errors.RateLimited, 429),
    (errors.BodyTooSlow, 408),
    (errors.Unavailable, 503),
)
UNEXPECTED = "an unexpected error; the appliance's log has the details"

Codes = Sequence[tuple[type[ConduitError], str]]
"""Where an API has one code for several of our errors; every other error keeps its own."""


def status_of(error: ConduitError) -> int:
    """The status of an error; 500 for what is ours to mend."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def headers_of(error: ConduitError) -> Mapping[str, str]:
    """The headers that go with an error's status."""
    match error:
        case errors.RateLimited() | errors.Unavailable():
            return {"Retry-After": str(error.retry_after_s)}
        case errors.MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
        case errors.Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


def said_of(error: ConduitError, codes: Codes = ()) -> tuple[int, str, str]:
    """The status of an error, its code and its message; of what is ours to mend, nothing but that it happened."""
    status = status_of(error)
    if status == 500:
        return status, "internal_error", UNEXPECTED
    return status, next((code for kind, code in codes if isinstance(error, kind)), error.code), error.message


def coded_error(error: ConduitError) -> web.Response:
    """
    The plainest shape: `{"error": {"code", "message", "details"}}`; `details` names each field that is wrong.

    For paths that belong to no documented API.
    """
    status, code, message = said_of(error)
    said: dict[str, object] = {"code": code, "message": message}
    details = (
        {one.field: one.message for one in error.problems if one.path} if isinstance(error, errors.Invalid) else {}
    )
    if details:
        said["details"] = details
    return json_answer({"error": said}, status, headers_of(error))
