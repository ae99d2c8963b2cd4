"""What is delivered and old is dropped; what is not delivered is kept, however old."""

import logging
from dataclasses import dataclass

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import Unavailable
from conduit_local.core.log import Log
from conduit_local.core.ports import Clock
from conduit_local.core.webhook import GIVEN_UP_AFTER_S
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.keys import Keys
from conduit_local.engine.topology import LivePipeline, Topology

_EVERY_S = 15.0
_SECOND_US = 1_000_000
_DEAD_SLICE = 500
_NEVER_TRIED = "the receiver was away for 24 hours"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """How much is kept of what is delivered, per pipeline."""

    age_s: float = 7 * 86_400
    size_bytes: int = 1024**3
    """Bytes of event lines, before the store compresses them."""
    runs: int = 1_000
    objects: int = 20_000
    """Delivered objects that are known, of each route: what `verify` goes by."""
    dead_age_s: float = 30 * 86_400
    dead_letters: int = 100_000
    """Over all pipelines; the oldest go first, and count as purged."""


class Retention:
    """Trims in small slices, each a commit of its own, so that ingest never waits long behind one."""

    def __init__(self, topology: Topology, log: Log, catalog: Catalog, clock: Clock, keys: Keys, kept: Kept) -> None:
        self._topology = topology
        self._log = log
        self._catalog = catalog
        self._clock = clock
        self._keys = keys
        self._kept = kept

    async def run(self) -> None:
        """Look every 15 seconds, for ever."""
        while True:
            await self._clock.wait(None, _EVERY_S)
            try:
                await self.once()
            except Unavailable as error:
                LOGGER.warning("retention waits: %s", error.message)
            except Exception:  # noqa: BLE001 - shown, and tried again
                LOGGER.exception("retention failed; it is tried again")

    async def once(self) -> None:
        """One look at everything."""
        for live in self._topology.live():
            await self._trim(live)
        await self._prune_dead()
        while await self._log.drop_expired_keys():
            pass
        for webhook in await self._catalog.webhooks():
            await self._give_up(webhook.id)
            while await self._catalog.prune_tellings(webhook.id, self._kept.runs):
                pass
        await self._log.give_back()
        await self._keys.keep_last_used()

    async def _prune_dead(self) -> None:
        before_us = self._clock.now_us() - int(self._kept.dead_age_s * _SECOND_US)
        count = 0
        while gone := await self._catalog.prune_dead(before_us, self._kept.dead_letters, _DEAD_SLICE):
            self._topology.note_gone(gone)
            count += sum(gone.values())
        if count:
            say(logging.WARNING, f"{count:,} dead letters were kept as long as the settings say, and are gone")

    async def _give_up(self, webhook: str) -> None:
        """
        What could not be told for a day is failed: here, and not with the attempt, so that a receiver that is away
        does not pile up what waits behind it, and an appliance that was off tries each once more.
        """
        before_us = self._clock.steady_us() - GIVEN_UP_AFTER_S * _SECOND_US
        count = 0
        while gone := await self._catalog.give_up(webhook, before_us, self._clock.now_us(), _NEVER_TRIED):
            count += gone
        if count:
            say(logging.ERROR, f"webhook {webhook}: gave up on {count:,} deliveries after 24 hours")

    async def _trim(self, live: LivePipeline) -> None:
        before_us = self._clock.steady_us() - int(self._kept.age_s * _SECOND_US)
        while await self._trim_slice(live, before_us):
            pass
        if live.runs_since_prune:
            live.runs_since_prune = 0
            while await self._catalog.prune_runs(live.number, self._kept.runs):
                pass
            while await self._catalog.prune_batches(live.number, self._kept.objects):
                pass

    async def _trim_slice(self, live: LivePipeline, before_us: int) -> int:
        """A slice, looked at anew: a full refresh may have begun meanwhile, which needs all that is still there."""
        async with live.changing:
            return await self._log.trim(live.number, live.slowest_cursor, before_us, self._kept.size_bytes)
