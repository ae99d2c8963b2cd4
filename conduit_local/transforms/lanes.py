"""
Whom a query may hold up: pipelines of the same standing, and no others.

    proven    its recipe has done its work, quickly
    fresh     it has not yet: new, changed, or being checked
    slow      it overstepped its limits lately, or takes long

Each lane has children of its own, and its waiters come in turn. In the first two a query has 2 s before it is moved to
the slow lane and begins there anew, with all of its time: so much can a hostile query cost those that wait behind it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from conduit_local.core.errors import TransformUnavailable
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.transforming import Recipe
from conduit_local.transforms.process import Child

LaneName = Literal["proven", "fresh", "slow"]
PATIENCE_S = 2.0
IDLE_S = 60.0
_MOST_STRIKES = 3


@dataclass(slots=True)
class _Standing:
    recipe: Recipe
    done: bool = False
    slow: bool = False
    strikes: int = 0


class Standings:
    """What is known of pipelines, by how their recipes went; since the start, no longer."""

    def __init__(self) -> None:
        self._standings: dict[PipelineNumber, _Standing] = {}

    def lane(self, owner: PipelineNumber, recipe: Recipe) -> LaneName:
        """Where the pipeline's next batch goes."""
        standing = self._of(owner, recipe)
        if standing.strikes or standing.slow:
            return "slow"
        return "proven" if standing.done else "fresh"

    def note_done(self, owner: PipelineNumber, recipe: Recipe, took_s: float) -> None:
        """It came to its end (also with rows that it refused): one strike less."""
        standing = self._of(owner, recipe)
        standing.done = True
        standing.slow = took_s > PATIENCE_S
        standing.strikes = max(0, standing.strikes - 1)

    def note_slow(self, owner: PipelineNumber, recipe: Recipe) -> None:
        """It is moved to the slow lane."""
        self._of(owner, recipe).slow = True

    def note_overstepped(self, owner: PipelineNumber, recipe: Recipe) -> None:
        """It took more than it may: one strike more."""
        standing = self._of(owner, recipe)
        standing.strikes = min(_MOST_STRIKES, standing.strikes + 1)

    def _of(self, owner: PipelineNumber, recipe: Recipe) -> _Standing:
        standing = self._standings.setdefault(owner, _Standing(recipe))
        if standing.recipe != recipe:
            standing.recipe, standing.done, standing.slow = recipe, False, False
        return standing


class Lane:
    """Children that take turns: at most so many, started when they are needed, ended after `idle_s` without work."""

    def __init__(self, start: Callable[[], Awaitable[Child]], most: int, idle_s: float | None) -> None:
        self._start = start
        self.closed = False
        self._most = most
        self._turns = asyncio.Semaphore(most)
        self._idle_s = idle_s
        self._idle: list[Child] = []
        self._ending: list[Child] = []
        self._busy: set[Child] = set()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        """A child for one request, when it is the caller's turn. Raises: TransformUnavailable."""
        async with self._turns:
            child = await self._taken()
            self._busy.add(child)
            try:
                yield child
            finally:
                self._busy.discard(child)
                if child.usable:
                    self._idle.append(child)
                    self._arm()
                else:
                    self._ending.append(child)
                    await self._end_those()

    async def close(self) -> None:
        """Ends all children, also those at work, and waits until nobody has one."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._ending += self._idle
        self._idle.clear()
        for child in (*self._ending, *self._busy):
            child.kill()
        for _ in range(self._most):
            await self._turns.acquire()
        for _ in range(self._most):  # who comes now is turned away
            self._turns.release()
        await self._end_those()

    async def _taken(self) -> Child:
        if self._timer is not None:
            self._timer.cancel()
        while self._idle:
            child = self._idle.pop()
            if child.usable:
                return child
            self._ending.append(child)  # it ended by itself meanwhile
        await self._end_those()
        self._check_open()
        child = await self._start()
        if self.closed:
            await child.end()
        self._check_open()
        return child

    def _check_open(self) -> None:
        if self.closed:
            raise TransformUnavailable("run the SQL: the appliance is stopping")

    def _arm(self) -> None:
        if self._idle_s is not None:
            self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._retire)

    def _retire(self) -> None:
        for child in self._idle:
            child.kill()
        self._ending += self._idle
        self._idle.clear()

    async def _end_those(self) -> None:
        """One that is left in the list, as this was cancelled, is ended the next time."""
        for child in tuple(self._ending):
            await child.end()
            if child in self._ending:
                self._ending.remove(child)
