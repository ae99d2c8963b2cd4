"""RFC 3339 in UTC, and durations as people write them. Times are integers: microseconds since 1970."""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND_US = 1_000_000
HOUR_S = 3_600
DAY_S = 86_400

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}


def rfc3339(at_us: int) -> str:
    """Whole seconds with `Z`, as S0.1 has them: `2026-06-21T14:09:33Z`."""
    return _rfc3339_s(at_us // SECOND_US)


@lru_cache(maxsize=4096)
def _rfc3339_s(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def rfc3339_ms(at_us: int) -> str:
    """With milliseconds: `2026-06-21T14:09:33.120Z`."""
    return f"{_rfc3339_s(at_us // SECOND_US)[:-1]}.{at_us // 1000 % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """Microseconds since 1970. Raises: ValueError when `text` has no date, no time or no offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or len(text) < len("2026-06-21T14:09Z"):
        raise ValueError(f"{text!r} is not an RFC 3339 time with an offset, like 2026-06-21T14:09:33Z")
    return (at - _EPOCH) // timedelta(microseconds=1)


def parse_duration(text: str) -> float:
    """
    Seconds of `500ms`, `5s`, `2m`, `1h30m`, `7d`, `2w`.

    Raises: ValueError on anything else, a bare number included: its unit would be a guess.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"\s+", "", text):
        raise ValueError("a duration is a number with a unit: 500ms, 5s, 2m, 1h, 7d")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration that `parse_duration` reads back."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _UNITS_S[unit] == 0:
            return f"{seconds / _UNITS_S[unit]:g}{unit}"
    return f"{seconds:g}s"
