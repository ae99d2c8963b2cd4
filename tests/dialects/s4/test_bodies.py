"""S4.8: what is wrong with a request, in S4's words, against a running appliance. And what is no route at all."""

import gzip
from typing import Any

import pytest
from backports import zstd

from conduit_local.dialects.s4 import models
from tests.appliance import KEY, Answer, Appliance
from tests.dialects.s4.asking import PIPELINES, good, key_for, listed, make, refused, shown

GOOD = b'{"name": "Packed", "config": {}}'
PATHS = [("POST", PIPELINES), ("PUT", f"{PIPELINES}/orders-stream"), ("PUT", "/api/domains/d")]
OPTIONAL = [("POST", f"{PIPELINES}/orders-stream/run"), ("POST", f"{PIPELINES}/orders-stream/duplicate")]


def ask(appliance: Appliance, method: str, path: str, body: bytes, **headers: str) -> Answer:
    return appliance.ask(method, path, body, headers={name.replace("_", "-"): one for name, one in headers.items()})


# JSON ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"name: a", "invalid_json"),
        (b'{"name": "a"} x', "invalid_json"),
        (b'{"name": NaN}', "invalid_json"),
        (b'{"name": "\xff"}', "invalid_json"),
        (b'{"name": "\\ud800"}', "invalid_json"),
        (b'{"config": 1e999}', "invalid_request"),
        pytest.param(b'{"config": ' + b"9" * 5_000 + b"}", "invalid_request", id="5,000 digits"),
        pytest.param(b'{"config": ' + b"[" * 200 + b"]" * 200 + b"}", "invalid_request", id="200 deep"),
        pytest.param(b'{"config": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", "invalid_json", id="400,000 deep"),
        (b"[]", "invalid_request"),
        (b"5", "invalid_request"),
        (b"null", "invalid_request"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [*PATHS, *OPTIONAL])
def test_s4_8_what_is_no_json_object_is_a_400(
    appliance: Appliance, method: str, path: str, body: bytes, code: str
) -> None:
    refused(appliance.ask(method, path, body), 400, code)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_s4_8_an_empty_body_is_a_400(appliance: Appliance, method: str, path: str) -> None:
    refused(appliance.ask(method, path, b""), 400, "invalid_json")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "\u202e"}, "name"),
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"config": None}, "config"),
        ({"config": []}, "config"),
        ({"config": "{}"}, "config"),
        ({"config": {"name": 5}}, "config.name"),
        ({"config": {"name": "x" * 201}}, "config.name"),
        ({"config": {"source": "hubspot"}}, "config.source"),
        ({"config": {"source": None}}, "config.source"),
        ({"config": {"source": {"name": 5}}}, "config.source.name"),
        ({"config": {"source": {"name": ""}}}, "config.source.name"),
        ({"config": {"source": {"name": "x" * 101}}}, "config.source.name"),
        ({"config": {"destination": []}}, "config.destination"),
        ({"config": {"destination": {"name": "files", "config": 5}}}, "config.destination.config"),
        ({"config": {"destination": {"name": "files", "config": {"path": 5}}}}, "config.destination.config.path"),
        ({"config": {"destination": {"name": "files", "config": {"path": "/x"}}}}, "config.destination.config.path"),
        ({"config": {"destination": {"name": "files", "config": {"pth": "x"}}}}, "config.destination.config.pth"),
        ({"config": {"destinations": []}}, "config.destinations"),
        ({"config": {"destinations": [{"config": {}}]}}, "config.destinations[0].name"),
        ({"config": {"sources": {"name": "a"}}}, "config.sources"),
        ({"config": {"more": "x" * 70_000}}, "config"),
        ({"schedule": "every day"}, "schedule"),
        ({"schedule": ""}, "schedule"),
        ({"schedule": 5}, "schedule"),
        ({"enabled": "true"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"domain_id": ""}, "domain_id"),
        ({"domain_id": "x" * 201}, "domain_id"),
        ({"domain_id": 5}, "domain_id"),
        ({"domain": "x"}, "domain"),
        ({"title": "x"}, "title"),
        ({"extra": {}}, "extra"),
        ({"id": "x"}, "id"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_s4_8_a_field_that_is_wrong_is_named(appliance: Appliance, fields: dict[str, Any], field: str) -> None:
    before = len(listed(appliance, "?limit=1000"))
    made = appliance.ask("POST", PIPELINES, {"name": "Wrong", "config": {}, **fields})
    assert refused(made, 400, "invalid_request").startswith(f"{field}: ")
    changed = appliance.ask("PUT", f"{PIPELINES}/{the_changed(appliance)}", fields)
    assert refused(changed, 400, "invalid_request").startswith(f"{field}: ")
    assert len(listed(appliance, "?limit=1000")) in {before, before + 1}
    assert not [one for one in listed(appliance, "?limit=1000") if one["name"] == "Wrong"]
    assert shown(appliance, "changed-wrongly")["updated_at"] is None


def the_changed(appliance: Appliance) -> str:
    """A pipeline that changes are refused to."""
    if appliance.ask("GET", f"{PIPELINES}/changed-wrongly").status == 404:
        make(appliance, "changed-wrongly")
    return "changed-wrongly"


@pytest.mark.parametrize(("body", "field"), [({"config": {}}, "name"), ({"name": "x"}, "config"), ({}, "name")])
def test_s4_1_what_is_missing_is_named(appliance: Appliance, body: dict[str, Any], field: str) -> None:
    message = refused(appliance.ask("POST", PIPELINES, body), 400, "invalid_request")
    assert message.startswith(f"{field}: is required")


# What HTTP says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonl"])
@pytest.mark.parametrize(("method", "path"), [*PATHS, *OPTIONAL])
def test_s4_8_another_content_type_is_a_415(appliance: Appliance, method: str, path: str, content_type: str) -> None:
    answer = appliance.ask(method, path, b"{}", headers={"Content-Type": content_type})
    refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), [*PATHS, *OPTIONAL])
def test_s4_8_a_body_that_is_too_large_is_a_413(appliance: Appliance, method: str, path: str) -> None:
    refused(appliance.ask(method, path, b" " * 1_048_577), 413, "payload_too_large")
    bomb = gzip.compress(b" " * 30_000_000)
    refused(ask(appliance, method, path, bomb, Content_Encoding="gzip"), 413, "payload_too_large")


@pytest.mark.parametrize(
    ("encoding", "packed"), [("gzip", gzip.compress(GOOD)), ("zstd", zstd.compress(GOOD))], ids=["gzip", "zstd"]
)
def test_s4_8_a_body_may_be_packed_but_not_badly(appliance: Appliance, encoding: str, packed: bytes) -> None:
    good(ask(appliance, "POST", PIPELINES, packed, Content_Encoding=encoding), 201, models.PipelineShown)
    for bad in (packed[:-4], b"x" + packed, GOOD):
        refused(ask(appliance, "POST", PIPELINES, bad, Content_Encoding=encoding), 400, "invalid_request")
    for other in ("br", "gzip, gzip"):
        answer = ask(appliance, "POST", PIPELINES, packed, Content_Encoding=other)
        refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", PIPELINES, "GET, POST"),
        ("POST", f"{PIPELINES}/x", "DELETE, GET, PUT"),
        ("GET", f"{PIPELINES}/x/run", "POST"),
        ("GET", f"{PIPELINES}/x/duplicate", "POST"),
        ("POST", f"{PIPELINES}/x/runs", "GET"),
        ("DELETE", f"{PIPELINES}/runs/x", "GET"),
        ("GET", f"{PIPELINES}/runs/x/cancel", "POST"),
        ("POST", f"{PIPELINES}/runs/x/logs", "GET"),
        ("DELETE", "/api/domains/x", "GET, PUT"),
    ],
)
def test_s4_8_another_method_is_a_405_that_says_which(
    appliance: Appliance, method: str, path: str, allowed: str
) -> None:
    answer = appliance.ask(method, path)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/x/y", "/runs/x/y", "//", "/x/runs/"])
def test_s4_8_what_is_no_route_is_a_404(appliance: Appliance, path: str) -> None:
    refused(appliance.ask("GET", f"{PIPELINES}{path}"), 404, "not_found")
    refused(appliance.ask("GET", "/api/domains"), 404, "not_found")


# Keys ------------------------------------------------------------------------------------------------------


def test_s4_9_a_bearer_key_is_needed(appliance: Appliance) -> None:
    for key in (None, "", "ck_live_nobody", KEY[:-1]):
        answer = appliance.ask("GET", PIPELINES, key=key)
        refused(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    for scheme in ("Basic", "bearer2"):
        refused(appliance.ask("GET", PIPELINES, headers={"Authorization": f"{scheme} {KEY}"}), 401, "unauthorized")
    refused(appliance.ask("GET", f"{PIPELINES}/nobody", key=None), 401, "unauthorized")


def test_s4_9_a_key_does_what_its_scope_says(appliance: Appliance) -> None:
    made = make(appliance, "scoped")
    reader, sender = key_for(appliance, "read"), key_for(appliance, "ingest")
    path = f"{PIPELINES}/{made['id']}"
    assert appliance.ask("GET", path, key=reader).status == 200
    for method, below in (("PUT", ""), ("DELETE", ""), ("POST", "/run"), ("POST", "/duplicate")):
        assert "'manage'" in refused(appliance.ask(method, f"{path}{below}", {}, key=reader), 403, "forbidden")
    assert "'read'" in refused(appliance.ask("GET", path, key=sender), 403, "forbidden")
