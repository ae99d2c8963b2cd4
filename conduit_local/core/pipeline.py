"""A pipeline: what events are sent to."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NewType

from conduit_local.core.errors import ManagedByFile, PreconditionFailed
from conduit_local.core.spec import PipelineSpec

PipelineNumber = NewType("PipelineNumber", int)
"""The store's number of a pipeline: 1, 2, 3, …; never given twice."""


class State(StrEnum):
    """What a pipeline was told to do; survives a restart."""

    ACTIVE = "active"
    PAUSED = "paused"
    DRAINING = "draining"
    STOPPED = "stopped"

    @property
    def accepts(self) -> bool:
        """Whether new events are taken."""
        return self is State.ACTIVE or self is State.PAUSED


class Health(StrEnum):
    """How a route fares; a pipeline is as well as the worst of its routes."""

    OK = "ok"
    RETRYING = "retrying"
    BLOCKED = "blocked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """A pipeline as the catalog has it."""

    number: PipelineNumber
    id: str
    uuid: str
    folder: str
    """What its object keys begin with: the name it was made with."""
    state: State
    spec: PipelineSpec
    managed_by: str | None
    """The file that defines it, relative to the configuration folder; None when an API made it."""
    created_at_us: int
    updated_at_us: int | None
    first_seq: int
    """Its numbering begins here: 1, or behind that of an earlier pipeline with the same folder."""
    deleted: bool = False
    revision: int = 1
    """Counts its changes."""

    @property
    def name(self) -> str:
        """The unique name."""
        return self.spec.name

    @property
    def etag(self) -> str:
        """Tells this version from every other (RFC 9110, 8.8.3), quotes included."""
        return f'"{self.uuid[:8]}-{self.revision}"'

    def changed(self, at_us: int, **fields: Any) -> "Pipeline":
        """The next version, with these fields."""
        return replace(self, updated_at_us=at_us, revision=self.revision + 1, **fields)

    def require_changeable(self, if_match: str | None, managed_by: str | None) -> None:
        """Raises: PreconditionFailed, ManagedByFile."""
        self.require_match(if_match)
        self.require_managed_by(managed_by)

    def require_managed_by(self, asking: str | None) -> None:
        """Raises: ManagedByFile where it is defined in a file, and `asking` (a file, or None for an API) is none."""
        if self.managed_by is not None and asking is None:
            raise ManagedByFile(f"the pipeline {self.name!r} is defined in {self.managed_by}; change it there")

    def require_match(self, if_match: str | None) -> None:
        """Raises: PreconditionFailed unless `if_match` (an `If-Match` header, or None) names this version."""
        if if_match is None or if_match.strip() == "*":
            return
        if self.etag not in [tag.strip().removeprefix("W/") for tag in if_match.split(",")]:
            raise PreconditionFailed(f"the pipeline {self.name!r} has changed meanwhile: it is now {self.etag}")
