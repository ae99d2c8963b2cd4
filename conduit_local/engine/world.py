"""What every route works with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.delivering import Destinations
from conduit_local.core.log import Log
from conduit_local.core.ports import Bell, Clock
from conduit_local.core.texts import Texts
from conduit_local.core.transforming import Transforms
from conduit_local.engine.topology import LivePipeline


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What every route works with."""

    log: Log
    catalog: Catalog
    bell: Bell
    clock: Clock
    destinations: Destinations
    transforms: Transforms
    texts: Texts
    hands: asyncio.Semaphore
    """Bounds how many batches are in memory at once, over all routes; those that wait for a transform are in none."""
    remote_hands: asyncio.Semaphore
    """The same for destinations behind a network: one that hangs must not hold up what lands on this machine."""
    stopping: asyncio.Event
    """Set when the appliance stops: routes end the batches in hand, and no more."""
    chance: Random
    delivered: Callable[[LivePipeline], None]
    """Told after a cursor moved: something may be complete."""
