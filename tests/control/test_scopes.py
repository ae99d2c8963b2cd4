"""Who may do what: every route of the appliance, with every kind of key; and what is on no route."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit_local.config.apply import Configuration
from conduit_local.config.settings import LoadedSettings, Settings
from conduit_local.control.routes import Control
from conduit_local.control.snapshot import Identity
from conduit_local.dialects.s0 import routes as s0
from conduit_local.engine.clock import SteeredClock
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.engines import engine_at

OPEN, INGEST, READ, MANAGE, ADMIN = "open", "ingest", "read", "manage", "admin"
ONE = "/_local/pipelines/{pipeline}"
TABLE: dict[tuple[str, str], str] = {
    ("GET", "/_local/health/live"): OPEN,
    ("GET", "/_local/health/ready"): OPEN,
    ("GET", "/_local/snapshot"): READ,
    ("GET", "/_local/stream"): READ,
    ("GET", "/_local/pipelines"): READ,
    ("GET", ONE): READ,
    ("PUT", ONE): MANAGE,
    ("DELETE", ONE): MANAGE,
    ("POST", f"{ONE}/pause"): MANAGE,
    ("POST", f"{ONE}/resume"): MANAGE,
    ("POST", f"{ONE}/drain"): MANAGE,
    ("POST", f"{ONE}/flush"): MANAGE,
    ("POST", f"{ONE}/events"): INGEST,
    ("POST", f"{ONE}/runs"): MANAGE,
    ("GET", f"{ONE}/rates"): READ,
    ("GET", f"{ONE}/destinations"): READ,
    ("POST", f"{ONE}/destinations/{{destination}}/test"): MANAGE,
    ("GET", f"{ONE}/verify"): READ,
    ("GET", "/_local/events"): READ,
    ("GET", "/_local/events/{event}"): READ,
    ("GET", "/_local/runs"): READ,
    ("GET", "/_local/runs/timeline"): READ,
    ("GET", "/_local/runs/{run}"): READ,
    ("POST", "/_local/runs/{run}/cancel"): MANAGE,
    ("GET", "/_local/runs/{run}/download"): READ,
    ("GET", "/_local/dead"): READ,
    ("GET", "/_local/dead/groups"): READ,
    ("GET", "/_local/dead/export"): READ,
    ("POST", "/_local/dead/replay"): MANAGE,
    ("POST", "/_local/dead/discard"): MANAGE,
    ("GET", "/_local/dead/{letter}"): READ,
    ("PATCH", "/_local/dead/{letter}"): MANAGE,
    ("POST", "/_local/secrets/rotate"): ADMIN,
    ("GET", "/_local/logs"): READ,
    ("GET", "/_local/keys"): ADMIN,
    ("POST", "/_local/keys"): ADMIN,
    ("DELETE", "/_local/keys/{key}"): ADMIN,
    ("GET", "/_local/config"): READ,
    ("POST", "/_local/config/reload"): MANAGE,
    ("POST", "/_local/test/clock"): ADMIN,
    ("GET", "/metrics"): READ,
    ("POST", "/v1/events"): INGEST,
    ("GET", "/v1/events"): READ,
    ("GET", "/v1/events/{event_id}"): READ,
    ("GET", "/v1/pipelines"): READ,
    ("POST", "/v1/pipelines"): MANAGE,
    ("GET", "/v1/pipelines/{id}"): READ,
    ("PATCH", "/v1/pipelines/{id}"): MANAGE,
    ("DELETE", "/v1/pipelines/{id}"): MANAGE,
}
MAY = {
    INGEST: {OPEN, INGEST},
    READ: {OPEN, READ},
    MANAGE: {OPEN, READ, MANAGE},
    ADMIN: {OPEN, INGEST, READ, MANAGE, ADMIN},
}
NEVER_A_KEY = ["none", "wrong", "revoked", "cut short", "longer", "in another case"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("scopes"), {"orders": ORDERS}, "--testing") as running:
        yield running


@pytest.fixture(scope="module")
def keys(guarded: Appliance) -> dict[str, str | None]:
    """A secret of every kind."""
    found: dict[str, str | None] = {}
    for scope in (*MAY, "revoked"):
        scopes = [ADMIN if scope == "revoked" else scope]
        made = guarded.ask("POST", "/_local/keys", {"name": scope, "scopes": scopes})
        found[scope] = made.json["secret"]
        if scope == "revoked":
            assert guarded.ask("DELETE", f"/_local/keys/{made.json['id']}").status == 200
    changed = {"wrong": "ck_live_wrong", "cut short": KEY[:-1], "longer": f"{KEY}x", "in another case": KEY.upper()}
    return {**found, **changed, "none": None}


def path_of(template: str) -> str:
    """A path on the route that does no harm when it is let through."""
    path = re.sub(r"{\w+}", "nobody", template)
    return f"{path}?topics=nothing" if path == "/_local/stream" else path


@pytest.mark.parametrize(("method", "template"), TABLE)
def test_every_key_may_do_what_its_scopes_say_and_no_more(
    guarded: Appliance, keys: dict[str, str | None], method: str, template: str
) -> None:
    needed = TABLE[method, template]
    body: list[object] | None = [] if method in {"POST", "PUT", "PATCH"} else None
    for kind, secret in keys.items():
        answer = guarded.ask(method, path_of(template), body, key=secret)
        if needed != OPEN and kind in NEVER_A_KEY:
            assert (answer.status, answer.code) == (401, "unauthorized"), kind
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        elif kind not in NEVER_A_KEY and needed not in MAY[kind]:
            assert (answer.status, answer.code) == (403, "forbidden"), kind
            assert answer.json["error"]["message"] == f"the API key lacks the scope '{needed}'"
        else:
            assert answer.status not in {401, 403, 500}, (kind, answer)


async def test_the_table_names_every_route_there_is(tmp_path: Path) -> None:
    identity = Identity(version="", data_dir="", config_dir="", auth="off", testing=True, durability="full")
    async with engine_at(tmp_path, SteeredClock()) as engine:
        files = Configuration(tmp_path, LoadedSettings(settings=Settings(), sources={}), engine, {})
        apis = (s0.api(engine), Control(engine, identity, files).api())
        routes = {(one.method, one.path): str(one.scope or OPEN) for api in apis for one in api.routes}
    assert {(method, shape_of(path)): scope for (method, path), scope in routes.items()} == {
        (method, shape_of(path)): scope for (method, path), scope in TABLE.items()
    }


def shape_of(path: str) -> str:
    """The path, whatever its parameters are called."""
    return re.sub(r"{\w+}", "{}", path)


def test_a_key_may_have_several_scopes(guarded: Appliance) -> None:
    made = guarded.ask("POST", "/_local/keys", {"name": "both", "scopes": ["ingest", "read"]}).json
    event = {"pipeline_id": "pl_8f3a", "event_type": "a", "payload": {}}
    assert guarded.ask("POST", "/v1/events", event, key=made["secret"]).status == 200
    assert guarded.ask("GET", "/_local/snapshot", key=made["secret"]).status == 200
    assert guarded.ask("POST", f"{ONE.format(pipeline='pl_8f3a')}/pause", key=made["secret"]).status == 403


def test_without_keys_everything_is_open(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}, "--auth", "off") as running:
        for key in (None, "ck_live_whatever"):
            assert running.ask("GET", "/_local/keys", key=key).status == 200
            assert running.ask("GET", "/_local/snapshot", key=key).json["appliance"]["auth"] == "off"
            assert running.ask("POST", "/_local/pipelines/pl_8f3a/flush", key=key).status == 202


@pytest.mark.parametrize("template", sorted({template for _, template in TABLE}))
def test_any_other_method_is_405_and_says_which_there_are(guarded: Appliance, template: str) -> None:
    there_are = {method for method, path in TABLE if path == template}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} - there_are:
        answer = guarded.ask(method, path_of(template))
        assert (answer.status, answer.code) == (405, "method_not_allowed"), method
        assert set(answer.headers["Allow"].split(", ")) == there_are
        assert list(answer.json) == ["error"]
        assert set(answer.json["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    "path",
    [
        "/_local",
        "/_local/",
        "/_local/nothing",
        "/_local/snapshot/",
        "/_local/SNAPSHOT",
        "/_local//snapshot",
        "/_local/pipelines/",
        "/_local/pipelines/pl_8f3a/explode",
        "/_local/pipelines/pl_8f3a/pause/now",
        "/_local/pipelines//pause",
        "/_local/test/reset",
        "/metrics/",
        "/metricsx",
        "/_local/%73napshot",
    ],
)
def test_an_unknown_path_is_404_with_or_without_a_key(guarded: Appliance, path: str) -> None:
    for key in (KEY, None):
        for method in ("GET", "POST"):
            answer = guarded.ask(method, path, key=key)
            assert (answer.status, answer.code) == (404, "not_found")
            assert list(answer.json) == ["error"]
            assert list(answer.json["error"]) == ["code", "message"]
