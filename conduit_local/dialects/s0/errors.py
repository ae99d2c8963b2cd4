"""
S0's words for errors: `{"error": {"code", "message"}}`, codes that never change.

Source: S0.2, S0.4, S0.9, S0.10.
"""

from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import ConduitError
from conduit_local.http.answers import json_answer
from conduit_local.http.wording import Codes, headers_of, said_of

_CODES: Codes = (
    (errors.InvalidJson, "invalid_json"),
    (errors.Invalid, "invalid_request"),
    (errors.TooManyRecords, "batch_too_large"),
    (errors.TooLarge, "payload_too_large"),
    (errors.UnsupportedMediaType, "unsupported_media_type"),
    (errors.HeaderMismatch, "forbidden"),
    (errors.BodyTooSlow, "request_timeout"),
    (errors.Unavailable, "unavailable"),
)
"""Where the document groups several of our errors under one code; every other error keeps its own."""


def words(error: ConduitError) -> web.Response:
    """The answer to a request that ended in `error`."""
    status, code, message = said_of(error, _CODES)
    if isinstance(error, errors.BodyTooLarge):
        message = f"payload exceeds the 256KB limit: {message}"
    return json_answer({"error": {"code": code, "message": message}}, status, headers_of(error))
