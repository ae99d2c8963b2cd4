"""Query-only connections, each with a thread of its own, handed out to whoever asks first."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from conduit_local.store.connection import Connection, close, meaning, open_reader

T = TypeVar("T")


class Readers:
    """A few readers. Long reads would hold back the checkpoint, so a call reads one batch or one page, no more."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)

    @classmethod
    async def open(cls, path: Path, count: int) -> "Readers":
        """Open `count` readers on an existing database."""
        return cls([await open_reader(path) for _ in range(count)])

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` in a reader's thread. Raises: StoreUnavailable, StoreBroken."""
        connection = await self._free.get()
        try:
            return await connection.call(function)
        except sqlite3.Error as error:
            raise meaning(error, "read from the store") from error
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Close all; before the writer, which is then the one that checkpoints."""
        for connection in self._connections:
            await close(connection)
