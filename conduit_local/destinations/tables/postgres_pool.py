"""Connections to one server, kept for a while."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

_IDLE_S = 30.0
_GOODBYE_S = 2.0


class Pool:
    """As many connections as are used at once; those that nobody used for half a minute are closed."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self._connect = connect
        self._idle: list[Any] = []
        self._sweep: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """
        A connection for a block. Where that fails, whatever the reason is, it is cut: the server rolls back.

        Raises: what connecting raises.
        """
        self._idle = [one for one in self._idle if not one.is_closed()]
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep = asyncio.get_running_loop().call_later(_IDLE_S, self._cut_idle)

    async def close(self) -> None:
        """Say goodbye to the server on all that are idle."""
        if self._sweep is not None:
            self._sweep.cancel()
        idle, self._idle = self._idle, []
        for connection in idle:
            try:
                await connection.close(timeout=_GOODBYE_S)
            except (OSError, TimeoutError):
                connection.terminate()

    def _cut_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()
