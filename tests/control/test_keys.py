"""`/_local/keys`: made, listed, revoked."""

from pathlib import Path
from typing import Any

import pytest

from tests.appliance import KEY, ORDERS, Appliance, serving

PATH = "/_local/keys"
EVENT = {"pipeline_id": "pl_8f3a", "event_type": "a", "payload": {}}
FIELDS = ["id", "name", "prefix", "scopes", "created_at", "last_used_at", "revoked_at"]


def make(appliance: Appliance, name: str, *scopes: str) -> Any:
    answer = appliance.ask("POST", PATH, {"name": name, "scopes": list(scopes)})
    assert answer.status == 201
    return answer.json


def listed(appliance: Appliance, key_id: str) -> Any:
    return next(one for one in appliance.ask("GET", PATH).json["data"] if one["id"] == key_id)


def test_the_secret_is_shown_once_and_to_no_cache(appliance: Appliance) -> None:
    answer = appliance.ask("POST", PATH, {"name": "laptop", "scopes": ["read", "ingest"]})
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json
    assert list(made) == [*FIELDS, "secret"]
    assert made["secret"].startswith("ck_live_")
    assert len(made["secret"]) == len("ck_live_") + 32
    assert made["secret"].startswith(made["prefix"])
    assert len(made["prefix"]) == 12
    assert made["scopes"] == ["ingest", "read"]
    shown = appliance.ask("GET", PATH)
    assert list(listed(appliance, made["id"])) == FIELDS
    assert made["secret"].encode() not in shown.body


def test_no_two_secrets_are_alike(appliance: Appliance) -> None:
    made = [make(appliance, "same name", "ingest") for _ in range(5)]
    assert len({one["secret"] for one in made}) == len({one["id"] for one in made}) == 5


def test_revoking_takes_effect_at_once_and_only_once(appliance: Appliance) -> None:
    kept, made = make(appliance, "kept", "ingest"), make(appliance, "lost", "ingest")
    assert appliance.ask("POST", "/v1/events", EVENT, key=made["secret"]).status == 200
    answer = appliance.ask("DELETE", f"{PATH}/{made['id']}")
    assert answer.status == 200
    assert answer.json["revoked_at"] is not None
    refused = appliance.ask("POST", "/v1/events", EVENT, key=made["secret"])
    assert (refused.status, refused.code) == (401, "unauthorized")
    assert appliance.ask("POST", "/v1/events", EVENT, key=kept["secret"]).status == 200
    assert listed(appliance, made["id"])["revoked_at"] == answer.json["revoked_at"]
    again = appliance.ask("DELETE", f"{PATH}/{made['id']}")
    assert (again.status, again.code) == (404, "key_not_found")


def test_an_open_connection_is_refused_too_once_its_key_is_revoked(appliance: Appliance) -> None:
    import http.client

    made = make(appliance, "on a connection", "read")
    connection = http.client.HTTPConnection("127.0.0.1", appliance.port, timeout=10)
    found = []
    for turn in range(2):
        connection.request("GET", "/_local/pipelines", headers={"Authorization": f"Bearer {made['secret']}"})
        response = connection.getresponse()
        response.read()
        found.append(response.status)
        if turn == 0:
            appliance.ask("DELETE", f"{PATH}/{made['id']}")
    connection.close()
    assert found == [200, 401]


def test_a_key_cannot_revoke_itself(appliance: Appliance) -> None:
    made = make(appliance, "self", "admin")
    answer = appliance.ask("DELETE", f"{PATH}/{made['id']}", key=made["secret"])
    assert (answer.status, answer.code) == (409, "key_in_use")
    assert appliance.ask("GET", PATH, key=made["secret"]).status == 200
    other = make(appliance, "other", "admin")
    assert appliance.ask("DELETE", f"{PATH}/{made['id']}", key=other["secret"]).status == 200


def test_it_is_known_when_a_key_was_last_used(appliance: Appliance) -> None:
    made = make(appliance, "used", "read")
    assert listed(appliance, made["id"])["last_used_at"] is None
    appliance.ask("GET", "/_local/snapshot", key=made["secret"])
    first = listed(appliance, made["id"])["last_used_at"]
    assert first >= made["created_at"]
    appliance.ask("GET", "/_local/snapshot", key=made["secret"])
    assert listed(appliance, made["id"])["last_used_at"] >= first


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": "x"}, ["scopes"]),
        ({"name": "", "scopes": ["read"]}, ["name"]),
        ({"name": "x" * 101, "scopes": ["read"]}, ["name"]),
        ({"name": "a\u202eb", "scopes": ["read"]}, ["name"]),
        ({"name": "a\nb", "scopes": ["read"]}, ["name"]),
        ({"name": 7, "scopes": ["read"]}, ["name"]),
        ({"name": "x", "scopes": []}, ["scopes"]),
        ({"name": "x", "scopes": "read"}, ["scopes"]),
        ({"name": "x", "scopes": ["root"]}, ["scopes"]),
        ({"name": "x", "scopes": [["read"]]}, ["scopes"]),
        ({"name": "x", "scopes": [None]}, ["scopes"]),
        ({"name": "x", "scopes": ["read"], "secret": "mine"}, ["secret"]),
        ({"name": 7, "scopes": 7, "colour": 7}, ["colour", "name", "scopes"]),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_by_field(appliance: Appliance, body: object, fields: list[str]) -> None:
    before = len(appliance.ask("GET", PATH).json["data"])
    answer = appliance.ask("POST", PATH, body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.json["error"]["details"]) == fields
    assert len(appliance.ask("GET", PATH).json["data"]) == before


@pytest.mark.parametrize("key_id", ["key_nobody", "x" * 5_000, "%00", "pl_8f3a"])
def test_revoking_what_is_not_there_is_404(appliance: Appliance, key_id: str) -> None:
    answer = appliance.ask("DELETE", f"{PATH}/{key_id}")
    assert (answer.status, answer.code) == (404, "key_not_found")


def test_keys_and_revocations_outlive_a_restart_and_so_does_the_last_use(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as own:
        kept, lost = make(own, "kept", "ingest"), make(own, "lost", "ingest")
        own.ask("POST", "/v1/events", EVENT, key=kept["secret"])
        own.ask("DELETE", f"{PATH}/{lost['id']}")
        before = [listed(own, key["id"]) for key in (kept, lost)]
        own.stop()
        own.start()
        assert [listed(own, key["id"]) for key in (kept, lost)] == before
        assert own.ask("POST", "/v1/events", EVENT, key=kept["secret"]).status == 200
        assert own.ask("POST", "/v1/events", EVENT, key=lost["secret"]).status == 401


def test_a_key_of_the_environment_comes_back_when_revoked_and_goes_for_good_without_it(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as own:
        admin = make(own, "admin", "admin")["secret"]

        def of_environment() -> list[Any]:
            keys = own.ask("GET", PATH, key=admin).json["data"]
            return [key for key in keys if key["name"] == "environment"]

        for _ in range(2):
            (key,) = of_environment()
            assert key["revoked_at"] is None
            assert own.ask("DELETE", f"{PATH}/{key['id']}", key=admin).status == 200
            assert own.ask("GET", PATH, key=KEY).status == 401
            own.stop()
            own.start()
            assert own.ask("GET", PATH, key=KEY).status == 200
        (key,) = of_environment()
        assert own.ask("DELETE", f"{PATH}/{key['id']}", key=admin).status == 200
    with serving(tmp_path, {"orders": ORDERS}, environment={"CONDUIT_LOCAL_API_KEY": ""}) as own:
        assert own.ask("GET", PATH, key=KEY).status == 401
        assert (own.data / "api-key").read_text().strip() != KEY
