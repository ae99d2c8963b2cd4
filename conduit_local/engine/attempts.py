"""Attempts to land a batch, and what becomes of them: it landed, in part or whole; it failed, and is tried again."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace

from conduit_local.core.batch import Batch, Written, object_key
from conduit_local.core.catalog import BatchEnd
from conduit_local.core.content import Envelopes
from conduit_local.core.dead import headline
from conduit_local.core.delivering import Rejected
from conduit_local.core.errors import DestinationUnavailable, Undelivered
from conduit_local.core.ids import run_id
from conduit_local.core.pipeline import Health
from conduit_local.core.run import RunLine
from conduit_local.core.units import size_text
from conduit_local.core.webhook import Notice, NoticeKind, notice_of
from conduit_local.engine.hands import Hand, Hands
from conduit_local.engine.journal import say
from conduit_local.engine.landing import Landing, MadeAnew
from conduit_local.engine.making import Made
from conduit_local.engine.topology import LivePipeline, LiveRoute
from conduit_local.engine.world import World


class Attempts:
    """Makes attempts for one route; what is on its way is in `hands`."""

    def __init__(self, live: LivePipeline, route: LiveRoute, world: World, landing: Landing, hands: Hands) -> None:
        self._live = live
        self._route = route
        self._world = world
        self._landing = landing
        self._hands = hands

    async def make(self, hand: Hand, *, in_memory: bool) -> None:
        """
        Make the batch's rows and land them; while it is transformed it is in nobody's memory, and in nobody's way.

        `in_memory`: the caller holds a place for its events. Raises: StoreUnavailable.
        """
        hand.batch = replace(hand.batch, attempt=hand.batch.attempt + 1)
        try:
            try:
                if not hand.batch.recipe:
                    async with AsyncExitStack() as held:
                        if not in_memory:
                            await held.enter_async_context(self.memory())
                        await self._land(hand, await self._as_it_is(hand))
                    return
                made = await self._landing.transformed(hand)
                try:
                    async with self.memory():
                        await self._land(hand, made)
                finally:
                    made.content.close()
            except Rejected as refusal:
                await self._rejected(hand, refusal)
        except MadeAnew as anew:
            hand.batch = anew.batch
            self._route.retry_at_us = None
        except Undelivered as error:
            await self._failed(hand, error)

    async def _as_it_is(self, hand: Hand) -> Made:
        parts, hand.parts = hand.parts, None
        if parts is not None:
            return Made(content=Envelopes(parts, hand.batch.count))
        return await self._landing.as_they_are(hand)

    async def _land(self, hand: Hand, made: Made) -> None:
        """Have the destination take the rows; where there are none, there is no object."""
        if self._route.given_up:
            return
        began_us = self._world.clock.steady_us()
        written = await self._landing.write(hand, made.content)
        took_ms = (self._world.clock.steady_us() - began_us) // 1000
        await self._landed(hand, made, written, took_ms)

    # What became of it -----------------------------------------------------------------------------------

    async def _landed(self, hand: Hand, made: Made, written: Written, took_ms: int) -> None:
        """The batch is where it belongs; the cursor moves once all before it are."""
        route, clock, batch = self._route, self._world.clock, hand.batch
        rows, dead = made.content.rows, len(made.dead)
        at_us = clock.now_us()
        if hand.oldest_us is not None:
            self._live.deliver_us.add(clock.steady_us(), max(0, at_us - hand.oldest_us))
        hand.end = BatchEnd(
            batch=batch,
            written=written,
            rows=rows,
            filtered=max(0, batch.count - dead - rows),
            dead=made.dead,
            replays=route.replays,
            events=await self._landing.ends_of(batch),
            at_us=at_us,
            line=_line(at_us, batch, made, written, took_ms),
            tells=self._notice(
                NoticeKind.WRITTEN,
                batch,
                at_us,
                run_id=run_id(batch.run),
                object_key=batch.key if rows else None,
                objects=int(rows > 0),
                rows=rows,
                dead=dead,
                size_bytes=written.size_bytes,
            ),
        )
        hand.failed = False
        if not self._hands.failing:
            route.health, route.message, route.attempt, route.retry_at_us = Health.OK, None, 0, None

    async def _rejected(self, hand: Hand, refusal: Rejected) -> None:
        """
        The destination refuses these events for good: halve them until the culprits stand alone, which die. But not
        where an attempt before has landed all of them, and only what makes an object of them has changed its mind.

        Raises: DestinationUnavailable, StoreUnavailable.
        """
        batch, at_us = hand.batch, self._world.clock.now_us()
        if self._route.given_up:
            return
        if hand.may_be_there and await self._landing.is_there(batch):
            raise DestinationUnavailable(f"repeat a batch that has landed: {refusal.message}", needs_person=True)
        if batch.count == 1:
            dead = await self._landing.letter_of(batch, refusal.message)
            await self._landed(hand, Made(content=Envelopes((), 0), dead=[dead]), Written("", 0), 0)
            return
        middle = (batch.first_seq + batch.last_seq) // 2
        ranges = (batch.first_seq, middle), (middle + 1, batch.last_seq)
        folder, _, name = batch.key.rpartition("/")
        extension = name.partition(".")[2]
        halves = [
            replace(
                batch, first_seq=first, last_seq=last, key=object_key(folder, "", first, last, extension), attempt=0
            )
            for first, last in ranges
        ]
        line = RunLine(
            at_us=at_us,
            level="WARNING",
            message=f"{batch.count:,} events were rejected together, and go in halves: {headline(refusal.message)}",
        )
        kept = await self._world.catalog.split_batch(batch, halves, at_us, line)
        self._hands.split(hand, kept)

    async def _failed(self, hand: Hand, error: Undelivered) -> None:
        """Note it, and when to try again."""
        route, clock, batch = self._route, self._world.clock, hand.batch
        if route.given_up:
            return
        if isinstance(error, DestinationUnavailable) and not (error.needs_person or error.unsent):
            hand.may_be_there = True
        delay_s = self._landing.retry_spec.backoff().delay_s(batch.attempt, self._world.chance.random())
        if isinstance(error, DestinationUnavailable) and error.wait_s is not None:
            delay_s = max(delay_s, error.wait_s)
        now_us = clock.steady_us()
        hand.failed = True
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

    def memory(self) -> asyncio.Semaphore:
        """A place for one batch's events."""
        return self._world.remote_hands if self._route.spec.remote else self._world.hands

    def _notice(self, kind: NoticeKind, batch: Batch, at_us: int, **more: object) -> Notice:
        return notice_of(
            kind,
            self._live.pipeline,
            at_us,
            route=self._route.name,
            seqs=(batch.first_seq, batch.last_seq),
            destination=self._route.name.partition("@")[0],
            **more,
        )


def _line(at_us: int, batch: Batch, made: Made, written: Written, took_ms: int) -> RunLine:
    """What the run's log says of a batch that landed."""
    rows, dead = made.content.rows, len(made.dead)
    text = f"{rows:,} {'row' if rows == 1 else 'rows'}"
    if batch.recipe:
        text += f" of {batch.count:,} {'event' if batch.count == 1 else 'events'}"
    if rows:
        text += f" {size_text(written.size_bytes)} in {took_ms}ms -> {batch.key.rsplit('/', 1)[-1]}"
    if dead:
        text += f"; {dead:,} dead: {headline(made.dead[0].error)}"
    return RunLine(at_us=at_us, level="WARNING" if dead else "INFO", message=text)
