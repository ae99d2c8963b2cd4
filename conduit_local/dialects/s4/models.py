"""The shapes of S4's bodies. Source: S4.1, S4.3, S4.5, S4.6, S4.7, S4.8."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool

from conduit_local.core.names import MAX_TITLE, check_title
from conduit_local.core.schedule import check_schedule
from conduit_local.http.shape import Shape

Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2024-01-15T10:00:00Z"]})]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Title = Annotated[
    str,
    AfterValidator(check_title),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_TITLE, "examples": ["HubSpot to BigQuery"]}),
]
Cron = Annotated[str, AfterValidator(check_schedule), Field(json_schema_extra={"examples": ["0 */6 * * *"]})]
Domain = Annotated[str, Field(min_length=1, max_length=200)]
Connector = Annotated[str, Field(min_length=1, max_length=100)]
ConfigName = Annotated[str, Field(max_length=200)]
Status = Literal["pending", "running", "success", "failed", "cancelled"]
Trigger = Literal["stream", "schedule", "manual", "drain", "replay"]


class _Body(Shape):
    model_config = ConfigDict(extra="forbid")


class _Open(Shape):
    model_config = ConfigDict(extra="allow")


class Source(_Open):
    """Where rows come from: `push` (events are sent over HTTP), or a connector with whatever settings it takes."""

    name: Connector


class Destination(_Open):
    """Where rows go: `files` with the settings of files, or a connector with whatever settings it takes."""

    name: Connector
    config: Any = None


class Config(_Open):
    """What is sealed at rest. Other fields are kept as they are given."""

    name: ConfigName = ""
    """Becomes the slug, where it can be one and is free."""
    source: Source = Source(name="push")
    destination: Destination = Destination(name="files")
    sources: Annotated[list[Source], Field(min_length=1)] = []
    """All of them, where there are several."""
    destinations: Annotated[list[Destination], Field(min_length=1)] = []
    """All of them, where there are several."""


class SourceChange(_Open):
    """Merged into the source; one of another name takes its place."""

    name: Connector = "-"


class DestinationChange(_Open):
    """Merged into the destination; one of another name takes its place."""

    name: Connector = "-"
    config: Any = None


class ConfigChange(_Open):
    """Merged into the config, mapping by mapping. Secrets that come back as `[redacted]`, or empty, stay."""

    name: ConfigName = ""
    """The slug stays."""
    source: SourceChange = SourceChange()
    destination: DestinationChange = DestinationChange()
    sources: Annotated[list[Source], Field(min_length=1)] = []
    destinations: Annotated[list[Destination], Field(min_length=1)] = []


class PipelineToCreate(_Body):
    """A pipeline that is to be."""

    name: Title
    """What people call it; need not be unique."""
    config: Config
    schedule: Cron | None = None
    """Five fields, in UTC; null: it delivers as events come."""
    enabled: StrictBool = True
    """False: it starts paused; events are accepted and kept."""
    domain_id: Domain | None = None
    """Any text; the domain is made on first use."""


class PipelineChange(_Body):
    """What is to change; the rest stays."""

    name: Title = "-"
    config: ConfigChange = ConfigChange()
    schedule: Cron | None = None
    """Null: none any more."""
    enabled: StrictBool = True
    domain_id: Domain | None = None
    """Null: none any more."""


class PipelineCopy(_Body):
    """What the copy is called."""

    name: Title | None = None
    """`<name> (Copy)` where it is left out."""


class PipelineShown(_Body):
    """A pipeline, without its config."""

    id: Uuid
    name: str
    schedule: str | None
    enabled: bool
    domain_id: str | None
    created_at: Time
    updated_at: Time | None


class ConfigShown(_Open):
    """
    The config: to a key with `admin` as it was given, to others with `[redacted]` for secrets, which also stands for
    what is sealed under a key that is not here.
    """

    name: str
    source: Source
    destination: Destination


class PipelineDetail(_Body):
    """A pipeline with its config."""

    id: Uuid
    name: str
    config: ConfigShown
    schedule: str | None
    enabled: bool
    domain_id: str | None
    created_at: Time
    updated_at: Time | None


class ListedPipeline(_Body):
    """A pipeline in a list."""

    id: Uuid
    name: str
    schedule: str | None
    enabled: bool
    domain_id: str | None
    domain_name: str | None
    last_run_status: Status | None
    last_run_at: Time | None
    created_at: Time


class RunToBegin(_Body):
    """What a run is asked for; the body may be left out."""

    full_refresh: StrictBool | None = None
    """Deliver everything that is still kept once more, under keys of this run."""
    dry_run: StrictBool | None = None
    """Look only."""
    variables: dict[str, str] | None = None


class RunQueued(_Body):
    """A run that waits."""

    id: Uuid
    pipeline_id: Uuid
    status: Literal["pending"]
    triggered_by: Literal["manual"]
    created_at: Time


class RunShown(_Body):
    """A run."""

    id: Uuid
    pipeline_id: Uuid
    status: Status
    triggered_by: Trigger
    started_at: Time | None
    finished_at: Time | None
    error: str | None
    created_at: Time


class RunDetail(RunShown):
    """A run, with what it has written."""

    output_file: str | None
    """The object's key; of several objects, the name of the zip that they are downloaded as."""
    output_file_size: Annotated[int, Field(ge=0)] | None
    """Bytes of the objects."""


class RunLogs(_Body):
    """The last lines of a run's log."""

    logs: str
    """Lines like `2024-01-15 16:00:00 INFO Starting pipeline...`."""


class RunCancelled(_Body):
    """It has ended."""

    status: Literal["cancelled"]


class DomainShown(_Body):
    """A domain."""

    id: str
    name: str


class DomainName(_Body):
    """What a domain is called."""

    name: Title


class ErrorSaid(_Body):
    """A stable code, and a message for people."""

    code: str
    message: str


class Failure(_Body):
    """What every refusal says."""

    error: ErrorSaid
