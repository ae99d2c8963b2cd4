"""`secrets rotate`, and the prefixes of `keys create`."""

import json

import pytest

from tests.appliance import Appliance
from tests.cli.commands import Operator

SECRET = "hidden-5d1e"


def config_of(appliance: Appliance, uuid: str) -> object:
    return appliance.ask("GET", f"/api/pipelines/{uuid}").json["config"]


def test_every_secret_is_sealed_anew_with_a_new_key(appliance: Appliance, conduit: Operator) -> None:
    config = {"name": "rotated", "source": {"name": "hubspot", "token": SECRET}, "destination": {"name": "files"}}
    made = appliance.ask("POST", "/api/pipelines", {"name": "Rotated", "config": config}).json["id"]
    before = (appliance.data / "secrets.key").read_bytes()
    said = conduit.ok("secrets", "rotate")
    assert said.startswith("sealed anew with a new key: ")
    assert said.rstrip().endswith(("record", "records"))
    after = (appliance.data / "secrets.key").read_bytes()
    assert (before != after, SECRET.encode() in after) == (True, False)
    assert config_of(appliance, made) == config
    assert conduit.json("secrets", "rotate")["resealed"] >= 1
    assert appliance.stop() == 0
    appliance.start()
    assert config_of(appliance, made) == config


def test_only_an_admin_rotates(appliance: Appliance, conduit: Operator) -> None:
    anew = Operator(appliance)  # the appliance may have another port by now
    manager = Operator(appliance, anew.json("keys", "create", "manager", "--scope", "manage")["secret"])
    done = manager("secrets", "rotate")
    assert (done.code, done.err) == (1, "conduit-local: the API key lacks the scope 'admin' (forbidden)\n")


@pytest.mark.parametrize("prefix", ["ck_live_", "bp_v1_", "df_key_"])
def test_a_key_is_made_with_the_prefix_that_a_document_has(appliance: Appliance, prefix: str) -> None:
    conduit = Operator(appliance)
    made = conduit.json("keys", "create", f"with {prefix}", "--prefix", prefix, "--scope", "read")
    assert made["secret"].startswith(prefix)
    assert Operator(appliance, made["secret"]).json("pipelines", "list")
    assert f"{prefix}" in conduit.ok("keys", "list")


def test_another_prefix_exits_2(appliance: Appliance) -> None:
    done = Operator(appliance)("keys", "create", "x", "--prefix", "sk_")
    assert done.code == 2
    assert "is not one of 'ck_live_', 'bp_v1_', 'df_key_'" in done.err
    assert "sk_" not in json.dumps(Operator(appliance).json("keys", "list"))
