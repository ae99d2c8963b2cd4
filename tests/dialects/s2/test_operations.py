"""S2.5: every operation, with what it takes and with what it does not take, against a running appliance."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conduit_local.dialects.s2 import models
from tests.appliance import Answer, Appliance
from tests.dialects.s2.asking import (
    WHOLE_SECONDS,
    create,
    good,
    ingest,
    logs,
    monitored,
    refused,
    send,
    shown,
    told,
    until,
)
from tests.dialects.s2.conftest import BLOCKED
from tests.engines import payloads_below

QUICK = {"destinations": [{"type": "files", "path": "out"}]}
ORDERS_TO = ["delete", "start", "pause", "resume", "stop"]


def landed(appliance: Appliance, name: str) -> Any:
    """The payloads that the files of a pipeline hold."""
    return payloads_below(appliance.data / "out" / name)


def delivered(appliance: Appliance, name: str) -> None:
    until(lambda: shown(appliance, name)["pending"], lambda pending: pending == 0)


# create ------------------------------------------------------------------------------------------------------


def test_s2_5_create_makes_a_pipeline_that_is_active_at_once(appliance: Appliance) -> None:
    found = create(appliance, "made", batch_size=7, schedule="0 */6 * * *", sources=[{"type": "push"}], **QUICK)
    assert list(found) == [
        "id",
        "name",
        "title",
        "status",
        "health",
        "message",
        "schedule",
        "next_run_at",
        "batch_size",
        "sources",
        "transforms",
        "destinations",
        "pending",
        "created_at",
        "updated_at",
    ]
    assert (found["name"], found["title"], found["status"], found["health"]) == ("made", None, "active", "ok")
    assert (found["batch_size"], found["schedule"], found["pending"]) == (7, "0 */6 * * *", 0)
    assert found["id"].startswith("pl_")
    assert [one["type"] for one in found["sources"]] == ["push"]
    assert [(one["type"], one["path"]) for one in found["destinations"]] == [("files", "out")]
    assert WHOLE_SECONDS.fullmatch(found["created_at"])
    assert found["next_run_at"] > found["created_at"]
    assert found["updated_at"] is None
    assert shown(appliance, "made") == found
    assert ingest(appliance, "made", event={})["accepted"] == 1


def test_s2_5_create_needs_a_name_only(appliance: Appliance) -> None:
    found = create(appliance, "plain")
    assert (found["batch_size"], found["schedule"], found["next_run_at"], found["transforms"]) == (
        1_000,
        None,
        None,
        [],
    )
    assert [one["type"] for one in found["destinations"]] == ["files"]


def test_s2_5_a_name_in_words_becomes_the_title_and_answers_too(appliance: Appliance) -> None:
    found = create(appliance, "Café Orders: today")
    assert (found["name"], found["title"]) == ("cafe-orders-today", "Café Orders: today")
    for ref in ("Café Orders: today", "cafe-orders-today", found["id"]):
        assert shown(appliance, ref)["id"] == found["id"]
    refused(send(appliance, "pipeline", {"pipeline": "Cafe Orders Today"}), "NOT_FOUND")


def test_s2_5_a_name_that_is_taken_is_a_validation_error(appliance: Appliance) -> None:
    create(appliance, "taken")
    made = create(appliance, "Taken, in words")
    for name in ("taken", "Taken, in words", made["name"], made["id"], "orders-stream", "pl_8f3a"):
        assert "is taken" in refused(send(appliance, "create", {"name": name}), "VALIDATION_ERROR")["message"]
    assert shown(appliance, "pl_8f3a")["name"] == "orders-stream"


def test_s2_5_names_that_differ_in_what_a_slug_cannot_hold_are_two(appliance: Appliance) -> None:
    made = [create(appliance, name) for name in ("Заказы", "Возвраты", "TWICE", "Twice")]
    assert [one["title"] for one in made] == ["Заказы", "Возвраты", "TWICE", "Twice"]
    assert len({one["name"] for one in made}) == 4
    for one in made:
        assert shown(appliance, one["title"])["id"] == shown(appliance, one["name"])["id"] == one["id"]


def test_s2_5_a_title_that_two_have_names_neither(appliance: Appliance) -> None:
    for name in ("same-1", "same-2"):
        assert appliance.ask("PUT", f"/_local/pipelines/{name}", {"title": "The Same"}).status == 201
    refused(send(appliance, "delete", {"pipeline": "The Same"}), "NOT_FOUND")


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({}, "name", "is required"),
        ({"name": None}, "name", "must be text"),
        ({"name": 5}, "name", "must be text"),
        ({"name": ""}, "name", "1 to 200 visible"),
        ({"name": "x" * 201}, "name", "1 to 200 visible"),
        ({"name": "a\x07b"}, "name", "visible characters"),
        ({"name": " x"}, "name", "visible characters"),
        ({"name": "a", "batch_size": 0}, "batch_size", "must be at least 1"),
        ({"name": "a", "batch_size": 10**30}, "batch_size", "must be at most"),
        ({"name": "a", "batch_size": "7"}, "batch_size", "valid integer"),
        ({"name": "a", "batch_size": True}, "batch_size", "valid integer"),
        ({"name": "a", "schedule": "every day"}, "schedule", "five fields"),
        ({"name": "a", "schedule": 5}, "schedule", "must be text"),
        ({"name": "a", "schedule": {}}, "schedule", "must be text"),
        ({"name": "a", "sources": "push"}, "sources", "must be a list"),
        ({"name": "a", "sources": ["push"]}, "sources[0]", "must be a mapping"),
        ({"name": "a", "sources": [{"type": "nonsense"}]}, "sources[0]", "no source of type 'nonsense'"),
        ({"name": "a", "destinations": []}, "destinations", "at least 1"),
        ({"name": "a", "destinations": {}}, "destinations", "must be a list"),
        ({"name": "a", "destinations": [{"type": "files", "pth": "x"}]}, "destinations[0].pth", "did you mean 'path'"),
        ({"name": "a", "destinations": [{"type": "files", "path": "/etc"}]}, "destinations[0].path", ""),
        ({"name": "a", "destinations": [{"type": "files", "path": "../x"}]}, "destinations[0].path", ""),
        ({"name": "a", "batchsize": 5}, "batchsize", "did you mean 'batch_size'?"),
        ({"name": "a", "transforms": []}, "transforms", "unknown field"),
    ],
)
def test_s2_5_what_create_does_not_take_is_named(
    appliance: Appliance, given: dict[str, Any], field: str, message: str
) -> None:
    field = f"parameters.{field}"
    error = refused(send(appliance, "create", given), "VALIDATION_ERROR", field)
    assert message in error["details"][field]
    refused(send(appliance, "pipeline", {"pipeline": "a"}), "NOT_FOUND")


def test_s2_5_every_field_that_is_wrong_is_named_at_once(appliance: Appliance) -> None:
    given = {"name": 5, "batch_size": 0, "nonsense": 1}
    error = refused(
        send(appliance, "create", given),
        "VALIDATION_ERROR",
        "parameters.name",
        "parameters.batch_size",
        "parameters.nonsense",
    )
    assert error["message"].endswith("(and 2 more)")


def test_s2_5_secrets_in_a_configuration_are_never_shown(appliance: Appliance) -> None:
    config = {"project": "p-1", "credentials": "s3cret-0f-destinati0ns"}
    destinations = [{"type": "connector", "connector": "bigquery", "config": config}]
    answer = send(appliance, "create", {"name": "hush", "destinations": destinations})
    redacted = {"project": "p-1", "credentials": "[redacted]"}
    assert good(answer, models.PipelineShown)["destinations"][0]["config"] == redacted
    for seen in (answer, send(appliance, "pipeline", {"pipeline": "hush"}), send(appliance, "pipeline")):
        assert b"s3cret" not in seen.body
        assert b"[redacted]" in seen.body


# delete, start, pause, resume, stop --------------------------------------------------------------------------


def test_s2_5_pause_keeps_what_comes_and_resume_delivers_it(appliance: Appliance) -> None:
    create(appliance, "held")
    assert told(appliance, "pause", "held")["status"] == "paused"
    assert told(appliance, "pause", "held")["status"] == "paused", "an order twice is an order once"
    ingest(appliance, "held", events=[{"n": n} for n in range(5)])
    assert shown(appliance, "held")["pending"] == 5
    assert landed(appliance, "held") == []
    assert told(appliance, "resume", "held")["status"] == "active"
    assert told(appliance, "stop", "held")["status"] in {"draining", "stopped"}
    delivered(appliance, "held")
    assert landed(appliance, "held") == [{"n": n} for n in range(5)]


def test_s2_5_stop_flushes_the_rest_refuses_new_events_and_start_begins_again(appliance: Appliance) -> None:
    create(appliance, "ended", schedule="0 0 1 1 *")
    ingest(appliance, "ended", events=[{"n": 1}, {"n": 2}])
    assert told(appliance, "stop", "ended")["status"] in {"draining", "stopped"}
    until(lambda: shown(appliance, "ended"), lambda one: one["status"] == "stopped")
    assert landed(appliance, "ended") == [{"n": 1}, {"n": 2}]
    assert told(appliance, "stop", "ended")["status"] == "stopped"
    error = refused(send(appliance, "ingest", {"pipeline": "ended", "event": {}}), "VALIDATION_ERROR")
    assert "takes no new events" in error["message"]
    assert "is stopped" in refused(send(appliance, "pause", {"pipeline": "ended"}), "VALIDATION_ERROR")["message"]
    assert told(appliance, "start", "ended")["status"] == "active"
    assert ingest(appliance, "ended", event={"n": 3})["accepted"] == 1


def test_s2_5_delete_removes_and_still_delivers(appliance: Appliance) -> None:
    made = create(appliance, "gone", schedule="0 0 1 1 *")
    ingest(appliance, "gone", event={"n": 1})
    found = good(send(appliance, "delete", {"pipeline": made["id"]}), models.PipelineDeleted)
    assert found == {"id": made["id"], "name": "gone", "deleted": True}
    for operation in ("pipeline", "delete", "start", "monitor", "logs"):
        refused(send(appliance, operation, {"pipeline": "gone"}), "NOT_FOUND")
    refused(send(appliance, "ingest", {"pipeline": "gone", "event": {}}), "NOT_FOUND")
    until(lambda: landed(appliance, "gone"), lambda found: found == [{"n": 1}])


def test_s2_5_what_a_file_defines_is_deleted_in_the_file_and_may_be_paused_here(appliance: Appliance) -> None:
    error = refused(send(appliance, "delete", {"pipeline": "pl_8f3a"}), "VALIDATION_ERROR")
    assert "orders.yaml" in error["message"]
    assert told(appliance, "pause", "pl_8f3a")["status"] == "paused"
    assert told(appliance, "resume", "orders-stream")["status"] == "active"


@pytest.mark.parametrize("operation", [*ORDERS_TO, "monitor", "logs", "pipeline"])
def test_s2_5_who_is_meant_must_be_a_pipeline(appliance: Appliance, operation: str) -> None:
    for ref in ("not-there", "", "pl_nobody", "x" * 5_000, "\u0000", "../x", "0b5c5a4e-6f7a-4c9b-8d3c-1a2b3c4d5e6f"):
        error = refused(send(appliance, operation, {"pipeline": ref}), "NOT_FOUND")
        assert len(error["message"]) < 300
    wrongs: list[object] = [5, [], {}, True, *([None] if operation in {*ORDERS_TO, "logs"} else [])]
    for wrong in wrongs:
        answer = send(appliance, operation, {"pipeline": wrong})
        assert "must be text" in refused(answer, "VALIDATION_ERROR", "parameters.pipeline")["message"]
    if operation in {*ORDERS_TO, "logs"}:
        refused(send(appliance, operation), "VALIDATION_ERROR", "parameters.pipeline")
    answer = send(appliance, operation, {"pipeline": "pl_8f3a", "pipline": "x"})
    assert "unknown field" in refused(answer, "VALIDATION_ERROR", "parameters.pipline")["message"]


def test_s2_5_orders_by_many_at_once_leave_one_state(appliance: Appliance) -> None:
    create(appliance, "pulled")
    with ThreadPoolExecutor(8) as pool:
        orders = ["pause", "resume", "start", "pause", "resume", "pause", "start", "resume"]
        found = list(pool.map(lambda order: send(appliance, order, {"pipeline": "pulled"}), orders))
    assert {answer.status for answer in found} == {200}
    assert told(appliance, "resume", "pulled")["status"] == "active"


def test_s2_5_of_many_that_create_one_name_at_once_one_does(appliance: Appliance) -> None:
    with ThreadPoolExecutor(6) as pool:
        for name in ("contested", "Contested, in words"):
            found = list(pool.map(lambda _, name=name: send(appliance, "create", {"name": name}), range(6)))
            assert sorted(answer.status for answer in found) == [200, 400, 400, 400, 400, 400]


# ingest ------------------------------------------------------------------------------------------------------


def test_s2_5_ingest_takes_one_event_or_several_and_names_each(appliance: Appliance) -> None:
    create(appliance, "fed")
    one = ingest(appliance, "fed", event={"orderId": "ord_1", "deep": [[{}]]}, event_type="order.created")
    assert list(one) == ["accepted", "eventIds"]
    many = ingest(appliance, "fed", events=[{"n": n} for n in range(50)])
    assert (one["accepted"], many["accepted"]) == (1, 50)
    ids = one["eventIds"] + many["eventIds"]
    assert len(set(ids)) == 51
    assert ids == sorted(ids)
    first = appliance.ask("GET", f"/v1/events/{ids[0]}").json
    assert (first["event_type"], first["payload"]["orderId"]) == ("order.created", "ord_1")
    last = appliance.ask("GET", f"/v1/events/{ids[-1]}").json
    assert (last["event_type"], last["payload"]) == ("event", {"n": 49})


def test_s2_5_payloads_come_out_as_they_went_in(appliance: Appliance) -> None:
    create(appliance, "exact")
    payload = '{"z":1.10,"a":1e400,"big":123456789012345678901234567890,"u":"\\u00e9\u00e9","a":2}'
    body = f'{{"operation":"ingest","parameters":{{"pipeline":"exact","event":{payload}}}}}'.encode()
    good(appliance.ask("POST", "/pipeline", body), models.Ingested)
    told(appliance, "stop", "exact")
    delivered(appliance, "exact")
    files = list((appliance.data / "out" / "exact").rglob("*.jsonl"))
    assert payload in files[0].read_text()


def test_s2_5_all_events_of_a_request_are_accepted_or_none(appliance: Appliance) -> None:
    create(appliance, "whole")
    given = {"pipeline": "whole", "events": [{"n": 1}, {"n": 2}, 3, {"n": 4}]}
    refused(send(appliance, "ingest", given), "VALIDATION_ERROR", "parameters.events[2]")
    assert shown(appliance, "whole")["pending"] == 0
    assert appliance.pipeline("whole")["destinations"][0]["ledger"]["accepted"] == 0


LONG = "x" * 262_144


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({}, "event", "is required, or events instead of it"),
        ({"event": {}, "events": [{}]}, "event", "not both"),
        ({"event": None, "events": None}, "event", "is required"),
        ({"event": 5}, "event", "must be a JSON object"),
        ({"event": "{}"}, "event", "must be a JSON object"),
        ({"event": [{}]}, "event", "must be a JSON object"),
        ({"events": []}, "events", "at least one event"),
        ({"events": {}}, "events", "must be a list"),
        ({"events": [[]]}, "events[0]", "must be a JSON object"),
        ({"events": [{}, None]}, "events[1]", "must be a JSON object"),
        ({"event": {}, "event_type": ""}, "event_type", "between dots"),
        ({"event": {}, "event_type": "a b"}, "event_type", "between dots"),
        ({"event": {}, "event_type": "x" * 256}, "event_type", "at most 255"),
        ({"event": {}, "event_type": None}, "event_type", "must be text"),
        ({"event": {}, "event_type": 5}, "event_type", "must be text"),
        ({"event": {}, "idempotency_key": 5}, "idempotency_key", "must be text"),
        ({"event": {}, "idempotency_key": ""}, "idempotency_key", "1 to 255"),
        ({"event": {}, "idempotency_key": "x" * 256}, "idempotency_key", "1 to 255"),
        ({"event": {}, "evnt": 1}, "evnt", "is not known here"),
        ({"event": {}, "pipeline": 5}, "pipeline", "must be text"),
        ({"event": {}, "pipeline": None}, "pipeline", "must be text"),
    ],
)
def test_s2_5_what_ingest_does_not_take_is_named(
    appliance: Appliance, given: dict[str, Any], field: str, message: str
) -> None:
    answer = send(appliance, "ingest", {"pipeline": "pl_8f3a", **given})
    error = refused(answer, "VALIDATION_ERROR", f"parameters.{field}")
    assert message in error["details"][f"parameters.{field}"]


def test_s2_5_events_without_a_pipeline_are_refused(appliance: Appliance) -> None:
    refused(send(appliance, "ingest", {"event": {}}), "VALIDATION_ERROR", "parameters.pipeline")
    refused(send(appliance, "ingest"), "VALIDATION_ERROR", "parameters.pipeline")
    refused(send(appliance, "ingest", {"pipeline": "not-there", "event": {}}), "NOT_FOUND")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"event": {"text": LONG}}, "256KB limit"),
        ({"events": [{}, {"text": LONG}]}, "256KB limit"),
        ({"events": [{}] * 10_001}, "more than 10,000 events in one request"),
    ],
    ids=["a large event", "a large one of several", "too many"],
)
def test_s2_5_what_is_too_large_is_a_validation_error(
    appliance: Appliance, parameters: dict[str, Any], message: str
) -> None:
    answer = send(appliance, "ingest", {"pipeline": "pl_8f3a", **parameters})
    assert message in refused(answer, "VALIDATION_ERROR", *answer.json["error"]["details"])["message"]


def test_s2_5_depth_is_bounded(appliance: Appliance) -> None:
    def nested(levels: int) -> Answer:
        event = '{"a":' * levels + "1" + "}" * levels
        body = f'{{"operation":"ingest","parameters":{{"pipeline":"pl_8f3a","event":{event}}}}}'
        return appliance.ask("POST", "/pipeline", body.encode())

    good(nested(100), models.Ingested)
    refused(nested(101), "VALIDATION_ERROR", "parameters.event")
    assert nested(50_000).code == "VALIDATION_ERROR"


def test_s2_5_one_key_by_many_at_once_is_one_event(appliance: Appliance) -> None:
    create(appliance, "once")
    given = {"pipeline": "once", "events": [{"n": 1}, {"n": 2}], "idempotency_key": "same"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(appliance, "ingest", given), range(16)))
    found = [good(answer, models.Ingested) for answer in answers]
    assert all(one == found[0] for one in found)
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert appliance.pipeline("once")["destinations"][0]["ledger"]["accepted"] == 2


# monitor -----------------------------------------------------------------------------------------------------


def test_s2_5_monitor_counts_events_in_and_out_and_how_long_they_took(appliance: Appliance) -> None:
    made = create(appliance, "seen", batch_size=10)
    ingest(appliance, "seen", events=[{"n": n} for n in range(40)])
    told(appliance, "stop", "seen")
    delivered(appliance, "seen")

    def ask() -> Any:
        return monitored(appliance, pipeline="seen", window_s=600)

    found = until(ask, lambda one: one["throughput"]["delivered"] == 40)
    assert list(found) == ["pipeline", "window_s", "measured_s", "throughput", "errors", "latency", "pending"]
    assert found["pipeline"] == {"id": made["id"], "name": "seen"}
    assert (found["window_s"], found["pending"]) == (600, 0)
    assert found["throughput"]["accepted"] == 40
    measured_s = found["measured_s"]
    assert measured_s > 0
    assert found["throughput"]["in_per_s"] == pytest.approx(40 / measured_s, rel=0.01)
    assert found["throughput"]["out_per_s"] == pytest.approx(40 / measured_s, rel=0.01)
    assert found["errors"] == {"count": 0, "per_minute": 0.0}
    for name in ("accept_ms", "delivery_ms"):
        figures = found["latency"][name]
        assert list(figures) == ["p50", "p95", "p99"]
        assert 0 <= figures["p50"] <= figures["p95"] <= figures["p99"] < 60_000


def test_s2_5_monitor_counts_failures(appliance: Appliance) -> None:
    create(appliance, "failing", batch_size=1, destinations=[{"type": "files", "path": BLOCKED}])
    ingest(appliance, "failing", event={})
    found = until(lambda: monitored(appliance, pipeline="failing"), lambda one: one["errors"]["count"] > 0)
    assert found["errors"]["per_minute"] >= 1
    assert found["pending"] == 1
    assert found["latency"]["delivery_ms"] == {"p50": None, "p95": None, "p99": None}
    about = shown(appliance, "failing")
    assert about["health"] in {"retrying", "blocked"}
    assert BLOCKED in about["message"]
    good(send(appliance, "delete", {"pipeline": "failing"}), models.PipelineDeleted)


def test_s2_5_monitor_without_a_pipeline_is_all_of_them(appliance: Appliance) -> None:
    create(appliance, "of-all", schedule="0 0 1 1 *")
    ingest(appliance, "of-all", events=[{}] * 3)
    found = until(lambda: monitored(appliance), lambda one: one["throughput"]["accepted"] >= 3)
    assert (found["pipeline"], found["window_s"]) == (None, 60)
    assert found["pending"] >= 3


@pytest.mark.parametrize("given", [0, -1, 601, 1.5, "60", None, True, 10**30])
def test_s2_5_a_window_is_1_to_600_seconds(appliance: Appliance, given: object) -> None:
    refused(send(appliance, "monitor", {"window_s": given}), "VALIDATION_ERROR", "parameters.window_s")
    for window_s in (1, 600):
        assert monitored(appliance, window_s=window_s)["window_s"] == window_s


# logs --------------------------------------------------------------------------------------------------------


def test_s2_5_logs_tell_what_happened_and_in_which_run(appliance: Appliance) -> None:
    create(appliance, "told", batch_size=2)
    ingest(appliance, "told", events=[{}, {}])
    delivered(appliance, "told")
    told(appliance, "pause", "told")
    found = logs(appliance, "told")
    assert [list(line) for line in found] == [["timestamp", "level", "message", "runId"]] * len(found)
    assert [line["timestamp"] for line in found] == sorted(line["timestamp"] for line in found)
    assert {line["level"] for line in found} <= {"info", "warning", "error"}
    messages = [(line["message"], line["runId"]) for line in found]
    assert ("created", None) in messages
    assert ("paused; still accepting", None) in messages
    runs = [run for message, run in messages if "000000000001-000000000002" in message]
    assert len(runs) == 1, "a line of a run's log stands there once"
    assert runs[0].startswith("run_")
    assert appliance.ask("GET", f"/api/v1/pipelines/told/runs/{runs[0]}").status == 200
    assert logs(appliance, "told", limit=1) == found[-1:]


def test_s2_5_logs_are_of_the_level_and_time_that_is_asked_for(appliance: Appliance) -> None:
    create(appliance, "leveled", batch_size=1, destinations=[{"type": "files", "path": BLOCKED}])
    ingest(appliance, "leveled", event={})
    found = until(lambda: logs(appliance, "leveled", level="error"), bool)
    assert {line["level"] for line in found} == {"error"}
    assert BLOCKED in found[-1]["message"]
    assert logs(appliance, "leveled", level="debug")
    since = found[-1]["timestamp"]
    assert all(line["timestamp"] >= since for line in logs(appliance, "leveled", since=since))
    assert logs(appliance, "leveled", since="2999-01-01T00:00:00Z") == []
    assert logs(appliance, "leveled", since="1970-01-01T00:00:00.5+02:00")
    good(send(appliance, "delete", {"pipeline": "leveled"}), models.PipelineDeleted)
    create(appliance, "leveled")
    assert logs(appliance, "leveled", level="error") == [], "not those of an earlier one of this name"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"limit": None}, "limit"),
        ({"level": "trace"}, "level"),
        ({"level": "INFO"}, "level"),
        ({"level": 5}, "level"),
        ({"since": "yesterday"}, "since"),
        ({"since": "0000-01-01T00:00:00Z"}, "since"),
        ({"since": "2025-01-01"}, "since"),
        ({"since": 5}, "since"),
        ({"sinse": "2025-01-01T00:00:00Z"}, "sinse"),
    ],
)
def test_s2_5_what_logs_does_not_take_is_named(appliance: Appliance, given: dict[str, Any], field: str) -> None:
    answer = send(appliance, "logs", {"pipeline": "pl_8f3a", **given})
    refused(answer, "VALIDATION_ERROR", f"parameters.{field}")


# pipeline ----------------------------------------------------------------------------------------------------


def test_s2_5_pipeline_lists_all_the_oldest_first(appliance: Appliance) -> None:
    for name in ("list-1", "list-2", "list-3"):
        create(appliance, name)
    found = good(send(appliance, "pipeline"), models.PipelineList)["pipelines"]
    names = [one["name"] for one in found]
    assert names[0] == "orders-stream"
    assert [name for name in names if name.startswith("list-")] == ["list-1", "list-2", "list-3"]
    assert next(one for one in found if one["name"] == "list-2") == shown(appliance, "list-2")


def test_s2_5_what_others_made_is_seen_here_and_what_is_made_here_by_others(appliance: Appliance) -> None:
    made = appliance.ask("POST", "/v1/pipelines", {"name": "by-s0", "batch_size": 3}).json
    assert shown(appliance, made["id"])["batch_size"] == 3
    create(appliance, "By S2")
    told(appliance, "pause", "By S2")
    assert appliance.ask("GET", "/v1/pipelines/by-s2").json["status"] == "paused"
    uuid = next(one["id"] for one in appliance.ask("GET", "/api/pipelines").json if one["name"] == "By S2")
    assert shown(appliance, uuid)["title"] == "By S2"
