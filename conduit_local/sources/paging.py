"""
How far a paged list was read: the text of an `http` source's cursor. Pure.

A record is told from another by its `id_field`, or else by its content and by how often that has come before on the
page. What was taken of the page in hand is remembered; so the last page can be read again later, and gives only what
came since.

With `since` the list is read in sweeps: each begins at the greatest value that the sweep before has seen, and leaves
out what it saw of that value.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from conduit_local.core.times import parse_rfc3339
from conduit_local.sources.reading import mark_of

Value = str | int | float
MAX_REMEMBERED = 10_000


class TooManyAlike(Exception):
    """More records have one and the same `since` value than can be remembered."""


@dataclass(slots=True)
class Position:
    """Where reading goes on."""

    page: str | None = None
    """The page in hand: a cursor, a page's number, a URL; None for the first."""
    taken: list[str] = field(default_factory=list)
    """The records of that page that were taken."""
    before: list[str] = field(default_factory=list)
    """Those of the page before; kept where records have ids, for pages that overlap."""
    since: Value | None = None
    """What this sweep begins at."""
    seen: list[str] = field(default_factory=list)
    """The records with that value that were taken."""
    greatest: Value | None = None
    newest: list[str] = field(default_factory=list)
    """What the next sweep begins at."""
    odd: list[str] = field(default_factory=list)
    """Records without such a value that were taken."""

    def text(self) -> str:
        """As a cursor."""
        return json.dumps({"v": 1, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def out_of(cls, text: str | None) -> "Position":
        """Out of a cursor."""
        if text is None:
            return cls()
        found: dict[str, Any] = json.loads(text)
        del found["v"]
        return cls(**found)

    def move_to(self, page: str, *, overlapping: bool) -> None:
        """All of the page is taken: go on with the next."""
        self.before = self.taken if overlapping else []
        self.page, self.taken = page, []

    def end_sweep(self) -> None:
        """The list was read to its end: the next sweep begins at what is newest."""
        self.page, self.taken, self.before = None, [], []
        self.since, self.seen = self.greatest, list(self.newest)

    def note(self, value: Value | None, record: str) -> None:
        """A record with this `since` value was taken; None for one that has none. Raises: TooManyAlike."""
        if value is None:
            self.odd.append(record)
        elif self.greatest is None or is_later(value, self.greatest):
            self.greatest, self.newest = value, [record]
        elif not is_later(self.greatest, value):
            self.newest.append(record)
        if max(len(self.odd), len(self.newest)) > MAX_REMEMBERED:
            raise TooManyAlike


class PageReader:
    """One page, record by record: which of them are new."""

    def __init__(self, position: Position, *, since: bool) -> None:
        self._position = position
        self._taken = set(position.taken)
        self._before = set(position.before)
        self._seen = {*position.seen, *position.odd} if since else set()
        self._alike: Counter[str] = Counter()
        self.here: list[str] = []
        """The records of the page, as far as it was read."""
        self.older = False
        """Whether a record was older than where the sweep begins."""

    def name_of(self, content: bytes, given: Value | None) -> str:
        """What a record is known by."""
        if given is not None:
            return mark_of(repr(given).encode())
        mark = mark_of(content)
        self._alike[mark] += 1
        return mark if self._alike[mark] == 1 else f"{mark}.{self._alike[mark]}"

    def is_new(self, record: str, value: Value | None) -> bool:
        """Whether the record was not taken yet."""
        self.here.append(record)
        since = self._position.since
        if since is not None and value is not None and is_later(since, value):
            self.older = True
            return False
        return record not in self._taken and record not in self._before and record not in self._seen

    def take(self, record: str) -> None:
        """It is taken now."""
        self._taken.add(record)
        self._position.taken.append(record)

    def end(self) -> None:
        """All of the page was looked at: what is no longer on it needs not be remembered."""
        self._position.taken = self.here


def is_later(one: Value | None, other: Value | None) -> bool:
    """Whether a `since` value lies behind another: as numbers, as times, or as text."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one > other
    first, second = str(one), str(other)
    try:
        return parse_rfc3339(first) > parse_rfc3339(second)
    except ValueError:
        return first > second


def same_value(text: object) -> Value | None:
    """A value that can be compared and sent, or None."""
    return text if isinstance(text, str | int | float) and not isinstance(text, bool) and text != "" else None
