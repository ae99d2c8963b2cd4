"""
Who may do what, made from the route table of the whole appliance: every route of every API with every kind of key.

A route without a scope stands in `OPEN` here, with the reason; so none can forget its key.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from conduit_local.core.keys import Scope, allowed_by
from tests.appliance import KEY, ORDERS, Appliance, serving

OPEN = {
    ("GET", "/_local/health/live"): "liveness",
    ("GET", "/_local/health/ready"): "readiness",
    ("GET", "/v1/health"): "liveness (S3.1)",
    ("GET", "/docs"): "documentation",
    ("GET", "/docs/{file}"): "documentation",
    ("GET", "/openapi.json"): "documentation",
    ("GET", "/openapi.yaml"): "documentation",
    ("GET", "/v1/ingest/{pipe_id}"): "a hint that shows nothing (S3.9)",
    ("OPTIONS", "/v1/ingest/{pipe_id}"): "a preflight, which carries no key (S3.9)",
    ("POST", "/v1/ingest/{pipe_id}"): "asks for the key in the order of S3.7; tests/dialects/s3",
}
ANY_KEY = {("POST", "/pipeline"): "each operation has a scope of its own (S2.5); tests/dialects/s2"}
NEVER = {"no key": None, "a wrong key": "ck_live_wrong", "a key cut short": KEY[:-1]}
HARMLESS = {"/_local/stream": "/_local/stream?topics=nothing"}


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("matrix"), {"orders": ORDERS}, "--testing") as running:
        yield running


@pytest.fixture(scope="module")
def operations(appliance: Appliance) -> dict[tuple[str, str], dict[str, Any]]:
    """The route table, as the document that is made from it shows it."""
    paths = appliance.ask("GET", "/openapi.json", key=None).json["paths"]
    return {(method.upper(), path): one for path, methods in paths.items() for method, one in methods.items()}


@pytest.fixture(scope="module")
def secrets(appliance: Appliance) -> dict[Scope, str]:
    made = {scope: appliance.ask("POST", "/_local/keys", {"name": scope, "scopes": [scope]}) for scope in Scope}
    return {scope: answer.json["secret"] for scope, answer in made.items()}


def ask(appliance: Appliance, method: str, path: str, key: str | None) -> Any:
    """On a path of the route that does no harm when it is let through."""
    sent: list[object] | None = [] if method in {"POST", "PUT", "PATCH"} else None
    return appliance.ask(method, HARMLESS.get(path, re.sub(r"{\w+}", "nobody", path)), sent, key=key)


def test_every_route_asks_for_a_key_but_those_that_say_why_not(
    operations: dict[tuple[str, str], dict[str, Any]],
) -> None:
    assert {name for name, one in operations.items() if "x-scope" not in one} == OPEN.keys() | ANY_KEY.keys()
    assert len(operations) > 70


def test_without_a_live_key_every_route_answers_401_before_it_looks(
    appliance: Appliance, operations: dict[tuple[str, str], dict[str, Any]]
) -> None:
    for method, path in operations:
        if (method, path) in OPEN:
            continue
        for what, key in NEVER.items():
            answer = ask(appliance, method, path, key)
            assert answer.status == 401, (method, path, what)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json["error"], "in the API's own words"


def test_every_scope_opens_what_it_says_and_no_more(
    appliance: Appliance, operations: dict[tuple[str, str], dict[str, Any]], secrets: dict[Scope, str]
) -> None:
    for (method, path), operation in operations.items():
        if "x-scope" not in operation:
            continue
        needed = Scope(operation["x-scope"])
        for scope, secret in secrets.items():
            answer = ask(appliance, method, path, secret)
            if needed in allowed_by([scope]):
                assert answer.status not in {401, 403, 500}, (method, path, scope, answer)
            else:
                assert answer.status == 403, (method, path, scope, answer)
                assert needed.value in answer.body.decode(), "it says which scope lacks"


def test_the_document_names_every_route_of_the_table(
    appliance: Appliance, operations: dict[tuple[str, str], dict[str, Any]]
) -> None:
    """A method that is not documented is not there."""
    for path in sorted({path for _, path in operations}):
        there_are = {method for method, known in operations if known == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - there_are:
            answer = ask(appliance, method, path, KEY)
            assert answer.status in {404, 405}, (method, path, answer)
            if answer.status == 405:
                assert set(answer.headers["Allow"].split(", ")) == there_are
