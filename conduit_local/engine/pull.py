"""
One source: reads it, and puts what it brings on the pipeline's log.

Where a source goes on is committed with the events that it brought, so that each of its records comes once, whatever
happens in between. A pipeline that streams has its sources read all the time; one with a schedule when a run starts,
to their end. While a pipeline is paused its sources rest: they keep what is theirs better than the log would.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.dead import NewDeadLetter, Stage, headline
from conduit_local.core.errors import ConduitError, Unavailable, only_error
from conduit_local.core.log import Along, Log
from conduit_local.core.pipeline import Health, State
from conduit_local.core.ports import Bell, Clock
from conduit_local.core.pulling import Pulled, Source, SourceFailed, Sources
from conduit_local.core.retry import Backoff
from conduit_local.core.run import RunLine
from conduit_local.core.spec import Component
from conduit_local.core.texts import Texts
from conduit_local.engine.completion import Completion
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.topology import LivePipeline, LiveSource

MOST_AT_ONCE = 1_000
"""Events that one look at a source asks for: a commit of the size that the log makes its chunks of."""
_MOST_SAID = 20
"""Lines a look: a file of a thousand wrong ones is one story."""
_ATTEMPTS_OF_A_RUN = 5
"""A run does not wait for a source for ever: the next one goes on where this one came to."""
_STORE_BACKOFF = Backoff(initial_s=0.25, max_s=5.0)
_SECOND_US = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PullWorld:
    """What every source works with."""

    log: Log
    catalog: Catalog
    sources: Sources
    texts: Texts
    clock: Clock
    pull_bell: Bell
    bell: Bell
    completion: Completion
    stopping: asyncio.Event
    chance: Random


class Pull:
    """Pulls from one source of one pipeline, one look at a time."""

    def __init__(self, live: LivePipeline, here: LiveSource, world: PullWorld) -> None:
        self._live = live
        self._here = here
        self._world = world
        self._source: Source | None = None
        self._made_from: tuple[Component, dict[str, str]] | None = None
        self._cursor: str | None = None
        self._epoch = -1
        self._store_failures = 0

    async def run(self) -> None:
        """Pull until the source ends or the appliance stops. An error here touches this source alone."""
        world, number = self._world, self._live.number
        try:
            while not self._here.ended and not world.stopping.is_set():
                heard = world.pull_bell.heard(number)
                try:
                    if not self._is_wanted():
                        await world.pull_bell.wait(number, heard, None)
                    elif (wait_s := self._until_attempt()) > 0:
                        await world.pull_bell.wait(number, heard, wait_s)
                    elif not await self._look():
                        await self._wait_for_news(heard)
                except SourceFailed as error:
                    await self._failed(
                        error.message, needs_person=error.needs_person, retry_after_s=error.retry_after_s
                    )
                except ConduitError as error:
                    self._not_kept(error)
                except Exception as error:  # noqa: BLE001 - whatever it is, it stays on this source and is shown
                    LOGGER.error("%s: the source failed", self._here.name, exc_info=error)
                    await self._failed(str(error) or type(error).__name__, needs_person=True)
        finally:
            await self._let_go()

    # One look --------------------------------------------------------------------------------------------

    def _is_wanted(self) -> bool:
        live = self._live
        if live.pipeline.deleted or live.rewinding or not live.pipeline.state.accepts:
            return False
        if live.extraction is not None:
            return self._here.name in live.extraction.left and live.extraction.error is None
        return live.pipeline.state is State.ACTIVE and live.pipeline.spec.schedule is None

    async def _look(self) -> bool:
        """Take what there is; return whether there may be more at once."""
        live, here, world = self._live, self._here, self._world
        source = await self._made()
        if self._epoch != here.epoch:
            self._epoch = here.epoch
            self._cursor = (await world.log.source_cursors(live.number)).get(here.name)
        epoch, extraction = here.epoch, live.extraction
        pulled = await source.pull(self._cursor, MOST_AT_ONCE)
        if epoch != here.epoch or here.ended or live.extraction is not extraction or not self._is_wanted():
            return True  # told to start over, or to stop, meanwhile: what was read is read again when it is wanted
        await self._keep(pulled)
        self._cursor = pulled.cursor
        self._store_failures = 0
        here.health, here.message, here.attempt, here.retry_at_us = Health.OK, None, 0, None
        if not pulled.more and extraction is not None and live.extraction is extraction:
            extraction.left.discard(here.name)
            world.completion.tell(live)
        return pulled.more

    async def _keep(self, pulled: Pulled) -> None:
        """Events, cursor and what is no event, in one commit. There is no `await` before it has joined a group."""
        live, here, world = self._live, self._here, self._world
        run = live.extracting
        along = Along(
            source=here.name,
            cursor=pulled.cursor,
            dead=[
                NewDeadLetter(
                    seq=0,
                    stage=Stage.EXTRACT,
                    error=one.error,
                    event_type=one.event_type,
                    content=one.content,
                    origin=one.origin,
                )
                for one in pulled.poison
            ],
            run=run.number if run is not None else None,
        )
        if pulled.events is not None and len(pulled.events):
            await world.log.append(live.pipeline, pulled.events, None, along)
            here.pulled += len(pulled.events)
            here.last_pulled_us = world.clock.now_us()
            world.bell.ring(live.number)
        elif pulled.poison or pulled.cursor != self._cursor:
            await world.log.note(live.pipeline, along)
        live.dead_inputs += len(pulled.poison)
        said = [f"{here.name}: {note}" for note in pulled.notes]
        said += [f"{one.origin}: {headline(one.error)}; kept as a dead letter" for one in pulled.poison[:_MOST_SAID]]
        if len(pulled.poison) > _MOST_SAID:
            said.append(
                f"{here.name}: {len(pulled.poison) - _MOST_SAID:,} more that are no events; kept as dead letters"
            )
        await self._say(logging.WARNING, said)

    async def _say(self, level: int, said: Sequence[str]) -> None:
        """In the journal, and in the log of the run that it is said of."""
        run, world = self._live.extracting, self._world
        for text in said:
            say(level, text, self._live.pipeline.name, run.id if run is not None else None)
        if run is not None and said:
            at_us, name = world.clock.now_us(), logging.getLevelName(level)
            lines = [RunLine(at_us=at_us, level=name, message=text) for text in said]
            try:
                await world.catalog.add_lines(run.number, lines)
            except Unavailable as error:  # the journal has them; what they tell of is kept where it belongs
                LOGGER.warning("keep lines of run %s: %s", run.id, error.message)

    async def _made(self) -> Source:
        live = self._live
        sealed = live.extracting.options.variables if live.extracting is not None else {}
        variables = live.pipeline.spec.given(self._world.texts.variables(sealed, live.pipeline.uuid))
        wanted = (self._here.spec, variables)
        if self._source is None or self._made_from != wanted:
            await self._let_go()
            self._source = self._world.sources.make(*wanted)
            self._made_from = wanted
        return self._source

    async def _wait_for_news(self, heard: int) -> None:
        """Until the source says that there may be more, or somebody rings."""
        source = self._source
        if source is None or not self._is_wanted():
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                waits = [
                    tasks.create_task(source.wait(), name="source"),
                    tasks.create_task(self._world.pull_bell.wait(self._live.number, heard, None), name="bell"),
                ]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for one in waits:
                    one.cancel()
        except BaseExceptionGroup as group:
            raise only_error(group) from group

    # Trouble ---------------------------------------------------------------------------------------------

    def _until_attempt(self) -> float:
        if self._here.retry_at_us is None:
            return 0.0
        return max(0.0, (self._here.retry_at_us - self._world.clock.steady_us()) / _SECOND_US)

    async def _failed(self, message: str, *, needs_person: bool, retry_after_s: float | None = None) -> None:
        """Note it, and when to look again; a run waits so long only."""
        live, here, world = self._live, self._here, self._world
        here.attempt += 1
        delay_s = max(
            live.pipeline.spec.retry.backoff().delay_s(here.attempt, world.chance.random()), retry_after_s or 0.0
        )
        here.health = Health.BLOCKED if needs_person else Health.RETRYING
        here.message = message
        here.retry_at_us = world.clock.steady_us() + int(delay_s * _SECOND_US)
        extraction = live.extraction
        await self._say(logging.ERROR, [f"{here.name}: {message}; attempt {here.attempt}, again in {delay_s:.1f}s"])
        if (
            extraction is not None
            and live.extraction is extraction
            and here.name in extraction.left
            and (needs_person or here.attempt >= _ATTEMPTS_OF_A_RUN)
        ):
            extraction.error = f"{here.name}: {message}"
            here.retry_at_us = None
            world.completion.tell(live)

    def _not_kept(self, error: ConduitError) -> None:
        """The log could not take it: nothing was moved, it is read again."""
        here, world = self._here, self._world
        self._store_failures += 1
        self._epoch = -1  # where it goes on is asked of the store again
        here.health = Health.RETRYING if isinstance(error, Unavailable) else Health.BLOCKED
        here.message = error.message
        delay_s = max(0.05, _STORE_BACKOFF.delay_s(self._store_failures, world.chance.random()))
        here.retry_at_us = world.clock.steady_us() + int(delay_s * _SECOND_US)
        if self._store_failures == 1:
            say(logging.ERROR, f"{here.name}: {error.message}", self._live.pipeline.name)

    async def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is None:
            return
        try:
            await source.close()
        except Exception as error:  # noqa: BLE001 - shown: the other sources must not end with this one
            LOGGER.error("%s: close the source", self._here.name, exc_info=error)
