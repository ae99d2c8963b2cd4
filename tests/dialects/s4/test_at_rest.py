"""S4.2: a config is sealed on disk, and in nothing that is said: all files of an appliance are looked through."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conduit_local.dialects.s4 import models
from tests.appliance import Appliance, serving
from tests.dialects.s4.asking import EXAMPLE, PIPELINES, change, ended, good, logs_of, make, refused, send, shown, start

FIRST, SECOND = "pat-at-rest-6f1c", "pat-changed-92ab"
OPEN = "Sealed but for its name"
PRIVATE = (FIRST, SECOND, "project-at-rest-4d2e", "stream-at-rest-77", "owner-at-rest-31")


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with serving(tmp_path, {}) as running:
        yield running


def config() -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(EXAMPLE["config"])
    found["source"]["authentication"]["params"]["token"] = FIRST
    found["source"]["stream"] = "stream-at-rest-77"
    found["destination"]["config"]["project_id"] = "project-at-rest-4d2e"
    return {**found, "owner": "owner-at-rest-31"}


def holders(appliance: Appliance) -> list[tuple[Path, str]]:
    """The files that hold a private text, in the data folder and in what the appliance said."""
    files = [path for path in appliance.folder.rglob("*") if path.is_file()]
    assert any(OPEN.encode() in path.read_bytes() for path in files), "what is not sealed is found"
    return [(path, text) for path in files for text in PRIVATE if text.encode() in path.read_bytes()]


def test_s4_2_a_config_is_sealed_in_every_file(appliance: Appliance) -> None:
    made = make(appliance, OPEN, config(), schedule="0 */6 * * *")
    path = f"{PIPELINES}/{made['id']}"
    assert holders(appliance) == []
    assert shown(appliance, made["id"])["config"] == config()
    change(appliance, made["id"], config={"source": {"authentication": {"params": {"token": SECOND}}}})
    assert holders(appliance) == []
    send(appliance, made["id"], 5)
    run = ended(appliance, start(appliance, made["id"])["id"])
    assert run["status"] == "failed"
    assert holders(appliance) == []
    said = [run["error"], *logs_of(appliance, run["id"]), appliance.ask("GET", "/_local/logs").body.decode()]
    copied = good(appliance.ask("POST", f"{path}/duplicate"), 201, models.PipelineShown)
    assert holders(appliance) == []
    for ref in (made["id"], copied["id"]):
        for wrong in ({"path": 5, "token": FIRST}, {"path": "/nowhere", "token": FIRST}):
            body = {"config": {"destination": {"name": "files", "config": wrong}}}
            answer = appliance.ask("PUT", f"{PIPELINES}/{ref}", body)
            assert answer.status == 400
            said.append(answer.body.decode())
    assert not [text for text in PRIVATE if text in "\n".join(said)]

    appliance.kill()
    assert holders(appliance) == []
    appliance.start()
    whole = shown(appliance, copied["id"])["config"]
    assert whole["source"]["authentication"]["params"]["token"] == SECOND
    assert whole["owner"] == "owner-at-rest-31"
    assert appliance.ask("POST", "/_local/secrets/rotate").json["resealed"] > 0
    assert shown(appliance, made["id"])["config"]["source"] == whole["source"]
    assert holders(appliance) == []
    for ref in (made["id"], copied["id"]):
        good(appliance.ask("DELETE", f"{PIPELINES}/{ref}"), 204, None)
    assert holders(appliance) == []
    assert appliance.stop() == 0
    assert holders(appliance) == []


def test_s4_2_without_the_key_a_config_is_shown_redacted_and_can_be_given_anew(appliance: Appliance) -> None:
    made = make(appliance, OPEN, config())
    assert appliance.stop() == 0
    key = appliance.data / "secrets.key"
    key.rename(appliance.folder / "put-away.key")
    appliance.start()
    locked = shown(appliance, made["id"])["config"]
    assert locked["source"] == {"name": "hubspot", "config": "[redacted]"}
    assert change(appliance, made["id"], name="Still mine")["name"] == "Still mine"
    send(appliance, made["id"], 1)
    path = f"{PIPELINES}/{made['id']}"
    part = appliance.ask("PUT", path, {"config": {"source": {"stream": "deals"}}})
    assert (part.status, part.code) == (409, "conflict")
    copied = appliance.ask("POST", f"{path}/duplicate")
    assert (copied.status, copied.code) == (409, "conflict")
    change(appliance, made["id"], config=config())
    assert shown(appliance, made["id"])["config"] == config()
    assert holders(appliance) == []


def test_s4_2_a_secret_is_not_taken_along_to_another_server(appliance: Appliance) -> None:
    """Whoever may change a pipeline must not learn by that what it keeps sealed."""

    def source(url: str, token: str) -> dict[str, Any]:
        return {"name": "http", "config": {"url": url, "headers": {"X-Token": token}}}

    made = make(appliance, "led away", {"source": source("https://a.example/x", "hidden-7")}, schedule="0 0 1 1 *")
    path = f"{PIPELINES}/{made['id']}"
    led = appliance.ask("PUT", path, {"config": {"source": source("https://b.example/x", "[redacted]")}})
    assert "X-Token: send it anew" in refused(led, 400, "invalid_request")
    change(appliance, made["id"], config={"source": source("https://a.example/x", "[redacted]")})
    assert shown(appliance, made["id"])["config"]["source"] == source("https://a.example/x", "hidden-7")
    change(appliance, made["id"], config={"source": source("https://b.example/x", "hidden-8")})
