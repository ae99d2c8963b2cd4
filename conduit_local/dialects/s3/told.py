"""The shapes of S3's answers, refusals too. Source: S3.1 to S3.6, S3.9."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from conduit_local.core.event import MAX_EVENTS_PER_REQUEST
from conduit_local.dialects.s3.models import DestinationStatus, PipeStatus, Records, Requests, ScopeName
from conduit_local.http.shape import Shape

_TIME = {"format": "date-time", "examples": ["2026-04-12T12:00:00.000Z"]}

Time = Annotated[str, Field(json_schema_extra=_TIME)]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class _Told(Shape):
    model_config = ConfigDict(extra="forbid")


class Health(_Told):
    """The appliance answers."""

    status: Literal["ok"]
    timestamp: Time


class DestinationShown(_Told):
    """A destination, secrets redacted."""

    destination_id: Uuid
    destination_name: str
    destination_type: str
    destination_config: dict[str, Any]
    """Secrets read `[redacted]`."""
    destination_status: DestinationStatus


class DestinationAnswer(_Told):
    """One destination."""

    destination: DestinationShown


class LimitsShown(_Told):
    """What a request may bring, and how often; `null` where only the appliance's own limit holds."""

    pl_ingest_max_records_per_request: Records | None
    pl_requests_per_minute: Requests | None


class LimitsAnswer(_Told):
    """A pipe's limits, or `null` where it has none."""

    limits: LimitsShown | None


class OriginShown(_Told):
    """An origin whose pages may send."""

    origin_id: Uuid
    origin_domain: str


class OriginAnswer(_Told):
    """One origin."""

    allowed_origin: OriginShown


class Usage(_Told):
    """What a pipe has taken."""

    records_total: Annotated[int, Field(ge=0)]
    bytes_total: Annotated[int, Field(ge=0)]
    """Bytes of JSON lines, as they are kept and delivered."""
    records_24h: Annotated[int, Field(ge=0)]
    """Received in the last 24 hours, of those that are still kept."""
    pending: Annotated[int, Field(ge=0)]
    """Still to be delivered, by the destination that has most of them to do."""


class PipeShown(_Told):
    """A pipe."""

    pipe_id: Uuid
    pipe_name: str
    pipe_status: PipeStatus
    """`inactive` takes no records."""
    requires_api_key: bool
    allow_any_origin: bool
    enrich_timestamp_field: str | None
    enrich_ip_field: str | None
    destinations: list[DestinationShown]
    limits: LimitsShown | None
    allowed_origins: list[OriginShown]
    usage: Usage
    created_at: Time
    updated_at: Time


class PipeAnswer(_Told):
    """One pipe."""

    pipe: PipeShown


class PipeList(_Told):
    """All pipes, the oldest first."""

    pipes: list[PipeShown]


class KeyShown(_Told):
    """What is known of an API key; never its secret."""

    api_key_id: str
    api_key_name: str
    prefix: str
    """The first characters of the secret."""
    scopes: list[ScopeName]
    created_at: Time
    last_used_at: Time | None


class KeyMade(KeyShown):
    """A new API key, with its secret: shown this once."""

    secret: str


class KeyAnswer(_Told):
    """The key that was made."""

    api_key: KeyMade


class KeyList(_Told):
    """All live API keys, the oldest first."""

    api_keys: list[KeyShown]


class Deleted(_Told):
    """It is gone."""

    deleted: Literal[True]


class Accepted(_Told):
    """Every record of the request is on disk."""

    accepted: Literal[True]
    pipe_id: Uuid
    pipe_name: str
    records_count: Annotated[int, Field(ge=1, le=MAX_EVENTS_PER_REQUEST)]
    request_id: Uuid
    message: Literal["Records accepted for processing"]


class Hint(_Told):
    """What to do instead."""

    pipe_id: Uuid
    method: Literal["POST"]
    message: str


# Refused -----------------------------------------------------------------------------------------------------


class Refusal(_Told):
    """A stable code, and a message for people."""

    error: str
    message: str


class ValidationRefusal(Refusal):
    """Every field that is wrong, by its dot path; the empty path is the body as a whole."""

    errors: dict[str, str]


class RepeatableRefusal(Refusal):
    """Nothing was kept; the same request may be sent again after `Retry-After` seconds."""

    request_id: Uuid
