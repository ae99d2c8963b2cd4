"""What each operation takes, and the options of all. Source: S2.1, S2.5."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictInt

from conduit_local.core.event import MAX_EVENTS_PER_REQUEST, MAX_KEY_LENGTH
from conduit_local.core.names import MAX_TITLE, check_title
from conduit_local.core.spec import MAX_BATCH_EVENTS
from conduit_local.core.times import parse_rfc3339
from conduit_local.http.shape import Shape

DEFAULT_TYPE = "event"


def _time(text: str | None) -> str | None:
    if text is not None:
        try:
            parse_rfc3339(text)
        except (ValueError, OverflowError):
            raise ValueError("must be a time like 2026-06-21T14:09:33Z") from None
    return text


class Parameters(Shape):
    """What is not known here is refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Options(Parameters):
    """How an operation is carried out."""

    timeout: Annotated[StrictInt, Field(ge=1, le=600_000, examples=[30_000])] | None = None
    """Milliseconds until TIMEOUT; without it, as long as it takes."""
    retries: Annotated[StrictInt, Field(ge=0, le=10)] = 0
    """How often it is tried again while the appliance cannot take it."""


class Create(Parameters):
    """A pipeline to make; it is active at once."""

    name: Annotated[str, AfterValidator(check_title), Field(min_length=1, max_length=MAX_TITLE, examples=["orders"])]
    """Unique. What is more than lowercase letters, digits, `_` and `-` becomes the title, and a name is made of it."""
    sql: str | None = None
    """A query over the table `events`, whose rows land in the events' place; without one the events do."""
    batch_size: Annotated[StrictInt, Field(ge=1, le=MAX_BATCH_EVENTS)] | None = None
    """Events in a batch; 1,000 when left out."""
    schedule: Annotated[str, Field(examples=["0 */6 * * *"])] | None = None
    """A cron line in UTC: it collects, and delivers then. Without one it delivers all the time."""
    sources: list[dict[str, Any]] | None = None
    """As in a pipeline file; events can always be sent."""
    destinations: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    """As in a pipeline file; files in the data folder when left out."""


class OfPipeline(Parameters):
    """Which pipeline."""

    pipeline: str
    """Its id or name."""


class Ingest(OfPipeline):
    """One event, or several; all are accepted, or none."""

    event: dict[str, Any] | None = None
    """Any object, at most 262,144 bytes and 100 levels."""
    events: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_EVENTS_PER_REQUEST)] | None = None
    """Instead of `event`."""
    event_type: Annotated[str, Field(min_length=1, max_length=255)] = DEFAULT_TYPE
    """Dot-namespaced."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_LENGTH)] | None = None
    """Or the header `X-Idempotency-Key`. Repeated within 24 hours, it returns the first result."""


class Transform(OfPipeline):
    """A new query, in the place of the one that there is; other transforms of the pipeline stay."""

    sql: str
    """In DuckDB's SQL, over `events (event_id, pipeline_id, event_type, received_at, payload)`."""


class Monitor(Parameters):
    """Whose figures, and over which time."""

    pipeline: str | None = None
    """Its id or name; all pipelines when left out."""
    window_s: Annotated[StrictInt, Field(ge=1, le=600)] = 60


class Logs(OfPipeline):
    """Which lines."""

    limit: Annotated[StrictInt, Field(ge=1, le=1_000)] = 100
    level: Literal["debug", "info", "warning", "error"] = "info"
    """This, and what is worse."""
    since: Annotated[str, AfterValidator(_time), Field(json_schema_extra={"format": "date-time"})] | None = None
    """From then on."""


class Describe(Parameters):
    """Which pipeline; all when left out."""

    pipeline: str | None = None
    """Its id or name."""
