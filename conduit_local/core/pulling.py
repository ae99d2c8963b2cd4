"""What the engine needs of sources that it pulls from; a part of `core.ports`, by subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from conduit_local.core.event import NewEvents
from conduit_local.core.problems import Problem
from conduit_local.core.spec import Component, PipelineSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Poison:
    """A piece of input that is no event, and never will be as it stands: a dead letter of the stage `extract`."""

    origin: str
    """Where it was found, for people: `inbox/a.jsonl:17`."""
    error: str
    """What is wrong with it."""
    content: bytes
    """The piece itself, or its first 262,144 bytes."""
    event_type: str = "record"
    """What an event made of it would have been called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    """
    What one look at a source brought.

    Shape: at most 10,000 events, and as few bytes as `NewEvents` of one request; maybe none of either.
    """

    events: NewEvents | None
    cursor: str
    """Where to go on; kept in the same commit as the events. What it says is the source's own business."""
    poison: Sequence[Poison] = ()
    more: bool = False
    """Whether there is more to be had at once."""
    notes: Sequence[str] = field(default_factory=tuple)
    """What people should know: a file that was replaced, a file that was skipped."""


class SourceFailed(Exception):
    """
    A source could not be read. Nothing was moved; the same look is repeated later, not before `retry_after_s`.

    `needs_person` is true where waiting alone will not help: no such folder, 401, a records path that is not there.
    """

    def __init__(self, message: str, *, needs_person: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.needs_person = needs_person
        self.retry_after_s = retry_after_s


class Source(Protocol):
    """Where events come from that nobody sends. Made for one pipeline, used by it alone, one look at a time."""

    async def pull(self, cursor: str | None, most: int) -> Pulled:
        """
        What stands behind `cursor` (None: from the beginning), `most` events at most.

        Order:  the same cursor gives the same events, as long as what is read did not change; nothing is remembered
                between calls that the cursor does not say, so that a crash before the commit costs nothing.
        Raises: SourceFailed.
        """
        ...

    async def wait(self) -> None:
        """Return when there may be something new; at once is allowed. Cancelled when the pipeline does not need it."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class Sources(Protocol):
    """Makes sources out of their settings."""

    def make(self, spec: Component, variables: Mapping[str, str] | None = None) -> Source:
        """The source that `spec` describes, `${NAME}` replaced in it; one that fails where it cannot be had here."""
        ...

    def refused(self, spec: PipelineSpec) -> list[Problem]:
        """What a configuration file may have, but a pipeline that is made through an API may not."""
        ...

    def unreachable(self, spec: PipelineSpec, variables: Mapping[str, str] | None = None) -> list[Problem]:
        """Addresses that may not be read from, as far as that shows without asking the network."""
        ...

    def pulled(self, spec: PipelineSpec) -> dict[str, Component]:
        """The sources that are pulled from, by the name under which their cursors are kept; without `push`."""
        ...
