"""Short ways to ask S4."""

import json
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from conduit_local.dialects.s4 import models
from tests.appliance import KEY, Answer, Appliance

PIPELINES = "/api/pipelines"
TOKEN = "pat-xxx"
EXAMPLE: dict[str, Any] = {
    "name": "HubSpot to BigQuery",
    "config": {
        "name": "hubspot-contacts",
        "source": {
            "name": "hubspot",
            "stream": "contacts",
            "authentication": {"type": "api_key", "params": {"token": TOKEN}},
        },
        "destination": {"name": "bigquery", "config": {"project_id": "my-project", "dataset": "raw_data"}},
    },
    "schedule": "0 */6 * * *",
    "enabled": True,
    "domain_id": "uuid",
}
"""The document's body, as it stands."""
QUIET = {"max_age": "1h", "max_events": 1_000}


def good(answer: Answer, status: int, model: Any) -> Any:
    """The JSON of an answer that has this status and this shape, no field more."""
    assert answer.status == status, answer
    if model is None:
        assert answer.body == b""
        return None
    if isinstance(model, type) and issubclass(model, BaseModel):
        model.model_validate(answer.json)
    else:
        TypeAdapter(model).validate_python(answer.json)
    return answer.json


def refused(answer: Answer, status: int, code: str) -> str:
    """What an answer says that has this status and this code."""
    assert (answer.status, answer.code) == (status, code), answer
    models.Failure.model_validate(answer.json)
    message: str = answer.json["error"]["message"]
    return message


def make(appliance: Appliance, name: str, config: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A new pipeline."""
    body = {"name": name, "config": config or {}, **fields}
    found: dict[str, Any] = good(appliance.ask("POST", PIPELINES, body), 201, models.PipelineShown)
    return found


def shown(appliance: Appliance, ref: str, key: str = KEY) -> dict[str, Any]:
    """A pipeline, with its config."""
    answer = appliance.ask("GET", f"{PIPELINES}/{ref}", key=key)
    found: dict[str, Any] = good(answer, 200, models.PipelineDetail)
    return found


def change(appliance: Appliance, ref: str, key: str = KEY, **fields: Any) -> dict[str, Any]:
    """A pipeline after a change."""
    answer = appliance.ask("PUT", f"{PIPELINES}/{ref}", fields, key=key)
    found: dict[str, Any] = good(answer, 200, models.PipelineShown)
    return found


def listed(appliance: Appliance, query: str = "") -> list[dict[str, Any]]:
    """A page of pipelines."""
    answer = appliance.ask("GET", f"{PIPELINES}{query}")
    found: list[dict[str, Any]] = good(answer, 200, list[models.ListedPipeline])
    return found


def start(appliance: Appliance, ref: str, **options: Any) -> dict[str, Any]:
    """A new run."""
    answer = appliance.ask("POST", f"{PIPELINES}/{ref}/run", options or None)
    found: dict[str, Any] = good(answer, 202, models.RunQueued)
    return found


def run_of(appliance: Appliance, run: str) -> dict[str, Any]:
    """A run."""
    found: dict[str, Any] = good(appliance.ask("GET", f"{PIPELINES}/runs/{run}"), 200, models.RunDetail)
    return found


def runs_of(appliance: Appliance, ref: str, query: str = "") -> list[dict[str, Any]]:
    """A page of runs."""
    answer = appliance.ask("GET", f"{PIPELINES}/{ref}/runs{query}")
    found: list[dict[str, Any]] = good(answer, 200, list[models.RunShown])
    return found


def ended(appliance: Appliance, run: str) -> dict[str, Any]:
    """A run once it has ended."""
    found: dict[str, Any] = until(
        lambda: run_of(appliance, run), lambda one: one["status"] not in {"pending", "running"}
    )
    return found


def logs_of(appliance: Appliance, run: str) -> list[str]:
    """The lines of a run's log."""
    answer = appliance.ask("GET", f"{PIPELINES}/runs/{run}/logs")
    lines: list[str] = good(answer, 200, models.RunLogs)["logs"].split("\n")
    return lines


def send(appliance: Appliance, ref: str, count: int, first: int = 0) -> None:
    """Events."""
    events = json.dumps([{"event_type": "a.b", "payload": {"n": first + n}} for n in range(count)]).encode()
    assert appliance.ask("POST", f"/_local/pipelines/{ref}/events", events).status == 200


def quiet(appliance: Appliance, name: str, **destination: Any) -> dict[str, Any]:
    """A pipeline whose batches wait for a run, made where batches can be set; here as S4 shows it."""
    body = {"batch": QUIET, "destinations": [{"type": "files", "path": "out", **destination}]}
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", body).status == 201
    return shown(appliance, name)


def key_for(appliance: Appliance, scope: str) -> str:
    """A key that allows one thing."""
    secret: str = appliance.ask("POST", "/_local/keys", {"name": scope, "scopes": [scope]}).json["secret"]
    return secret


def until(ask: Callable[[], Any], fits: Callable[[Any], bool], within_s: float = 20.0) -> Any:
    """Ask until the answer fits."""
    end = time.monotonic() + within_s
    while not fits(found := ask()):
        assert time.monotonic() < end, found
    return found
