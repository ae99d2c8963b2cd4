"""The addresses of a host, for what does not speak HTTP."""

import socket
from collections.abc import Sequence

from conduit_local.egress.guard import Guard
from conduit_local.egress.resolver import Resolver


class Addresses:
    """Looks hosts up; whoever connects to what it answers, and to nothing else, passes the guard."""

    def __init__(self, guard: Guard, resolver: Resolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or Resolver()

    async def of(self, host: str, port: int) -> Sequence[str]:
        """
        The addresses of `host`, in the order in which they are to be tried.

        Raises: UrlRefused when one of them may not be reached; OSError.
        """
        found = [answer["host"] for answer in await self._resolver.resolve(host, port, socket.AF_UNSPEC)]
        for address in found:
            self._guard.check_address(address)
        return found
