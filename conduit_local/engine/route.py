"""
One route: reads the log behind its cursor, and lands batch after batch.

The route is a small state machine. `_step` does one thing, the most urgent, and says how long there is nothing to do
unless the bell rings; `run` repeats it. All that must survive a crash is in the catalog before it is acted on:
the intent before the destination is called, the cursor after.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from random import Random

from conduit_local.core.batch import Batch, Closing, Cut, Mark, Written, object_key
from conduit_local.core.batch import cut as cut_chunks
from conduit_local.core.catalog import BatchEnd, Catalog
from conduit_local.core.errors import DestinationUnavailable, Unavailable
from conduit_local.core.ids import run_id
from conduit_local.core.pipeline import Health, State
from conduit_local.core.ports import Bell, Clock, Destinations, Log
from conduit_local.core.retry import Backoff
from conduit_local.core.run import RunLine
from conduit_local.core.secrets import same_but_for_secrets
from conduit_local.core.texts import Texts
from conduit_local.core.units import size_text
from conduit_local.core.webhook import Notice, NoticeKind
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.topology import LivePipeline, LiveRoute

_STORE_BACKOFF = Backoff(initial_s=0.25, max_s=5.0)
_NOW = 0.0
_UNTIL_THE_BELL = None


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What every route works with."""

    log: Log
    catalog: Catalog
    bell: Bell
    clock: Clock
    destinations: Destinations
    texts: Texts
    hands: AbstractAsyncContextManager[object]
    """Bounds how many batches are in memory at once, over all routes."""
    stopping: asyncio.Event
    """Set when the appliance stops: routes end the batch in hand, and no more."""
    chance: Random
    delivered: Callable[[LivePipeline], None]
    """Told after a cursor moved: something may be complete."""


class Route:
    """Delivers for one pipeline to one destination, one batch at a time."""

    def __init__(self, live: LivePipeline, route: LiveRoute, world: World) -> None:
        self._live = live
        self._route = route
        self._world = world
        self._made_from = route.spec
        self._destination = world.destinations.make(route.spec)
        self._in_hand = route.open_batch
        self._parts: Sequence[bytes] | None = None
        self._unclosed: BatchEnd | None = None
        self._position = Mark(self._in_hand.last_seq if self._in_hand else route.cursor, 0, 0)
        """How far batches were cut; ahead of the cursor by the batch in hand and the one not closed yet."""
        self._position_known = False
        self._store_failures = 0

    async def run(self) -> None:
        """Deliver until the route ends or the appliance stops. An error here touches this route alone."""
        number = self._live.number
        while not self._route.ended and not self._world.stopping.is_set():
            heard = self._world.bell.heard(number)
            try:
                wait_s = await self._step()
                self._store_is_well()
            except Exception as error:  # noqa: BLE001 - whatever it is, it stays on this route and is shown
                if self._route.given_up:
                    break
                wait_s = self._note_trouble(error)
            if wait_s != _NOW:
                await self._world.bell.wait(number, heard, wait_s)
        await self._let_go()

    async def _let_go(self) -> None:
        """Keep how far it came. Where that cannot be kept the batch is repeated, to the same object, at next start."""
        try:
            if self._unclosed is not None and not self._route.given_up:
                await self._world.catalog.close_batch(self._unclosed)
        except Exception as error:  # noqa: BLE001 - shown: the other routes must not end with this one
            LOGGER.error("%s: close its last batch", self._route.name, exc_info=error)
        try:
            await self._destination.close()
        except Exception as error:  # noqa: BLE001 - as above
            LOGGER.error("%s: close its destination", self._route.name, exc_info=error)

    # One step --------------------------------------------------------------------------------------------

    async def _step(self) -> float | None:
        """Do the most urgent thing. Returns 0 for "again", else how long to wait for the bell."""
        if self._route.given_up:
            return _UNTIL_THE_BELL
        if self._route.spec != self._made_from:
            await self._destination.close()
            self._made_from = self._route.spec
            self._destination = self._world.destinations.make(self._made_from)
        if self._in_hand is not None:
            wait_s = self._until_attempt(self._in_hand)
            if wait_s == _NOW:
                async with self._world.hands:
                    return await self._attempt(self._in_hand)
            return wait_s
        if not self._position_known:
            self._position = await self._world.log.mark(self._live.number, self._position.seq)
            self._position_known = True
        wait_s = await self._take_up()
        if wait_s != _NOW and self._unclosed is not None:
            await self._world.catalog.close_batch(self._unclosed)
            self._closed(self._unclosed)
            return _NOW
        if wait_s is None:
            await self._end_if_retired()
        return wait_s

    async def _take_up(self) -> float | None:
        """Cut the next batch if one is due and write its intent; else how long until one may be."""
        live, route, spec = self._live, self._route, self._live.pipeline.spec.batch
        head = self._world.log.head(live.pipeline)
        through = head.seq if route.through_seq is None else min(route.through_seq, head.seq)
        pending = through - self._position.seq
        if pending <= 0:
            route.oldest_us = None
            return _UNTIL_THE_BELL
        wanted = self._wanted_through(through) if not route.spec.paused else 0
        if not self._streams() and self._position.seq >= wanted:
            await self._know_oldest()
            return _UNTIL_THE_BELL
        hurry = self._position.seq < wanted
        if not hurry and pending < spec.max_events and head.bytes_before - self._position.bytes_before < spec.max_bytes:
            wait_s = await self._until_due(head)
            if wait_s > 0:
                return wait_s
        async with self._world.hands:
            cut = await self._cut(wanted if hurry else through if route.through_seq is not None else None)
            if cut is None or route.given_up:  # it may have been given up meanwhile: an intent would outlive it
                return _UNTIL_THE_BELL
            if cut.closing is None:
                wait_s = await self._until_due(head)
                if wait_s > 0:
                    return wait_s
                cut = replace(cut, closing=Closing.AGE)
            return await self._attempt(await self._intend(cut))

    async def _cut(self, through_seq: int | None) -> Cut | None:
        spec = self._live.pipeline.spec.batch
        chunks = await self._world.log.read(
            self._live.number, self._position.seq, through_seq or 1 << 62, spec.max_events, spec.max_bytes
        )
        return cut_chunks(chunks, spec, self._destination.partition, through_seq)

    async def _intend(self, cut: Cut) -> Batch:
        """Write the intent; with the end of the batch before, in one commit."""
        live = self._live
        _, _, own_run = self._route.name.partition("@")
        folder = f"{live.pipeline.folder}/{own_run}" if own_run else live.pipeline.folder
        key = object_key(folder, cut.partition, cut.first_seq, cut.last_seq, self._destination.extension)
        run = next((run.number for run in live.runs if run.through_seq >= cut.last_seq), 0)
        batch = Batch(
            number=0,
            pipeline=live.number,
            route=self._route.name,
            run=run,
            first_seq=cut.first_seq,
            last_seq=cut.last_seq,
            key=key,
            destination=self._world.texts.of_destination(self._made_from, live.pipeline.uuid),
            attempt=0,
        )
        unclosed = self._unclosed
        batch = await self._world.catalog.open_batch(batch, self._world.clock.now_us(), unclosed)
        if unclosed is not None:
            self._closed(unclosed)
        self._in_hand = self._route.open_batch = batch
        self._route.oldest_us = cut.received_at_us
        self._parts = cut.parts
        self._position = Mark(cut.last_seq, self._position.bytes_before + cut.size_bytes, 0)
        return batch

    def _until_attempt(self, batch: Batch) -> float | None:
        """How long the batch in hand must wait for its next attempt."""
        live, route = self._live, self._route
        wanted = not route.spec.paused and (
            self._streams() or route.through_seq is not None or live.wanted_through(batch.last_seq) >= batch.last_seq
        )
        if not wanted:
            return _UNTIL_THE_BELL
        if route.retry_at_us is None:
            return _NOW
        return max(_NOW, (route.retry_at_us - self._world.clock.steady_us()) / 1_000_000)

    async def _attempt(self, batch: Batch) -> float | None:
        """Try the batch in hand."""
        route, clock = self._route, self._world.clock
        parts = self._parts or await self._read_again(batch)
        self._parts = None  # a failed batch is read again: many waiting routes must not hold many batches
        batch = replace(batch, attempt=batch.attempt + 1)
        self._in_hand = route.open_batch = batch
        began_us = clock.steady_us()
        try:
            written = await self._write(batch, parts)
        except DestinationUnavailable as error:
            return await self._failed(batch, error)
        took_ms = (clock.steady_us() - began_us) // 1000
        name = batch.key.rsplit("/", 1)[-1]
        rows = "1 row" if batch.count == 1 else f"{batch.count:,} rows"
        line = f"{rows} {size_text(written.size_bytes)} in {took_ms}ms -> {name}"
        at_us = clock.now_us()
        self._unclosed = BatchEnd(
            batch=batch,
            written=written,
            at_us=at_us,
            line=RunLine(at_us=at_us, level="INFO", message=line),
            tells=self._notice(
                NoticeKind.WRITTEN,
                batch,
                at_us,
                run_id=run_id(batch.run),
                object_key=batch.key,
                objects=1,
                size_bytes=written.size_bytes,
            ),
        )
        self._in_hand = route.open_batch = None
        route.health, route.message, route.attempt, route.retry_at_us = Health.OK, None, 0, None
        return _NOW

    async def _write(self, batch: Batch, parts: Sequence[bytes]) -> Written:
        """
        To where the batch was meant to go when its intent was written; usually where the route goes now.

        With the secrets of now: those of then may be the reason why it did not go.
        """
        spec = self._world.texts.destination(batch.destination, self._live.pipeline.uuid)
        if same_but_for_secrets(spec, self._made_from):
            return await self._destination.write(batch.key, parts)
        destination = self._world.destinations.make(spec)
        try:
            return await destination.write(batch.key, parts)
        finally:
            await destination.close()

    # What became of it -----------------------------------------------------------------------------------

    def _closed(self, end: BatchEnd) -> None:
        """The cursor moved."""
        route, batch = self._route, end.batch
        self._unclosed = None
        route.cursor = batch.last_seq
        route.delivered += batch.count
        route.last_written_us, route.last_run, route.last_key = end.at_us, batch.run, batch.key
        self._live.runs_since_prune += 1
        if route.oldest_us is not None:
            self._live.deliver_us.add(self._world.clock.steady_us(), max(0, end.at_us - route.oldest_us))
        say(logging.INFO, end.line.message, self._live.pipeline.name, run_id(batch.run))
        self._world.delivered(self._live)

    async def _failed(self, batch: Batch, error: DestinationUnavailable) -> float:
        """Note it, and when to try again; the next step waits for that."""
        route, clock = self._route, self._world.clock
        delay_s = self._live.pipeline.spec.retry.backoff().delay_s(batch.attempt, self._world.chance.random())
        now_us = clock.steady_us()
        route.health = Health.BLOCKED if error.needs_person else Health.RETRYING
        route.message, route.attempt = error.message, batch.attempt
        route.retry_at_us = now_us + int(delay_s * 1_000_000)
        route.failures.append(now_us)
        route.failed += 1
        text = f"{error.message}; attempt {batch.attempt}, again in {delay_s:.1f}s"
        say(logging.ERROR, f"{route.name}: {text}", self._live.pipeline.name, run_id(batch.run))
        at_us = clock.now_us()
        first = batch.attempt == 1
        tells = self._notice(NoticeKind.FAILED, batch, at_us, run_id=run_id(batch.run), error=error.message)
        await self._world.catalog.note_attempt(
            batch, error.message, RunLine(at_us=at_us, level="ERROR", message=text), tells if first else None
        )
        return _NOW

    def _notice(self, kind: NoticeKind, batch: Batch, at_us: int, **more: object) -> Notice:
        pipeline = self._live.pipeline
        return Notice(
            kind=kind,
            pipeline=pipeline.number,
            pipeline_id=pipeline.id,
            pipeline_name=pipeline.name,
            at_us=at_us,
            route=self._route.name,
            first_seq=batch.first_seq,
            last_seq=batch.last_seq,
            count=batch.count,
            more={"destination": self._route.name.partition("@")[0], **more},
        )

    def _note_trouble(self, error: Exception) -> float:
        """The store, or we ourselves, fail: nothing is lost, the step is repeated."""
        self._store_failures += 1
        route, name = self._route, self._live.pipeline.name
        route.health = Health.RETRYING if isinstance(error, Unavailable) else Health.BLOCKED
        route.message = str(error) or type(error).__name__
        route.failures.append(self._world.clock.steady_us())
        route.failed += 1
        if not isinstance(error, Unavailable):
            LOGGER.error("%s: the route failed", route.name, exc_info=error, extra={"pipeline": name})
        elif self._store_failures == 1:
            say(logging.ERROR, f"{route.name}: {route.message}", name)
        return max(0.05, _STORE_BACKOFF.delay_s(self._store_failures, self._world.chance.random()))

    def _store_is_well(self) -> None:
        if self._store_failures:
            self._store_failures = 0
            if self._in_hand is None:
                self._route.health, self._route.message = Health.OK, None

    async def _end_if_retired(self) -> None:
        route = self._route
        if not self._is_retired():
            return
        async with self._live.changing:  # somebody may be about to name the destination again
            if not self._is_retired():
                return
            await self._world.catalog.end_route(self._live.number, route.name)
            self._live.routes.pop(route.name, None)
            route.ended = True
        say(logging.INFO, f"{route.name}: destination removed, all delivered", self._live.pipeline.name)
        self._world.delivered(self._live)

    # Questions -------------------------------------------------------------------------------------------

    def _is_retired(self) -> bool:
        """Whether its destination was taken out of the configuration, and it has delivered all it was left with."""
        route = self._route
        return route.through_seq is not None and route.cursor >= route.through_seq and not route.given_up

    def _streams(self) -> bool:
        """Whether it delivers without being asked to: a schedule asks through its runs."""
        pipeline = self._live.pipeline
        return (
            pipeline.state is State.ACTIVE
            and not pipeline.deleted
            and pipeline.spec.schedule is None
            and not self._route.spec.paused
        )

    def _wanted_through(self, through: int) -> int:
        """How far to deliver without waiting; a run that ends sooner comes first, so that batches are of one run."""
        runs = [run.through_seq for run in self._live.runs if run.through_seq > self._position.seq]
        if runs:
            return min(*runs, through)
        if self._route.through_seq is not None:
            return through
        return min(self._live.wanted_through(through), through)

    async def _until_due(self, head: Mark) -> float:
        """Seconds until the oldest event has waited long enough, or the partition changed; at most 0 when due."""
        oldest_us = await self._know_oldest()
        if self._destination.partition(oldest_us) != self._destination.partition(head.received_at_us):
            return 0.0
        age_us = self._world.clock.now_us() - oldest_us
        if age_us < 0:  # the time of day was set back: waiting for it would hold events for hours
            return 0.0
        return self._live.pipeline.spec.batch.max_age - age_us / 1_000_000

    async def _know_oldest(self) -> int:
        """When the oldest event that is not yet in a batch was received."""
        if not self._position.received_at_us:
            self._position = await self._world.log.mark(self._live.number, self._position.seq)
        self._route.oldest_us = self._position.received_at_us
        return self._position.received_at_us

    async def _read_again(self, batch: Batch) -> tuple[bytes, ...]:
        """The events of an intent that was written before."""
        chunks = await self._world.log.read(
            self._live.number, batch.first_seq - 1, batch.last_seq, batch.count, 1 << 62
        )
        spec = self._live.pipeline.spec.batch.model_copy(update={"max_events": batch.count, "max_bytes": 1 << 62})
        found = cut_chunks(chunks, spec, lambda _: "", batch.last_seq)
        if found is None or (found.first_seq, found.last_seq) != (batch.first_seq, batch.last_seq):
            raise DestinationUnavailable(
                f"read events {batch.first_seq}-{batch.last_seq} again: they are not all on the log",
                needs_person=True,
            )
        self._route.oldest_us = found.received_at_us
        return found.parts
