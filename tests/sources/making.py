"""Sources over a folder of their own, and a clock that is set."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conduit_local.core.fetching import Fetched, FetchRefused
from conduit_local.core.pulling import Poison, Pulled, Source
from conduit_local.core.spec import Component, PipelineSpec
from conduit_local.egress.guard import Guard
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.plugins import NONE, Plugins
from conduit_local.sources.kinds import SOURCES, SourceMaker


class Nowhere:
    """`Fetcher` without a network."""

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Fetched:
        """Never."""
        raise FetchRefused(f"GET {url}: refused")


@contextmanager
def maker_at(
    folder: Path, fetcher: Any = None, clock: SteeredClock | None = None, plugins: Plugins = NONE, **more: Any
) -> Iterator[SourceMaker]:
    """What makes sources, with its data in `folder`."""
    with ThreadPoolExecutor(2) as threads:
        yield SourceMaker(
            folder,
            more.pop("allowed_folders", ()),
            threads,
            clock or SteeredClock(),
            fetcher or Nowhere(),
            check_url=Guard((), loopback=False).check_url,
            plugins=plugins,
            **more,
        )


def spec_of(**settings: Any) -> Component:
    """The settings of a source."""
    return SOURCES[settings["type"]].model_validate(settings)


def pipeline_of(*sources: Component) -> PipelineSpec:
    """A pipeline with these sources."""
    return PipelineSpec(name="orders", sources=sources)


class Pulls:
    """Pulls until nothing more is to be had at once, and keeps what came; a crash is a look whose cursor was lost."""

    def __init__(self, source: Source, most: int = 1_000) -> None:
        self.source = source
        self.most = most
        self.cursor: str | None = None
        self.events: list[tuple[str, bytes]] = []
        self.poison: list[Poison] = []
        self.notes: list[str] = []

    async def once(self) -> Pulled:
        """One look, kept."""
        found = await self.source.pull(self.cursor, self.most)
        self.keep(found)
        return found

    def keep(self, found: Pulled) -> None:
        """As the log does: events and cursor in one commit."""
        assert len(found.events or ()) <= self.most
        if found.events is not None:
            self.events += zip(found.events.types, found.events.payloads, strict=True)
        self.poison += found.poison
        self.notes += found.notes
        self.cursor = found.cursor

    async def all(self) -> list[Any]:
        """The payloads that all looks up to now brought."""
        while (await self.once()).more:
            pass
        return self.payloads

    @property
    def payloads(self) -> list[Any]:
        """What came, as values."""
        return [json.loads(payload) for _, payload in self.events]

    @property
    def origins(self) -> list[str]:
        """Where poison was found."""
        return [one.origin for one in self.poison]


def lines(*values: Any) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)
