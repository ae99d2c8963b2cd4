"""Short ways to ask S3."""

import http.client
import json
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from conduit_local.dialects.s3 import told
from tests.appliance import KEY, Answer, Appliance

PIPES, KEYS = "/v1/pipes", "/v1/api-keys"
APP, ELSEWHERE = "https://app.example.com", "https://elsewhere.example"
PROXY = "127.0.0.2"
MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOBODY = "00000000-0000-4000-8000-000000000000"


def looked_at(answer: Answer) -> Answer:
    """What holds for every answer: no cookie, no redirect, never any origin."""
    assert not {"Set-Cookie", "Location"} & set(answer.headers)
    assert not 300 <= answer.status < 400
    assert answer.headers.get("Access-Control-Allow-Origin") != "*"
    if answer.body:
        assert answer.headers["Content-Type"].startswith("application/json")
    return answer


def good(answer: Answer, status: int, model: type[BaseModel]) -> Any:
    """The JSON of an answer that has this status and this shape, no field more."""
    assert looked_at(answer).status == status, answer
    model.model_validate(answer.json)
    return answer.json


def refused(answer: Answer, status: int, code: str) -> Any:
    """The JSON of a refusal that has this status and this code, flat."""
    assert looked_at(answer).status == status, answer
    model: type[BaseModel] = told.ValidationRefusal if code == "validation_error" else told.Refusal
    if status in {408, 503}:
        model = told.RepeatableRefusal
        assert int(answer.headers["Retry-After"]) >= 1
        uuid.UUID(answer.json["request_id"])
    model.model_validate(answer.json)
    assert answer.json["error"] == code, answer
    return answer.json


def wrong(answer: Answer) -> dict[str, str]:
    """What is wrong with a body, by dot path (S3.5)."""
    found: dict[str, str] = refused(answer, 400, "validation_error")["errors"]
    assert found
    assert all(found.values())
    return found


def make(appliance: Appliance, name: str = "My Pipe", **fields: Any) -> dict[str, Any]:
    """A new pipe."""
    answer = appliance.ask("POST", PIPES, {"pipe_name": name, **fields})
    found: dict[str, Any] = good(answer, 201, told.PipeAnswer)["pipe"]
    return found


def shown(appliance: Appliance, pipe: str) -> dict[str, Any]:
    """A pipe."""
    found: dict[str, Any] = good(appliance.ask("GET", f"{PIPES}/{pipe}"), 200, told.PipeAnswer)["pipe"]
    return found


def send(
    appliance: Appliance,
    pipe: str,
    body: object,
    *,
    key: str | None = KEY,
    origin: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Records to a pipe."""
    more = {"Origin": origin} if origin is not None else {}
    return appliance.ask("POST", f"/v1/ingest/{pipe}", body, key=key, headers={**more, **(headers or {})})


def accepted(appliance: Appliance, pipe: str, body: object, **options: Any) -> dict[str, Any]:
    """What is said of records that are taken."""
    found: dict[str, Any] = good(send(appliance, pipe, body, **options), 202, told.Accepted)
    return found


def taken(appliance: Appliance, pipe: str) -> int:
    """How many records a pipe has taken."""
    count: int = shown(appliance, pipe)["usage"]["records_total"]
    return count


def payloads(appliance: Appliance, pipe: str) -> list[Any]:
    """The newest records of a pipe, the oldest first, as S0 shows them."""
    listed = appliance.ask("GET", f"/v1/events?pipeline_id={pipe}&limit=100").json["data"]
    return [appliance.ask("GET", f"/v1/events/{one['event_id']}").json["payload"] for one in reversed(listed)]


def through_proxy(appliance: Appliance, pipe: str, body: object, headers: Mapping[str, str]) -> int:
    """Records from the address of the trusted proxy; returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", appliance.port, timeout=30, source_address=(PROXY, 0))
    sent = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers}
    try:
        connection.request("POST", f"/v1/ingest/{pipe}", json.dumps(body), sent)
        return connection.getresponse().status
    finally:
        connection.close()


def flushed(appliance: Appliance, pipe: str, destination: str, within_s: float = 20.0) -> None:
    """Until one destination of a pipe has delivered all that there is."""
    assert appliance.ask("POST", f"/_local/pipelines/{pipe}/flush").status < 300
    end = time.monotonic() + within_s
    while (found := route_of(appliance, pipe, destination))["ledger"]["pending"]:
        assert time.monotonic() < end, found


def route_of(appliance: Appliance, pipe: str, destination: str) -> Any:
    """What the appliance itself says of a destination."""
    pipeline = next(one for one in appliance.snapshot()["pipelines"] if one["uuid"] == pipe)
    return next(one for one in pipeline["destinations"] if one["name"] == destination)


def landed(appliance: Appliance, folder: str) -> list[Any]:
    """The payloads in the files below a folder, in the order of their names."""
    paths = sorted(path for path in Path(appliance.data / folder).rglob("*.jsonl") if not path.name.startswith("."))
    return [json.loads(line)["payload"] for path in paths for line in path.read_bytes().splitlines()]
