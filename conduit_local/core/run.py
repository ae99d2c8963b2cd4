"""A run: one execution on a pipeline, of one or more batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from conduit_local.core.ids import run_id
from conduit_local.core.pipeline import PipelineNumber


class Trigger(StrEnum):
    """What began a run."""

    STREAM = "stream"
    SCHEDULE = "schedule"
    MANUAL = "manual"
    DRAIN = "drain"
    REPLAY = "replay"


class RunState(StrEnum):
    """How far a run is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self not in {RunState.PENDING, RunState.RUNNING}


class RunStage(StrEnum):
    """What a run is at."""

    EXTRACT = "extract"
    """Its pipeline's sources are read to their end."""
    TRANSFORM = "transform"
    LOAD = "load"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What a run is asked for."""

    full_refresh: bool = False
    """Deliver everything that is still kept once more, under keys of this run."""
    dry_run: bool = False
    """Look only: nothing is written or moved."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Override `${NAME}` in the configuration for this run. Each value as `Texts.of_secret`: it may be one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """
    A run as the catalog has it.

    A `stream` run is one batch on one route; the others cover every route up to `through_seq`, which is known once
    they start. At most one of these is under way on a pipeline, flushes and drains aside; the rest is `pending`.
    """

    number: int
    pipeline: PipelineNumber
    trigger: Trigger
    state: RunState
    stage: RunStage = RunStage.LOAD
    route: str | None = None
    through_seq: int
    created_at_us: int
    started_at_us: int | None
    finished_at_us: int | None = None
    extracted: int = 0
    """Events that sources brought for it."""
    events: int = 0
    """Events in its batches, those that were filtered out or died among them."""
    rows: int = 0
    """Rows that landed."""
    filtered: int = 0
    """Events that yielded no row of their own: `events - dead - rows`, where that is more than 0."""
    dead: int = 0
    size_bytes: int = 0
    """Bytes of the objects."""
    batches: int = 0
    attempts: int = 0
    object_key: str | None = None
    """The newest object."""
    error: str | None = None
    """What the last attempt failed with, until one succeeds; or why the run failed."""
    options: RunOptions = RunOptions()

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
