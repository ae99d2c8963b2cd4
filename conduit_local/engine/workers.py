"""The tasks of an engine: those that end what they have in hand, and those that may be cut off anywhere."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Self

from conduit_local.core.errors import only_error
from conduit_local.engine.journal import say

_UNHURRIED_S = 1.0


class Workers:
    """
    Starts tasks in one group, and ends them.

    Soft ones look whether the appliance stops, and end by themselves; the others are cancelled: what they do is kept
    in the store step by step, or is begun again.
    """

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._soft: set[asyncio.Task[None]] = set()
        self._others: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Workers until the block ends; an error of one is raised out of it, alone, and ends the others."""
        try:
            async with asyncio.TaskGroup() as tasks:
                yield cls(tasks)
        except BaseExceptionGroup as group:
            raise only_error(group) from group

    def start_soft(self, work: Coroutine[None, None, None], name: str) -> None:
        """A task that ends by itself once the appliance stops."""
        self._keep(work, name, self._soft)

    def start(self, work: Coroutine[None, None, None], name: str) -> Callable[[], object]:
        """A task that is cancelled once the appliance stops, or by what this returns."""
        return self._keep(work, name, self._others).cancel

    async def end(self, grace_s: float, hurry: Callable[[], Awaitable[None]]) -> None:
        """
        Cancel what may be cancelled, wait for the rest, and cancel that too once the grace is over. Those that are not
        done within a second wait for something that `hurry` cuts short.
        """
        for task in self._others:
            task.cancel()
        if not self._soft:
            return
        _, late = await asyncio.wait(set(self._soft), timeout=min(grace_s, _UNHURRIED_S))
        if late:
            await hurry()
            _, late = await asyncio.wait(late, timeout=max(0.0, grace_s - _UNHURRIED_S))
        for task in late:
            say(logging.WARNING, f"{task.get_name()}: not done within {grace_s:g}s; it is repeated at next start")
            task.cancel()

    def _keep(
        self, work: Coroutine[None, None, None], name: str, among: set[asyncio.Task[None]]
    ) -> "asyncio.Task[None]":
        tasks = self._tasks
        task = tasks.create_task(work, name=name)
        among.add(task)
        task.add_done_callback(among.discard)
        return task
