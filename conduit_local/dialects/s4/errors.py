"""
S4's words for errors: `{"error": {"code", "message"}}`, as S0 has them.

What is wrong with a configuration is said in the fields of S4's own bodies: `config.destination.config.path`.

Source: S4.8, S0.10.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from conduit_local.core import errors
from conduit_local.core.errors import ConduitError, InvalidRequest
from conduit_local.core.problems import Path, Problem, refusal
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
"""Where several of our errors have one code; every other error keeps its own."""

_ROLES = {"sources": "source", "destinations": "destination"}


def words(error: ConduitError) -> web.Response:
    """The answer to a request that ended in `error`."""
    status, code, message = said_of(error, _CODES)
    return json_answer({"error": {"code": code, "message": message}}, status, headers_of(error))


@contextmanager
def in_our_fields() -> Iterator[None]:
    """What is wrong with a configuration in this block is named as it stands in `config`."""
    try:
        yield
    except InvalidRequest as error:
        if not error.problems:
            raise
        problems = [Problem(path=field_of(problem.path), message=problem.message) for problem in error.problems]
        raise refusal(problems) from None


def field_of(path: Path) -> Path:
    """Where in S4's bodies that is which stands at `path` of a pipeline's configuration; else `path` itself."""
    match path:
        case ("extra", *_):
            return ("config",)
        case (str(role), int(place), *rest) if role in _ROLES:
            part: Path = ("config", _ROLES[role]) if place == 0 else ("config", role, place)
            if rest[:1] in (["type"], ["connector"]):
                return (*part, "name")
            return (*part, *(rest[1:] if rest[:1] == ["config"] else ["config", *rest]))
        case _:
            return path
