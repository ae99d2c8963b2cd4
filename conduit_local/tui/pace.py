"""How often the appliance sends: as it was asked for, and half as often where painting takes too long."""

import time

from conduit_local.tui.feed import Feed

_INTERVALS_MS = (250, 500, 1_000, 2_000, 5_000, 10_000)
_SHARE = 4
"""Painting may take a quarter of the interval."""
_TIMES = 4
"""How often in a row it may take longer."""


class Pace:
    """The interval of a feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._slow = 0

    @property
    def text(self) -> str:
        """As the head shows it: `2Hz`."""
        return f"{1_000 / self._feed.interval_ms:g}Hz"

    def change(self, by: int) -> None:
        """The next longer interval, or the one before."""
        now_ms = self._feed.interval_ms
        nearest = min(range(len(_INTERVALS_MS)), key=lambda at: abs(_INTERVALS_MS[at] - now_ms))
        self._feed.set_interval(_INTERVALS_MS[min(max(nearest + by, 0), len(_INTERVALS_MS) - 1)])

    def painted(self, began_s: float) -> None:
        """Something was painted, begun at that time of `time.monotonic`."""
        if time.monotonic() - began_s < self._feed.interval_ms / 1_000 / _SHARE:
            self._slow = 0
            return
        self._slow += 1
        if self._slow >= _TIMES:
            self._slow = 0
            self.change(1)
