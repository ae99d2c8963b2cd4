"""The addresses of hosts, for threads: asked for in the loop, which gives a look-up up when nobody waits any more."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future

from conduit_local.destinations.s3.failures import Failure

_CLOSED = "the destination is closed"


class Names:
    """What `Means.addresses` knows. `cut` ends what is being looked up, for good."""

    def __init__(self, addresses: Callable[[str, int], Awaitable[Sequence[str]]]) -> None:
        self._addresses = addresses
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._asked: set[Future[Sequence[str]]] = set()
        self._is_cut = False

    def ask_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have hosts looked up in `loop`, which is not to be the asking thread's."""
        self._loop = loop

    def addresses(self, host: str, port: int, timeout_s: float) -> Sequence[str]:
        """
        Those of `host`, all of which the guard lets through.

        Order:  in the order in which they are to be tried.
        Raises: Failure; OSError, also where the answer takes longer than `timeout_s`.
        """
        asked = self._ask(host, port)
        try:
            return asked.result(timeout_s)
        except CancelledError:
            raise OSError(_CLOSED) from None
        except TimeoutError:
            if not asked.cancel():
                raise  # the look-up itself said so
            raise OSError(f"{host} could not be looked up within {timeout_s:g}s") from None
        except ValueError as error:
            raise Failure(f"{host}: {error}", needs_person=True) from error
        finally:
            with self._lock:
                self._asked.discard(asked)

    def cut(self) -> None:
        """End what is being looked up, in whatever thread it is waited for; nothing is looked up any more."""
        with self._lock:
            self._is_cut = True
            asked = tuple(self._asked)
        for one in asked:
            one.cancel()

    def _ask(self, host: str, port: int) -> Future[Sequence[str]]:
        with self._lock:
            if self._is_cut or self._loop is None:
                raise OSError(_CLOSED)
            asked = asyncio.run_coroutine_threadsafe(self._look_up(host, port), self._loop)
            self._asked.add(asked)
        return asked

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        return await self._addresses(host, port)
