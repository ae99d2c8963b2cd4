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

from conduit_local.core.batch import Batch, Closing, Cut, Written, object_key
from conduit_local.core.catalog import BatchEnd, Catalog
from conduit_local.core.content import Envelopes
from conduit_local.core.dead import headline
from conduit_local.core.delivering import Destinations
from conduit_local.core.errors import DestinationUnavailable, Unavailable, Undelivered
from conduit_local.core.ids import run_id
from conduit_local.core.log import Log
from conduit_local.core.pipeline import Health, State
from conduit_local.core.ports import Bell, Clock
from conduit_local.core.retry import Backoff
from conduit_local.core.run import Run, RunLine
from conduit_local.core.texts import Texts
from conduit_local.core.transforming import Transforms
from conduit_local.core.units import size_text
from conduit_local.core.webhook import Notice, NoticeKind, notice_of
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.landing import Landing, MadeAnew
from conduit_local.engine.making import Made
from conduit_local.engine.reading import Reading
from conduit_local.engine.tape import tape_of
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
    transforms: Transforms
    texts: Texts
    hands: AbstractAsyncContextManager[object]
    """Bounds how many batches are in memory at once, over all routes; those that wait for a transform are in none."""
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
        self._in_hand = route.open_batch
        self._parts: Sequence[bytes] | None = None
        self._unclosed: BatchEnd | None = None
        self._reading = Reading(tape_of(live, route, world.log, world.catalog), route, world.clock)
        self._landing = Landing(
            live, route, self._reading, world.destinations, world.transforms, world.texts, world.catalog
        )
        self._own_run = route.name.rpartition("@")[2] if "@" in route.name else None
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
            await self._landing.close()
        except Exception as error:  # noqa: BLE001 - as above
            LOGGER.error("%s: close its destination", self._route.name, exc_info=error)

    # One step --------------------------------------------------------------------------------------------

    async def _step(self) -> float | None:
        """Do the most urgent thing. Returns 0 for "again", else how long to wait for the bell."""
        if self._route.given_up:
            return _UNTIL_THE_BELL
        await self._landing.follow()
        if self._in_hand is not None:
            wait_s = self._until_attempt(self._in_hand)
            return await self._attempt(self._in_hand) if wait_s == _NOW else wait_s
        await self._reading.know_position()
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
        route, reading, spec = self._route, self._reading, self._live.pipeline.spec.batch
        head = reading.tape.head()
        through = head.seq if route.through_seq is None else min(route.through_seq, head.seq)
        pending = through - reading.position.seq
        if pending <= 0:
            route.oldest_us = None
            return _UNTIL_THE_BELL
        wanted = self._wanted_through(through) if not route.spec.paused else 0
        if not self._streams() and reading.position.seq >= wanted:
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
        async with self._world.hands:
            ends_at = wanted if hurry else through if route.through_seq is not None else None
            cut = await reading.cut(spec, partition, ends_at)
            if cut is None or route.given_up:  # it may have been given up meanwhile: an intent would outlive it
                return _UNTIL_THE_BELL
            if cut.closing is None:
                wait_s = await reading.until_due(spec, partition)
                if wait_s > 0:
                    return wait_s
                cut = replace(cut, closing=Closing.AGE)
            batch = await self._intend(cut)
            if not batch.recipe:
                return await self._attempt_as_it_is(batch)
        return await self._attempt(batch)

    async def _intend(self, cut: Cut) -> Batch:
        """Write the intent; with the end of the batch before, in one commit."""
        live = self._live
        folder = f"{live.pipeline.folder}/{self._own_run}" if self._own_run else live.pipeline.folder
        key = object_key(folder, cut.partition, cut.first_seq, cut.last_seq, self._landing.destination.extension)
        run = self._run_of(cut.last_seq)
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
        unclosed = self._unclosed
        batch = await self._world.catalog.open_batch(batch, self._world.clock.now_us(), unclosed)
        if unclosed is not None:
            self._closed(unclosed)
        self._in_hand = self._route.open_batch = batch
        self._route.oldest_us = cut.received_at_us
        self._parts = None if batch.recipe else cut.parts
        self._reading.move_behind(cut)
        return batch

    def _run_of(self, seq: int) -> Run | None:
        """The run under way that asks for this event."""
        if self._own_run is not None:
            return next((run for run in self._live.runs if run.id == self._own_run), None)
        return next((run for run in self._live.runs if run.through_seq >= seq), None)

    def _until_attempt(self, batch: Batch) -> float | None:
        """How long the batch in hand must wait for its next attempt."""
        live, route = self._live, self._route
        wanted = not route.spec.paused and (
            self._streams() or self._ends() or live.wanted_through(batch.last_seq) >= batch.last_seq
        )
        if not wanted:
            return _UNTIL_THE_BELL
        if route.retry_at_us is None:
            return _NOW
        return max(_NOW, (route.retry_at_us - self._world.clock.steady_us()) / 1_000_000)

    async def _attempt(self, batch: Batch) -> float | None:
        """Try the batch in hand; while it is transformed it is in nobody's memory, and in nobody's way."""
        if not batch.recipe:
            async with self._world.hands:
                return await self._attempt_as_it_is(batch)
        batch = self._count_attempt(batch)
        try:
            made = await self._landing.transformed(batch)
        except MadeAnew as anew:
            self._in_hand = self._route.open_batch = anew.batch
            self._route.retry_at_us = None
            return _NOW
        except Undelivered as error:
            return await self._failed(batch, error)
        try:
            async with self._world.hands:
                return await self._land(batch, made)
        finally:
            made.content.close()

    async def _attempt_as_it_is(self, batch: Batch) -> float | None:
        parts, self._parts = self._parts, None  # a failed batch is read again: many that wait must not hold many
        if parts is not None:
            made = Made(content=Envelopes(parts, batch.count))
        else:
            made = await self._landing.as_they_are(batch)
        return await self._land(self._count_attempt(batch), made)

    def _count_attempt(self, batch: Batch) -> Batch:
        batch = replace(batch, attempt=batch.attempt + 1)
        self._in_hand = self._route.open_batch = batch
        return batch

    async def _land(self, batch: Batch, made: Made) -> float | None:
        """Have the destination take the rows; where there are none, there is no object."""
        route, clock = self._route, self._world.clock
        if route.given_up:
            return _UNTIL_THE_BELL
        began_us = clock.steady_us()
        try:
            written = await self._landing.write(batch, made.content)
        except DestinationUnavailable as error:
            return await self._failed(batch, error)
        took_ms = (clock.steady_us() - began_us) // 1000
        rows, dead = made.content.rows, len(made.dead)
        at_us = clock.now_us()
        if route.oldest_us is not None:  # by the time that the batch is closed, it may be that of the next one
            self._live.deliver_us.add(clock.steady_us(), max(0, at_us - route.oldest_us))
        self._unclosed = BatchEnd(
            batch=batch,
            written=written,
            rows=rows,
            filtered=max(0, batch.count - dead - rows),
            dead=made.dead,
            replays=route.replays,
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
        self._in_hand = None
        route.health, route.message, route.attempt, route.retry_at_us = Health.OK, None, 0, None
        return _NOW

    # What became of it -----------------------------------------------------------------------------------

    def _closed(self, end: BatchEnd) -> None:
        """The cursor moved."""
        route, batch = self._route, end.batch
        self._unclosed = None
        if route.open_batch is not None and route.open_batch.number == batch.number:
            route.open_batch = None
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
        self._world.delivered(self._live)

    async def _failed(self, batch: Batch, error: Undelivered) -> float:
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
        return notice_of(
            kind,
            self._live.pipeline,
            at_us,
            route=self._route.name,
            seqs=(batch.first_seq, batch.last_seq),
            destination=self._route.name.partition("@")[0],
            **more,
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

    def _ends(self) -> bool:
        """Whether it has an end to come to; what is left of a cancelled replay waits while the pipeline is paused."""
        if self._route.replays is not None and self._live.pipeline.state is State.PAUSED:
            return any(run.number == self._route.replays for run in self._live.runs)
        return self._route.through_seq is not None

    def _wanted_through(self, through: int) -> int:
        """How far to deliver without waiting; a run that ends sooner comes first, so that batches are of one run."""
        if self._own_run is not None:
            return through
        runs = [run.through_seq for run in self._live.runs if run.through_seq > self._reading.position.seq]
        if runs:
            return min(*runs, through)
        if self._route.through_seq is not None:
            return through
        return min(self._live.wanted_through(through), through)


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
