"""S2.5: `create` with SQL and `transform`: checked, replaced, told; against a running appliance."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from conduit_local.dialects.s2 import models
from tests.appliance import Appliance
from tests.dialects.s2.asking import create, good, ingest, logs, monitored, refused, send, shown, until

TOTAL = "SELECT payload->>'id' AS id, CAST(payload->>'total' AS DOUBLE) AS total FROM events"
MENDED = TOTAL.replace("CAST", "TRY_CAST")
ORDERS = [{"id": "a", "total": 1}, {"id": "b", "total": "many"}, {"id": "c", "total": 2.5}]


def rows(appliance: Appliance, name: str) -> list[Any]:
    """What lies in the files of a pipeline, in order."""
    paths = sorted((appliance.data / "out" / name).rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def transform(appliance: Appliance, name: str, sql: str) -> Any:
    return good(send(appliance, "transform", {"pipeline": name, "sql": sql}), models.PipelineShown)


def delivered(appliance: Appliance, name: str) -> None:
    """Deliver what is pending."""
    assert appliance.ask("POST", f"/_local/pipelines/{name}/flush").status in {200, 202}
    until(lambda: shown(appliance, name)["pending"], lambda pending: pending == 0)


# create and transform ----------------------------------------------------------------------------------------


def test_s2_5_create_with_sql_lands_what_the_query_yields(appliance: Appliance) -> None:
    found = create(appliance, "With SQL", sql=TOTAL, batch_size=10)
    assert [(one["type"], one["query"]) for one in found["transforms"]] == [("sql", TOTAL)]
    ingest(appliance, "With SQL", events=[ORDERS[0], ORDERS[2]])
    delivered(appliance, "with-sql")
    assert rows(appliance, "with-sql") == [{"id": "a", "total": 1.0}, {"id": "c", "total": 2.5}]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nonsense FROM events", "line 1, column 8: "),
        ("SELECT 1 AS a\nFROM events WHERE", "line 2, column "),
        ("SELECT * FROM orders", "orders"),
        ("DELETE FROM events", "SELECT"),
        ("SELECT 1 AS a FROM events; SELECT 2 AS b FROM events", ""),
        ("SELECT * FROM read_csv('/etc/passwd')", ""),
        ("", "must not be empty"),
        ("SELECT '\x00' AS a FROM events", "NUL"),
        ("SELECT '${REGION}' AS a FROM events", "no variable REGION"),
    ],
)
def test_s2_5_a_wrong_query_is_a_validation_error_that_says_where(appliance: Appliance, sql: str, message: str) -> None:
    if not any(one["name"] == "checked" for one in good(send(appliance, "pipeline"), models.PipelineList)["pipelines"]):
        create(appliance, "checked", sql=TOTAL)
    before = shown(appliance, "checked")
    for operation, given in (("create", {"name": "wrong"}), ("transform", {"pipeline": "checked"})):
        error = refused(send(appliance, operation, {**given, "sql": sql}), "VALIDATION_ERROR", "parameters.sql")
        assert message in error["details"]["parameters.sql"]
        assert "passwd" not in error["message"] or "root" not in error["message"]
    refused(send(appliance, "pipeline", {"pipeline": "wrong"}), "NOT_FOUND")
    assert shown(appliance, "checked") == before


@pytest.mark.parametrize("sql", [None, 5, [], {}])
def test_s2_5_sql_is_text(appliance: Appliance, sql: object) -> None:
    error = refused(
        send(appliance, "transform", {"pipeline": "pl_8f3a", "sql": sql}), "VALIDATION_ERROR", "parameters.sql"
    )
    assert "must be text" in error["message"]


def test_s2_5_transform_needs_a_pipeline_that_is_there_and_no_files(appliance: Appliance) -> None:
    refused(send(appliance, "transform", {"pipeline": "not-there", "sql": TOTAL}), "NOT_FOUND")
    refused(send(appliance, "transform", {}), "VALIDATION_ERROR", "parameters.sql", "parameters.pipeline")
    error = refused(send(appliance, "transform", {"pipeline": "pl_8f3a", "sql": TOTAL}), "VALIDATION_ERROR")
    assert "orders.yaml" in error["message"]


def test_s2_5_transform_takes_the_place_of_the_query_and_leaves_the_rest(appliance: Appliance) -> None:
    mask = {"type": "mask", "fields": ["payload.mail"]}
    name = {"type": "rename", "fields": {"total": "sum"}}
    chain = [mask, {"type": "sql", "query": TOTAL}, name]
    assert appliance.ask("POST", "/api/v1/pipelines", {"name": "chain", "transforms": chain}).status == 201
    mended = MENDED.replace("FROM", ", payload->>'mail' AS mail FROM")
    found = transform(appliance, "chain", mended)
    assert [one["type"] for one in found["transforms"]] == ["mask", "sql", "rename"]
    assert found["transforms"][1]["query"] == mended
    assert found["updated_at"] is not None
    ingest(appliance, "chain", event={"id": "a", "total": "x", "mail": "a@example.org"})
    delivered(appliance, "chain")
    assert rows(appliance, "chain") == [{"id": "a", "sum": None, "mail": "***"}]

    only_masked = {"name": "masked", "transforms": [mask]}
    assert appliance.ask("POST", "/api/v1/pipelines", only_masked).status == 201
    assert [one["type"] for one in transform(appliance, "masked", MENDED)["transforms"]] == ["mask", "sql"]

    both = [{"type": "sql", "query": TOTAL}, {"type": "sql", "query": "SELECT * FROM events"}]
    assert appliance.ask("POST", "/api/v1/pipelines", {"name": "two-queries", "transforms": both}).status == 201
    error = refused(
        send(appliance, "transform", {"pipeline": "two-queries", "sql": MENDED}), "VALIDATION_ERROR", "parameters.sql"
    )
    assert "2 queries" in error["message"]


def test_s2_5_transform_mends_what_died_and_logs_and_monitor_tell_of_it(appliance: Appliance) -> None:
    create(appliance, "mended", sql=TOTAL)
    ingest(appliance, "mended", events=ORDERS)
    delivered(appliance, "mended")
    assert [row["id"] for row in rows(appliance, "mended")] == ["a", "c"]
    (line,) = logs(appliance, "mended", level="warning")
    assert "1 dead" in line["message"]
    assert "Could not convert string 'many' to DOUBLE" in line["message"]
    assert line["runId"].startswith("run_")
    figures = until(lambda: monitored(appliance, pipeline="mended"), lambda one: one["errors"]["count"] > 0)
    assert figures["errors"] == {"count": 1, "per_minute": 1.0}
    assert (figures["throughput"]["accepted"], figures["throughput"]["delivered"], figures["pending"]) == (3, 3, 0)

    transform(appliance, "mended", MENDED)
    assert appliance.ask("POST", "/_local/dead/replay", {"pipeline": "mended", "all": True}).status == 202
    until(lambda: len(rows(appliance, "mended")), lambda count: count == 3)
    assert sorted(row["id"] for row in rows(appliance, "mended")) == ["a", "b", "c"]
    assert any("replay" in one["message"] for one in logs(appliance, "mended"))


def test_s2_5_logs_have_the_lines_of_runs_with_their_level_time_and_run(appliance: Appliance) -> None:
    (appliance.data / "brought").mkdir()
    lines = ['{"n": 1}', "not json", '{"n": 2}']
    (appliance.data / "brought" / "a.jsonl").write_text("".join(f"{line}\n" for line in lines))
    create(
        appliance,
        "logged",
        sql="SELECT payload->>'n' AS n FROM events",
        sources=[{"type": "fixture", "path": "brought/a.jsonl"}],
        schedule="0 0 1 1 *",
    )
    answer = appliance.ask("POST", "/api/v1/pipelines/logged/runs", {})
    run = answer.json["data"]["id"]
    path = f"/api/v1/pipelines/logged/runs/{run}"
    until(lambda: appliance.ask("GET", path).json["data"]["status"], lambda status: status == "success")
    found = logs(appliance, "logged")
    said = [line["message"] for line in found if line["runId"] == run]
    assert said[0] == "started: manual"
    assert any("2 rows of 2 events" in message for message in said)
    (dead,) = logs(appliance, "logged", level="warning")
    assert "brought/a.jsonl:2" in dead["message"]
    assert "dead letter" in dead["message"]
    assert [line for line in found if line["level"] == "warning"] == [dead]
    assert logs(appliance, "logged", since=found[-1]["timestamp"])
    assert logs(appliance, "logged", level="error") == []
    assert logs(appliance, "logged", since="2999-01-01T00:00:00Z") == []


# pipeline.transformed ----------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """A webhook's receiver: its URL, and what it was told."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/", heard
        listening.shutdown()
        thread.join()


def test_s2_7_a_new_query_is_told_whichever_api_brought_it(
    appliance: Appliance, receiver: tuple[str, list[Any]]
) -> None:
    url, heard = receiver
    webhook = appliance.ask("POST", "/webhooks", {"url": url, "events": ["pipeline.transformed"]}).json["data"]["id"]
    made = create(appliance, "announced", sql=TOTAL)
    transform(appliance, "announced", TOTAL)  # as it was: nothing to tell
    transform(appliance, "announced", MENDED)
    change = {"transforms": [{"type": "filter", "where": "true"}]}
    assert appliance.ask("PUT", "/api/v1/pipelines/announced", change).status == 200
    assert appliance.ask("PUT", "/api/v1/pipelines/announced", {**change, "schedule": "0 0 1 1 *"}).status == 200
    refused(
        send(appliance, "transform", {"pipeline": "announced", "sql": "SELEC"}), "VALIDATION_ERROR", "parameters.sql"
    )
    assert appliance.ask("DELETE", "/v1/pipelines/announced").status == 200
    until(lambda: len(heard), lambda count: count >= 2)
    deliveries = appliance.ask("GET", f"/webhooks/{webhook}/deliveries").json["data"]["deliveries"]
    assert len(deliveries) == 2, "one a change of the transforms, and none for what changed nothing of them"
    assert {one["type"] for one in heard} == {"pipeline.transformed"}
    assert [one["data"]["pipeline"] for one in heard] == [{"id": made["id"], "name": "announced"}] * 2
    assert appliance.ask("DELETE", f"/webhooks/{webhook}").status == 200
