"""What the parts of the client share: how they ask, how lists page through, and how answers become values."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from conduit_local.client.errors import Unreachable

T = TypeVar("T")
Json = dict[str, Any]

_PER_PAGE = 100


class Ask(Protocol):
    """One request, repeated where that may help; after a lost answer only where `once` does not forbid it."""

    def __call__(
        self,
        method: str,
        path: str,
        read: Callable[[Any], T],
        body: Json | None = None,
        *,
        query: Mapping[str, object] | None = None,
        once: bool = False,
    ) -> T:
        """What `read` makes of the answer; it raises Unreachable for what no appliance says."""
        ...


class AsyncAsk(Protocol):
    """The same, awaited."""

    def __call__(
        self,
        method: str,
        path: str,
        read: Callable[[Any], T],
        body: Json | None = None,
        *,
        query: Mapping[str, object] | None = None,
        once: bool = False,
    ) -> Awaitable[T]:
        """What `read` makes of the answer."""
        ...


class Pages(Generic[T]):
    """The pages of a list, one after the other."""

    def __init__(self, item: Callable[[Json], T], limit: int | None, **filters: object) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be 1 or more, not {limit}")
        self._item = item
        self._limit = limit
        self.found: list[T] = []
        per_page = _PER_PAGE if limit is None else min(limit, _PER_PAGE)
        self.query: dict[str, object] = {**filters, "page": 1, "per_page": per_page}
        """What to ask for next; empty once there is no more to ask for."""

    def read(self, answer: Any) -> tuple[list[T], bool]:
        """What is on a page, and whether more come behind it."""
        items = [self._item(one) for one in data_of(answer, list)]
        try:
            total = int(answer["meta"]["total"])
        except (KeyError, TypeError, ValueError) as error:
            raise _no_appliance() from error
        return items, bool(items) and len(self.found) + len(items) < total

    def take(self, page: tuple[list[T], bool]) -> None:
        """Keep a page's items."""
        items, more = page
        self.found = (self.found + items)[: self._limit]
        if more and len(self.found) != self._limit:
            self.query = {**self.query, "page": int(str(self.query["page"])) + 1}
        else:
            self.query = {}


def made(kind: Callable[..., T], said: Any, **more: object) -> T:
    """
    The fields that are promised of `kind`, a dataclass; an answer may hold more.

    Raises: Unreachable where one is missing.
    """
    try:
        fields = kind.__dataclass_fields__  # type: ignore[attr-defined] # no type says: a dataclass that can be called
        known = {name: said[name] for name in fields if name in said}
        return kind(**{**known, **more})
    except (KeyError, TypeError) as error:
        raise _no_appliance() from error


def data_of(answer: Json, kind: type[T]) -> T:
    """What `data` holds. Raises: Unreachable where it is none of `kind`."""
    data = answer.get("data")
    if not isinstance(data, kind):
        raise _no_appliance()
    return data


def _no_appliance() -> Unreachable:
    return Unreachable("what answers is no appliance")
