"""
The OpenAPI 3.1 document, out of the route tables.

Pure: the same tables and the same address give the same document, in the same order. It says of a route what the table
says, and nothing that is not there: models become component schemas, what an API says to a refusal stands once.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from conduit_local.http.router import Api, Doc, Param, Route, Schema
from conduit_local.http.samples import LINES, body_text, curl

_RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_HEADERS = {
    "Retry-After": ("Seconds to wait before the same request may succeed.", "integer"),
    "WWW-Authenticate": ("The scheme: `Bearer`.", "string"),
    "X-RateLimit-Limit": ("Requests that the bucket holds.", "integer"),
    "X-RateLimit-Remaining": ("Requests that are left in it now.", "integer"),
    "X-RateLimit-Reset": ("When it is full again, in seconds since 1970.", "integer"),
}
_WITH_BODY = frozenset({408, 413, 415})
"""What only a request with a body can be answered."""
_WITH_CHANGE = frozenset({409, 412, 422})
"""What no request that only looks is answered."""
_KEY: Mapping[str, list[str]] = {"bearer": []}
_ABOUT_KEYS = "A key of this appliance, whatever its prefix; `x-scope` of an operation is what the key must allow."
_PARAMETER = re.compile(r"\{([^}]+)\}")


def openapi_document(
    apis: Sequence[Api], *, title: str, version: str, server_url: str, about: str = ""
) -> dict[str, Any]:
    """
    The document of all routes of `apis`, in their order; plain dicts, lists, texts and numbers.

    Raises: ValueError when two APIs have one name.
    """
    names = [api.name for api in apis]
    if len(set(names)) < len(names):
        raise ValueError(f"two APIs have one name: {', '.join(names)}")
    shapes = _Shapes(apis)
    taken: set[str] = set()
    paths: dict[str, dict[str, Any]] = {}
    for api in apis:
        for route in api.routes:
            name = _unused(_operation_name(route), taken)
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(api, route, name, shapes, server_url)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, **({"description": about} if about else {})},
        "servers": [{"url": server_url}],
        "tags": [{"name": api.name, **({"description": api.about} if api.about else {})} for api in apis],
        "security": [_KEY],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": _ABOUT_KEYS}},
            "headers": {
                name: {"description": said, "schema": {"type": kind}} for name, (said, kind) in _HEADERS.items()
            },
            "responses": {
                _refusal_name(api, status): _response(api, status, schema, shapes)
                for api in apis
                for status, schema in sorted(api.errors.items())
            },
            "schemas": shapes.components,
        },
    }


class _Shapes:
    """The models of all APIs as component schemas; those of one name are told apart by their modules."""

    def __init__(self, apis: Sequence[Api]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        for api in apis:
            docs = [route.doc for route in api.routes if route.doc is not None]
            for doc in docs:
                wanted.update({(model, "validation"): None for model in _models(doc.body)})
            for answers in (api.errors, *(doc.answers for doc in docs), *(doc.errors for doc in docs)):
                wanted.update({(model, "serialization"): None for model in _models(answers)})
        self._refs, found = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
        self.components: dict[str, Any] = found.get("$defs", {})

    def shown(self, schema: Schema | None, mode: JsonSchemaMode) -> Any:
        """`schema` with its models as references; `{}`, which is anything, where there is none."""
        return _plain({} if schema is None else schema, lambda model: self._refs[model, mode])


def _plain(value: Any, shown: Callable[[type[BaseModel]], Any] = str) -> Any:
    """`value` in dicts and lists of its own, its models as `shown` has them."""
    if isinstance(value, type):
        return shown(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, shown) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one, shown) for one in value]
    return value


def _models(value: object) -> Iterator[type[BaseModel]]:
    """The models in a schema, or in a table of schemas."""
    if isinstance(value, type) and issubclass(value, BaseModel):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _models(one)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from _models(one)


# Operations --------------------------------------------------------------------------------------------------


def _operation(api: Api, route: Route, name: str, shapes: _Shapes, server_url: str) -> dict[str, Any]:
    doc = route.doc or Doc(summary=_first_line(route.handler) or f"{route.method} {route.path}")
    statuses = _refusals(api, route, doc)
    keyed = route.scope is not None or route.any_key
    asks_itself = not keyed and doc.errors is not None and 401 in doc.errors
    line = curl(route, doc, server_url, with_key=keyed or asks_itself)
    said = {"summary": doc.summary, "description": _description(route, doc, line)}
    operation: dict[str, Any] = {"tags": [api.name], "operationId": name, **said}
    if doc.source:
        operation["x-source"] = doc.source
    if route.scope is not None:
        operation["x-scope"] = str(route.scope)
    operation["security"] = [_KEY] if keyed else [_KEY, {}] if asks_itself else []
    parameters = [*_path_parameters(route, doc), *_parameters("query", doc.query), *_parameters("header", doc.headers)]
    if parameters:
        operation["parameters"] = parameters
    types = _body_types(route, doc)
    if types:
        content = {kind: _content(kind, doc, shapes) for kind in types}
        operation["requestBody"] = {"required": doc.body_required, "content": content}
    operation["responses"] = _responses(api, doc, statuses, shapes)
    operation["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": line}]
    return operation


def _operation_name(route: Route) -> str:
    path = _PARAMETER.sub(r"by_\1", route.path)
    return re.sub(r"[^A-Za-z0-9]+", "_", f"{route.method.lower()}{path}").strip("_")


def _unused(name: str, taken: set[str]) -> str:
    """`name`, or with a number behind it where another path reads the same."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def _first_line(handler: object) -> str:
    return (inspect.getdoc(handler) or "").partition("\n")[0] if inspect.isroutine(handler) else ""


def _description(route: Route, doc: Doc, line: str) -> str:
    parts = [doc.about, f"Source: {doc.source}." if doc.source else ""]
    if route.scope is not None:
        parts.append(f"Needs a key that allows `{route.scope}`.")
    parts.append(f"```sh\n{line}\n```")
    return "\n\n".join(part for part in parts if part)


def _path_parameters(route: Route, doc: Doc) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(route.path):
        found: dict[str, Any] = {"name": name, "in": "path", "required": True}
        if name in doc.path:
            found["description"] = doc.path[name]
        found["schema"] = {"type": "string"}
        if name in doc.path_examples:
            found["example"] = doc.path_examples[name]
        yield found


def _parameters(place: str, params: Sequence[Param]) -> Iterator[dict[str, Any]]:
    for one in params:
        about = {"description": one.about} if one.about else {}
        yield {"name": one.name, "in": place, "required": one.required, **about, "schema": _plain(one.schema)}


def _body_types(route: Route, doc: Doc) -> tuple[str, ...]:
    return route.takes or (doc.body_types if doc.body is not None else ())


def _content(kind: str, doc: Doc, shapes: _Shapes) -> dict[str, Any]:
    structured = kind.endswith(("json", "yaml")) and not kind.endswith(LINES)
    found: dict[str, Any] = {"schema": shapes.shown(doc.body, "validation") if structured else {"type": "string"}}
    if doc.example is not None:
        found["example"] = _plain(doc.example) if structured else body_text(doc.example, kind)
    return found


# Answers -----------------------------------------------------------------------------------------------------


def _refusals(api: Api, route: Route, doc: Doc) -> list[int]:
    """
    The statuses of `api.errors` that this route can be answered.

    403 is always among them, for Host and Origin; 405 never, for it answers a method that is not here.
    """
    never = {405}
    if route.scope is None and not route.any_key:
        never.add(401)
    if not route.counted:
        never.add(429)
    if not _body_types(route, doc):
        never |= _WITH_BODY
    if route.method in {"GET", "HEAD", "OPTIONS"}:
        never |= _WITH_CHANGE
    return [status for status in sorted(api.errors) if status not in never]


def _responses(api: Api, doc: Doc, statuses: Sequence[int], shapes: _Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {
        str(status): _response(api, status, schema, shapes, doc.answer_type)
        for status, schema in sorted(doc.answers.items())
    }
    if not found:
        found["default"] = {"description": "What the appliance answers."}
    if doc.errors is None:
        found |= {str(one): {"$ref": f"#/components/responses/{_refusal_name(api, one)}"} for one in statuses}
    else:
        found |= {str(one): _response(api, one, schema, shapes) for one, schema in sorted(doc.errors.items())}
    return found


def _refusal_name(api: Api, status: int) -> str:
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', api.name)}-{status}"


def _response(
    api: Api, status: int, schema: Schema | None, shapes: _Shapes, kind: str = "application/json"
) -> dict[str, Any]:
    found: dict[str, Any] = {"description": _phrase(status)}
    headers = ["Retry-After"] if status in {408, 429, 503} else ["WWW-Authenticate"] if status == 401 else []
    if api.rate_headers or status == 429:
        headers.extend(_RATE_HEADERS)
    if headers:
        found["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    if schema is not None:
        found["content"] = {kind: {"schema": shapes.shown(schema, "serialization")}}
    return found


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)
