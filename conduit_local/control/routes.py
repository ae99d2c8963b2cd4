"""The route table of `/_local/` and `/metrics`."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from conduit_local.control.dead import DeadLetters
from conduit_local.control.destinations import PipelineDestinations
from conduit_local.control.docs import DOCS, ERRORS
from conduit_local.control.keys import ApiKeys
from conduit_local.control.metrics import Metrics
from conduit_local.control.pipelines import Pipelines
from conduit_local.control.records import Records
from conduit_local.control.snapshot import Identity, snapshot
from conduit_local.control.stream import Streams
from conduit_local.control.test import TestKit
from conduit_local.control.wire import NDJSON
from conduit_local.core.keys import Scope
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.router import Api, Route
from conduit_local.http.wording import coded_error

_JSON = ("application/json",)


class Configuration(Protocol):
    """What the floor above knows of settings and pipeline files."""

    def report(self) -> dict[str, Any]:
        """Each setting with its value and where it was set, and the files."""
        ...

    def problems(self) -> list[dict[str, Any]]:
        """What is wrong with the files now: `{file, line, field, message}`."""
        ...

    async def reload(self) -> dict[str, Any]:
        """Read the files again, and apply the difference; returns what came of it."""
        ...


class Control:
    """The control API over an engine."""

    def __init__(self, engine: Engine, identity: Identity, configuration: Configuration) -> None:
        self._engine = engine
        self._identity = identity
        self._configuration = configuration
        self.url = ""
        """Where the appliance listens; known once it does."""
        self.streams = Streams(engine, self.snapshot)

    def snapshot(self) -> dict[str, Any]:
        """How everything stands."""
        return snapshot(self._engine, self._identity, self.url, self._configuration.problems())

    async def get_snapshot(self, call: Call) -> web.Response:
        """`GET /_local/snapshot`."""
        return json_answer(self.snapshot())

    async def get_configuration(self, call: Call) -> web.Response:
        """`GET /_local/config`."""
        return json_answer(self._configuration.report())

    async def post_reload(self, call: Call) -> web.Response:
        """`POST /_local/config/reload`: 200 with what changed, or with the problems that kept it from being applied."""
        return json_answer(await self._configuration.reload())

    async def post_rotate(self, call: Call) -> web.Response:
        """`POST /_local/secrets/rotate`: seal every secret with a new key; 200 with how many records that were."""
        return json_answer({"resealed": await self._engine.sealing.rotate()})

    async def get_live(self, call: Call) -> web.Response:
        """`GET /_local/health/live`: 200 as long as requests are answered at all."""
        return json_answer({"status": "live"})

    async def get_ready(self, call: Call) -> web.Response:
        """`GET /_local/health/ready`: 200 while events are taken, else 503 with the reason."""
        trouble = self._engine.log.usage().trouble
        if trouble or self._engine.stopping.is_set():
            return json_answer({"status": "not ready", "reason": trouble or "stopping"}, 503, {"Retry-After": "2"})
        return json_answer({"status": "ready"})

    def api(self) -> Api:
        """The routes."""
        pipelines, records, keys = Pipelines(self._engine), Records(self._engine), ApiKeys(self._engine)
        dead, destinations = DeadLetters(self._engine), PipelineDestinations(self._engine, self.streams)
        one = "/_local/pipelines/{pipeline}"
        routes = [
            _route("GET", "/_local/health/live", self.get_live, None),
            _route("GET", "/_local/health/ready", self.get_ready, None),
            _route("GET", "/_local/snapshot", self.get_snapshot, Scope.READ),
            _route("GET", "/_local/stream", self.streams.get_stream, Scope.READ),
            _route("GET", "/_local/pipelines", pipelines.list_pipelines, Scope.READ),
            _route("GET", one, pipelines.get_pipeline, Scope.READ),
            _route("PUT", one, pipelines.put_pipeline, Scope.MANAGE, _JSON),
            _route("DELETE", one, pipelines.delete_pipeline, Scope.MANAGE),
            _route("POST", f"{one}/pause", pipelines.pause, Scope.MANAGE),
            _route("POST", f"{one}/resume", pipelines.resume, Scope.MANAGE),
            _route("POST", f"{one}/drain", pipelines.drain, Scope.MANAGE),
            _route("POST", f"{one}/flush", pipelines.flush, Scope.MANAGE),
            _route("POST", f"{one}/runs", pipelines.post_run, Scope.MANAGE, _JSON),
            _route("POST", f"{one}/events", pipelines.post_events, Scope.INGEST, (*_JSON, NDJSON)),
            _route("GET", f"{one}/rates", pipelines.get_rates, Scope.READ),
            _route("GET", f"{one}/destinations", destinations.list_destinations, Scope.READ),
            _route("POST", f"{one}/destinations/{{destination}}/test", destinations.post_test, Scope.MANAGE),
            _route("GET", f"{one}/verify", destinations.verify, Scope.READ),
            _route("GET", "/_local/events", records.list_events, Scope.READ),
            _route("GET", "/_local/events/{event}", records.get_event, Scope.READ),
            _route("GET", "/_local/runs", records.list_runs, Scope.READ),
            _route("GET", "/_local/runs/timeline", records.get_timeline, Scope.READ),
            _route("GET", "/_local/runs/{run}", records.get_run, Scope.READ),
            _route("POST", "/_local/runs/{run}/cancel", records.cancel_run, Scope.MANAGE),
            _route("GET", "/_local/runs/{run}/download", records.download_run, Scope.READ),
            _route("GET", "/_local/dead", dead.list_letters, Scope.READ),
            _route("GET", "/_local/dead/groups", dead.list_groups, Scope.READ),
            _route("GET", "/_local/dead/export", dead.export, Scope.READ),
            _route("POST", "/_local/dead/replay", dead.replay, Scope.MANAGE, _JSON),
            _route("POST", "/_local/dead/discard", dead.discard, Scope.MANAGE, _JSON),
            _route("GET", "/_local/dead/{letter}", dead.get_letter, Scope.READ),
            _route("PATCH", "/_local/dead/{letter}", dead.edit, Scope.MANAGE, _JSON),
            _route("GET", "/_local/logs", records.list_logs, Scope.READ),
            _route("GET", "/_local/keys", keys.list_keys, Scope.ADMIN),
            _route("POST", "/_local/keys", keys.post_key, Scope.ADMIN, _JSON),
            _route("DELETE", "/_local/keys/{key}", keys.delete_key, Scope.ADMIN),
            _route("POST", "/_local/secrets/rotate", self.post_rotate, Scope.ADMIN),
            _route("GET", "/_local/config", self.get_configuration, Scope.READ),
            _route("POST", "/_local/config/reload", self.post_reload, Scope.MANAGE),
            _route("GET", "/metrics", Metrics(self._engine).get_metrics, Scope.READ),
        ]
        if isinstance(self._engine.clock, SteeredClock):
            kit = TestKit(self._engine.clock)
            routes.append(_route("POST", "/_local/test/clock", kit.post_clock, Scope.ADMIN, _JSON))
        return Api(
            name="control",
            prefixes=("/_local/", "/metrics"),
            routes=tuple(routes),
            words=coded_error,
            about="Our own API, for the commands, the terminal UI and the client. It may grow fields.",
            errors=ERRORS,
        )


def _route(
    method: str,
    path: str,
    handler: Callable[[Call], Awaitable[web.StreamResponse]],
    scope: Scope | None,
    takes: tuple[str, ...] = (),
) -> Route:
    counted = method == "POST" and path.endswith("/events")  # people and tools that look on are never locked out
    doc = DOCS[method, path]
    return Route(method=method, path=path, handler=handler, scope=scope, takes=takes, counted=counted, doc=doc)
