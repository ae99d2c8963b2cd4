"""
S1's words for errors: `{"error": {"code", "message", "details"}}`; `details` has a text for each field path.

Source: S1.6.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import ConduitError, Invalid, InvalidRequest
from conduit_local.http.answers import json_answer
from conduit_local.http.wording import Codes, headers_of, said_of


class InvalidYaml(Invalid):
    """The body is not YAML in UTF-8, or more than a configuration can be."""

    code = "invalid_yaml"


class InvalidConfiguration(Invalid):
    """The body is well-formed, and no configuration of a pipeline."""

    code = "invalid_configuration"


_CODES: Codes = (
    (errors.KeysDiffer, "invalid_request"),
    (errors.TooLarge, "body_too_large"),
    (errors.UnsupportedMediaType, "unsupported_media_type"),
    (errors.HeaderMismatch, "forbidden"),
    (errors.BodyTooSlow, "request_timeout"),
    (errors.Unavailable, "unavailable"),
)
"""Where several of our errors are one to the caller; every other error keeps its own code."""


_MOST_DETAILS = 100
_MOST_CHARS = 1_000
"""What callers name themselves can be as long as their body; it is not given back whole."""


@contextmanager
def configuration_checked() -> Iterator[None]:
    """A block in which a field that is wrong is one of a configuration. Raises: InvalidConfiguration."""
    try:
        yield
    except InvalidRequest as error:
        if not error.problems:
            raise
        raise InvalidConfiguration(error.message, problems=error.problems) from None


def words(error: ConduitError) -> web.Response:
    """The answer to a request that ended in `error`."""
    status, code, message = said_of(error, _CODES)
    if isinstance(error, InvalidConfiguration):
        status = 422
    said: dict[str, object] = {"code": code, "message": _cut(message)}
    problems = error.problems[:_MOST_DETAILS] if isinstance(error, Invalid) else ()
    details = {_cut(".".join(map(str, one.path))): one.message for one in problems if one.path}
    if details:
        said["details"] = details
    return json_answer({"error": said}, status, headers_of(error))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"
