"""`/_local/test/clock`: the hand on the clock; there only with `--testing`."""

from aiohttp import web

from conduit_local.core.problems import Problem, refusal
from conduit_local.core.times import parse_rfc3339, rfc3339_ms
from conduit_local.engine.clock import SteeredClock
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object

_MAX_BODY_BYTES = 4_096
_MAX_ADVANCE_S = 10 * 366 * 86_400
_EARLIEST_US, _LATEST_US = parse_rfc3339("1970-01-01T00:00:00Z"), parse_rfc3339("9000-01-01T00:00:00Z")


class TestKit:
    """The handlers of `/_local/test/`."""

    __test__ = False

    def __init__(self, clock: SteeredClock) -> None:
        self._clock = clock

    async def post_clock(self, call: Call) -> web.Response:
        """`POST /_local/test/clock` `{"set": RFC 3339}`, `{"advance": seconds}`, `{"freeze": bool}`, or several."""
        document = decode_object(await call.body(_MAX_BODY_BYTES))
        unknown = sorted(document.keys() - {"set", "advance", "freeze"})
        if unknown or not document:
            raise refusal([Problem(path=tuple(unknown[:1]), message="the body takes: set, advance, freeze")])
        freeze, moment, seconds = document.get("freeze"), document.get("set"), document.get("advance")
        if freeze is not None and not isinstance(freeze, bool):
            raise refusal([Problem(path=("freeze",), message="must be true or false")])
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (number and 0 <= seconds <= _MAX_ADVANCE_S):
            raise refusal([Problem(path=("advance",), message="must be seconds, 0 or more")])
        now_us = _time(moment)
        if freeze is not None:
            self._clock.freeze(freeze)
        if now_us is not None:
            self._clock.set(now_us)
        if seconds is not None:
            self._clock.advance(seconds)
        return json_answer({"now": rfc3339_ms(self._clock.now_us())})


def _time(moment: object) -> int | None:
    if moment is None:
        return None
    try:
        now_us = parse_rfc3339(str(moment))
    except ValueError:
        raise refusal([Problem(path=("set",), message="must be a time like 2026-06-21T14:09:33Z")]) from None
    if not _EARLIEST_US <= now_us <= _LATEST_US:
        raise refusal([Problem(path=("set",), message="must lie in the years 1970 to 9000")])
    return now_us
