"""
Which pages may send to a pipe, and what tells their browser so. Pure.

Where a pipe has neither a list of origins nor lets in any, but needs a key, nothing is asked of an `Origin`: such a
request is one of a server, for no browser gets past the preflight.

Source: S3.8, S3.9.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from conduit_local.core.spec import AccessSpec, check_origin

VARY: Mapping[str, str] = MappingProxyType({"Vary": "Origin"})

_REMEMBERED = 1_024
_MAX_AGE_S = 600
_METHODS = "GET, POST"
_SENT = ("Content-Type", "Content-Encoding", "Idempotency-Key", "X-Idempotency-Key")
_SHOWN = "Idempotent-Replayed, Retry-After"
_PREFLIGHT_VARIES = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Rule:
    """What one version of a pipe's configuration says of origins; made once, asked by each request."""

    __slots__ = ("_any", "_listed", "access", "is_set")

    def __init__(self, access: AccessSpec) -> None:
        self.access = access
        self.is_set = access.allow_any_origin or bool(access.allowed_origins)
        """Whether it says anything."""
        self._any = access.allow_any_origin
        self._listed = frozenset(access.allowed_origins)

    def admits(self, origin: str) -> bool:
        """Whether pages from `origin` come in; `null`, and what is not http(s), never does."""
        if origin in self._listed:
            return True
        normal = normal_origin(origin)
        return normal is not None and (self._any or normal in self._listed)

    def preflight(self, asked: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
        """The status and headers that answer a preflight with these headers; its body is always empty (S3.9)."""
        varies = {"Vary": _PREFLIGHT_VARIES}
        origin = asked.get("Origin")
        if origin is None:
            return 400, varies
        if not self.admits(origin):
            return 403, varies
        sent = (*_SENT, "Authorization") if self.access.requires_api_key else _SENT
        allowed = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": ", ".join(sent),
            "Access-Control-Max-Age": str(_MAX_AGE_S),
        }
        if asked.get("Access-Control-Request-Private-Network", "").lower() == "true":
            allowed["Access-Control-Allow-Private-Network"] = "true"
        return 204, varies | allowed


@lru_cache(maxsize=_REMEMBERED)
def echo(origin: str) -> Mapping[str, str]:
    """What lets a page from there read the answer: its own origin, never `*`."""
    if normal_origin(origin) is None:
        return VARY
    allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _SHOWN}
    return MappingProxyType({**allowed, **VARY})


@lru_cache(maxsize=_REMEMBERED)
def normal_origin(origin: str) -> str | None:
    """An origin as the configuration has it, or None where it is none of http(s)."""
    try:
        return check_origin(origin)
    except ValueError:
        return None
