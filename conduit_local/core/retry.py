"""Backoff: how long a route waits before it tries the same batch again."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """
    Full-jitter exponential backoff.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: of the variants, full jitter did the
    least work and finished among the first.
    """

    initial_s: float = 0.5
    max_s: float = 60.0

    def ceiling_s(self, attempt: int) -> float:
        """The longest wait after the `attempt`-th failure (1, 2, 3, …)."""
        return min(self.max_s, self.initial_s * 2.0 ** min(attempt - 1, 60))

    def delay_s(self, attempt: int, chance: float) -> float:
        """The wait itself: `chance` is drawn evenly from [0, 1)."""
        return self.ceiling_s(attempt) * chance
