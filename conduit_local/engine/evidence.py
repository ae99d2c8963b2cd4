"""What the ledger knows of a pipeline's deliveries, and what verifying them brings to light."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import PipelineNotFound
from conduit_local.core.landed import Landed
from conduit_local.core.secrets import SEALED
from conduit_local.core.spec import DestinationSpec
from conduit_local.core.texts import Texts
from conduit_local.engine.topology import LivePipeline

_PAGE = 500
_SEALED_TEXT = re.compile(rf'"{re.escape(SEALED)}[^"\\]*"')


class Wrong(StrEnum):
    """How what lies at a destination can differ from the ledger."""

    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"
    EXTRA = "extra"


class Entry(NamedTuple):
    """An object in the ledger, as far as it is compared."""

    key: str
    place: str
    route: str
    size_bytes: int
    sha256: str | None
    rows: int | None
    first_event: str | None
    last_event: str | None
    run: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """An object that is not as the ledger says."""

    destination: str
    wrong: Wrong
    key: str
    message: str
    entry: Entry | None = None
    """None where the ledger has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far it is."""

    destination: str
    step: str
    """`ledger`, `list` or `read`."""
    done: int
    """Objects."""
    of: int | None = None


@dataclass(kw_only=True, slots=True)
class Verified:
    """What came of comparing one destination with the ledger. Counts are objects, unless they say otherwise."""

    destination: str
    type: str
    is_configured: bool
    """Whether the configuration still has it."""
    is_lookable: bool = False
    """Whether it can be looked at: a receiver keeps what it got to itself."""
    unavailable: str | None = None
    """Why it was not compared to its end."""
    objects: int = 0
    """In the ledger, as what follows."""
    rows: int = 0
    size_bytes: int = 0
    compared: int = 0
    """By their SHA-256."""
    compared_by_size: int = 0
    """By their size alone: `quick`, or an older version delivered them and kept no SHA-256."""
    wrong: dict[Wrong, int] = field(default_factory=lambda: dict.fromkeys(Wrong, 0))
    older: int = 0
    """Objects that lie there, and whose place in the ledger is no longer kept."""

    @property
    def is_well(self) -> bool:
        """Whether nothing speaks against it."""
        return self.unavailable is None and not any(self.wrong.values())


@dataclass(kw_only=True, slots=True)
class Place:
    """Where a destination has landed objects, and which: it may have been another one than now."""

    spec: DestinationSpec
    entries: dict[str, Entry]

    @property
    def root(self) -> str:
        """What the addresses of its objects begin with, as far as they are known."""
        return next((one.place.removesuffix(one.key) for one in self.entries.values()), "")


class Ledger:
    """The delivered objects of one pipeline, read in pages; those of one destination are kept whole."""

    def __init__(self, catalog: Catalog, live: LivePipeline, destination: str) -> None:
        self._catalog = catalog
        self._live = live
        self._destination = destination
        self._through: dict[str, int] = {}
        self._groups: dict[str, tuple[str, dict[str, Entry]]] = {}
        self.keys: set[str] = set()
        """Those of all destinations: several may land in one folder."""
        self.newest_run = 0
        self._roots: dict[str, set[str]] = {self._destination: set()}

    def sharing(self, root: str) -> set[str]:
        """This destination, and those that have landed objects there, too."""
        return {self._destination, *(name for name, roots in self._roots.items() if root in roots)}

    async def routes(self) -> list[str]:
        """Those that anything is kept of. Raises: PipelineNotFound, StoreUnavailable."""
        self.require_live()
        return await self._catalog.landed_routes(self._live.number)

    async def read_on(self) -> None:
        """Read what was delivered since this was last done. Raises: PipelineNotFound, StoreUnavailable."""
        for route in await self.routes():
            after = self._through.get(route, 0)
            while page := await self._catalog.landed(self._live.number, route, after, _PAGE):
                self._take(page, route.partition("@")[0])
                self._through[route] = after = page[-1].last_seq
                self.require_live()

    def require_live(self) -> None:
        """Raises: PipelineNotFound, once it is deleted."""
        if self._live.pipeline.deleted:
            raise PipelineNotFound(f"no pipeline {self._live.pipeline.name!r}: it was deleted meanwhile")

    def places(self, texts: Texts, now: DestinationSpec | None) -> list[Place]:
        """
        Where it was landed so far, by the settings of then; the place of now comes first, with its secrets of now.
        """
        found = [Place(spec=now, entries={})] if now is not None else []
        for text, entries in self._groups.values():
            spec = texts.destination(text, self._live.pipeline.uuid)
            place = next((one for one in found if one.spec.is_same_place(spec)), None)
            if place is None:
                found.append(Place(spec=spec, entries=entries))
            else:
                place.entries.update(entries)
        self._groups.clear()
        return found

    def _take(self, page: Sequence[Landed], name: str) -> None:
        self._roots.setdefault(name, set()).update(one.place.removesuffix(one.key) for one in page)
        for one in page:
            self.keys.add(one.key)
            self.newest_run = max(self.newest_run, one.run)
            if name == self._destination:
                settings = _SEALED_TEXT.sub('""', one.destination)  # sealed anew for each batch
                _, entries = self._groups.get(settings, ("", {}))
                entries[one.key] = _entry(one)
                self._groups[settings] = (one.destination, entries)


def _entry(one: Landed) -> Entry:
    return Entry(
        one.key,
        one.place,
        one.route,
        one.size_bytes,
        one.sha256,
        one.rows,
        one.first_event,
        one.last_event,
        one.run,
    )
