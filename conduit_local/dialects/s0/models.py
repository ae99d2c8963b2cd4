"""The shapes of S0's bodies, for the OpenAPI document. Source: S0.3, S0.6, S0.7, S0.8, S0.9, S0.10."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from conduit_local.core.event import MAX_KEY_LENGTH, MAX_TYPE_LENGTH
from conduit_local.core.spec import MAX_BATCH_EVENTS
from conduit_local.http.shape import Shape

_TIME = {"format": "date-time", "examples": ["2026-06-21T14:09:33Z"]}

Time = Annotated[str, Field(json_schema_extra=_TIME)]
EventType = Annotated[
    str,
    Field(max_length=MAX_TYPE_LENGTH, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", examples=["order.created"]),
]


class _Body(Shape):
    model_config = ConfigDict(extra="forbid")


class EventToCreate(Shape):
    """One event for one pipeline."""

    pipeline_id: str
    """The pipeline's id, UUID or name; echoed as sent."""
    event_type: EventType
    """Dot-namespaced."""
    payload: dict[str, Any]
    """At most 262,144 bytes and 100 levels."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=MAX_KEY_LENGTH)] | None = None
    """Repeated within 24 hours, it returns the first result."""


class EventCreated(_Body):
    """What was accepted: it is on disk."""

    event_id: str
    pipeline_id: str
    event_type: str
    status: Literal["accepted"]
    received_at: Time


class ListedEvent(_Body):
    """An event in a list."""

    event_id: str
    pipeline_id: str
    event_type: str
    received_at: Time
    payload: dict[str, Any] = Field(default_factory=dict)
    """With `include=payload` only (ours)."""


class EventList(_Body):
    """A page of events, the newest first; the oldest first with `order=oldest` (ours)."""

    data: list[ListedEvent]
    has_more: bool
    next_cursor: str | None


class EventDelivery(_Body):
    """What became of an event on one route."""

    destination: str
    type: str
    status: Literal["delivered", "pending"]
    object_key: str | None
    delivered_at: Time | None
    run_id: str | None


class EventShown(ListedEvent):
    """An event with its payload, and what became of it."""

    payload: dict[str, Any]
    deliveries: list[EventDelivery]


class PipelineShown(_Body):
    """A pipeline, with resolved values."""

    id: str
    name: str
    status: Literal["active", "paused", "draining"]
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_EVENTS)]
    created_at: Time


class PipelineList(_Body):
    """A page of pipelines, the newest first."""

    data: list[PipelineShown]
    has_more: bool
    next_cursor: str | None


class PipelineToCreate(Shape):
    """A pipeline's configuration; `batch_size` stands for `batch.max_events`. The rest is as in a pipeline file."""

    model_config = ConfigDict(extra="allow")

    name: str
    """Unique: lowercase letters, digits, `_` and `-`."""
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_EVENTS)] = 1_000


class PipelineChange(_Body):
    """What is to change; one field at least."""

    name: str = ""
    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH_EVENTS)] = 1_000
    status: Literal["active", "paused", "draining"] | None = None


class PipelineDeleted(_Body):
    """It is gone."""

    id: str
    deleted: Literal[True]


class ErrorSaid(_Body):
    """A stable code, and a message for people."""

    code: str
    message: str


class Failure(_Body):
    """What every refusal says."""

    error: ErrorSaid
