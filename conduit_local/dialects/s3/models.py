"""The shapes of what S3 is asked. Source: S3.2 to S3.5."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from conduit_local.core.event import MAX_EVENTS_PER_REQUEST
from conduit_local.core.names import MAX_TITLE, check_title
from conduit_local.core.spec import check_field_name, check_origin
from conduit_local.http.shape import Shape

_ORIGIN = {
    "pattern": r"^https?://([A-Za-z0-9_][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?/?$",
    "examples": ["https://app.example.com"],
}

Name = Annotated[str, Field(min_length=1, max_length=MAX_TITLE), AfterValidator(check_title)]
FieldName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(check_field_name)]
Origin = Annotated[str, AfterValidator(check_origin), Field(json_schema_extra=_ORIGIN)]
PipeStatus = Literal["active", "inactive"]
DestinationStatus = Literal["active", "blocked"]
ScopeName = Literal["ingest", "read", "manage", "admin"]
Type = Annotated[str, Field(min_length=1, max_length=100, examples=["files", "postgres"])]
Records = Annotated[int, Field(ge=1, le=MAX_EVENTS_PER_REQUEST)]
Requests = Annotated[int, Field(ge=1)]


class _Asked(Shape):
    model_config = ConfigDict(extra="forbid", strict=True)


def _change(schema: dict[str, Any]) -> None:
    """A change names one field at least, and what it does not name stays: there are no defaults."""
    schema["minProperties"] = 1
    for field in schema["properties"].values():
        field.pop("default", None)


class NewOrigin(_Asked):
    """An origin whose pages may send."""

    origin_domain: Origin
    """As browsers send it: scheme, host, at most a port."""


def _as_object(value: object) -> object:
    """In a list of origins, the origin alone will do."""
    return {"origin_domain": value} if isinstance(value, str) else value


ListedOrigin = Annotated[
    NewOrigin,
    BeforeValidator(_as_object),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", **_ORIGIN},
                {
                    "type": "object",
                    "properties": {"origin_domain": {"type": "string", **_ORIGIN}},
                    "required": ["origin_domain"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class NewDestination(_Asked):
    """A destination to deliver to."""

    destination_type: Type
    """
    `files`, `s3`, `http`, `conduit`, `postgres`, `duckdb`, or the name of any connector; one that is not here keeps its
    records until it is.
    """
    destination_name: Name | None = None
    """What people call it; its type when left out."""
    destination_config: dict[str, Any] = {}
    """Its settings: those of its type, or whatever the connector takes."""
    destination_status: DestinationStatus = "active"
    """`blocked` keeps its records until it is `active`."""


class LimitsChange(_Asked):
    """What a request may bring, and how often; a field that is left out stays, `null` takes it away."""

    model_config = ConfigDict(json_schema_extra=_change)

    pl_ingest_max_records_per_request: Records | None = None
    """Records in one request; more are refused with 413 `batch_too_large`."""
    pl_requests_per_minute: Requests | None = None
    """Requests a minute; more are refused with 429."""


class NewPipe(_Asked):
    """A pipe to make; only its name is required."""

    pipe_name: Name
    requires_api_key: bool = True
    """Whether a key must be sent with records; without, an origin must be allowed."""
    allow_any_origin: bool = False
    """Whether pages from any http(s) origin may send."""
    enrich_timestamp_field: FieldName | None = None
    """The field that gets the time of acceptance."""
    enrich_ip_field: FieldName | None = None
    """The field that gets the client's address."""
    pipe_status: PipeStatus = "active"
    destinations: list[NewDestination] | None = None
    """Where records go; files in the folder `out` when left out."""
    limits: LimitsChange | None = None
    allowed_origins: list[ListedOrigin] = []
    """Origins whose pages may send."""


class PipeChange(_Asked):
    """What is to change of a pipe; one field at least."""

    model_config = ConfigDict(json_schema_extra=_change)

    pipe_name: Name = "-"
    requires_api_key: bool = True
    allow_any_origin: bool = False
    enrich_timestamp_field: FieldName | None = None
    enrich_ip_field: FieldName | None = None
    pipe_status: PipeStatus = "active"
    """`inactive` takes no more records, and delivers what there is."""


class DestinationChange(_Asked):
    """What is to change of a destination; one field at least."""

    model_config = ConfigDict(json_schema_extra=_change)

    destination_type: Type = "files"
    destination_name: Name = "-"
    destination_config: dict[str, Any] = {}
    """Merged into the settings that it has: an empty text, or `[redacted]`, keeps a secret; `null` drops a setting."""
    destination_status: DestinationStatus = "active"


class StatusChange(_Asked):
    """Whether a destination delivers."""

    destination_status: DestinationStatus


class NewKey(_Asked):
    """An API key to make."""

    api_key_name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[ScopeName], Field(min_length=1)] = ["admin"]
    """What it allows. `admin` is all: treat such a key like a root credential."""
