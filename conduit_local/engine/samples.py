"""How long things took lately."""

from collections import deque
from collections.abc import Iterable


class Samples:
    """The newest 4,096 durations, each with when it was taken (steady time). Microseconds."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: deque[tuple[int, int]] = deque(maxlen=4_096)

    def add(self, at_us: int, took_us: int) -> None:
        """One more."""
        self._taken.append((at_us, took_us))

    def percentiles(self, since_us: int, *ranks: int) -> list[int | None]:
        """The durations at these ranks (of 100) among those since then; None where there is none."""
        return percentiles(self.since(since_us), *ranks)

    def since(self, at_us: int) -> list[int]:
        """The durations that were taken since then."""
        return [took_us for taken_us, took_us in self._taken if taken_us >= at_us]


def percentiles(durations: Iterable[int], *ranks: int) -> list[int | None]:
    """The durations at these ranks (of 100); None where there is none."""
    found = sorted(durations)
    return [found[min(len(found) - 1, len(found) * rank // 100)] if found else None for rank in ranks]
