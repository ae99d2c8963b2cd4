"""The settings of an `http` source."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from conduit_local.core.headers import HeaderMap, check_header
from conduit_local.core.secrets import SecretMap
from conduit_local.core.spec import Duration, Part
from conduit_local.sources.events import PulledSpec
from conduit_local.sources.reading import mark_of


def _path(value: str) -> str:
    if value and not all(value.split(".")):
        raise ValueError("must be names with dots between them, like data.items; empty for the document itself")
    return value


Path = Annotated[str, Field(max_length=500), AfterValidator(_path)]
"""The names on the way to a value: `data.items`."""
Name = Annotated[str, Field(min_length=1, max_length=100)]


class CursorPaging(Part):
    """The document says where the next page begins."""

    param: Name
    """The query parameter that carries it."""
    next: Annotated[Path, Field(min_length=1)]
    """Where it stands in the document; missing, null or empty at the list's end."""


class NumberPaging(Part):
    """Pages are numbered."""

    param: Name
    start: Annotated[int, Field(ge=0)] = 1
    size_param: Name | None = None
    size: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Records a page: a page with fewer is the last one so far."""


class Since(Part):
    """Only what is new, by a field that grows: a time, a number."""

    param: Name | None = None
    """The query parameter that carries the greatest value seen; None: the server cannot be asked."""
    field: Annotated[Path, Field(min_length=1)]
    """Where the value stands in a record."""
    newest_first: bool = False
    """The list begins with the newest: a sweep ends at the first page with something older than it began with."""


class HttpSpec(PulledSpec):
    """
    Records out of JSON that is fetched with GET.

    A paged list must be one that grows at its end, or have `since`. Without either, what the document holds that it did
    not hold at the look before is new.
    """

    type: Literal["http"] = "http"
    url: Annotated[str, Field(min_length=1, max_length=2_048)]
    """Secrets belong into `headers` or `params`: the URL is shown."""
    params: SecretMap = SecretMap("{}")
    """Query parameters, sent with each request."""
    headers: HeaderMap = HeaderMap("{}")
    records: Path = ""
    """Where the records stand in the document; a list, or one object."""
    cursor: CursorPaging | None = None
    page: NumberPaging | None = None
    link: bool = False
    """Follow the `Link` header's `next`, on the same server only."""
    since: Since | None = None
    id_field: Annotated[Path, Field(min_length=1)] | None = None
    """What tells one record from another; when left out, all of it."""
    every: Annotated[Duration, Field(ge=0.1, le=86_400)] = 60.0
    """How often to look, once everything was read."""
    timeout: Annotated[Duration, Field(ge=0.1, le=600)] = 30.0

    @property
    def cursor_name(self) -> str:
        """What its cursor is kept under; a query may hold what is nobody's business."""
        plain, _, query = self.url.partition("?")
        return f"http:{plain}?{mark_of(query.encode())[:8]}" if query else f"http:{plain}"

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if (self.cursor is not None) + (self.page is not None) + self.link > 1:
            raise ValueError("has more than one of cursor, page and link")
        for role, found in (("headers", self.headers.value), ("params", self.params.value)):
            wrong = next((name for name, value in found.items() if not isinstance(value, str)), None)
            if wrong is not None:
                raise ValueError(f"{role}: {wrong[:80]!r} must be text")
        for name, value in self.headers.value.items():
            check_header(name, value)
        return self
