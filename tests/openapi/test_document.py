"""The OpenAPI document out of small tables: each thing that a table may say, and what must never come out of it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field, computed_field, create_model

from conduit_local.core.keys import Scope
from conduit_local.http.call import Call
from conduit_local.http.openapi import openapi_document
from conduit_local.http.router import Api, Doc, Param, Route, Schema
from conduit_local.http.wording import coded_error

URL = "http://127.0.0.1:8642"
JSON, NDJSON = "application/json", "application/x-ndjson"
SAID: Mapping[str, Any] = MappingProxyType({"type": "object", "enum": ({"error": "x"},)})
ALL = dict.fromkeys((400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 500, 503), SAID)


async def handler(call: Call) -> web.Response:
    """
    `GET /plain`: what the first line says.

    And not this.
    """
    return web.Response()


class Inner(BaseModel):
    size_bytes: int = 0


class Order(BaseModel):
    """An order."""

    id: str
    inner: list[Inner] = Field(default_factory=list)


class Measured(BaseModel):
    text: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size_chars(self) -> int:
        return len(self.text)


def route(method: str = "GET", path: str = "/orders", **fields: Any) -> Route:
    return Route(**{"method": method, "path": path, "handler": handler, "scope": Scope.READ, **fields})


def api(*routes: Route, name: str = "orders", **fields: Any) -> Api:
    return Api(name=name, prefixes=("/",), routes=routes, words=coded_error, **fields)


def document(*apis: Api) -> dict[str, Any]:
    """The document, which is valid, whatever the tables say."""
    found = openapi_document(apis, title="tests", version="1", server_url=URL)
    assert json.loads(json.dumps(found)) == found
    OpenAPIV31SpecValidator(found).validate()
    for ref in refs(found):
        assert resolved(found, ref), ref
    return found


def operation(one: Route, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = document(api(one, **fields))["paths"][one.path][one.method.lower()]
    return found


def refs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from refs(one)
    elif isinstance(value, list):
        for one in value:
            yield from refs(one)


def resolved(found: dict[str, Any], ref: str) -> Any:
    place: Any = found
    for step in ref.removeprefix("#/").split("/"):
        place = place[step]
    return place


# What an operation says --------------------------------------------------------------------------------------


def test_each_route_is_an_operation_of_its_api_in_the_order_of_the_table() -> None:
    orders = api(route("POST", takes=(JSON,)), route(), route("OPTIONS"), route("HEAD", "/orders/{id}"))
    found = document(orders, api(route(path="/bills"), name="bills", about="All bills."))
    assert {path: list(methods) for path, methods in found["paths"].items()} == {
        "/orders": ["post", "get", "options"],
        "/orders/{id}": ["head"],
        "/bills": ["get"],
    }
    assert found["tags"] == [{"name": "orders"}, {"name": "bills", "description": "All bills."}]
    assert [one["get"]["tags"] for one in found["paths"].values() if "get" in one] == [["orders"], ["bills"]]
    assert found["servers"] == [{"url": URL}]
    assert (found["info"], found["openapi"]) == ({"title": "tests", "version": "1"}, "3.1.0")


def test_the_same_tables_give_the_same_document_in_the_same_order() -> None:
    both = [json.dumps(document(api(route(doc=Doc(summary="x", answers={200: Order})), errors=ALL))) for _ in range(2)]
    assert both[0] == both[1]


def test_operation_ids_stay_apart_where_paths_read_the_same() -> None:
    paths = ("/a/{b}", "/a/b", "/a/by_b", "/a-by-b")
    found = document(api(*(route(path=path) for path in paths)))
    ids = [one["get"]["operationId"] for one in found["paths"].values()]
    assert ids == ["get_a_by_b", "get_a_b", "get_a_by_b_2", "get_a_by_b_3"]


def test_two_apis_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two APIs"):
        openapi_document([api(), api()], title="x", version="1", server_url=URL)


def test_a_route_without_documentation_says_the_first_line_of_its_handler() -> None:
    found = operation(route())
    assert found["summary"] == "`GET /plain`: what the first line says."
    assert list(found["responses"]) == ["default"]


def test_source_scope_and_text_are_said() -> None:
    doc = Doc(summary="Orders", about="Newest first.", source="S0.6")
    found = operation(route(doc=doc))
    assert (found["summary"], found["x-source"], found["x-scope"]) == ("Orders", "S0.6", "read")
    assert found["description"].startswith(
        "Newest first.\n\nSource: S0.6.\n\nNeeds a key that allows `read`.\n\n```sh\n"
    )


def test_security_is_a_bearer_key_none_or_either() -> None:
    assert operation(route())["security"] == [{"bearer": []}]
    public = operation(route(scope=None))
    assert public["security"] == []
    assert "x-scope" not in public
    asks_itself = Doc(summary="x", errors={401: SAID})
    assert operation(route(scope=None, doc=asks_itself))["security"] == [{"bearer": []}, {}]


def test_parameters_are_those_of_path_query_and_headers() -> None:
    doc = Doc(
        summary="x",
        path={"id": "The order."},
        path_examples={"id": "o 1"},
        query=(Param(name="limit", schema={"type": "integer", "enum": (1, 2)}, about="How many."),),
        headers=(Param(name="X-Request-ID", required=True),),
    )
    assert operation(route(path="/o/{id}/{part}", doc=doc))["parameters"] == [
        {
            "name": "id",
            "in": "path",
            "required": True,
            "description": "The order.",
            "schema": {"type": "string"},
            "example": "o 1",
        },
        {"name": "part", "in": "path", "required": True, "schema": {"type": "string"}},
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "description": "How many.",
            "schema": {"type": "integer", "enum": [1, 2]},
        },
        {"name": "X-Request-ID", "in": "header", "required": True, "schema": {"type": "string"}},
    ]
    assert "parameters" not in operation(route())


# Bodies and answers ------------------------------------------------------------------------------------------


def test_a_body_has_each_type_that_the_route_takes() -> None:
    types = (JSON, "application/yaml", NDJSON)
    doc = Doc(summary="x", body=Order, example=({"id": "ü"}, {"id": "2"}))
    found = operation(route("POST", takes=types, doc=doc))["requestBody"]
    shape = {"$ref": "#/components/schemas/Order"}
    assert found == {
        "required": True,
        "content": {
            JSON: {"schema": shape, "example": [{"id": "ü"}, {"id": "2"}]},
            "application/yaml": {"schema": shape, "example": [{"id": "ü"}, {"id": "2"}]},
            NDJSON: {"schema": {"type": "string"}, "example": '{"id": "ü"}\n{"id": "2"}'},
        },
    }


def test_a_body_that_the_handler_reads_itself_is_said_too() -> None:
    doc = Doc(summary="x", body=SAID, body_required=False)
    found = operation(route("POST", doc=doc))["requestBody"]
    assert found == {
        "required": False,
        "content": {JSON: {"schema": {"type": "object", "enum": [{"error": "x"}]}}},
    }
    assert operation(route("POST", takes=(JSON,)))["requestBody"]["content"] == {JSON: {"schema": {}}}
    assert "requestBody" not in operation(route("POST"))


def test_answers_have_their_shape_or_no_body() -> None:
    doc = Doc(summary="x", answers={204: None, 200: Order, 299: {"type": "array", "items": Order}})
    found = operation(route(doc=doc))["responses"]
    shape = {"$ref": "#/components/schemas/Order"}
    assert list(found) == ["200", "204", "299"]
    assert found["200"] == {"description": "OK", "content": {JSON: {"schema": shape}}}
    assert found["204"] == {"description": "No Content"}
    assert found["299"]["content"] == {JSON: {"schema": {"type": "array", "items": shape}}}
    stream = Doc(summary="x", answers={200: {"type": "string"}}, answer_type="text/event-stream")
    assert list(operation(route(doc=stream))["responses"]["200"]["content"]) == ["text/event-stream"]


def test_models_of_one_name_do_not_collide() -> None:
    others = [create_model("Order", weight=(kind, ...)) for kind in (float, str)]
    models: list[type[BaseModel]] = [Order, *others]
    routes = [route(path=f"/{at}", doc=Doc(summary="x", answers={200: model})) for at, model in enumerate(models)]
    found = document(api(*routes))
    shapes = [
        resolved(found, one["get"]["responses"]["200"]["content"][JSON]["schema"]["$ref"])["properties"]
        for one in found["paths"].values()
    ]
    assert [list(one) for one in shapes] == [["id", "inner"], ["weight"], ["weight"]]
    assert [one["weight"]["type"] for one in shapes[1:]] == ["number", "string"]
    assert len(found["components"]["schemas"]) == 4


def test_what_is_asked_and_what_is_answered_may_differ_for_one_model() -> None:
    doc = Doc(summary="x", body=Measured, answers={200: Measured})
    found = document(api(route("PUT", takes=(JSON,), doc=doc)))
    put = found["paths"]["/orders"]["put"]
    asked, answered = (
        resolved(found, one["content"][JSON]["schema"]["$ref"])["required"]
        for one in (put["requestBody"], put["responses"]["200"])
    )
    assert (asked, answered) == (["text"], ["text", "size_chars"])


# Refusals ----------------------------------------------------------------------------------------------------

SAFE = {"400", "403", "404", "500", "503"}
BODY = {"408", "413", "415"}
CHANGE = {"409", "412", "422"}


@pytest.mark.parametrize(
    ("one", "statuses"),
    [
        (route(), SAFE | {"401", "429"}),
        (route(scope=None), SAFE | {"429"}),
        (route(counted=False), SAFE | {"401"}),
        (route("DELETE"), SAFE | CHANGE | {"401", "429"}),
        (route("POST", takes=(JSON,)), SAFE | CHANGE | BODY | {"401", "429"}),
        (route("POST", doc=Doc(summary="x", body=Order)), SAFE | CHANGE | BODY | {"401", "429"}),
        (route(doc=Doc(summary="x", errors={404: None})), {"404"}),
        (route(doc=Doc(summary="x", errors={})), set()),
    ],
)
def test_a_route_is_refused_with_what_can_happen_to_it(one: Route, statuses: set[str]) -> None:
    assert set(operation(one, errors=ALL)["responses"]) - {"default"} == statuses


def test_what_an_api_says_to_a_refusal_stands_once() -> None:
    errors: dict[int, Schema | None] = {403: SAID, 503: None}
    found = document(api(route(), route("DELETE"), name="my orders", errors=errors))
    refused = {"403": {"$ref": "#/components/responses/my-orders-403"}}
    for one in found["paths"]["/orders"].values():
        assert one["responses"].items() >= refused.items()
    kept = found["components"]["responses"]
    assert kept["my-orders-403"]["content"] == {JSON: {"schema": {"type": "object", "enum": [{"error": "x"}]}}}
    assert "content" not in kept["my-orders-503"]


def test_headers_go_with_the_statuses_that_have_them() -> None:
    doc = Doc(summary="x", answers={200: SAID}, errors=dict.fromkeys((401, 408, 429, 500, 503), SAID))
    limit = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    wait, scheme = {"Retry-After"}, {"WWW-Authenticate"}
    own = {"200": set[str](), "401": scheme, "408": wait, "429": wait, "500": set[str](), "503": wait}
    for every in (True, False):
        found = operation(route(doc=doc), rate_headers=every)["responses"]
        assert {status: set(one.get("headers", ())) for status, one in found.items()} == {
            status: names | limit if every or status == "429" else names for status, names in own.items()
        }


# The line to copy --------------------------------------------------------------------------------------------


def words_of(line: str) -> list[str]:
    """What a shell makes of the line."""
    script = f"curl() {{ printf '%s\\n--\\n' \"$@\"; }}\nCONDUIT_TOKEN=ck ID=7 REQUEST_ID=r\n{line}\n"
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.removesuffix("\n--\n").split("\n--\n")


def line_of(one: Route) -> str:
    found = operation(one)
    (sample,) = found["x-codeSamples"]
    assert found["description"].endswith(f"```sh\n{sample['source']}\n```")
    return str(sample["source"])


def test_the_line_sends_the_example_with_the_key() -> None:
    example = {"text": 'it\'s $HOME `x` \\ "ü"\n'}
    line = line_of(route("POST", takes=("application/yaml", JSON), doc=Doc(summary="x", example=example)))
    *words, body = words_of(line)
    assert words[:3] == ["-X", "POST", f"{URL}/orders"]
    assert words[3:] == ["-H", "Authorization: Bearer ck", "-H", f"Content-Type: {JSON}", "--data-binary"]
    assert json.loads(body) == example
    assert "$CONDUIT_TOKEN" in line


def test_the_line_fills_in_what_has_an_example_and_leaves_the_rest_to_the_shell() -> None:
    doc = Doc(
        summary="x",
        path_examples={"name": 'a b"$'},
        query=(Param(name="request-id", required=True), Param(name="limit")),
        headers=(Param(name="Request-Id", required=True),),
    )
    assert words_of(line_of(route(path="/{name}/{id}", scope=None, doc=doc))) == [
        f"{URL}/a%20b%22%24/7?request-id=r",
        "-H",
        "Request-Id: r",
    ]


def test_the_line_fits_what_is_sent_and_what_comes_back() -> None:
    stream = Doc(summary="x", answer_type="text/event-stream", errors={401: None})
    assert words_of(line_of(route(scope=None, doc=stream)))[1:] == ["--no-buffer", "-H", "Authorization: Bearer ck"]
    assert words_of(line_of(route("HEAD", scope=None))) == ["--head", f"{URL}/orders"]
    lines = Doc(summary="x", example=[{"a": 1}, {"a": 2}])
    assert words_of(line_of(route("POST", takes=(NDJSON,), doc=lines)))[-1] == '{"a": 1}\n{"a": 2}'
    assert words_of(line_of(route("POST", takes=("text/plain",), doc=Doc(summary="x", example="as it is"))))[-1] == (
        "as it is"
    )
    assert words_of(line_of(route("POST", takes=(JSON,))))[-2:] == ["--data-binary", "@body"]
