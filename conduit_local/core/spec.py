"""
A pipeline's configuration, as people write it in a file or through an API.

What kinds of sources, transforms and destinations there are is not known here: `kinds.spec_model` makes the full
model out of those that the floors above have.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from conduit_local.core.names import check_title
from conduit_local.core.plain import is_visible
from conduit_local.core.retry import Backoff
from conduit_local.core.schedule import check_schedule, check_zone
from conduit_local.core.secrets import SecretMap, same_but_for_secrets
from conduit_local.core.times import parse_duration


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _text(value: object) -> object:
    """`version: 1.0` is a number in YAML; people mean the text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _schedule(value: str | None) -> str | None:
    return check_schedule(value) if value is not None else None


def check_origin(origin: str) -> str:
    """
    An origin as browsers send it: `https://app.example.com`, without path, in lowercase, default ports left out.

    Raises: ValueError when it is none.
    """
    found = _ORIGIN.fullmatch(origin.strip().lower())
    if not found or int(found["port"] or 0) > 65_535:
        raise ValueError("must be an origin: http or https, a host, at most a port, like https://app.example.com")
    port = found["port"] and int(found["port"])
    shown = "" if not port or port == {"http": 80, "https": 443}[found["scheme"]] else f":{port}"
    return f"{found['scheme']}://{found['host']}{shown}"


_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?/?"
)


def check_field_name(name: str | None) -> str | None:
    """The name itself. Raises: ValueError when it cannot be that of a field to add."""
    if name is not None and (not 0 < len(name) <= 64 or not is_visible(name)):
        raise ValueError("must be 1 to 64 visible characters")
    return name


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
MAX_IN_FLIGHT = 16


class Part(BaseModel):
    """What every piece of a configuration has in common: nothing unknown passes, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Component(Part):
    """A source, transform or destination: `type` says which."""

    type: str


class BatchSpec(Part):
    """When a batch closes: at whichever of these comes first."""

    max_events: Annotated[int, Field(ge=1, le=MAX_BATCH_EVENTS)] = 1_000
    """Events in a batch."""
    max_bytes: Annotated[Bytes, Field(ge=1_024, le=64 * 1024**2)] = 8 * 1024**2
    """Bytes of JSON lines in a batch, before compression; a single larger event is a batch of its own."""
    max_age: Annotated[Duration, Field(ge=0.05, le=86_400)] = 5.0
    """How long the oldest event waits for company."""


class OwnBatchSpec(Part):
    """Where a destination's batches close elsewhere than those of its pipeline; what is left out is the pipeline's."""

    max_events: Annotated[int, Field(ge=1, le=MAX_BATCH_EVENTS)] | None = None
    max_bytes: Annotated[Bytes, Field(ge=1_024, le=64 * 1024**2)] | None = None
    max_age: Annotated[Duration, Field(ge=0.05, le=86_400)] | None = None

    def over(self, batch: BatchSpec) -> BatchSpec:
        """These settings, and those of `batch` where there are none."""
        return batch.model_copy(update=self.model_dump(exclude_none=True))


class RetrySpec(Part):
    """How a destination that is unavailable is tried again: full jitter, without end."""

    initial: Annotated[Duration, Field(ge=0.01, le=3_600)] = 0.5
    max: Annotated[Duration, Field(ge=0.01, le=86_400)] = 60.0

    def backoff(self) -> Backoff:
        """The rule that these settings name."""
        return Backoff(initial_s=self.initial, max_s=max(self.initial, self.max))


class DestinationSpec(Component):
    """Where a route lands events."""

    remote: ClassVar[bool] = True
    """Whether it waits for a network."""
    how_alone: ClassVar[frozenset[str]] = frozenset({"title", "paused", "batch", "retry", "concurrency", "timeout"})
    """Settings that say how it is delivered to; neither where nor in which form."""

    name: str = ""
    """Names the route within its pipeline; the type when left out, with a number where types repeat."""
    title: Annotated[str | None, AfterValidator(check_title)] = None
    """What people call it, where that is not its name."""
    paused: bool = False
    """Holds this route alone: its events are kept until it goes on."""
    batch: OwnBatchSpec = OwnBatchSpec()
    """Where its batches close elsewhere than those of the pipeline."""
    retry: RetrySpec | None = None
    """How it is tried again, where that is not how the pipeline says."""
    concurrency: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] | None = None
    """Batches on their way at once; left out, as many as suit the kind."""

    def is_same_place(self, other: "DestinationSpec") -> bool:
        """Whether both land at the same place in the same form; secrets, and how they deliver, may differ."""
        return same_but_for_secrets(self, other, self.how_alone)

    def settings(self) -> dict[str, Any]:
        """What it is set to beyond its name and kind, secrets redacted; what it takes from its pipeline is left out."""
        return without_unset(self.model_dump(mode="json", exclude={"name", "type", "title", "paused"}))


OVERRIDES = ("batch", "retry", "concurrency")
"""What every destination may set for itself, in the place of its pipeline's."""


def without_unset(document: Mapping[str, Any]) -> dict[str, Any]:
    """A destination's settings as a document, without those `OVERRIDES` that it does not set."""
    return {name: value for name, value in document.items() if name not in OVERRIDES or _is_set(value)}


def _is_set(value: Any) -> bool:
    return any(one is not None for one in value.values()) if isinstance(value, Mapping) else value is not None


class LimitsSpec(Part):
    """What a pipeline takes at most."""

    ingest_max_records_per_request: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Events in one request; more are refused with 413. None: the appliance's own 10,000."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Ingest requests a minute; more are refused with 429. None: only the appliance's own limit holds."""


class AccessSpec(Part):
    """Who may send events to `/v1/ingest/…` (S3.7, S3.8); the other APIs always need a key."""

    requires_api_key: bool = True
    allow_any_origin: bool = False
    """Pages from any http(s) origin may send; without a key, if none is required."""
    allowed_origins: Annotated[tuple[Annotated[str, AfterValidator(check_origin)], ...], Field(max_length=1_000)] = ()
    """Pages from these origins may send."""


class EnrichSpec(Part):
    """What is added to each event's payload, unless it has a field of that name (S3.10)."""

    timestamp_field: Annotated[str | None, AfterValidator(check_field_name)] = None
    """Gets the time of acceptance."""
    ip_field: Annotated[str | None, AfterValidator(check_field_name)] = None
    """Gets the client's address."""

    @property
    def is_wanted(self) -> bool:
        """Whether anything is added."""
        return self.timestamp_field is not None or self.ip_field is not None


class PipelineSpec(Part):
    """A pipeline's configuration."""

    name: str
    """Unique: lowercase letters, digits, `_` and `-`; also the folder that its objects lie in."""
    id: str | None = None
    """The public id, `pl_` and up to 32 lowercase letters and digits; made when left out."""
    title: Annotated[str | None, AfterValidator(check_title)] = None
    """What people call it, where that is not its name: `HubSpot to BigQuery`."""
    domain: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Which domain it belongs to."""
    version: Annotated[str, BeforeValidator(_text), Field(max_length=64)] = "1.0"
    schedule: Annotated[str | None, AfterValidator(_schedule)] = None
    """A cron line, five fields: the pipeline collects, and delivers when a run starts. None: it streams."""
    timezone: Annotated[str, AfterValidator(check_zone), Field(examples=["UTC", "Europe/Berlin"])] = "UTC"
    """Where the clock hangs that the schedule goes by: a name of the IANA database."""
    batch: BatchSpec = BatchSpec()
    retry: RetrySpec = RetrySpec()
    limits: LimitsSpec = LimitsSpec()
    access: AccessSpec = AccessSpec()
    enrich: EnrichSpec = EnrichSpec()
    idempotency: Literal["replay", "strict"] = "replay"
    """A repeated key with another body: `replay` gives the first result, `strict` answers 422."""
    variables: Annotated[
        Mapping[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], str | None], Field(max_length=100)
    ] = {}
    """What `${NAME}` stands for in sources and transforms, unless a run gives another value; null: each run must."""
    sources: tuple[Component, ...] = ()
    transforms: tuple[Component, ...] = ()
    destinations: tuple[DestinationSpec, ...] = ()
    extra: SecretMap | None = None
    """What an API was given beyond this model, kept sealed and given back as it was."""

    @property
    def label(self) -> str:
        """What people call it."""
        return self.title or self.name

    def given(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The variables that have a value, for a run that gives these."""
        own = {name: value for name, value in self.variables.items() if value is not None}
        return {**own, **variables}

    def routes(self) -> dict[str, DestinationSpec]:
        """The destinations by their route's name, in the order of the configuration."""
        return {destination.name: destination for destination in self.destinations}
