"""What stands around every answer: `success`, and `meta` with the request's id. Source: S2.1, S2.2."""

import re
import secrets
from typing import Any

from aiohttp import web

from conduit_local.core.ids import base32_of
from conduit_local.core.ports import Clock
from conduit_local.core.times import rfc3339
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call

_ID_WIDTH = 16
_GIVEN = re.compile(r"[!-~]{1,200}")


def request_id_of(request: web.BaseRequest) -> str:
    """`X-Request-ID` as it was sent; one of ours where it is missing, too long, or not visible ASCII."""
    given = request.headers.get("X-Request-ID", "")
    if _GIVEN.fullmatch(given):
        return given
    return f"req_{base32_of(secrets.token_bytes(_ID_WIDTH), _ID_WIDTH)}"


def meta_of(request_id: str, at_us: int) -> dict[str, Any]:
    """What every answer says of itself."""
    return {"requestId": request_id, "timestamp": rfc3339(at_us)}


class Timed:
    """The answer to one request, from the moment that its handler began."""

    def __init__(self, call: Call, clock: Clock) -> None:
        self._request = call.request
        self._clock = clock
        self._began_us = clock.steady_us()

    def answer(self, data: object, *, replayed: bool = False) -> web.Response:
        """200 with `data` in the envelope."""
        meta = meta_of(request_id_of(self._request), self._clock.now_us())
        meta["duration"] = (self._clock.steady_us() - self._began_us) // 1000
        headers = {"Idempotent-Replayed": "true"} if replayed else None
        return json_answer({"success": True, "data": data, "meta": meta}, headers=headers)
