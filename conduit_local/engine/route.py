"""
One route: reads the log behind its cursor, and lands batch after batch.

The route is a small state machine. `_step` does one thing, the most urgent, and says how long there is nothing to do
unless the bell rings; `run` repeats it. All that must survive a crash is in the catalog before it is acted on:
the intent before the destination is called, the cursor after.

Where the destination takes several batches at once, attempts are tasks beside the loop, which ring the bell at their
end. A route that fails tries one batch at a time, the first, until that lands.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace

from conduit_local.core.batch import Batch, Closing, Cut
from conduit_local.core.catalog import BatchEnd
from conduit_local.core.errors import Unavailable
from conduit_local.core.ids import run_id
from conduit_local.core.pipeline import Health
from conduit_local.core.retry import Backoff
from conduit_local.engine.attempts import Attempts
from conduit_local.engine.hands import Hand
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.landing import Landing
from conduit_local.engine.reading import Reading
from conduit_local.engine.tape import tape_of
from conduit_local.engine.topology import LivePipeline, LiveRoute
from conduit_local.engine.wanted import Wanted
from conduit_local.engine.world import World

_STORE_BACKOFF = Backoff(initial_s=0.25, max_s=5.0)
_NOW = 0.0
_UNTIL_THE_BELL = None


class Route:
    """Delivers for one pipeline to one destination."""

    def __init__(self, live: LivePipeline, route: LiveRoute, world: World) -> None:
        self._live = live
        self._route = route
        self._world = world
        self._hands = route.hands
        self._reading = Reading(tape_of(live, route, world.log, world.catalog), route, world.clock)
        self._landing = Landing(live, route, self._reading, world)
        self._attempts = Attempts(live, route, world, self._landing, self._hands)
        self._wanted = Wanted(live, route)
        self._store_failures = 0

    async def run(self) -> None:
        """Deliver until the route ends or the appliance stops. An error here touches this route alone."""
        number = self._live.number
        async with asyncio.TaskGroup() as tasks:
            while not self._route.ended and not self._world.stopping.is_set():
                heard = self._world.bell.heard(number)
                try:
                    wait_s = await self._step(tasks)
                    self._store_is_well()
                except Exception as error:  # noqa: BLE001 - whatever it is, it stays on this route and is shown
                    if self._route.given_up:  # for good, or until that could not be kept
                        wait_s = _UNTIL_THE_BELL
                    else:
                        self._store_failures += 1
                        wait_s = self._note_trouble(error, self._store_failures)
                if wait_s != _NOW:
                    await self._world.bell.wait(number, heard, wait_s)
        await self._let_go()

    async def _let_go(self) -> None:
        """Keep how far it came. Where that cannot be kept batches are repeated, to the same objects, at next start."""
        try:
            if (ends := self._hands.ends()) and not self._route.given_up:
                await self._world.catalog.close_batches(ends)
        except Exception as error:  # noqa: BLE001 - shown: the other routes must not end with this one
            LOGGER.error("%s: close its last batch", self._route.name, exc_info=error)
        try:
            await self._landing.close()
        except Exception as error:  # noqa: BLE001 - as above
            LOGGER.error("%s: close its destination", self._route.name, exc_info=error)

    # One step --------------------------------------------------------------------------------------------

    async def _step(self, tasks: asyncio.TaskGroup) -> float | None:
        """Do the most urgent thing. Returns 0 for "again", else how long to wait for the bell."""
        hands = self._hands
        if self._route.given_up:
            return _UNTIL_THE_BELL
        if not hands.busy:
            await self._landing.follow()
        wait_s = await self._go_on(tasks)
        if wait_s != _NOW and await self._close():
            return _NOW
        if wait_s is None and not hands:
            await self._end_if_retired()
        return wait_s

    async def _go_on(self, tasks: asyncio.TaskGroup) -> float | None:
        """Try what waits for an attempt, or else take up the next batch; else how long there is neither."""
        hands, most = self._hands, self._most_at_once()
        if hands.busy >= most or (hands.busy and self._landing.is_outdated):
            return _UNTIL_THE_BELL
        hand = hands.next()
        if hand is not None:
            if await self._close():  # a receiver that heeds the order gets none again behind another
                return _NOW
            wait_s = self._until_attempt(hand.batch)
            return await self._try(hand, tasks) if wait_s == _NOW else wait_s
        if not hands.room(most):
            return _UNTIL_THE_BELL
        await self._reading.know_position()
        return await self._take_up(tasks)

    async def _close(self) -> bool:
        """Move the cursor over what has landed; returns whether there was any."""
        ends = self._hands.ends()
        if ends:
            await self._world.catalog.close_batches(ends)
            self._closed(ends)
        return bool(ends)

    async def _take_up(self, tasks: asyncio.TaskGroup) -> float | None:
        """Cut the next batch if one is due and write its intent; else how long until one may be."""
        route, reading, spec = self._route, self._reading, self._landing.batch_spec
        head = reading.tape.head()
        through = head.seq if route.through_seq is None else min(route.through_seq, head.seq)
        pending = through - reading.position.seq
        if pending <= 0:
            route.next_us = None
            return _UNTIL_THE_BELL
        wanted = self._wanted.through(reading.position.seq, through)
        if not self._wanted.streams() and reading.position.seq >= wanted:
            await reading.know_oldest()
            return _UNTIL_THE_BELL
        hurry = reading.position.seq < wanted
        partition = self._landing.destination.partition
        if (
            not hurry
            and pending < spec.max_events
            and head.bytes_before - reading.position.bytes_before < spec.max_bytes
            and (wait_s := await reading.until_due(spec, partition)) > 0
        ):
            return wait_s
        memory = self._attempts.memory()
        if memory.locked() and await self._close():  # whoever holds it may take long
            return _NOW
        async with AsyncExitStack() as held:
            await held.enter_async_context(memory)
            if route.spec.paused or not (hurry or self._wanted.streams()):
                return _NOW  # it was told to rest meanwhile
            ends_at = wanted if hurry else through if route.through_seq is not None else None
            cut = await reading.cut(spec, partition, ends_at)
            if cut is None or route.given_up:  # it may have been given up meanwhile: an intent would outlive it
                return _UNTIL_THE_BELL
            if cut.closing is None:
                wait_s = await reading.until_due(spec, partition)
                if wait_s > 0:
                    return wait_s
                cut = replace(cut, closing=Closing.AGE)
            hand = await self._intend(cut)
            if hand.parts is not None:
                return await self._try(hand, tasks, held)
        return await self._try(hand, tasks)

    async def _intend(self, cut: Cut) -> Hand:
        """Write the intent; with the ends of batches before, in one commit."""
        live = self._live
        key = self._landing.key_of(cut.partition, cut.first_seq, cut.last_seq)
        run = self._wanted.run_of(cut.last_seq)
        batch = Batch(
            number=0,
            pipeline=live.number,
            route=self._route.name,
            run=run.number if run is not None else 0,
            first_seq=cut.first_seq,
            last_seq=cut.last_seq,
            key=key,
            destination=self._landing.destination_text(),
            recipe=self._landing.recipe_text(run),
            attempt=0,
        )
        ends = self._hands.ends()
        batch = await self._world.catalog.open_batch(batch, self._world.clock.now_us(), ends)
        self._closed(ends)
        # what is transformed is read again once a child is free: those that wait for one hold no events in memory
        parts = None if batch.recipe else cut.parts
        hand = Hand(batch=batch, parts=parts, oldest_us=cut.received_at_us)
        self._hands.add(hand)
        self._reading.move_behind(cut)
        return hand

    def _until_attempt(self, batch: Batch) -> float | None:
        """How long the batch must wait for its next attempt."""
        route = self._route
        if not self._wanted.is_to_land(batch):
            return _UNTIL_THE_BELL
        if route.retry_at_us is None:
            return _NOW
        return max(_NOW, (route.retry_at_us - self._world.clock.steady_us()) / 1_000_000)

    # An attempt ------------------------------------------------------------------------------------------

    async def _try(self, hand: Hand, tasks: asyncio.TaskGroup, held: AsyncExitStack | None = None) -> float:
        """Try a batch: here where the destination takes one at a time, else beside. `held` is its place in memory."""
        if self._landing.destination.in_flight == 1:
            await self._attempts.make(hand, in_memory=held is not None)
            return _NOW
        hand.busy = True
        tasks.create_task(self._attempt_beside(hand, held.pop_all() if held is not None else None))
        return _NOW

    async def _attempt_beside(self, hand: Hand, held: AsyncExitStack | None) -> None:
        try:
            async with held or AsyncExitStack():
                await self._attempts.make(hand, in_memory=held is not None)
        except Exception as error:  # noqa: BLE001 - as in `run`
            hand.failed = True
            wait_s = self._note_trouble(error, hand.batch.attempt)
            self._route.retry_at_us = self._world.clock.steady_us() + int(wait_s * 1_000_000)
        finally:
            hand.busy = False
            self._world.bell.ring(self._live.number)

    def _closed(self, ends: list[BatchEnd]) -> None:
        """The cursor moved."""
        if not ends:
            return
        for end in ends:
            self._count(end)
        self._hands.drop(len(ends))
        self._world.delivered(self._live)

    def _count(self, end: BatchEnd) -> None:
        route, batch = self._route, end.batch
        route.cursor = batch.last_seq
        dead = len(end.dead)
        route.delivered += batch.count - dead
        route.dead += dead
        route.filtered += end.filtered
        if end.replays is not None and (died_on := self._live.routes.get(route.name.rpartition("@")[0])) is not None:
            died_on.delivered += batch.count - dead
            died_on.dead -= batch.count - dead
            died_on.filtered += end.filtered
        route.last_written_us, route.last_run = end.at_us, batch.run
        if end.rows:
            route.last_key = batch.key
        self._live.runs_since_prune += 1
        say(logging.WARNING if dead else logging.INFO, end.line.message, self._live.pipeline.name, run_id(batch.run))

    def _note_trouble(self, error: Exception, count: int) -> float:
        """The store, or we ourselves, fail, for the `count`th time: nothing is lost, the step is repeated."""
        route, name = self._route, self._live.pipeline.name
        route.health = Health.RETRYING if isinstance(error, Unavailable) else Health.BLOCKED
        route.message = str(error) or type(error).__name__
        route.failures.append(self._world.clock.steady_us())
        route.failed += 1
        if not isinstance(error, Unavailable):
            LOGGER.error("%s: the route failed", route.name, exc_info=error, extra={"pipeline": name})
        elif count == 1:
            say(logging.ERROR, f"{route.name}: {route.message}", name)
        return max(0.05, _STORE_BACKOFF.delay_s(count, self._world.chance.random()))

    def _store_is_well(self) -> None:
        if self._store_failures:
            self._store_failures = 0
            if not self._hands.failing:
                self._route.health, self._route.message = Health.OK, None

    async def _end_if_retired(self) -> None:
        route = self._route
        if not self._wanted.is_retired():
            return
        async with self._live.changing:  # somebody may be about to name the destination again
            if not self._wanted.is_retired():
                return
            await self._world.catalog.end_route(self._live.number, route.name)
            self._live.routes.pop(route.name, None)
            route.ended = True
        say(logging.INFO, f"{route.name}: destination removed, all delivered", self._live.pipeline.name)
        self._world.delivered(self._live)

    def _most_at_once(self) -> int:
        """How many batches may be on their way: one while something is wrong, or of a replay, which has its order."""
        if self._route.health is not Health.OK or self._route.replays is not None:
            return 1
        return self._landing.destination.in_flight
