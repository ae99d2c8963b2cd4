"""The settings of the `conduit` destination."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from conduit_local.core.encoding import Record
from conduit_local.core.errors import InvalidRequest
from conduit_local.core.event import MAX_EVENTS_PER_REQUEST, check_event_type
from conduit_local.core.headers import check_header
from conduit_local.core.secrets import Secret
from conduit_local.core.spec import BatchSpec, Bytes, DestinationSpec, Duration, OwnBatchSpec
from conduit_local.destinations.http_spec import Url

MAX_BATCH_BYTES = 28 * 1024**2
"""A request has at most 32 MiB; around 10,000 envelopes with the longest types there are 3 MiB more."""


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise ValueError("must be where the appliance listens, like https://centre.example:8642, without ? and #")
    return url.rstrip("/")


def _event_type(name: str) -> str:
    try:
        check_event_type(name)
    except InvalidRequest as error:
        raise ValueError(error.problems[0].message) from None
    return name


class RequestBatchSpec(OwnBatchSpec):
    """Where a batch closes at the latest, so that each is one request that the other side takes."""

    max_events: Annotated[int, Field(ge=1, le=MAX_EVENTS_PER_REQUEST)] | None = None
    max_bytes: Annotated[Bytes, Field(ge=1_024, le=MAX_BATCH_BYTES)] | None = None

    def over(self, batch: BatchSpec) -> BatchSpec:
        """`OwnBatchSpec.over`, and no more than a request may have."""
        wanted = super().over(batch)
        return wanted.model_copy(
            update={
                "max_events": min(wanted.max_events, MAX_EVENTS_PER_REQUEST),
                "max_bytes": min(wanted.max_bytes, MAX_BATCH_BYTES),
            }
        )


class ConduitSpec(DestinationSpec):
    """Forwards events to a pipeline of another conduit-local."""

    type: Literal["conduit"] = "conduit"
    url: Annotated[Url, AfterValidator(_base_url)]
    """Where the other appliance listens: `https://centre.example:8642`."""
    pipeline: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    """The pipeline's name or id there."""
    key: Secret
    """An API key of the other appliance, with the scope `ingest`."""
    record: Record = "payload"
    """What becomes the payload there: the event's own, or its whole envelope. The event keeps its type."""
    event_type: Annotated[str, AfterValidator(_event_type)] = "row"
    """The type of the events that a transform's rows become."""
    batch: RequestBatchSpec = RequestBatchSpec()
    timeout: Annotated[Duration, Field(ge=0.1, le=3_600)] = 60.0
    """From the connection's begin to the answer's end; what is not answered by then is sent again."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.key.text is not None:
            if not self.key.text:
                raise ValueError("key: must not be empty")
            check_header("Authorization", self.key.text)
        if self.concurrency is not None and self.concurrency > 1:
            raise ValueError("concurrency: must be 1: the other side takes events once because they come in order")
        return self
