"""`kill -9` while the key of the secrets changes: whatever was sealed before opens afterwards."""

from pathlib import Path
from typing import Any

import pytest

from tests.appliance import KEY, Appliance
from tests.crash.oracle import PIPELINE

HIDDEN = "hunter2-in-the-vault"
ORDERS = f"{{name: orders, id: {PIPELINE}, batch: {{max_age: 50ms}}}}"
SECRETIVE = {
    "name": "Leads",
    "config": {
        "name": "leads",
        "source": {"name": "hubspot", "authentication": {"type": "api_key", "params": {"token": HIDDEN}}},
        "destination": {"name": "bigquery", "config": {"credentials": HIDDEN}},
    },
}


def keys_in(appliance: Appliance) -> list[str]:
    """The lines of the key file, if there is one."""
    path = appliance.data / "secrets.key"
    return path.read_text().splitlines() if path.exists() else []


def secret_of(appliance: Appliance, pipeline: str) -> Any:
    """What S4 shows to a key that may do everything."""
    config = appliance.ask("GET", f"/api/pipelines/{pipeline}").json["config"]
    return config["source"]["authentication"]["params"]["token"]


def rotate_until_killed(appliance: Appliance) -> None:
    with pytest.raises(OSError, match=r"reset|closed|refused|without response"):
        appliance.ask("POST", "/_local/secrets/rotate")
    assert appliance.ended_within(10)
    assert appliance.killed


@pytest.mark.parametrize(
    ("point", "number", "keys"),
    [
        ("key file", 2, 1),  # before the new key is there
        ("key file written", 2, 2),  # before anything is sealed with it
        ("key file", 3, 2),  # everything is, and the old key is still there
        ("key file written", 3, 1),  # before the answer
    ],
)
def test_killed_at_any_step_all_secrets_open_and_the_next_rotation_ends_it(
    tmp_path: Path, point: str, number: int, keys: int
) -> None:
    program = ("tests.crash.victim", point, str(number))
    with Appliance(tmp_path, {"orders": ORDERS}, program=program) as victim:
        made = victim.ask("POST", "/api/pipelines", SECRETIVE)
        assert made.status == 201, made
        pipeline = made.json["id"]
        before = keys_in(victim)
        rotate_until_killed(victim)
        left = keys_in(victim)
        assert len(left) == keys
        assert (before[0] in left) == (number == 2 or point == "key file")
    with Appliance(tmp_path, {"orders": ORDERS}) as appliance:
        assert secret_of(appliance, pipeline) == HIDDEN
        assert appliance.ask("POST", "/_local/secrets/rotate").json["resealed"] > 0
        assert len(keys_in(appliance)) == 1
        assert not set(keys_in(appliance)) & set(left)
        assert secret_of(appliance, pipeline) == HIDDEN
        assert not list(appliance.data.glob(".*.part"))


def test_killed_at_the_first_secret_the_pipeline_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": ORDERS}, program=("tests.crash.victim", "key file written", "1")) as victim:
        with pytest.raises(OSError, match=r"reset|closed|refused|without response"):
            victim.ask("POST", "/api/pipelines", SECRETIVE)
        assert victim.ended_within(10)
    with Appliance(tmp_path, {"orders": ORDERS}) as appliance:
        assert [one["name"] for one in appliance.snapshot()["pipelines"]] == ["orders"]
        pipeline = appliance.ask("POST", "/api/pipelines", SECRETIVE).json["id"]
        assert secret_of(appliance, pipeline) == HIDDEN


def test_without_its_key_the_appliance_starts_takes_and_delivers_and_with_it_all_is_as_before(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": ORDERS}) as appliance:
        pipeline = appliance.ask("POST", "/api/pipelines", SECRETIVE).json["id"]
        key = appliance.data / "secrets.key"
        kept = key.read_bytes()
        appliance.kill()
        key.unlink()
        appliance.start()
        assert appliance.emit({}).status == 200
        appliance.until_delivered()
        assert HIDDEN not in appliance.ask("GET", f"/api/pipelines/{pipeline}").body.decode()
        assert appliance.ask("POST", "/_local/secrets/rotate").status == 200
        appliance.kill()
        key.write_bytes(key.read_bytes() + kept)
        appliance.start()
        assert secret_of(appliance, pipeline) == HIDDEN
        appliance.stop()
        key.write_text("not a key")
        assert not appliance.started()
        said = appliance.log.read_text()
        assert "must hold keys" in said
        assert "openssl rand -base64 32" in said
        assert "Traceback" not in said
        assert KEY not in said


def test_keys_of_the_environment_work_as_well_and_can_change(tmp_path: Path) -> None:
    old, new = "A" * 43 + "=", "B" * 42 + "A="
    pipeline = ""
    for given, rotates in ((old, False), (f"{new},{old}", True), (new, False)):
        with Appliance(tmp_path, {"orders": ORDERS}, environment={"CONDUIT_LOCAL_SECRET_KEY": given}) as appliance:
            pipeline = pipeline or appliance.ask("POST", "/api/pipelines", SECRETIVE).json["id"]
            assert secret_of(appliance, pipeline) == HIDDEN
            if rotates:
                assert appliance.ask("POST", "/_local/secrets/rotate").json["resealed"] > 0
            assert not (appliance.data / "secrets.key").exists()
            said = appliance.log.read_text() + appliance.ask("GET", "/_local/config").body.decode()
            assert old not in said
            assert new not in said
