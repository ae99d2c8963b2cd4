"""`/_local/pipelines`: make, show, change, delete."""

import json

import pytest

from tests.appliance import Appliance
from tests.control.conftest import Make

PATH = "/_local/pipelines"
EVENT = {"event_type": "a.b", "payload": {"n": 1}}


def test_put_makes_a_pipeline_and_shows_it_whole(appliance: Appliance) -> None:
    configuration = {"batch": {"max_events": 7, "max_age": "2s"}, "limits": {"requests_per_minute": 100}}
    made = appliance.ask("PUT", f"{PATH}/whole", configuration)
    assert made.status == 201
    found = made.json
    assert list(found) == ["id", "uuid", "name", "state", "managed_by", "created_at", "updated_at", "configuration"]
    assert (found["name"], found["state"], found["managed_by"], found["updated_at"]) == ("whole", "active", None, None)
    assert found["configuration"]["batch"] == {"max_events": 7, "max_bytes": 8_388_608, "max_age": 2.0}
    assert found["configuration"]["limits"]["requests_per_minute"] == 100
    assert found["configuration"]["destinations"][0]["path"] == "out"
    for ref in (found["id"], found["uuid"], "whole"):
        assert appliance.ask("GET", f"{PATH}/{ref}").json == found | {"columns": None, "columns_problem": None}
    assert found in appliance.ask("GET", PATH).json["data"]


def test_what_is_shown_may_be_put_again_and_changes_nothing(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_events": 9})
    found = appliance.ask("GET", f"{PATH}/{name}").json
    again = appliance.ask("PUT", f"{PATH}/{name}", found["configuration"])
    assert again.status == 200
    assert again.json | {"columns": None, "columns_problem": None} == found


def test_put_replaces_a_configuration_and_leaves_nothing_of_the_old_one(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_events": 9}, idempotency="strict")
    answer = appliance.ask("PUT", f"{PATH}/{name}", {"batch": {"max_bytes": "1MiB"}})
    assert answer.status == 200
    assert answer.json["configuration"]["batch"] == {"max_events": 1_000, "max_bytes": 1_048_576, "max_age": 5.0}
    assert answer.json["configuration"]["idempotency"] == "replay"
    assert answer.json["updated_at"] is not None


def test_put_by_id_may_give_a_new_name(appliance: Appliance, make: Make) -> None:
    old = make()
    public_id = appliance.ask("GET", f"{PATH}/{old}").json["id"]
    answer = appliance.ask("PUT", f"{PATH}/{public_id}", {"name": f"{old}-renamed"})
    assert (answer.status, answer.json["name"], answer.json["id"]) == (200, f"{old}-renamed", public_id)
    assert appliance.ask("GET", f"{PATH}/{old}").code == "pipeline_not_found"


@pytest.mark.parametrize(
    ("body", "status", "code", "field", "text"),
    [
        ({"name": "other"}, 400, "invalid_request", "name", "must be 'refused', as in the path"),
        ({"colour": "red"}, 400, "invalid_request", "colour", "unknown field"),
        ({"batch": {"max_age": "soon"}}, 400, "invalid_request", "batch.max_age", "500ms, 5s"),
        ({"destinations": [{"type": "files", "path": "../x"}]}, 400, "invalid_request", "destinations[0].path", ".."),
        ({"destinations": []}, 400, "invalid_request", "destinations", "at least one"),
        ({"destinations": [{"type": "files", "name": 'a"b\n'}]}, 400, "invalid_request", "destinations", "lowercase"),
        ({"id": "pl_8f3a"}, 409, "name_taken", None, "taken by another pipeline"),
        ([], 400, "invalid_request", None, "must be a JSON object"),
        (b"{", 400, "invalid_json", None, "not JSON"),
        (b"", 400, "invalid_json", None, "empty"),
        (b'{"name":"refused"' + b" " * 1_048_576 + b"}", 413, "body_too_large", None, "exceeds 1,048,576 bytes"),
    ],
)
def test_what_cannot_be_put_is_refused_with_the_field_and_nothing_is_made(
    appliance: Appliance, body: object, status: int, code: str, field: str | None, text: str
) -> None:
    answer = appliance.ask("PUT", f"{PATH}/refused", body)
    assert (answer.status, answer.code) == (status, code)
    assert text in answer.json["error"]["message"]
    assert list(answer.json["error"].get("details", {})) == ([field] if field else [])
    assert appliance.ask("GET", f"{PATH}/refused").status == 404


@pytest.mark.parametrize("name", ["Upper", "a%20b", "runs", "pl_x", "x" * 64, "%00", "..", "a%2fb", "%C3%A4", "-a"])
def test_a_name_that_could_be_mistaken_is_refused(appliance: Appliance, name: str) -> None:
    answer = appliance.ask("PUT", f"{PATH}/{name}", {})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.json["error"]["details"]) == ["name"]


def test_a_body_of_another_type_is_415(appliance: Appliance) -> None:
    answer = appliance.ask("PUT", f"{PATH}/typed", b"name: typed", headers={"Content-Type": "application/yaml"})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert "application/json" in answer.json["error"]["message"]


def test_a_pipeline_from_a_file_is_changed_in_the_file_which_is_named(appliance: Appliance) -> None:
    before = appliance.ask("GET", f"{PATH}/pl_8f3a").json
    assert before["managed_by"] == "pipelines/orders.yaml"
    for answer in (
        appliance.ask("PUT", f"{PATH}/pl_8f3a", {"batch": {"max_events": 5}}),
        appliance.ask("PUT", f"{PATH}/orders-stream", before["configuration"]),
        appliance.ask("DELETE", f"{PATH}/pl_8f3a"),
    ):
        assert (answer.status, answer.code) == (409, "pipeline_managed_by_file")
        assert "pipelines/orders.yaml" in answer.json["error"]["message"]
    for order in ("pause", "resume", "flush"):
        assert appliance.ask("POST", f"{PATH}/pl_8f3a/{order}").status in {200, 202}
    assert appliance.ask("GET", f"{PATH}/pl_8f3a").json["configuration"] == before["configuration"]


def test_deleted_it_is_gone_everywhere_and_what_was_accepted_lands(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_age": "1h"})
    path = f"{PATH}/{name}"
    public_id = appliance.ask("GET", path).json["id"]
    sent = appliance.ask("POST", f"{path}/events", [EVENT] * 3).json
    assert appliance.ask("DELETE", path).json == {"id": public_id, "name": name, "deleted": True}
    assert appliance.ask("POST", f"{path}/events", [EVENT]).code == "pipeline_not_found"
    assert name not in {one["name"] for one in appliance.ask("GET", PATH).json["data"]}
    found = appliance.until(lambda found: name not in {one["name"] for one in found["departing"]})
    assert name not in {one["name"] for one in found["pipelines"]}
    (landed,) = (appliance.data / "out" / name).iterdir()
    assert [json.loads(line)["payload"] for line in landed.read_bytes().splitlines()] == [{"n": 1}] * 3
    assert appliance.ask("GET", f"/_local/events/{sent['first_event_id']}").code == "event_not_found"


UNKNOWN = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("POST", "/drain", None),
    ("POST", "/flush", None),
    ("GET", "/rates", None),
    ("POST", "/events", [EVENT]),
]


@pytest.mark.parametrize(("method", "path", "body"), UNKNOWN)
def test_an_unknown_pipeline_is_404_whatever_is_asked_of_it(
    appliance: Appliance, method: str, path: str, body: object
) -> None:
    answer = appliance.ask(method, f"{PATH}/nobody{path}", body)
    assert (answer.status, answer.code) == (404, "pipeline_not_found")
    assert answer.json["error"]["message"] == "no pipeline 'nobody'"


def test_a_pipeline_is_shown_with_the_columns_of_the_rows_that_land(appliance: Appliance) -> None:
    query = "SELECT event_id, (payload->>'n')::INTEGER AS n FROM events"
    body = {"transforms": [{"type": "sql", "query": query}]}
    assert appliance.ask("PUT", "/_local/pipelines/columned", body).status == 201
    found = appliance.ask("GET", "/_local/pipelines/columned").json
    assert found["columns"] == [{"name": "event_id", "kind": "VARCHAR"}, {"name": "n", "kind": "INTEGER"}]
    assert found["columns_problem"] is None
    plain = appliance.ask("PUT", "/_local/pipelines/plain", {})
    assert plain.status in {200, 201}
    assert appliance.ask("GET", "/_local/pipelines/plain").json["columns"] is None
