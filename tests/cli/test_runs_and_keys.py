"""`runs` and `keys`."""

import json
from typing import Any

import pytest

from tests.appliance import KEY, Appliance
from tests.cli.commands import Operator, command


@pytest.fixture
def run(appliance: Appliance, conduit: Operator) -> dict[str, Any]:
    """A run that has ended well."""
    appliance.emit({})
    appliance.until_delivered()
    found: dict[str, Any] = conduit.json("runs", "list", "--limit", "1")["data"][0]
    return found


def test_runs_are_listed_newest_first(appliance: Appliance, conduit: Operator, run: dict[str, Any]) -> None:
    head, newest, *_ = conduit.table("runs", "list", "--pipeline", "orders-stream")
    assert head[:6] == ["RUN", "PIPELINE", "TRIGGER", "STATE", "STARTED", "ROWS"]
    assert newest[:4] == [run["id"], "orders-stream", "stream", "success"]
    assert newest[-1] == run["object_key"]
    assert (appliance.data / "out" / run["object_key"]).exists()
    conduit.ok("pipelines", "flush", "pl_8f3a", "--wait", "20")
    assert conduit.json("runs", "list", "--trigger", "manual")["data"][0]["trigger"] == "manual"
    assert {one["state"] for one in conduit.json("runs", "list", "--state", "success")["data"]} == {"success"}
    assert conduit.json("runs", "list", "--state", "cancelled")["data"] == []


def test_a_run_is_shown_with_its_log(conduit: Operator, run: dict[str, Any]) -> None:
    found = json.loads(conduit.ok("runs", "show", run["id"]))
    log = found.pop("log")
    ((evidence,), count) = (found.pop("objects"), found.pop("objects_count"))
    assert (evidence["key"], evidence["rows"], count) == (run["object_key"], run["rows"], 1)
    assert found == run
    assert [line.split(maxsplit=2) for line in conduit.ok("runs", "logs", run["id"]).splitlines()] == [
        [line["at"], line["level"], line["message"]] for line in log
    ]
    assert log[-1]["message"].endswith(run["object_key"].split("/")[-1])


@pytest.mark.parametrize("verb", ["show", "logs"])
def test_a_run_that_is_not_there_fails(conduit: Operator, verb: str) -> None:
    for run in ("run_nope", "run_00999999", "../keys"):
        done = conduit("runs", verb, run)
        assert done.code == 1
        assert "(run_not_found)" in done.err


@pytest.mark.parametrize("args", [("--state", "lost"), ("--trigger", "magic"), ("--limit", "1001")])
def test_a_filter_that_does_not_exist_exits_2(conduit: Operator, args: tuple[str, ...]) -> None:
    assert conduit("runs", "list", *args).code == 2


# Keys ------------------------------------------------------------------------------------------------------


def test_a_key_is_made_with_its_secret_alone_on_standard_output(appliance: Appliance, conduit: Operator) -> None:
    done = conduit("keys", "create", "a sender")
    assert done.code == 0
    secret, end = done.out.split("\n")
    assert end == ""
    assert secret.startswith("ck_live_")
    assert done.err.rstrip().endswith("(a sender): ingest; the secret is not shown again")
    sender = Operator(appliance, secret)
    assert sender.ok("events", "send", "pl_8f3a", "a.b", "{}")
    assert sender("events", "list").code == 1


def test_keys_are_listed_without_their_secrets(appliance: Appliance, conduit: Operator) -> None:
    made = conduit.json("keys", "create", "listed", "--scope", "read", "--scope", "manage")
    said = conduit.ok("keys", "list")
    assert f"{made['id']}  listed " in said
    assert "manage read" in said
    assert made["secret"] not in said
    assert KEY not in said
    (found,) = (one for one in conduit.json("keys", "list") if one["id"] == made["id"])
    assert "secret" not in found
    assert found["scopes"] == ["manage", "read"]


def test_a_revoked_key_is_useless_at_once(appliance: Appliance, conduit: Operator) -> None:
    made = conduit.json("keys", "create", "short-lived", "--scope", "read")
    reader = Operator(appliance, made["secret"])
    assert reader.json("pipelines", "list")
    done = conduit("keys", "revoke", made["id"], stdin=b"n\n")
    assert (done.code, done.out[: len(made["id"]) + 7]) == (1, f"Revoke {made['id']}")
    assert reader.json("pipelines", "list")
    assert conduit.ok("keys", "revoke", made["id"], "--yes") == f"{made['id']} (short-lived): revoked\n"
    assert reader("pipelines", "list").code == 1
    assert f"{made['id']}  short-lived" in conduit.ok("keys", "list")
    assert conduit("keys", "revoke", made["id"], "--yes").code == 1


def test_a_key_cannot_revoke_itself(conduit: Operator) -> None:
    (own,) = (one["id"] for one in conduit.json("keys", "list") if one["name"] == "environment")
    done = conduit("keys", "revoke", own, "--yes")
    assert (done.code, done.err) == (1, "conduit-local: a key cannot revoke itself; use another one (key_in_use)\n")


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines", "\x1b[31m"])
def test_a_name_that_cannot_be_seen_makes_no_key(conduit: Operator, name: str) -> None:
    before = [one["id"] for one in conduit.json("keys", "list")]
    done = conduit("keys", "create", name)
    assert (done.code, done.out) == (1, "")
    assert "name: must have 1 to 100 visible characters" in done.err
    assert [one["id"] for one in conduit.json("keys", "list")] == before


def test_a_scope_that_does_not_exist_exits_2(appliance: Appliance) -> None:
    done = command("keys", "create", "x", "--scope", "root", "--url", appliance.url)
    assert done.code == 2
    assert "is not one of 'ingest', 'read', 'manage', 'admin'" in done.err


def test_only_an_admin_sees_keys(appliance: Appliance, conduit: Operator) -> None:
    manager = Operator(appliance, conduit.json("keys", "create", "manager", "--scope", "manage")["secret"])
    for args in (("list",), ("create", "x"), ("revoke", "key_x", "--yes")):
        done = manager("keys", *args)
        assert (done.code, done.err) == (1, "conduit-local: the API key lacks the scope 'admin' (forbidden)\n")
