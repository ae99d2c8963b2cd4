"""
A pipeline's configuration, as people write it in a file or through an API.

What kinds of sources, transforms and destinations there are is not known here: `kinds.spec_model` makes the full
model out of those that the floors above have.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from conduit_local.core.retry import Backoff
from conduit_local.core.times import parse_duration


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _text(value: object) -> object:
    """`version: 1.0` is a number in YAML; people mean the text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _no_schedule(value: object) -> None:
    if value is not None:
        raise ValueError("this version has no schedules yet; leave it out, and the pipeline streams")


def _no_timezone(value: object) -> object:
    if value != "UTC":
        raise ValueError("a time zone belongs to a schedule, and this version has none yet; leave it out, or write UTC")
    return value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": ["string", "number"], "examples": ["500ms", "5s", "2m", "1h", "7d"]}),
]
"""Seconds; written `500ms`, `5s`, `2m`, or as a number of seconds."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.IGNORECASE)
_SIZE_UNITS = {
    **dict(zip(("b", "kb", "mb", "gb", "tb"), (1000**power for power in range(5)), strict=True)),
    **dict(zip(("kib", "mib", "gib", "tib"), (1024**power for power in range(1, 5)), strict=True)),
}


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if not found:
        raise ValueError("a size is bytes with a unit: 64KiB, 8MiB, 1GiB")
    return int(float(found[1]) * _SIZE_UNITS[found[2].lower()])


Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["64KiB", "8MiB", "1GiB", 8388608]}),
]
"""Bytes; written `64KiB`, `8MiB`, or as a number."""


MAX_BATCH_EVENTS = 100_000


class Part(BaseModel):
    """What every piece of a configuration has in common: nothing unknown passes, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Component(Part):
    """A source, transform or destination: `type` says which."""

    type: str


class DestinationSpec(Component):
    """Where a route lands events."""

    name: str = ""
    """Names the route within its pipeline; the type when left out, with a number where types repeat."""


class BatchSpec(Part):
    """When a batch closes: at whichever of these comes first."""

    max_events: Annotated[int, Field(ge=1, le=MAX_BATCH_EVENTS)] = 1_000
    """Events in a batch."""
    max_bytes: Annotated[Bytes, Field(ge=1_024, le=64 * 1024**2)] = 8 * 1024**2
    """Bytes of JSON lines in a batch, before compression; a single larger event is a batch of its own."""
    max_age: Annotated[Duration, Field(ge=0.05, le=86_400)] = 5.0
    """How long the oldest event waits for company."""


class RetrySpec(Part):
    """How a destination that is unavailable is tried again: full jitter, without end."""

    initial: Annotated[Duration, Field(ge=0.01, le=3_600)] = 0.5
    max: Annotated[Duration, Field(ge=0.01, le=86_400)] = 60.0

    def backoff(self) -> Backoff:
        """The rule that these settings name."""
        return Backoff(initial_s=self.initial, max_s=max(self.initial, self.max))


class LimitsSpec(Part):
    """What a pipeline takes at most."""

    ingest_max_records_per_request: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    """Events in one request; more are refused with 413."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Ingest requests a minute; more are refused with 429. None: only the appliance's own limit holds."""


class PipelineSpec(Part):
    """A pipeline's configuration."""

    name: str
    """Unique: lowercase letters, digits, `_` and `-`; also the folder that its objects lie in."""
    id: str | None = None
    """The public id, `pl_` and up to 32 lowercase letters and digits; made when left out."""
    version: Annotated[str, BeforeValidator(_text), Field(max_length=64)] = "1.0"
    schedule: Annotated[None, BeforeValidator(_no_schedule)] = None
    """Schedules are not in this version: a pipeline streams."""
    timezone: Annotated[Literal["UTC"], BeforeValidator(_no_timezone)] = "UTC"
    batch: BatchSpec = BatchSpec()
    retry: RetrySpec = RetrySpec()
    limits: LimitsSpec = LimitsSpec()
    idempotency: Literal["replay", "strict"] = "replay"
    """A repeated key with another body: `replay` gives the first result, `strict` answers 422."""
    sources: tuple[Component, ...] = ()
    transforms: tuple[Component, ...] = ()
    destinations: tuple[DestinationSpec, ...] = ()

    def routes(self) -> dict[str, DestinationSpec]:
        """The destinations by their route's name, in the order of the configuration."""
        return {destination.name: destination for destination in self.destinations}
