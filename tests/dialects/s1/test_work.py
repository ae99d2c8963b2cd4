"""S1.2-S1.5: definitions with sources and transforms, and what their runs really do, against a running appliance."""

import json
from typing import Any

import pytest

from conduit_local import Conduit
from tests.appliance import KEY, Appliance
from tests.dialects.pages import held_pages
from tests.dialects.s1.asking import PIPELINES, ended, make, refused, run_of, runs_of, shown, start, until
from tests.dialects.s1.conftest import BLOCKED

BIG = {"type": "sql", "query": "SELECT (payload->>'n')::INTEGER AS n FROM events WHERE (payload->>'n')::INTEGER >= 5"}
SLOW = """
SELECT event_id, max(hash(range)) AS h FROM events, range(200000000) WHERE payload->>'n' = '1000' GROUP BY event_id
"""
HOURLY = {"batch": {"max_age": "1h"}}


def keep(appliance: Appliance, name: str, records: list[Any]) -> str:
    """A file of records below the data folder; returns what a source calls it."""
    path = appliance.data / "kept" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return f"kept/{name}"


def rows(appliance: Appliance, name: str) -> list[Any]:
    """What lies in the files of a pipeline, in order."""
    paths = sorted((appliance.data / "out" / name).rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def send(appliance: Appliance, name: str, *payloads: Any) -> None:
    events = json.dumps([{"event_type": "a.b", "payload": one} for one in payloads]).encode()
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200


# Definitions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (BIG, [{"n": 7}]),
        ({"type": "filter", "where": "(payload->>'n')::INTEGER >= 5"}, [{"n": 7, "mail": "b@x.org"}]),
        ({"type": "select", "fields": {"n": "payload.n"}}, [{"n": 2}, {"n": 7}]),
        ({"type": "mask", "fields": ["payload.mail"]}, [{"n": 2, "mail": "***"}, {"n": 7, "mail": "***"}]),
    ],
    ids=lambda one: one["type"] if isinstance(one, dict) else "",
)
def test_s1_2_transforms_are_kept_as_written_and_do_what_they_say(
    appliance: Appliance, transform: dict[str, Any], expected: list[Any]
) -> None:
    name = f"with-{transform['type']}"
    made = make(appliance, name, transforms=[transform], sources=[{"type": "push"}], **HOURLY)
    assert made["transforms"][0] | transform == made["transforms"][0]
    send(appliance, name, {"n": 2, "mail": "a@x.org"}, {"n": 7, "mail": "b@x.org"})
    after = ended(appliance, name, start(appliance, name)["id"])
    assert (after["status"], after["rows_loaded"]) == ("success", len(expected))
    found = rows(appliance, name)
    assert [row.get("payload", row) for row in found] == expected


def test_s1_2_a_chain_ends_with_renamed_columns(appliance: Appliance) -> None:
    chain = [BIG, {"type": "rename", "fields": {"n": "number"}}]
    make(appliance, "chained", transforms=chain, **HOURLY)
    send(appliance, "chained", {"n": 4}, {"n": 5})
    assert ended(appliance, "chained", start(appliance, "chained")["id"])["rows_loaded"] == 1
    assert rows(appliance, "chained") == [{"number": 5}]


@pytest.mark.parametrize(
    ("transform", "field", "message"),
    [
        ({"type": "sql", "query": "SELECT nonsense FROM events"}, "transforms.0", "line 1, column 8: "),
        ({"type": "sql", "query": "SELECT 1 AS a,\n  FROM FROM events"}, "transforms.0", "line 2, column "),
        ({"type": "sql", "query": ""}, "transforms.0.query", "must not be empty"),
        ({"type": "sql"}, "transforms.0.query", "is required"),
        ({"type": "filter", "where": "payload->>'n' >"}, "transforms.0", "line "),
        ({"type": "rename", "fields": {"absent": "there"}}, "transforms.0", "absent"),
        ({"type": "python", "code": "1"}, "transforms.0", "no transform of type 'python'"),
        ({"type": "sql", "query": "SELECT '${NOBODY}' AS x FROM events"}, "transforms.0.query", "no variable NOBODY"),
    ],
)
def test_s1_6_a_wrong_transform_is_a_422_with_its_field_and_the_place(
    appliance: Appliance, transform: dict[str, Any], field: str, message: str
) -> None:
    definition = {"name": "never-made", "transforms": [transform]}
    said = refused(appliance.ask("POST", PIPELINES, definition), 422, "invalid_configuration")
    assert list(said["details"]) == [field]
    assert message in said["details"][field]
    assert appliance.ask("GET", f"{PIPELINES}/never-made").status == 404


def test_s1_6_a_wrong_query_replaces_nothing(appliance: Appliance) -> None:
    make(appliance, "kept", transforms=[BIG], **HOURLY)
    before = shown(appliance, "kept")
    wrong = {"transforms": [BIG, {"type": "sql", "query": "SELECT m FROM events"}]}
    said = refused(appliance.ask("PUT", f"{PIPELINES}/kept", wrong), 422, "invalid_configuration")
    assert list(said["details"]) == ["transforms.1"]
    assert shown(appliance, "kept") == before


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"type": "files", "path": "/etc/*.conf"}, "sources.0.path"),
        ({"type": "fixture", "path": "/etc/passwd"}, "sources.0.path"),
        ({"type": "fixture", "path": "../secrets.key"}, "sources.0.path"),
        ({"type": "http", "url": "http://169.254.169.254/latest"}, "sources.0.url"),
        ({"type": "http", "url": "http://10.0.0.8/${WHAT}"}, "sources.0.url"),
        ({"type": "files"}, "sources.0.path"),
    ],
)
def test_s1_6_a_source_that_may_not_be_read_is_a_422(appliance: Appliance, source: dict[str, Any], field: str) -> None:
    said = refused(
        appliance.ask("POST", PIPELINES, {"name": "no-source", "sources": [source]}), 422, "invalid_configuration"
    )
    assert field in said["details"]


def test_s1_2_a_file_with_tests_can_be_pushed_and_they_stay_behind(appliance: Appliance) -> None:
    text = "name: pushed-tests\ntests: [{name: none, events: [], rows: []}]\n"
    answer = appliance.ask("POST", PIPELINES, text.encode(), headers={"Content-Type": "application/yaml"})
    assert answer.status == 201
    assert "tests" not in answer.json["data"]
    assert "tests" not in appliance.ask("GET", "/_local/pipelines/pushed-tests").json["configuration"]


# Runs ------------------------------------------------------------------------------------------------------


def test_s1_3_a_run_reads_its_sources_and_lands_what_they_brought(appliance: Appliance) -> None:
    source = {"type": "fixture", "path": keep(appliance, "ten.jsonl", [{"n": n} for n in range(10)])}
    make(appliance, "pulls", sources=[source], transforms=[BIG], schedule="0 0 1 1 *")
    after = ended(appliance, "pulls", start(appliance, "pulls")["id"])
    assert (after["status"], after["rows_loaded"], after["trigger"]) == ("success", 5, "manual")
    assert after["progress"] == {"stage": "load", "rows_processed": 10}
    assert rows(appliance, "pulls") == [{"n": n} for n in range(5, 10)]
    again = ended(appliance, "pulls", start(appliance, "pulls")["id"])
    assert again["rows_loaded"] == 0, "each record once"
    anew = ended(appliance, "pulls", start(appliance, "pulls", full_refresh=True)["id"])
    assert (anew["rows_loaded"], anew["full_refresh"]) == (5, True)


def test_s1_3_the_stages_are_seen_and_those_that_wait_stand_at_extract(appliance: Appliance) -> None:
    slow = {"type": "sql", "query": SLOW}
    with held_pages([{"n": n} for n in range(1_000)], [{"n": 1_000}]) as pages:
        make(appliance, "staged", sources=[pages.source], transforms=[slow], schedule="0 0 1 1 *")
        run, waits = start(appliance, "staged"), start(appliance, "staged")
        assert run["progress"] == {"stage": "extract", "rows_processed": 0}

        def progress() -> Any:
            return run_of(appliance, "staged", run["id"])["progress"]

        until(progress, lambda one: one == {"stage": "extract", "rows_processed": 1_000})
        waiting = run_of(appliance, "staged", waits["id"])
        assert (waiting["status"], waiting["progress"]) == ("running", {"stage": "extract", "rows_processed": 0})
        pages.go_on.set()
        until(progress, lambda one: one["stage"] == "transform")
        after = ended(appliance, "staged", run["id"])
    assert (after["status"], after["rows_loaded"]) == ("success", 1)
    assert after["progress"] == {"stage": "load", "rows_processed": 1_001}
    assert ended(appliance, "staged", waits["id"])["rows_loaded"] == 0


def test_s1_3_a_run_whose_destination_is_in_trouble_stands_at_load(appliance: Appliance) -> None:
    make(appliance, "loading", destinations=[{"type": "files", "path": BLOCKED}], **HOURLY)
    send(appliance, "loading", {"n": 1})
    run = start(appliance, "loading")["id"]
    found = until(lambda: run_of(appliance, "loading", run), lambda one: one["error"] is not None)
    assert (found["status"], found["progress"]) == ("running", {"stage": "load", "rows_processed": 0})
    assert shown(appliance, "loading")["status"] == "error"
    appliance.ask("PATCH", "/v1/pipelines/loading", {"status": "paused"})
    assert run_of(appliance, "loading", run)["status"] == "cancelled"


def test_s1_4_a_run_whose_source_is_not_there_fails_at_extract(appliance: Appliance) -> None:
    make(appliance, "nowhere", sources=[{"type": "fixture", "path": "kept/not-there.jsonl"}], schedule="0 0 1 1 *")
    after = ended(appliance, "nowhere", start(appliance, "nowhere")["id"])
    assert (after["status"], after["progress"]["stage"]) == ("failed", "extract")
    assert "there is no file kept/not-there.jsonl" in after["error"]


def test_s1_3_a_dry_run_transforms_a_sample_and_loads_nothing(appliance: Appliance) -> None:
    source = {"type": "fixture", "path": keep(appliance, "dry.jsonl", [{"n": n} for n in range(8)])}
    make(appliance, "looks", sources=[source], transforms=[BIG], schedule="0 0 1 1 *")
    after = ended(appliance, "looks", start(appliance, "looks", dry_run=True)["id"])
    assert (after["status"], after["dry_run"], after["rows_loaded"], after["error"]) == ("success", True, 0, None)
    assert after["progress"] == {"stage": "load", "rows_processed": 8}
    assert shown(appliance, "looks")["last_run"]["rows_loaded"] == 0
    assert rows(appliance, "looks") == []
    assert ended(appliance, "looks", start(appliance, "looks")["id"])["rows_loaded"] == 3, "no cursor was moved"


def test_s1_3_variables_override_and_one_without_a_value_is_a_422(appliance: Appliance) -> None:
    where = {"type": "filter", "where": "payload->>'region' = '${REGION}' AND (payload->>'n')::INTEGER >= ${LEAST}"}
    variables = {"LEAST": "2", "REGION": None}
    made = make(appliance, "varies", transforms=[where], variables=variables, schedule="0 0 1 1 *")
    assert made["variables"] == variables
    send(appliance, "varies", *({"n": n, "region": region} for region in ("eu", "us") for n in range(4)))
    said = refused(
        appliance.ask("POST", f"{PIPELINES}/varies/runs", {"variables": {"LEAST": "3"}}), 422, "invalid_configuration"
    )
    assert list(said["details"]) == ["transforms.0.where"]
    assert "REGION" in said["details"]["transforms.0.where"]
    assert runs_of(appliance, "varies")["meta"]["total"] == 0
    run = start(appliance, "varies", variables={"REGION": "eu", "UNUSED": "x"})
    assert ended(appliance, "varies", run["id"])["rows_loaded"] == 2
    assert [row["payload"] for row in rows(appliance, "varies")] == [{"n": n, "region": "eu"} for n in (2, 3)]


def test_s1_4_a_replay_is_a_run_with_that_trigger(appliance: Appliance) -> None:
    cast = {"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}
    make(appliance, "mended", transforms=[cast], batch={"max_age": "100ms"})
    send(appliance, "mended", {"n": 1}, {"n": "two"}, {"n": 3})
    until(lambda: appliance.pipeline("mended")["pending"], lambda pending: pending == 0)
    assert rows(appliance, "mended") == [{"n": 1}, {"n": 3}]
    tried = {"type": "sql", "query": "SELECT TRY_CAST(payload->>'n' AS INTEGER) AS n FROM events"}
    assert appliance.ask("PUT", f"{PIPELINES}/mended", {"transforms": [tried]}).status == 200
    assert appliance.ask("POST", "/_local/dead/replay", {"pipeline": "mended", "all": True}).status == 202

    def replays() -> Any:
        return [one for one in runs_of(appliance, "mended")["data"] if one["trigger"] == "replay"]

    (run,) = until(replays, lambda found: bool(found) and found[0]["status"] != "running")
    assert (run["status"], run["rows_loaded"]) == ("success", 1)
    assert sorted(str(row["n"]) for row in rows(appliance, "mended")) == ["1", "3", "None"]


def test_s1_5_the_client_waits_for_real_runs(appliance: Appliance) -> None:
    source = {"type": "fixture", "path": keep(appliance, "client.jsonl", [{"n": n} for n in range(6)])}
    make(appliance, "by-client", sources=[source], transforms=[BIG], schedule="0 0 1 1 *")
    with Conduit(KEY, appliance.url) as client:
        result = client.pipelines.run("by-client", full_refresh=True).wait(timeout=30)
        assert (result.status, result.rows_loaded, result.trigger) == ("success", 1, "manual")
        assert result.progress == {"stage": "load", "rows_processed": 6}
        looked = client.pipelines.run("by-client", dry_run=True).wait(timeout=30)
        assert (looked.dry_run, looked.rows_loaded) == (True, 0)
        assert [one.id for one in client.pipelines.runs("by-client", limit=2)] == [looked.id, result.id]
        assert client.pipelines.get("by-client").transforms == shown(appliance, "by-client")["transforms"]
