"""Names to addresses, in threads of their own: a name server that never answers must not hold up anybody else."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

LookUp = Callable[[str, int, int], list[tuple[Any, ...]]]
"""Host, port, family to what `socket.getaddrinfo` returns; it may block."""

_AT_ONCE = 128
"""More than there can be webhooks."""


def _ask_system(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)


class Resolver(AbstractResolver):
    """
    A thread a look-up, at most 128, that nobody waits for when it takes longer than its caller can.

    Neither the loop's own threads, which also unpack what is ingested, nor a pool: both are full as soon as a few
    names hang, and both are waited for at the end.
    """

    def __init__(self, look_up: LookUp = _ask_system) -> None:
        self._look_up = look_up
        self._under_way = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """`AbstractResolver.resolve`. Raises: OSError."""
        found = await self._found(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """`AbstractResolver.close`: threads that still wait for an answer end on their own."""

    async def _found(self, host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        if self._under_way >= _AT_ONCE:
            raise OSError(f"{_AT_ONCE} other names are being looked up without an answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

        def settle(found: list[tuple[Any, ...]], error: Exception | None) -> None:
            self._under_way -= 1
            if answer.done():
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def work() -> None:
            found: list[tuple[Any, ...]] = []
            failure: Exception | None = None
            try:
                found = self._look_up(host, port, family)
            except UnicodeError as error:
                failure = OSError(f"not a name that can be looked up: {error}")
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                failure = error
            try:
                loop.call_soon_threadsafe(settle, found, failure)
            except RuntimeError:  # the loop is closed: nobody asks any more
                return

        self._under_way += 1
        threading.Thread(target=work, name=f"look up {host}", daemon=True).start()
        return await answer
