"""Short ways to ask S1."""

import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from conduit_local.dialects.s1 import models
from tests.appliance import Answer, Appliance

PIPELINES = "/api/v1/pipelines"


def good(answer: Answer, status: int, model: type[BaseModel] | None) -> Any:
    """The JSON of an answer that has this status and this shape, no field more."""
    assert answer.status == status, answer
    if model is None:
        assert answer.body == b""
        return None
    model.model_validate(answer.json)
    return answer.json


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """The error of an answer that has this status and this code."""
    assert (answer.status, answer.code) == (status, code), answer
    models.Failure.model_validate(answer.json)
    found: dict[str, Any] = answer.json["error"]
    return found


def make(appliance: Appliance, name: str, **fields: Any) -> dict[str, Any]:
    """A new pipeline."""
    answer = appliance.ask("POST", PIPELINES, {"name": name, **fields})
    found: dict[str, Any] = good(answer, 201, models.PipelineShown)["data"]
    return found


def shown(appliance: Appliance, name: str) -> dict[str, Any]:
    """A pipeline."""
    found: dict[str, Any] = good(appliance.ask("GET", f"{PIPELINES}/{name}"), 200, models.PipelineShown)["data"]
    return found


def start(appliance: Appliance, name: str, **options: Any) -> dict[str, Any]:
    """A new run."""
    answer = appliance.ask("POST", f"{PIPELINES}/{name}/runs", options)
    found: dict[str, Any] = good(answer, 202, models.StartedRun)["data"]
    return found


def run_of(appliance: Appliance, name: str, run: str) -> dict[str, Any]:
    """A run."""
    answer = appliance.ask("GET", f"{PIPELINES}/{name}/runs/{run}")
    found: dict[str, Any] = good(answer, 200, models.RunShown)["data"]
    return found


def runs_of(appliance: Appliance, name: str, query: str = "") -> Any:
    """A page of runs."""
    return good(appliance.ask("GET", f"{PIPELINES}/{name}/runs{query}"), 200, models.RunList)


def ended(appliance: Appliance, name: str, run: str) -> dict[str, Any]:
    """A run once it has ended."""
    found: dict[str, Any] = until(lambda: run_of(appliance, name, run), lambda one: one["status"] != "running")
    return found


def until(ask: Callable[[], Any], fits: Callable[[Any], bool], within_s: float = 20.0) -> Any:
    """Ask until the answer fits."""
    end = time.monotonic() + within_s
    while not fits(found := ask()):
        assert time.monotonic() < end, found
    return found
