"""S2: what the document and its page print, run as it is printed but for host, key and ids."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conduit_local.dialects import s2
from conduit_local.dialects.s2 import models
from conduit_local.dialects.s2.operations import OPERATIONS
from tests.appliance import KEY, Appliance
from tests.dialects.curl import curl, matches, steps
from tests.dialects.s2.asking import STATUS, WHOLE_SECONDS, create, good, ingest, looked_at, send

PAGE = (Path(s2.__file__).parent / "README.md").read_text()
EXAMPLE = """\
curl -X POST https://api.do/pipeline \\
-H "Authorization: Bearer YOUR_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
"operation": "%s",
"parameters": {}
}'"""
FIRST = """\
curl https://api.do/pipeline \\
-H "Authorization: Bearer YOUR_API_KEY" \\
-H "Content-Type: application/json\""""
SUBSCRIBE = """\
curl -X POST https://api.do/webhooks \\
-H "Authorization: Bearer YOUR_API_KEY" \\
-H "Content-Type: application/json" \\
-d '{
"url": "https://your-app.com/webhook",
"events": ["pipeline.created", "pipeline.deleted", "pipeline.started", "pipeline.paused", "pipeline.resumed", \
"pipeline.stopped", "pipeline.ingested", "pipeline.transformed", "pipeline.written", "pipeline.failed"]
}'"""
OF_PIPELINE = '{"pipeline": "documented"}'
REAL = {
    "create": '{"name": "documented-too", "batch_size": 5}',
    "delete": OF_PIPELINE,
    "start": OF_PIPELINE,
    "pause": OF_PIPELINE,
    "resume": OF_PIPELINE,
    "stop": OF_PIPELINE,
    "ingest": '{"pipeline": "documented", "event": {"orderId": "ord_1"}}',
    "monitor": OF_PIPELINE,
    "logs": OF_PIPELINE,
    "pipeline": OF_PIPELINE,
}
NEEDS = {
    "create": {"name"},
    "transform": {"pipeline", "sql"},
    "ingest": {"pipeline"},
    **{name: {"pipeline"} for name in ("delete", "start", "pause", "resume", "stop", "logs")},
}


def ran(appliance: Appliance, command: str) -> str:
    """What a printed command prints, with our host and key in it."""
    ours = {r"https://api\.do|http://127\.0\.0\.1:8642": appliance.url, r"YOUR_API_KEY|ck_live_\w+": KEY}
    return curl(command, ours)


def answered(appliance: Appliance, command: str) -> Any:
    """The JSON that a printed command prints; its envelope is the document's."""
    found = json.loads(ran(appliance, command))
    if found["success"]:
        assert list(found) == ["success", "data", "meta"]
        assert list(found["meta"]) == ["requestId", "timestamp", "duration"]
    else:
        assert list(found) == ["success", "error", "meta"]
        assert list(found["error"]) == ["code", "message", "details"]
        assert list(found["meta"]) == ["requestId", "timestamp"]
    assert found["meta"]["requestId"].startswith("req_")
    assert WHOLE_SECONDS.fullmatch(found["meta"]["timestamp"])
    return found


@pytest.fixture
def documented(appliance: Appliance) -> str:
    """A pipeline for the examples."""
    for name in ("documented", "documented-too"):
        send(appliance, "delete", {"pipeline": name})
    create(appliance, "documented")
    return "documented"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_s2_5_the_documents_curl_runs_as_printed(appliance: Appliance, operation: str) -> None:
    """Printed without parameters: those that need some say which."""
    found = answered(appliance, EXAMPLE % operation)
    if operation not in NEEDS:
        assert found["success"] is True
        return
    assert found["error"]["code"] == "VALIDATION_ERROR"
    assert found["error"]["details"] == {f"parameters.{name}": "is required" for name in NEEDS[operation]}


@pytest.mark.parametrize("operation", REAL)
def test_s2_5_the_documents_curl_runs_with_real_parameters(
    appliance: Appliance, documented: str, operation: str
) -> None:
    found = answered(appliance, (EXAMPLE % operation).replace("{}", REAL[operation]))
    assert found["success"] is True, found
    data: Any = OPERATIONS[operation].gives
    models.Success[data].model_validate(found)


def test_s2_1_the_documents_first_curl_has_no_body_and_so_is_a_get(appliance: Appliance) -> None:
    assert answered(appliance, FIRST)["error"]["code"] == "NOT_FOUND"


def test_s2_6_the_documents_subscription_runs_as_printed(appliance: Appliance) -> None:
    found = answered(appliance, SUBSCRIBE)["data"]
    assert (found["url"], len(found["events"])) == ("https://your-app.com/webhook", 10)
    good(appliance.ask("DELETE", f"/webhooks/{found['id']}"), models.WebhookDeleted)


def test_s2_1_the_documents_request_with_all_its_headers_runs(appliance: Appliance) -> None:
    body = {"operation": "pipeline", "parameters": {}, "options": {"timeout": 30000, "retries": 3}}
    answer = appliance.ask("POST", "/pipeline", body, headers={"X-Request-ID": "unique-request-id"})
    assert good(answer, models.PipelineList)["pipelines"]
    assert answer.json["meta"]["requestId"] == "unique-request-id"


def test_s2_4_the_documents_headers_are_there(appliance: Appliance) -> None:
    answer = send(appliance, "pipeline")
    looked_at(answer)
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert re.fullmatch(r"\d+", answer.headers[name])


def test_s2_3_the_documents_codes_are_all_that_there_are() -> None:
    codes = {*STATUS, "INTERNAL_ERROR"}
    assert set(models.ErrorSaid.model_json_schema()["properties"]["code"]["enum"]) == codes
    assert set(STATUS.values()) | {200, 500} == {200, 400, 401, 403, 404, 429, 500, 503}


def test_the_pages_commands_print_what_it_shows(appliance: Appliance) -> None:
    found = steps(PAGE)
    assert len(found) == 3
    for command, shown in found:
        printed = ran(appliance, command)
        assert matches(shown, printed), printed
        if printed.startswith('{"success":true,"data":{"id":"wh_'):
            appliance.ask("DELETE", f"/webhooks/{json.loads(printed)['data']['id']}")


def test_the_page_names_every_operation_with_its_parameters_and_its_scope() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    table = {name: row for row in rows if len(row) == 3 for name in re.findall(r"`(\w+)`", row[0])}
    assert set(table) == set(OPERATIONS)
    for name, operation in OPERATIONS.items():
        _, takes, scope = table[name]
        assert scope.strip() == f"`{operation.scope}`"
        assert set(re.findall(r"`(\w+)\??`", takes)) - {"info"} == set(operation.takes.model_fields)


def test_what_is_said_of_the_operations_in_the_openapi_document_is_what_they_take(appliance: Appliance) -> None:
    document = appliance.ask("GET", "/openapi.json").json
    shapes = document["paths"]["/pipeline"]["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    names = [shape["$ref"].rsplit("/", 1)[1] for shape in shapes]
    assert [document["components"]["schemas"][name]["properties"]["operation"]["const"] for name in names] == list(
        OPERATIONS
    )


def test_s2_5_ids_of_events_are_those_of_the_other_apis(appliance: Appliance) -> None:
    ids = ingest(appliance, "pl_8f3a", events=[{}] * 3)["eventIds"]
    newest = appliance.ask("GET", "/v1/events?pipeline_id=pl_8f3a&limit=100").json["data"]
    assert set(ids) <= {one["event_id"] for one in newest}
    assert ingest(appliance, "pl_8f3a", event={})["eventIds"][0] > ids[-1]
