"""A courier over a real store, with a sender that answers as it is told and a clock that runs when nobody else does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.ports import Answered
from conduit_local.core.webhook import NoticeKind, Telling, TellingState, Webhook
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.courier import Courier
from conduit_local.engine.keys import Keys
from conduit_local.engine.retention import Kept, Retention
from conduit_local.engine.topology import Topology
from conduit_local.engine.webhooks import Webhooks
from conduit_local.store.store import Store
from tests.making import add, numbered, store_at

SECOND_US = 1_000_000
HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S


class SleepyClock(SteeredClock):
    """Frozen; knows who sleeps until when, so that a test can let just so much time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.freeze(True)
        self.naps = 0
        self.asleep: dict[int, int | None] = {}

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        """`Clock.wait`."""
        self.naps += 1
        nap = self.naps
        self.asleep[nap] = None if seconds is None else self.steady_us() + round(seconds * SECOND_US)
        try:
            return await super().wait(until, seconds)
        finally:
            del self.asleep[nap]

    def next_us(self) -> int | None:
        """When the first of those who sleep wakes up."""
        return min((end_us for end_us in self.asleep.values() if end_us is not None), default=None)


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt."""

    at_us: int
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]


Says = Callable[[Sent], Awaitable[Answered]]


def answering(status: int, retry_after_s: float | None = None) -> Says:
    """Always this status."""

    async def says(_sent: Sent) -> Answered:
        await asyncio.sleep(0)  # a turn of the loop: others are under way meanwhile
        return Answered(status=status, retry_after_s=retry_after_s, excerpt="")

    return says


async def hanging(_sent: Sent) -> Answered:
    """No answer, for ever."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


@dataclass(slots=True)
class FakeSender:
    """`Sender` without a network."""

    clock: SteeredClock
    says: Says = field(default_factory=lambda: answering(200))
    sent: list[Sent] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    answered: int = 0

    async def check(self, url: str) -> None:
        """`Sender.check`."""
        if "refused" in url:
            raise ValueError("may not be reached")

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes | Sequence[bytes], timeout_s: float
    ) -> Answered:
        """`Sender.post`."""
        sent = Sent(self.clock.steady_us(), url, headers, body if isinstance(body, bytes) else b"".join(body))
        self.sent.append(sent)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            found = await self.says(sent)
            self.answered += 1
            return found
        finally:
            self.at_once -= 1


@dataclass(slots=True)
class World:
    """A store, its webhooks, and a courier that runs."""

    store: Store
    catalog: Catalog
    webhooks: Webhooks
    retention: Retention
    clock: SleepyClock
    sender: FakeSender
    pipeline: Pipeline

    async def subscribe(self, *kinds: NoticeKind, url: str = "https://example.com/hook") -> tuple[Webhook, str]:
        """A webhook for these; for what comes in, if for nothing else."""
        return await self.webhooks.create(url, kinds or (NoticeKind.INGESTED,), None)

    async def happen(self, count: int = 1) -> None:
        """`count` notices that do not gather, in one commit."""
        paused = (self.store.catalog.set_state(self.pipeline, tells=NoticeKind.PAUSED) for _ in range(count))
        await asyncio.gather(*paused)

    async def ingest(self, count: int = 1) -> None:
        """`count` events in one commit."""
        await self.store.log.append(self.pipeline, numbered(0, count), None)

    async def tellings(self, webhook: Webhook) -> list[Telling]:
        """All of them, the oldest first."""
        return (await self.catalog.tellings(webhook.id, None, 1_000_000))[::-1]

    async def states(self, webhook: Webhook) -> list[TellingState]:
        """Of all of them, the oldest first."""
        return [one.state for one in await self.tellings(webhook)]

    async def quiet(self) -> None:
        """Until every worker sleeps; a worker that waits for a receiver does not."""
        async with asyncio.timeout(20):
            still = 0
            while still < 3:  # what rings takes a turn or two of the loop to arrive
                naps = self.clock.naps
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
                busy = len(self.clock.asleep) < len(self.webhooks.all()) or naps != self.clock.naps
                still = 0 if busy else still + 1

    async def pass_time(self, seconds: float) -> None:
        """Let this much pass, from one thing that happens to the next."""
        end_us = self.clock.steady_us() + round(seconds * SECOND_US)
        await self.quiet()
        while (next_us := self.clock.next_us()) is not None and next_us <= end_us:
            self.clock.advance(max(0, next_us - self.clock.steady_us()) / SECOND_US)
            await self.quiet()
        self.clock.advance((end_us - self.clock.steady_us()) / SECOND_US)
        await self.quiet()


@asynccontextmanager
async def world_at(
    folder: Path,
    clock: SleepyClock | None = None,
    *,
    seed: int = 1,
    keep: int = 1_000_000,
    in_front: Callable[[Catalog], Catalog] = lambda catalog: catalog,
) -> AsyncIterator[World]:
    """A courier at work; the store's file may be there from before. `in_front` of the catalog stands what fails."""
    clock = clock or SleepyClock()
    async with store_at(folder, clock, full_sync=False) as store:
        catalog = in_front(store.catalog)
        found = await catalog.pipelines()
        pipeline = found[0] if found else await add(store)
        sender = FakeSender(clock)
        webhooks = Webhooks(catalog, clock, sender, store.log.tag)
        await webhooks.load()
        courier = Courier(webhooks, catalog, clock, sender, 15.0, Random(seed))
        catalog.on_notice(courier.ring)
        keys = Keys(catalog, clock, required=False)
        retention = Retention(Topology(), store.log, catalog, clock, keys, Kept(runs=keep))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(courier.run())
            try:
                yield World(store, catalog, webhooks, retention, clock, sender, pipeline)
            finally:
                task.cancel()
