"""An engine over a real store and real files, in this process."""

import asyncio
import gzip
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from conduit_local.core.delivering import Destinations
from conduit_local.core.encoding import Encoder
from conduit_local.core.ports import Clock
from conduit_local.core.texts import Texts
from conduit_local.destinations.kinds import DESTINATIONS, DestinationMaker
from conduit_local.destinations.means import Means
from conduit_local.egress.addresses import Addresses
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.engine.clock import SystemClock
from conduit_local.engine.engine import Engine, EngineSettings, Ports, run_engine
from conduit_local.engine.journal import LOGGER, Journal
from conduit_local.engine.ledger import ledger_of
from conduit_local.sources.kinds import SourceMaker
from conduit_local.store.vault import FileVault
from conduit_local.transforms.encoding import open_encoder
from conduit_local.transforms.running import open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.making import MODEL, store_at

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@asynccontextmanager
async def engine_at(
    folder: Path,
    clock: Clock | None = None,
    settings: EngineSettings | None = None,
    destinations: Callable[[DestinationMaker], Destinations] | None = None,
    transforms: Mapping[str, Any] | None = None,
    **store_settings: Any,
) -> AsyncIterator[Engine]:
    """The engine as the appliance runs it, with its data in `folder`."""
    clock = clock or SystemClock()
    journal = Journal(clock)
    LOGGER.addHandler(journal)
    LOGGER.setLevel("INFO")
    try:
        vault = FileVault(folder / "secrets.key", None)
        texts = Texts(MODEL, DESTINATIONS, vault)
        with ThreadPoolExecutor(4) as threads:
            async with (
                store_at(folder, clock, texts, **store_settings) as store,
                HttpClient(guard := Guard((), loopback=True)) as sender,
                open_transforms(limits := TransformSettings(**transforms or {}), scratch=folder / "transforms") as sql,
                open_encoder(limits, scratch=folder / "encoding") as encoder,
            ):
                maker = DestinationMaker(means_at(folder, threads, sender, guard, encoder))
                ports = Ports(
                    log=store.log,
                    catalog=store.catalog,
                    destinations=destinations(maker) if destinations else maker,
                    transforms=sql,
                    sources=SourceMaker(folder, (), threads, clock, sender, check_url=guard.check_url),
                    sender=sender,
                    clock=clock,
                    texts=texts,
                    key_ring=vault,
                )
                settings = settings or EngineSettings(keys_required=False)
                async with run_engine(ports, journal, MODEL, settings, Random(1)) as engine:
                    yield engine
    finally:
        LOGGER.removeHandler(journal)


def means_at(folder: Path, threads: ThreadPoolExecutor, sender: HttpClient, guard: Guard, encoder: Encoder) -> Means:
    """What destinations are made with."""
    return Means(
        data_folder=folder,
        threads=threads,
        sender=sender,
        check_url=guard.check_url,
        addresses=Addresses(guard).of,
        encoder=encoder,
        environment=dict(os.environ),
    )


@asynccontextmanager
async def destinations_at(folder: Path) -> AsyncIterator[DestinationMaker]:
    """What makes destinations, without an engine."""
    with ThreadPoolExecutor(2) as threads:
        async with (
            HttpClient(guard := Guard((), loopback=True)) as sender,
            open_encoder(TransformSettings(), scratch=folder / "encoding") as encoder,
        ):
            yield DestinationMaker(means_at(folder, threads, sender, guard, encoder))


_NEVER = threading.Event()
_LOOK_EVERY_S = 0.002
"""Without a pause the looking itself took the cores from the processes that were waited for."""


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Let the loop run until `condition` holds. Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.get_running_loop().run_in_executor(None, _NEVER.wait, _LOOK_EVERY_S)


async def until_delivered(engine: Engine, ref: str, within_s: float = 10.0) -> None:
    """Until nothing of the pipeline is pending."""
    live = engine.topology.find(ref)
    await until(lambda: live.slowest_cursor >= engine.log.head(live.pipeline).seq, within_s)


def objects_below(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its path there, decompressed; hidden files too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = unpacked(path.read_bytes(), path.suffix)
    return found


def unpacked(content: bytes, suffix: str) -> bytes:
    """What a file whose name ends in `suffix` holds."""
    match suffix:
        case ".zst":
            return zstd.decompress(content)
        case ".gz":
            return gzip.decompress(content)
        case _:
            return content


def payloads_below(folder: Path) -> list[Any]:
    """The payloads of all envelopes in the files below `folder`, in the order of the files' names."""
    return [json.loads(line)["payload"] for content in objects_below(folder).values() for line in content.splitlines()]


def ledgers(engine: Engine, ref: str) -> dict[str, tuple[int, int, int]]:
    """By route: accepted, delivered, pending; each ledger closes."""
    live = engine.topology.find(ref)
    found = {}
    for name, route in live.routes.items():
        ledger = ledger_of(route, engine.log.head(live.pipeline))
        assert ledger.closes, ledger
        found[name] = (ledger.accepted, ledger.delivered, ledger.pending)
    return found
