"""
What the engine needs from the world; more of it by subject in `catalog`, `log`, `pulling`, `transforming`,
`delivering`. One implementation of each stands above; a contract suite in `tests/` runs over every one of them.

Three rules keep a distributed log possible behind `Log` later: no operation spans `Log` and `Catalog`, the bell
carries no truth, and nobody reads another part's memory.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from conduit_local.core.pipeline import PipelineNumber


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a receiver on the network said."""

    status: int
    retry_after_s: float | None
    excerpt: str
    """The begin of its body, made plain."""
    body: bytes = field(default=b"", compare=False)
    """The first 4,096 bytes of its body at most, as they came."""
    broken: bool = field(default=False, compare=False)
    """Whether the body broke off before its end."""


class Sender(Protocol):
    """Sends to elsewhere over HTTP, within what the guard allows."""

    async def check(self, url: str) -> None:
        """Raises: ValueError, saying why nothing may be sent there."""
        ...

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes | Sequence[bytes], timeout_s: float
    ) -> Answered:
        """
        Send once; follows no redirect. A body in pieces is sent piece by piece, and nowhere put together.

        Raises: SendFailed; FetchRefused, one of them, where the guard refuses.
        """
        ...


class SendFailed(Exception):
    """
    Nobody answered; `message` says why, without what the URL may hide in its query. `unsent` is true where there was
    nobody to send it to.
    """

    def __init__(self, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.unsent = unsent


class Clock(Protocol):
    """The one source of time."""

    def now_us(self) -> int:
        """The time of day, microseconds since 1970 in UTC. May jump."""
        ...

    def steady_us(self) -> int:
        """The same scale, but never jumps while the process runs: for what expires."""
        ...

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        """
        Return True when `until` is done (None never is), or False when that much steady time has passed first
        (None: for ever). `until` is cancelled when the wait ends without it.
        """
        ...


class Bell(Protocol):
    """Tells a pipeline's routes that there may be something to do. A hint: the log is the truth."""

    def ring(self, pipeline: PipelineNumber) -> None:
        """Wake all that wait for this pipeline."""
        ...

    def heard(self, pipeline: PipelineNumber) -> int:
        """How often it was rung. Ask before looking, so that a ring between looking and waiting is not missed."""
        ...

    async def wait(self, pipeline: PipelineNumber, heard: int, seconds: float | None) -> None:
        """Return when the bell was rung more than `heard` times, or after `seconds` (None: for ever)."""
        ...
