"""HTTP headers: those that people give, whose values are secrets, and those that appliances know each other by."""

import re
from collections.abc import Collection
from typing import Any

from conduit_local.core.secrets import REDACTED, SecretMap

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "upgrade"})
"""What a request is laid out with."""


ORIGIN, RANGE = "Conduit-Origin", "Conduit-Range"
"""With events that one appliance forwards to another: its route, for ever, and what it calls them, as `101-200`."""


class HeaderMap(SecretMap):
    """Headers: every value is shown as a secret."""

    __slots__ = ()

    def _redacted(self) -> Any:
        return REDACTED if self.text is None else dict.fromkeys(self.value, REDACTED)


def check_header(name: str, value: object, ours: Collection[str] = ()) -> None:
    """Raises: ValueError, without the value, unless it can be sent; `ours`, in lowercase, are further names taken."""
    if not isinstance(value, str):
        raise ValueError(f"headers: {name[:80]!r} must be text")
    if not _HEADER.fullmatch(name) or name.lower() in _OURS or name.lower() in ours:
        raise ValueError(f"headers: {name[:80]!r} is no header that can be set")
    if any(char < " " or char == "\x7f" for char in value) or not value.isascii():
        raise ValueError(f"headers: the value of {name!r} must be visible ASCII")
