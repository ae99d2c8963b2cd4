"""Clocks: the system's, and one that tests steer."""

import asyncio
import time
from collections.abc import Awaitable

_SECOND_US = 1_000_000


class SystemClock:
    """The machine's time. What expires follows a steady clock that is set by the time of day once, at start."""

    def __init__(self) -> None:
        self._offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        """`Clock.now_us`."""
        return time.time_ns() // 1000

    def steady_us(self) -> int:
        """`Clock.steady_us`."""
        return time.monotonic_ns() // 1000 + self._offset_us

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        """`Clock.wait`."""
        try:
            async with asyncio.timeout(seconds):
                await (until if until is not None else asyncio.get_running_loop().create_future())
        except TimeoutError:
            return False
        return True


class SteeredClock:
    """
    The system's clock with a hand on it (`--testing`): set, advanced or frozen.

    `set` moves the time of day alone, as a correction of the machine's clock would; `advance` lets time pass, so that
    what waits or expires does so.
    """

    def __init__(self) -> None:
        self._system = SystemClock()
        self._frozen_us: int | None = None
        self._passed_us = 0
        self._shifted_us = 0
        self._changed = asyncio.Event()

    def now_us(self) -> int:
        """`Clock.now_us`."""
        return self.steady_us() + self._shifted_us

    def steady_us(self) -> int:
        """`Clock.steady_us`."""
        return (self._system.steady_us() if self._frozen_us is None else self._frozen_us) + self._passed_us

    async def wait(self, until: Awaitable[None] | None, seconds: float | None) -> bool:
        """`Clock.wait`: steady time that is advanced counts, frozen time does not pass."""
        if seconds is None:
            return await self._system.wait(until, None)
        end_us = self.steady_us() + round(seconds * _SECOND_US)
        goal = asyncio.ensure_future(until if until is not None else asyncio.get_running_loop().create_future())
        try:
            while (left_us := end_us - self.steady_us()) > 0 and not goal.done():
                changed = asyncio.ensure_future(self._changed.wait())
                timeout = None if self._frozen_us is not None else left_us / _SECOND_US
                try:
                    await asyncio.wait({goal, changed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
            return goal.done()
        finally:
            goal.cancel()

    def set(self, now_us: int) -> None:
        """The time of day is `now_us` from here on."""
        self._shifted_us += now_us - self.now_us()
        self._tell()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._passed_us += round(seconds * _SECOND_US)
        self._tell()

    def freeze(self, frozen: bool) -> None:
        """Stop the time, or let it go on from where it stood."""
        if frozen and self._frozen_us is None:
            self._frozen_us = self._system.steady_us()
        elif not frozen and self._frozen_us is not None:
            self._passed_us -= self._system.steady_us() - self._frozen_us
            self._frozen_us = None
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
