"""What sources need of the network; a part of `core.ports`, by subject."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.ports import SendFailed


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What a server answered."""

    status: int
    retry_after_s: float | None
    location: str | None
    """Where it points to instead."""
    next_url: str | None
    """What its `Link` header calls `next`, as a whole URL."""
    body: bytes
    """All of it, unpacked, where the status is 200; else its begin, made plain."""


class FetchRefused(SendFailed):
    """The guard allows no such address, or what is to be sent is no request: repeating is useless."""


class Fetcher(Protocol):
    """Fetches from elsewhere over HTTP, within what the guard allows."""

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Fetched:
        """
        Fetch once; follows no redirect.

        Shape:  a body of at most `max_bytes`, also unpacked; a longer one is not read to its end.
        Raises: FetchRefused, SendFailed.
        """
        ...
