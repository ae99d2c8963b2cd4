"""The route table."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel

from conduit_local.core.errors import ConduitError, MethodNotAllowed, PathNotFound
from conduit_local.core.keys import Scope
from conduit_local.http.call import Call

_REMEMBERED = 256
"""Matches of paths with parameters: the few that events are sent to are asked for again and again."""

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Words(Protocol):
    """How an API words an error: status, body and headers, in its documented shape."""

    def __call__(self, error: ConduitError) -> web.Response:
        """The answer to a request that ended in `error`. Never raises."""
        ...


Schema = type[BaseModel] | Mapping[str, Any]
"""The shape of a body: a model, or a JSON Schema where there is none; in that, a model may stand for any part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Param:
    """A query parameter or header, for the documentation."""

    name: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    about: str = ""
    required: bool = False


IF_MATCH = Param(name="If-Match", about="The `ETag` of the version that is meant; 412 where it is another by now.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Doc:
    """What the OpenAPI document says of a route beyond its method, path, scope and content types."""

    summary: str
    about: str = ""
    source: str = ""
    """Document and number: `S0.3`."""
    body: Schema | None = None
    body_types: tuple[str, ...] = ("application/json",)
    """The content types of `body`, where the handler reads it itself and the route's `takes` is empty."""
    body_required: bool = True
    example: object = None
    """A body that works, for `/docs`."""
    query: tuple[Param, ...] = ()
    headers: tuple[Param, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    """What each parameter in the path is."""
    path_examples: Mapping[str, str] = field(default_factory=dict)
    """A value for each of them, for `/docs`; without one its `curl` line names a shell variable."""
    answers: Mapping[int, Schema | None] = field(default_factory=dict)
    """Each status of success with the shape of its body; None for an empty one."""
    answer_type: str = "application/json"
    errors: Mapping[int, Schema | None] | None = None
    """The statuses of failure, where they are not those of the API."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One method on one path."""

    method: str
    path: str
    """`/v1/pipelines/{id}`: a segment in braces is a parameter."""
    handler: Handler
    scope: Scope | None
    """What the caller's key must allow; None: no key is needed, unless `any_key`."""
    any_key: bool = False
    """Whether a live key is needed, whatever it allows: the handler then decides by what is asked of it (S2.5)."""
    takes: tuple[str, ...] = ()
    """The content types of its body; empty: it has none, or reads it itself."""
    counted: bool = True
    """Whether the rate limit counts it."""
    any_origin: bool = False
    """Whether pages from elsewhere may ask; the handler then decides which (S3.8)."""
    doc: Doc | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    """One API: what paths are its own, its routes, its words."""

    name: str
    prefixes: tuple[str, ...]
    """Paths that begin so are answered in its words, also when no route has them."""
    routes: tuple[Route, ...]
    words: Words
    words_of: Callable[[web.BaseRequest], Words] | None = None
    """The words for one request, where an answer repeats something of it (S2.2); else `words`."""
    rate_headers: bool = False
    """Whether every answer carries `X-RateLimit-*`."""
    about: str = ""
    """What this API is, for the documentation."""
    errors: Mapping[int, Schema | None] = field(default_factory=dict)
    """The statuses that a refusal may have, with their shape, for the documentation."""


class Found(NamedTuple):
    """The route for a request."""

    route: Route
    api: Api
    params: Mapping[str, str]


class Router:
    """Finds the route of a request: plain paths by one look-up, others by the number of their segments."""

    def __init__(self, apis: Iterable[Api], fallback: Words) -> None:
        self.apis = tuple(apis)
        self._fallback = fallback
        self._plain: dict[str, dict[str, Found]] = {}
        self._patterns: dict[int, list[tuple[tuple[str, ...], dict[str, Found]]]] = {}
        self._matched: dict[tuple[str, str], Found] = {}
        for api in self.apis:
            for route in api.routes:
                self._add(api, route)

    def find(self, method: str, path: str) -> Found:
        """The route for `method` on `path` (percent-encoded, without query). Raises: PathNotFound, MethodNotAllowed."""
        methods = self._plain.get(path)
        if methods is not None:
            found = methods.get(method)
            return found if found is not None else self._other_method(method, path, methods, {})
        found = self._matched.get((method, path))
        if found is None:
            found = self._search(method, path)
            if len(self._matched) >= _REMEMBERED:
                self._matched.clear()
            self._matched[method, path] = found
        return found

    def _search(self, method: str, path: str) -> Found:
        segments = path.split("/")
        for pattern, methods in self._patterns.get(len(segments), ()):
            params = _match(pattern, segments)
            if params is not None:
                found = methods.get(method)
                if found is None:
                    return self._other_method(method, path, methods, params)
                return Found(found.route, found.api, params)
        raise PathNotFound(f"no route {path[:200]!r}")

    def words_for(self, path: str) -> tuple[Words, Api | None]:
        """Who words an error on `path`."""
        for api in self.apis:
            if any(path == one or path.startswith(one if one.endswith("/") else f"{one}/") for one in api.prefixes):
                return api.words, api
        return self._fallback, None

    def _add(self, api: Api, route: Route) -> None:
        found = Found(route, api, {})
        if "{" not in route.path:
            methods = self._plain.setdefault(route.path, {})
        else:
            pattern = tuple(route.path.split("/"))
            patterns = self._patterns.setdefault(len(pattern), [])
            same = [methods for known, methods in patterns if known == pattern]
            methods = same[0] if same else {}
            if not same:
                patterns.append((pattern, methods))
                patterns.sort(key=lambda entry: [step.startswith("{") for step in entry[0]])  # literals first
        if route.method in methods:
            raise ValueError(f"two routes for {route.method} {route.path}")
        methods[route.method] = found

    @staticmethod
    def _other_method(method: str, path: str, methods: Mapping[str, Found], params: Mapping[str, str]) -> Found:
        if method == "HEAD" and "GET" in methods:
            found = methods["GET"]
            return Found(found.route, found.api, params)
        raise MethodNotAllowed(f"{method[:20]} is not allowed on {path[:200]}", allowed=sorted(methods))


def _match(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for step, segment in zip(pattern, segments, strict=True):
        if step.startswith("{"):
            if not segment:
                return None
            params[step[1:-1]] = unquote(segment, errors="replace")
        elif step != segment:
            return None
    return params
