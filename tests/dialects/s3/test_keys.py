"""S3.4: API keys: the secret once, revoked for good, never by itself."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conduit_local.dialects.s3 import told
from tests.appliance import KEY, Appliance
from tests.dialects.s3.asking import KEYS, MILLISECONDS, PIPES, good, refused, wrong


def new(appliance: Appliance, name: str = "a key", **fields: Any) -> dict[str, Any]:
    """A new key, with its secret."""
    answer = appliance.ask("POST", KEYS, {"api_key_name": name, **fields})
    found: dict[str, Any] = good(answer, 201, told.KeyAnswer)["api_key"]
    return found


def listed(appliance: Appliance) -> dict[str, dict[str, Any]]:
    """All keys by id, without secrets."""
    return {one["api_key_id"]: one for one in good(appliance.ask("GET", KEYS), 200, told.KeyList)["api_keys"]}


def test_s3_4_the_secret_is_in_the_answer_once_and_nowhere_else(appliance: Appliance) -> None:
    answer = appliance.ask("POST", KEYS, {"api_key_name": "shop"})
    made = good(answer, 201, told.KeyAnswer)["api_key"]
    assert answer.headers["Cache-Control"] == "no-store"
    secret = made.pop("secret")
    assert secret.startswith("bp_v1_")
    assert len(secret) >= len("bp_v1_") + 32
    assert secret.startswith(made["prefix"])
    assert (made["api_key_name"], made["scopes"], made["last_used_at"]) == ("shop", ["admin"], None)
    assert MILLISECONDS.fullmatch(made["created_at"])
    assert listed(appliance)[made["api_key_id"]] == made
    for path in (KEYS, "/_local/keys", "/_local/snapshot"):
        assert secret.encode() not in appliance.ask("GET", path).body
    assert secret not in appliance.log.read_text()
    assert secret.encode() not in b"".join(path.read_bytes() for path in appliance.data.glob("conduit.db*"))


def test_s3_4_a_key_works_at_once_and_shows_when_it_was_last_used(appliance: Appliance) -> None:
    made = new(appliance)
    assert appliance.ask("GET", PIPES, key=made["secret"]).status == 200
    assert MILLISECONDS.fullmatch(listed(appliance)[made["api_key_id"]]["last_used_at"])


def test_s3_4_a_revoked_key_is_dead_and_gone_from_the_list(appliance: Appliance) -> None:
    made = new(appliance)
    path = f"{KEYS}/{made['api_key_id']}"
    assert good(appliance.ask("DELETE", path), 200, told.Deleted) == {"deleted": True}
    refused(appliance.ask("GET", PIPES, key=made["secret"]), 401, "unauthorized")
    assert made["api_key_id"] not in listed(appliance)
    refused(appliance.ask("DELETE", path), 404, "api_key_not_found")
    refused(appliance.ask("DELETE", f"{KEYS}/nobody"), 404, "api_key_not_found")


def test_s3_4_a_key_cannot_revoke_itself(appliance: Appliance) -> None:
    made = new(appliance)
    path = f"{KEYS}/{made['api_key_id']}"
    refused(appliance.ask("DELETE", path, key=made["secret"]), 409, "conflict")
    assert appliance.ask("GET", PIPES, key=made["secret"]).status == 200
    assert appliance.ask("DELETE", path).status == 200


def test_s3_4_two_keys_that_revoke_one_another_at_once_leave_one(appliance: Appliance) -> None:
    for _ in range(5):
        one, other = new(appliance), new(appliance)

        def revoke(pair: tuple[dict[str, Any], dict[str, Any]]) -> int:
            return appliance.ask("DELETE", f"{KEYS}/{pair[0]['api_key_id']}", key=pair[1]["secret"]).status

        with ThreadPoolExecutor(2) as threads:
            statuses = list(threads.map(revoke, [(one, other), (other, one)]))
        assert 200 in statuses
        assert set(statuses) <= {200, 401}


@pytest.mark.parametrize(
    ("scope", "read", "manage", "keys"),
    [("ingest", 403, 403, 403), ("read", 200, 403, 403), ("manage", 200, 400, 403), ("admin", 200, 400, 200)],
)
def test_s3_4_a_key_may_do_what_its_scopes_say(
    appliance: Appliance, scope: str, read: int, manage: int, keys: int
) -> None:
    secret = new(appliance, scopes=[scope])["secret"]
    assert appliance.ask("GET", PIPES, key=secret).status == read
    assert appliance.ask("POST", PIPES, {}, key=secret).status == manage
    assert appliance.ask("GET", KEYS, key=secret).status == keys


def test_s3_4_management_without_a_live_key_is_a_401(appliance: Appliance) -> None:
    for method, path in (("GET", PIPES), ("POST", PIPES), ("GET", KEYS), ("POST", KEYS), ("DELETE", f"{KEYS}/x")):
        for key in (None, "bp_v1_dead", KEY[:-1]):
            answer = appliance.ask(method, path, key=key)
            refused(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, {"api_key_name"}),
        ({"api_key_name": ""}, {"api_key_name"}),
        ({"api_key_name": "x" * 101}, {"api_key_name"}),
        ({"api_key_name": "a\nb"}, {"api_key_name"}),
        ({"api_key_name": 5, "scopes": "admin"}, {"api_key_name", "scopes"}),
        ({"api_key_name": "x", "scopes": []}, {"scopes"}),
        ({"api_key_name": "x", "scopes": ["ingest", "root"]}, {"scopes.1"}),
        ({"api_key_name": "x", "secret": "mine"}, {"secret"}),
    ],
)
def test_s3_5_a_key_that_is_asked_for_wrongly_is_refused(
    appliance: Appliance, body: dict[str, Any], paths: set[str]
) -> None:
    assert set(wrong(appliance.ask("POST", KEYS, body))) == paths
