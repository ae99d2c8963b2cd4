"""The shapes of S1's bodies, for the OpenAPI document. Source: S1.1, S1.2, S1.3, S1.4, S1.6."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from conduit_local.core.spec import AccessSpec, BatchSpec, EnrichSpec, LimitsSpec, RetrySpec
from conduit_local.http.shape import Shape

Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-02-15T06:00:00Z"]})]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["user-analytics"])]
Cron = Annotated[str, Field(max_length=200, examples=["0 */6 * * *"])]
Zone = Annotated[str, Field(examples=["UTC", "Europe/Berlin"])]
Status = Literal["active", "paused", "error"]
RunStatus = Literal["running", "success", "failed", "cancelled"]


class _Body(Shape):
    model_config = ConfigDict(extra="forbid")


class Component(Shape):
    """A source, transform or destination: `type` says which; the settings are those of that type."""

    model_config = ConfigDict(extra="allow")

    type: str


class LastRun(_Body):
    """The newest run."""

    id: str
    status: RunStatus
    started_at: Time
    duration_ms: Count | None
    """Null until it has ended."""
    rows_loaded: Count


class ListedPipeline(_Body):
    """A pipeline in a list."""

    name: str
    version: str
    status: Status
    """`error`: it is active, and a destination does not take what it is given."""
    schedule: str | None
    """Null: it delivers as events come."""
    last_run: LastRun | None
    next_run_at: Time | None


class PipelineDetails(ListedPipeline):
    """A pipeline with its whole configuration, secrets redacted; it can be sent back by `PUT`."""

    sources: list[Component]
    transforms: list[Component]
    destinations: list[Component]
    id: str
    title: str | None
    domain: str | None
    timezone: Zone
    batch: BatchSpec
    retry: RetrySpec
    limits: LimitsSpec
    access: AccessSpec
    enrich: EnrichSpec
    idempotency: Literal["replay", "strict"]
    variables: dict[str, str | None]
    extra: dict[str, Any] | str | None
    """What another API was given beyond this; a text where it is sealed under a key that is not here."""


class PipelineShown(_Body):
    """One pipeline."""

    data: PipelineDetails


class Meta(_Body):
    """Where a page stands."""

    total: Count
    page: Annotated[int, Field(ge=1)]
    per_page: Annotated[int, Field(ge=1, le=100)]


class PipelineList(_Body):
    """A page of pipelines, in the order in which they were made."""

    data: list[ListedPipeline]
    meta: Meta


class PipelineChange(_Body):
    """A definition, as in a pipeline file. What is left out has its default."""

    version: str | float = "1.0"
    sources: list[Component] = []
    transforms: list[Component] = []
    destinations: Annotated[list[Component], Field(min_length=1)] = [Component(type="files")]
    schedule: Cron | None = None
    """Five fields, in `timezone`; null: it delivers as events come."""
    status: Status | None = None
    """`paused` or `active` where it is to become that; `error`, as it may be shown, says nothing."""
    title: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    domain: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    timezone: Zone = "UTC"
    batch: BatchSpec = BatchSpec()
    retry: RetrySpec = RetrySpec()
    limits: LimitsSpec = LimitsSpec()
    access: AccessSpec = AccessSpec()
    enrich: EnrichSpec = EnrichSpec()
    idempotency: Literal["replay", "strict"] = "replay"
    variables: Annotated[dict[str, str | None], Field(max_length=100)] = {}
    """What `${NAME}` stands for in sources and transforms; null: each run must say."""
    extra: dict[str, Any] | None = None
    id: str | None = None
    name: Name = ""
    """That of the path."""
    last_run: Any = None
    """As it is shown; passed over."""
    next_run_at: Any = None
    """As it is shown; passed over."""
    tests: Any = None
    """As in a pipeline file; passed over."""


class PipelineToCreate(PipelineChange):
    """A definition, as in a pipeline file. What is left out has its default."""

    name: Name
    """Unique; what the paths call it."""
    id: Annotated[str, Field(pattern=r"^pl_[a-z0-9]{1,32}$")] | None = None
    """Made when left out."""


class RunToStart(_Body):
    """What a run is asked for."""

    full_refresh: bool | None = None
    """Deliver everything that is still kept once more."""
    dry_run: bool | None = None
    """Look only: nothing is written or moved."""
    variables: dict[str, str] | None = None
    """Override `${NAME}` in the configuration for this run."""


class Progress(_Body):
    """How far a run is."""

    stage: Literal["extract", "transform", "load"]
    """`transform` while a batch is in the hands of the transforms; then `load` again, batch by batch."""
    rows_processed: Count
    """While sources are read: what they brought. Then events that are through, at all destinations together."""


class StartedRunDetails(_Body):
    """A run that has begun, or begins as soon as no other is under way."""

    id: str
    pipeline: str
    status: RunStatus
    started_at: Time
    """When it began; for a run that waits, when it was asked for."""
    progress: Progress


class StartedRun(_Body):
    """The run that was asked for."""

    data: StartedRunDetails


class RunDetails(StartedRunDetails):
    """A run, and what became of it."""

    finished_at: Time | None
    duration_ms: Count | None
    rows_loaded: Count
    error: str | None
    """What it failed with, or what its last attempt failed with so far."""
    trigger: Literal["stream", "schedule", "manual", "drain", "replay"]
    dry_run: bool
    full_refresh: bool


class RunShown(_Body):
    """One run."""

    data: RunDetails


class RunList(_Body):
    """A page of runs, the newest first."""

    data: list[RunDetails]
    meta: Meta


class ErrorSaid(_Body):
    """A stable code, and a message for people."""

    code: str
    message: str
    details: dict[str, str] = {}
    """A text for each field that is wrong, by its dotted path."""


class Failure(_Body):
    """What every refusal says."""

    error: ErrorSaid
