"""The shapes of `/_local/`, for the OpenAPI document. They may grow fields; none is ever taken away."""

from typing import Annotated, Any, Literal

from pydantic import Field

from conduit_local.core.keys import PREFIXES, Scope
from conduit_local.core.pipeline import State
from conduit_local.http.shape import Shape

Time = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-06-21T14:09:33.120Z"]})]


class EventShown(Shape):
    """An event with its payload."""

    event_id: str
    pipeline_id: str
    pipeline: str
    event_type: str
    received_at: Time
    payload: dict[str, Any]


class Delivery(Shape):
    """What became of an event on one route."""

    destination: str
    type: str
    status: Literal["delivered", "pending"]
    object_key: str | None
    delivered_at: Time | None
    run_id: str | None


class EventDetail(EventShown):
    """An event, and what became of it."""

    seq: int
    deliveries: list[Delivery]


class EventPage(Shape):
    """Events, the newest first."""

    data: list[EventShown]
    has_more: bool
    next_cursor: str | None


class NewEvent(Shape):
    """One event of a request."""

    event_type: str
    payload: dict[str, Any]


class EventsAccepted(Shape):
    """All of them are on disk."""

    accepted: int
    first_event_id: str
    last_event_id: str
    received_at: Time
    replayed: bool


class PipelineShown(Shape):
    """A pipeline with its whole configuration, secrets redacted."""

    id: str
    uuid: str
    name: str
    state: State
    managed_by: str | None
    created_at: Time
    updated_at: Time | None
    configuration: dict[str, Any]


class ColumnShown(Shape):
    """A column of the rows that land."""

    name: str
    kind: str
    """DuckDB's name of its type."""


class PipelineDetail(PipelineShown):
    """A pipeline, and what its transforms yield."""

    columns: list[ColumnShown] | None
    """Of the rows that land; null where events land as they are, or it cannot be told now."""
    columns_problem: str | None
    """Why it cannot be told."""


class PipelineList(Shape):
    """All pipelines."""

    data: list[PipelineShown]


class PipelineDeleted(Shape):
    """It is gone; what was accepted is still delivered."""

    id: str
    name: str
    deleted: Literal[True]


class Rates(Shape):
    """A sample a second, the oldest first: events in, events out, events pending."""

    data: list[Annotated[list[int], Field(min_length=3, max_length=3)]]


class LogLine(Shape):
    """A line of the appliance's log."""

    number: int
    at: Time
    level: str
    pipeline: str | None
    message: str


class LogLines(Shape):
    """Lines, the oldest first."""

    data: list[LogLine]


class KeyShown(Shape):
    """A key, without its secret."""

    id: str
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: Time
    last_used_at: Time | None
    revoked_at: Time | None


class KeyList(Shape):
    """All keys, revoked ones among them."""

    data: list[KeyShown]


class KeyWanted(Shape):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    prefix: Literal[PREFIXES] = PREFIXES[0]  # type: ignore[valid-type] # they stand once, in core.keys


class KeyMade(KeyShown):
    """A new key; its secret is shown this once."""

    secret: str


class Resealed(Shape):
    """How many records hold secrets that were sealed anew."""

    resealed: int


class ClockWanted(Shape):
    """One or more of these."""

    set: Time | None = None
    advance: Annotated[float, Field(ge=0)] | None = None
    freeze: bool | None = None


class ClockShown(Shape):
    """The time it is now."""

    now: Time


class Live(Shape):
    """Requests are answered."""

    status: Literal["live"]


class Ready(Shape):
    """Events are taken."""

    status: Literal["ready"]


class NotReady(Shape):
    """Events are refused, and why."""

    status: Literal["not ready"]
    reason: str


class FileProblem(Shape):
    """Something wrong in a configuration file."""

    file: str
    line: int | None
    field: str
    message: str


class Reloaded(Shape):
    """What a reload changed."""

    created: list[str]
    changed: list[str]
    deleted: list[str]
    problems: list[FileProblem]


class Report(Shape):
    """The settings, where each was set, the files and what is wrong with them."""

    folder: str
    settings: list[dict[str, Any]]
    restart_needed: bool
    files: list[dict[str, Any]]
    problems: list[FileProblem]
    read_at: Time | None


class Alarm(Shape):
    """What somebody should look at."""

    kind: Literal["dead_letters"]
    pipeline: str
    text: str


class Snapshot(Shape):
    """How everything stands."""

    appliance: dict[str, Any]
    time: Time
    store: dict[str, Any]
    configuration: dict[str, Any]
    totals: dict[str, Any]
    ledger_closes: bool
    alarms: list[Alarm]
    log_number: int
    pipelines: list[dict[str, Any]]
    departing: list[dict[str, Any]]


class ErrorSaid(Shape):
    """A stable code, a message for people, and each field that is wrong."""

    code: str
    message: str
    details: dict[str, str] = {}


class Failure(Shape):
    """What every refusal says."""

    error: ErrorSaid
