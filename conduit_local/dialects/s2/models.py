"""The shapes of S2's bodies. Source: S2.1, S2.2, S2.5, S2.6. What an operation takes is in `parameters.py`."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from conduit_local.core.pipeline import Health, State
from conduit_local.core.webhook import NoticeKind, TellingState
from conduit_local.http.shape import Shape

Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2025-01-01T12:00:00Z"]})]
Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0)]
D = TypeVar("D")


class _Said(Shape):
    model_config = ConfigDict(extra="forbid")


# The envelope ------------------------------------------------------------------------------------------------


class Meta(_Said):
    """What a refusal says of itself."""

    request_id: Annotated[str, Field(alias="requestId")]
    """`X-Request-ID` as it was sent, or one of ours: `req_…`."""
    timestamp: Time


class TimedMeta(Meta):
    """What an answer says of itself."""

    duration: Count
    """Milliseconds."""


class Success(_Said, Generic[D]):
    """What was asked for."""

    success: Literal[True]
    data: D
    meta: TimedMeta


class ErrorSaid(_Said):
    """What went wrong."""

    code: Literal[
        "VALIDATION_ERROR",
        "AUTHENTICATION_ERROR",
        "AUTHORIZATION_ERROR",
        "NOT_FOUND",
        "RATE_LIMIT_EXCEEDED",
        "TIMEOUT",
        "INTERNAL_ERROR",
    ]
    message: str
    details: dict[str, str]
    """What is wrong with each field; may be empty."""


class Failure(_Said):
    """What every refusal says."""

    success: Literal[False]
    error: ErrorSaid
    meta: Meta


# What operations answer --------------------------------------------------------------------------------------


class PipelineNamed(_Said):
    """Which pipeline."""

    id: str
    name: str


class PipelineShown(PipelineNamed):
    """A pipeline; secrets in it read `[redacted]`."""

    title: str | None
    """The name it was created with, where that could not be its unique name."""
    status: State
    health: Health
    message: str | None
    """Why it is not well."""
    schedule: str | None
    next_run_at: Time | None
    batch_size: Annotated[int, Field(ge=1)]
    sources: list[dict[str, Any]]
    transforms: list[dict[str, Any]]
    destinations: list[dict[str, Any]]
    pending: Count
    """Events that its slowest destination has not got yet."""
    created_at: Time
    updated_at: Time | None


class PipelineList(_Said):
    """All pipelines, the oldest first."""

    pipelines: list[PipelineShown]


class PipelineDeleted(PipelineNamed):
    """It is gone; what was accepted is still delivered."""

    deleted: Literal[True]


class Ingested(_Said):
    """What was accepted: it is on disk."""

    accepted: Annotated[int, Field(ge=1)]
    event_ids: Annotated[list[str], Field(alias="eventIds")]
    """In the order of the events."""


class Throughput(_Said):
    """Events over the window; a second that is not over yet is not in it."""

    in_per_s: Annotated[float, Field(ge=0)]
    out_per_s: Annotated[float, Field(ge=0)]
    accepted: Count
    delivered: Count
    """By the slowest destination; what a transform left out, or what died, is off its hands and counts, too."""


class Errors(_Said):
    """Attempts to deliver that failed in the window, and events that died in it: each is a dead letter."""

    count: Count
    per_minute: Annotated[float, Field(ge=0)]


class Percentiles(_Said):
    """Milliseconds; null where there was nothing to measure."""

    p50: Milliseconds | None
    p95: Milliseconds | None
    p99: Milliseconds | None


class Latency(_Said):
    """How long things took, of the newest 4,096 a pipeline."""

    accept_ms: Percentiles
    """From a request with events to their being on disk."""
    delivery_ms: Percentiles
    """From the receipt of a batch's first event to its delivery."""


class Monitored(_Said):
    """A pipeline's figures, or those of all together."""

    pipeline: PipelineNamed | None
    window_s: Annotated[int, Field(ge=1, le=600)]
    measured_s: Annotated[float, Field(ge=0)]
    """How much of the window was measured: less where the pipeline or the appliance is younger."""
    throughput: Throughput
    errors: Errors
    latency: Latency
    pending: Count


class LogLine(_Said):
    """A line of the log."""

    timestamp: Time
    level: str
    message: str
    run_id: Annotated[str | None, Field(alias="runId")]
    """The run in whose log it stands; null for what is not about a run."""


class Logs(_Said):
    """The newest lines, the oldest of them first."""

    logs: list[LogLine]


# Webhooks ----------------------------------------------------------------------------------------------------

Url = Annotated[str, Field(min_length=1, max_length=2_048, examples=["https://your-app.com/webhook"])]
Events = Annotated[list[NoticeKind], Field(min_length=1, max_length=100)]


class WebhookToCreate(_Said):
    """A subscription."""

    url: Url
    """http or https; not in a private network, unless the settings allow it."""
    events: Events
    secret: Annotated[str, Field(max_length=200, examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])] | None = None
    """`whsec_` and the base64 of 24 to 64 bytes; made when left out."""


class WebhookShown(_Said):
    """A webhook, without its secret."""

    id: str
    url: str
    events: list[NoticeKind]
    created_at: Time
    error: str | None
    """Why nothing can be sent to it."""


class WebhookCreated(_Said):
    """A new webhook."""

    id: str
    url: str
    events: list[NoticeKind]
    secret: str
    """Signs what is sent; shown this once."""
    created_at: Time


class WebhookList(_Said):
    """All webhooks, the oldest first."""

    webhooks: list[WebhookShown]


class WebhookDeleted(_Said):
    """It is told nothing more."""

    id: str
    deleted: Literal[True]


class Delivery(_Said):
    """One notice on its way to a webhook."""

    id: str
    """Also the `webhook-id` header, in every attempt."""
    event: NoticeKind
    status: TellingState
    attempts: Count
    response_status: int | None
    """What the receiver answered last."""
    error: str | None
    """What the last attempt failed with."""
    attempted_at: Time | None
    next_attempt_at: Time | None
    ended_at: Time | None
    """When it was delivered, or given up."""
    payload: dict[str, Any]
    """What is sent; fixed once it was attempted."""


class DeliveryList(_Said):
    """A page of deliveries, the newest first."""

    deliveries: list[Delivery]
    has_more: bool
    next_cursor: str | None
