"""Pipelines, events and stores to test with."""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from conduit_local.app import pipeline_model
from conduit_local.core.event import NewEvents
from conduit_local.core.kinds import parse_spec
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.ports import Clock
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.texts import Texts
from conduit_local.destinations.kinds import DESTINATIONS
from conduit_local.engine.clock import SystemClock
from conduit_local.store.store import Store, StoreSettings, open_store
from conduit_local.store.vault import FileVault

MODEL = pipeline_model()


def spec(name: str = "orders", **fields: Any) -> PipelineSpec:
    """A pipeline's configuration."""
    return parse_spec({"name": name, **fields}, MODEL)


def pipeline(name: str = "orders", **fields: Any) -> Pipeline:
    """A pipeline that is not in a catalog yet."""
    found = spec(name, **fields)
    return Pipeline(
        number=PipelineNumber(0),
        id=found.id or f"pl_{name.replace('-', '').replace('_', '')}",
        uuid=str(uuid.uuid4()),
        folder=name,
        state=State.ACTIVE,
        spec=found,
        managed_by=None,
        created_at_us=1_782_000_000_000_000,
        updated_at_us=None,
        first_seq=1,
    )


def routes_of(found: PipelineSpec) -> list[tuple[str, str]]:
    """The routes as the catalog takes them."""
    return [(name, destination.model_dump_json()) for name, destination in found.routes().items()]


def events(*payloads: str, event_type: str = "order.created") -> NewEvents:
    """Events of one type."""
    return NewEvents([event_type] * len(payloads), [payload.encode() for payload in payloads])


def numbered(first: int, count: int) -> NewEvents:
    """Events `{"n": first}`, `{"n": first + 1}`, …"""
    return events(*(f'{{"n": {number}}}' for number in range(first, first + count)))


def texts_at(folder: Path) -> Texts:
    """Configurations as the store in `folder` keeps them."""
    return Texts(MODEL, DESTINATIONS, FileVault(folder / "secrets.key", None))


@asynccontextmanager
async def store_at(
    folder: Path, clock: Clock | None = None, texts: Texts | None = None, **settings: Any
) -> AsyncIterator[Store]:
    """A store in `folder`, opened as the appliance opens it."""
    made = StoreSettings(path=folder / "conduit.db", **settings)
    async with open_store(made, clock or SystemClock(), texts or texts_at(folder)) as store:
        yield store


async def add(store: Store, name: str = "orders", **fields: Any) -> Pipeline:
    """A pipeline in the store's catalog."""
    new = pipeline(name, **fields)
    return await store.catalog.add_pipeline(new, routes_of(new.spec))


def lines_of(parts: Sequence[bytes]) -> list[dict[str, Any]]:
    """The envelopes in chunks of lines."""
    return [json.loads(line) for line in b"".join(parts).splitlines()]
