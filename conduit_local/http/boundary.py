"""One request from end to end. The only place that catches errors; each API words them."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from conduit_local.core.errors import Broken, ConduitError, RateLimited
from conduit_local.core.keys import ANYBODY, Principal, Scope
from conduit_local.core.ports import Clock
from conduit_local.engine.journal import LOGGER
from conduit_local.engine.keys import Keys
from conduit_local.engine.limits import Bucket
from conduit_local.http.body import BodyReader
from conduit_local.http.call import Call
from conduit_local.http.guards import Guards
from conduit_local.http.proxies import Proxies
from conduit_local.http.router import Api, Router
from conduit_local.http.wording import UNEXPECTED


class Boundary:
    """
    Guards, finds the route, knows the caller, counts, calls the handler, and words what was raised.

    Order: Host and Origin, path and method, key (401), scope (403), rate (429), content type (415), then the handler.
    """

    def __init__(
        self,
        router: Router,
        keys: Keys,
        guards: Guards,
        bucket: Bucket,
        bodies: BodyReader,
        clock: Clock,
        proxies: Proxies,
    ) -> None:
        self._router = router
        self._keys = keys
        self._guards = guards
        self._bucket = bucket
        self._bodies = bodies
        self._clock = clock
        self._proxies = proxies
        self.on_error: Callable[[ConduitError], None] = lambda _error: None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer `request`; nothing but a cancellation comes out as an exception."""
        path = _path_of(request)
        api: Api | None = None
        call: Call | None = None
        try:
            headers = request.headers
            self._guards.check_host(headers.get("Host"))
            route, api, params = self._router.find(request.method, path)
            origin = headers.get("Origin")
            if origin is not None and not route.any_origin:
                self._guards.check_origin(origin, headers.get("Host"))
            if route.scope is not None:
                principal = self._principal(route.scope, headers.get("Authorization"))
            else:
                principal = self._keys.authenticate(headers.get("Authorization")) if route.any_key else ANYBODY
            if route.counted:
                self._bucket.take(self._clock.steady_us())
            call = Call(request, params, principal, self._bodies, self._proxies)
            if route.takes:
                call.require_type(route.takes)
            answer = await route.handler(call)
        except ConduitError as error:
            _require_unanswered(request)
            answer, api = self._worded(error, path, request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001 - a bug in a handler is a 500 in the API's words, and a traceback in the log
            LOGGER.exception("%s %s", request.method, path[:200])
            _require_unanswered(request)
            bug = Broken(UNEXPECTED)
            answer, api = self._worded(bug, path, request)
        if api is not None and api.rate_headers:
            answer.headers.update(self._rate_headers())
        if call is not None and call.answer_headers:
            answer.headers.update(call.answer_headers)
        return answer

    def _principal(self, scope: Scope, authorization: str | None) -> Principal:
        principal = self._keys.authenticate(authorization)
        if scope not in principal.allowed:
            self._keys.require(principal, scope)
        return principal

    def _worded(self, error: ConduitError, path: str, request: web.BaseRequest) -> tuple[web.Response, Api | None]:
        """The answer to an error, and whose words it is in."""
        self.on_error(error)
        words, api = self._router.words_for(path)
        if api is not None and api.words_of is not None:
            words = api.words_of(request)
        answer = words(error)
        if isinstance(error, RateLimited) and (api is None or not api.rate_headers):
            answer.headers.update(self._rate_headers())
        return answer, api

    def _rate_headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self._bucket.limit),
            "X-RateLimit-Remaining": str(self._bucket.remaining),
            "X-RateLimit-Reset": str(self._bucket.reset_at_s(self._clock.steady_us())),
        }


def _require_unanswered(request: web.BaseRequest) -> None:
    """Raises: ConnectionError, which closes the connection, where a second answer would follow half of a first one."""
    if request.writer.output_size > 0:
        raise ConnectionError("the answer had begun")


def _path_of(request: web.BaseRequest) -> str:
    target = request.raw_path
    if target.startswith("/"):
        return target.partition("?")[0]
    return request.rel_url.raw_path  # an absolute URL, as proxies send it
