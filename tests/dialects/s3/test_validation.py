"""S3.5: what is wrong with a body, by dot path, for every route that takes one."""

from typing import Any

import pytest

from tests.appliance import Appliance
from tests.dialects.s3.asking import APP, KEYS, PIPES, make, refused, shown, wrong

LONG = "x" * 201
DESTINATION = {"destination_type": "files"}
PIPE = {"pipe_name": "x"}


@pytest.fixture(scope="module")
def routes(appliance: Appliance) -> dict[str, tuple[str, str]]:
    """Every route that takes a body of ours, on a pipe that there is."""
    made = make(appliance, "validated")
    one = f"{PIPES}/{made['pipe_id']}"
    destination = f"{one}/destinations/{made['destinations'][0]['destination_id']}"
    return {
        "new pipe": ("POST", PIPES),
        "pipe": ("PATCH", one),
        "new destination": ("POST", f"{one}/destinations"),
        "destination": ("PATCH", destination),
        "status": ("PATCH", f"{destination}/status"),
        "limits": ("PUT", f"{one}/limits"),
        "origin": ("POST", f"{one}/allowed-origins"),
        "key": ("POST", KEYS),
    }


ROUTES = ["new pipe", "pipe", "new destination", "destination", "status", "limits", "origin", "key"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'"x"',
        b'{"a": NaN}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 150 + b"1" + b"}" * 150,
    ],
)
def test_s3_5_a_body_that_is_no_object_is_wrong_as_a_whole(
    appliance: Appliance, routes: dict[str, tuple[str, str]], route: str, body: bytes
) -> None:
    assert set(wrong(appliance.ask(*routes[route], body))) == {""}


@pytest.mark.parametrize("route", ROUTES)
def test_s3_5_a_field_that_is_not_known_is_named(
    appliance: Appliance, routes: dict[str, tuple[str, str]], route: str
) -> None:
    assert "nothing_like_it" in wrong(appliance.ask(*routes[route], {"nothing_like_it": 1}))


@pytest.mark.parametrize("route", ROUTES)
def test_s3_5_an_empty_object_is_wrong(appliance: Appliance, routes: dict[str, tuple[str, str]], route: str) -> None:
    assert wrong(appliance.ask(*routes[route], {}))


@pytest.mark.parametrize("route", ROUTES)
def test_s3_5_a_body_of_another_type_size_or_coding_is_refused(
    appliance: Appliance, routes: dict[str, tuple[str, str]], route: str
) -> None:
    method, path = routes[route]
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = appliance.ask(method, path, {}, headers={"Content-Type": kind})
        refused(answer, 415, "unsupported_media_type")
    refused(appliance.ask(method, path, b" " * (1 << 21)), 413, "payload_too_large")
    assert "" in wrong(appliance.ask(method, path, b"no gzip", headers={"Content-Encoding": "gzip"}))
    refused(appliance.ask(method, path, {}, headers={"Content-Encoding": "br"}), 415, "unsupported_media_type")


WRONG: list[tuple[str, Any, set[str]]] = [
    ("new pipe", {}, {"pipe_name"}),
    ("new pipe", {"pipe_name": ""}, {"pipe_name"}),
    ("new pipe", {"pipe_name": LONG}, {"pipe_name"}),
    ("new pipe", {"pipe_name": "a\x00b"}, {"pipe_name"}),
    ("new pipe", {"pipe_name": 5}, {"pipe_name"}),
    ("new pipe", {"pipe_name": None}, {"pipe_name"}),
    ("new pipe", PIPE | {"requires_api_key": "yes"}, {"requires_api_key"}),
    ("new pipe", PIPE | {"requires_api_key": 1, "allow_any_origin": 0}, {"requires_api_key", "allow_any_origin"}),
    ("new pipe", PIPE | {"enrich_timestamp_field": ""}, {"enrich_timestamp_field"}),
    ("new pipe", PIPE | {"enrich_ip_field": "x" * 65}, {"enrich_ip_field"}),
    ("new pipe", PIPE | {"pipe_status": "paused"}, {"pipe_status"}),
    ("new pipe", PIPE | {"destinations": {}}, {"destinations"}),
    ("new pipe", PIPE | {"destinations": []}, {"destinations"}),
    ("new pipe", PIPE | {"destinations": [5]}, {"destinations.0"}),
    ("new pipe", PIPE | {"destinations": [DESTINATION, {}]}, {"destinations.1.destination_type"}),
    (
        "new pipe",
        {"destinations": [{"destination_type": "files", "destination_config": {"path": "..", "format": "avro"}}]},
        {"pipe_name", "destinations.0.destination_config.path", "destinations.0.destination_config.format"},
    ),
    ("new pipe", PIPE | {"limits": {"pl_requests_per_minute": 0}}, {"limits.pl_requests_per_minute"}),
    ("new pipe", PIPE | {"limits": {"per_minute": 1}}, {"limits.per_minute"}),
    ("new pipe", PIPE | {"allowed_origins": [APP, "ftp://x"]}, {"allowed_origins.1.origin_domain"}),
    ("new pipe", PIPE | {"allowed_origins": [5]}, {"allowed_origins.0"}),
    ("new pipe", PIPE | {"allowed_origins": [f"https://{n}.example" for n in range(1001)]}, {"allowed_origins"}),
    ("pipe", {"pipe_name": None}, {"pipe_name"}),
    ("pipe", {"pipe_status": "blocked"}, {"pipe_status"}),
    ("pipe", {"requires_api_key": None, "allow_any_origin": "no"}, {"requires_api_key", "allow_any_origin"}),
    ("pipe", {"destinations": []}, {"destinations"}),
    ("new destination", {}, {"destination_type"}),
    ("new destination", {"destination_type": ""}, {"destination_type"}),
    ("new destination", {"destination_type": "x" * 101}, {"destination_type"}),
    ("new destination", DESTINATION | {"destination_name": ""}, {"destination_name"}),
    ("new destination", DESTINATION | {"destination_config": []}, {"destination_config"}),
    ("new destination", DESTINATION | {"destination_status": "paused"}, {"destination_status"}),
    ("new destination", DESTINATION | {"destination_config": {"bucket": "b"}}, {"destination_config.bucket"}),
    ("new destination", DESTINATION | {"destination_config": {"paused": True}}, {"destination_config.paused"}),
    ("new destination", DESTINATION | {"destination_config": {"name": "x"}}, {"destination_config.name"}),
    (
        "new destination",
        {"destination_type": "kafka", "destination_config": {"x": "y" * 70_000}},
        {"destination_config"},
    ),
    ("destination", {"destination_config": {"path": ""}}, {"destination_config.path"}),
    ("destination", {"destination_config": {"type": "s3"}}, {"destination_config.type"}),
    ("destination", {"destination_config": {"partition": "%Q"}}, {"destination_config.partition"}),
    ("destination", {"destination_type": "files", "destination_config": {"a": 1}}, {"destination_config.a"}),
    ("status", {"destination_status": "paused"}, {"destination_status"}),
    ("status", {"destination_status": None}, {"destination_status"}),
    ("status", {}, {"destination_status"}),
    ("limits", {"pl_requests_per_minute": 0}, {"pl_requests_per_minute"}),
    (
        "limits",
        {"pl_requests_per_minute": "a", "pl_ingest_max_records_per_request": 10_001},
        {"pl_requests_per_minute", "pl_ingest_max_records_per_request"},
    ),
    ("origin", {}, {"origin_domain"}),
    *(
        ("origin", {"origin_domain": origin}, {"origin_domain"})
        for origin in ("*", "null", "app.example.com", "ftp://a", f"{APP}/path", "https://a:99999", "https://", 5, None)
    ),
]


@pytest.mark.parametrize(("route", "body", "paths"), WRONG)
def test_s3_5_every_field_that_is_wrong_is_named_by_its_dot_path(
    appliance: Appliance, routes: dict[str, tuple[str, str]], route: str, body: Any, paths: set[str]
) -> None:
    answer = appliance.ask(*routes[route], body)
    assert set(wrong(answer)) == paths
    assert list(answer.json) == ["error", "message", "errors"]
    assert answer.json["message"]


def test_s3_5_what_is_refused_changes_nothing(appliance: Appliance, routes: dict[str, tuple[str, str]]) -> None:
    method, path = routes["pipe"]
    before = shown(appliance, path.removeprefix(f"{PIPES}/"))
    wrong(appliance.ask(method, path, {"allow_any_origin": True, "pipe_status": "inactive", "pipe_name": ""}))
    assert shown(appliance, before["pipe_id"]) == before


def test_s3_5_a_thousand_and_one_origins_are_too_many(appliance: Appliance) -> None:
    many = [f"https://{n}.example" for n in range(1000)]
    pipe = make(appliance, "many origins", allowed_origins=many)["pipe_id"]
    answer = appliance.ask("POST", f"{PIPES}/{pipe}/allowed-origins", {"origin_domain": APP})
    assert wrong(answer)
    assert len(shown(appliance, pipe)["allowed_origins"]) == 1000
