"""The shapes of destinations in `/_local/`, for the OpenAPI document."""

from typing import Any

from conduit_local.control.models import Time
from conduit_local.core.pipeline import Health
from conduit_local.http.shape import Shape


class DestinationShown(Shape):
    """A destination of a pipeline, and how it is."""

    name: str
    type: str
    title: str | None
    settings: dict[str, Any]
    """Secrets redacted."""
    paused: bool
    retiring: bool
    """Whether it is no longer in the configuration, and delivers what it was left with."""
    health: Health
    message: str | None
    """Why it is not well."""
    attempt: int
    in_flight: int
    """Batches on their way."""
    last_object: str | None
    last_written_at: Time | None


class DestinationList(Shape):
    """In the order of the configuration."""

    data: list[DestinationShown]


class FindingShown(Shape):
    """One thing that was tried."""

    step: str
    ok: bool | None
    """Null: it works, and people should know how."""
    message: str


class DestinationTested(Shape):
    """What came of trying a destination out."""

    destination: str
    type: str
    ok: bool
    findings: list[FindingShown]
    """In the order of the steps; after one that fails no more is tried."""
