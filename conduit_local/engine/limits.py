"""Token buckets: the rate limits."""

from conduit_local.core.errors import RateLimited

_SECOND_US = 1_000_000


class Bucket:
    """
    A token bucket that holds `requests` tokens and gains as many every `per_s` seconds.

    Counts in steady time that the caller passes, so that taking a token is arithmetic only.
    """

    __slots__ = ("_at_us", "_gain_per_us", "_tokens", "limit", "per_s")

    def __init__(self, requests: int, per_s: float) -> None:
        self.limit = requests
        self.per_s = per_s
        self._gain_per_us = requests / (per_s * _SECOND_US)
        self._tokens = float(requests)
        self._at_us = 0

    def take(self, now_us: int) -> None:
        """Take one token. Raises: RateLimited when there is none."""
        tokens = self._tokens + (now_us - self._at_us) * self._gain_per_us
        self._at_us = now_us
        self._tokens = tokens = min(tokens, float(self.limit))
        if tokens < 1.0:
            wait_us = (1.0 - tokens) / self._gain_per_us
            raise RateLimited(
                f"more than {self.limit} requests in {self.per_s:g} seconds",
                retry_after_s=max(1, -(-int(wait_us) // _SECOND_US)),
                limit=self.limit,
                reset_at_s=self.reset_at_s(now_us),
            )
        self._tokens = tokens - 1.0

    @property
    def remaining(self) -> int:
        """Tokens left after the last `take`."""
        return int(self._tokens)

    def reset_at_s(self, now_us: int) -> int:
        """When the bucket is full again, in seconds since 1970."""
        return int(now_us // _SECOND_US + (self.limit - self._tokens) / (self._gain_per_us * _SECOND_US)) + 1
