"""The settings of the `http` destination."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from conduit_local.core.encoding import Record
from conduit_local.core.headers import HeaderMap, check_header
from conduit_local.core.secrets import Secret
from conduit_local.core.spec import DestinationSpec, Duration
from conduit_local.core.webhook import check_signing_secret
from conduit_local.egress.guard import MAX_URL, host_of
from conduit_local.formats.compression import Compression

_OURS = frozenset(
    {
        "content-type",
        "content-encoding",
        "idempotency-key",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "conduit-probe",
    }
)
"""What is sent with each delivery anyway."""


def callable_url(url: str) -> str:
    """The URL itself. Raises: ValueError unless it can be called at all; whether it may be, the guard decides."""
    host_of(url)
    return url


Url = Annotated[str, Field(min_length=1, max_length=MAX_URL), AfterValidator(callable_url)]


class HttpSpec(DestinationSpec):
    """Sends each batch to a URL with one POST."""

    type: Literal["http"] = "http"
    url: Url
    """Secrets belong into `headers`: the URL is shown."""
    secret: Secret | None = None
    """`whsec_` and base64, what Standard Webhooks signs with; left out, nothing is signed."""
    headers: HeaderMap = HeaderMap("{}")
    """Sent with each delivery."""
    format: Literal["ndjson", "json"] = "ndjson"
    """JSON on each line, or an array of it."""
    record: Record = "envelope"
    """
    `envelope` (event_id, pipeline_id, event_type, received_at, payload) or the `payload` alone; a transform's rows with
    other columns are sent as they are.
    """
    compression: Compression = "none"
    """The `Content-Encoding`: the receiver must know it."""
    timeout: Annotated[Duration, Field(ge=0.1, le=3_600)] = 30.0
    """From the connection's begin to the answer's end; what is not answered by then is sent again."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.secret is not None and self.secret.text is not None:
            check_signing_secret(self.secret.text)
        for name, value in self.headers.value.items():
            check_header(name, value, _OURS)
        return self
