"""Short ways to ask S2; every answer is looked at for what all of them have."""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel

from conduit_local.dialects.s2 import models
from tests.appliance import Answer, Appliance

WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
OURS = re.compile(r"req_[0-9a-hjkmnp-tv-z]{16}")
STATUS = {
    "VALIDATION_ERROR": 400,
    "AUTHENTICATION_ERROR": 401,
    "AUTHORIZATION_ERROR": 403,
    "NOT_FOUND": 404,
    "RATE_LIMIT_EXCEEDED": 429,
    "TIMEOUT": 503,
}


def good(answer: Answer, model: type[BaseModel]) -> Any:
    """The data of a 200 with this shape, no field more."""
    assert answer.status == 200, answer
    found = answer.json
    assert list(found) == ["success", "data", "meta"]
    models.Success[model].model_validate(found)  # type: ignore[valid-type]
    looked_at(answer)
    return found["data"]


def refused(answer: Answer, code: str, *fields: str) -> Any:
    """The error of an answer with this code, the status that goes with it, and these fields in its details."""
    assert (answer.code, answer.status) == (code, STATUS[code]), answer
    found = answer.json
    assert list(found) == ["success", "error", "meta"]
    models.Failure.model_validate(found)
    looked_at(answer)
    assert set(found["error"]["details"]) == set(fields), answer
    return found["error"]


def looked_at(answer: Answer) -> None:
    """What every answer has, a refusal too (S2.2, S2.4)."""
    assert answer.headers["Content-Type"] == "application/json"
    assert WHOLE_SECONDS.fullmatch(answer.json["meta"]["timestamp"])
    limit, remaining, reset = (int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    assert 0 <= remaining <= limit
    assert reset > 1_600_000_000


def send(
    appliance: Appliance,
    operation: str,
    parameters: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **more: Any,
) -> Answer:
    """`POST /pipeline`."""
    body: dict[str, Any] = {"operation": operation, "parameters": {} if parameters is None else parameters}
    if options is not None:
        body["options"] = options
    return appliance.ask("POST", "/pipeline", body, **more)


def create(appliance: Appliance, name: str, **parameters: Any) -> Any:
    """A new pipeline."""
    return good(send(appliance, "create", {"name": name, **parameters}), models.PipelineShown)


def told(appliance: Appliance, order: str, name: str) -> Any:
    """The pipeline after an order to it."""
    return good(send(appliance, order, {"pipeline": name}), models.PipelineShown)


def shown(appliance: Appliance, name: str) -> Any:
    """A pipeline."""
    return told(appliance, "pipeline", name)


def ingest(appliance: Appliance, name: str, **parameters: Any) -> Any:
    """What became of events."""
    return good(send(appliance, "ingest", {"pipeline": name, **parameters}), models.Ingested)


def monitored(appliance: Appliance, **parameters: Any) -> Any:
    """Figures."""
    return good(send(appliance, "monitor", parameters), models.Monitored)


def logs(appliance: Appliance, name: str, **parameters: Any) -> Any:
    """Log lines."""
    return good(send(appliance, "logs", {"pipeline": name, **parameters}), models.Logs)["logs"]


def until(ask: Callable[[], Any], fits: Callable[[Any], bool], within_s: float = 20.0) -> Any:
    """Ask until the answer fits."""
    end = time.monotonic() + within_s
    while not fits(found := ask()):
        assert time.monotonic() < end, found
    return found


@contextmanager
def held(appliance: Appliance) -> Iterator[None]:
    """Hold the database as another program would: with a transaction that writes."""
    other = sqlite3.connect(appliance.data / "conduit.db", isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@contextmanager
def held_for(appliance: Appliance, seconds: float) -> Iterator[None]:
    """The same, and let go by itself after so long."""
    other = sqlite3.connect(appliance.data / "conduit.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, other.execute, ["ROLLBACK"])
    timer.start()
    try:
        yield
    finally:
        timer.join()
        other.close()
