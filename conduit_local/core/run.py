"""A run: one execution on a pipeline, of one or more batches."""

from dataclasses import dataclass
from enum import StrEnum

from conduit_local.core.ids import run_id
from conduit_local.core.pipeline import PipelineNumber


class Trigger(StrEnum):
    """What began a run."""

    STREAM = "stream"
    MANUAL = "manual"
    DRAIN = "drain"


class RunState(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    SUCCESS = "success"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """
    A run as the catalog has it.

    A `stream` run is one batch on one route; a `manual` (flush) or `drain` run covers every route up to
    `through_seq`.
    """

    number: int
    pipeline: PipelineNumber
    trigger: Trigger
    state: RunState
    route: str | None = None
    through_seq: int
    started_at_us: int
    finished_at_us: int | None = None
    rows: int = 0
    size_bytes: int = 0
    """Bytes of the objects."""
    batches: int = 0
    attempts: int = 0
    object_key: str | None = None
    """The newest object."""
    error: str | None = None
    """What the last attempt failed with, until one succeeds."""

    @property
    def id(self) -> str:
        """The public id."""
        return run_id(self.number)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """One line of a run's log."""

    at_us: int
    level: str
    message: str
