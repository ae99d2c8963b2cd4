"""S1.1, S1.2, S1.6, S1.7: pipelines, against a running appliance."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conduit_local.dialects.s1 import models
from tests.appliance import Appliance
from tests.dialects.s1.asking import PIPELINES, good, make, refused, shown, start, until
from tests.dialects.s1.conftest import BLOCKED

WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LISTED = ["name", "version", "status", "schedule", "last_run", "next_run_at"]


def page(appliance: Appliance, query: str = "") -> Any:
    return good(appliance.ask("GET", f"{PIPELINES}{query}"), 200, models.PipelineList)


def listed(appliance: Appliance, query: str = "") -> list[str]:
    """The names on a page of a hundred."""
    return [one["name"] for one in page(appliance, f"?per_page=100{query}")["data"]]


def put(appliance: Appliance, name: str, body: Any, status: int = 200, **headers: str) -> Any:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    answer = appliance.ask("PUT", f"{PIPELINES}/{name}", body, headers=sent)
    return good(answer, status, models.PipelineShown)["data"]


# The list --------------------------------------------------------------------------------------------------


def test_s1_1_a_list_has_the_fields_of_the_documents_example(appliance: Appliance) -> None:
    appliance.ask("DELETE", f"{PIPELINES}/user-analytics")  # the document has one name for all its examples
    make(appliance, "user-analytics", version="1.0", schedule="0 */6 * * *")
    run = start(appliance, "user-analytics")

    def one() -> dict[str, Any]:
        return next(one for one in page(appliance, "?per_page=100")["data"] if one["name"] == "user-analytics")

    found = until(one, lambda one: one["last_run"]["status"] == "success")
    assert list(found) == LISTED
    assert (found["version"], found["status"], found["schedule"]) == ("1.0", "active", "0 */6 * * *")
    assert list(found["last_run"]) == ["id", "status", "started_at", "duration_ms", "rows_loaded"]
    assert found["last_run"]["id"] == run["id"]
    assert found["last_run"]["id"].startswith("run_")
    assert found["last_run"]["rows_loaded"] == 0
    assert 0 <= found["last_run"]["duration_ms"] < 60_000
    assert WHOLE_SECONDS.fullmatch(found["last_run"]["started_at"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT(00|06|12|18):00:00Z", found["next_run_at"])
    assert found["next_run_at"] > found["last_run"]["started_at"]


def test_s1_1_without_runs_and_schedule_the_fields_are_null(appliance: Appliance) -> None:
    found = make(appliance, "nothing-yet")
    assert (found["last_run"], found["schedule"], found["next_run_at"]) == (None, None, None)


def test_s1_1_pages_are_twenty_long_and_stay_while_pipelines_come(appliance: Appliance) -> None:
    for n in range(22):
        make(appliance, f"page-{n}")
    first = page(appliance)
    before = first["meta"]["total"]
    assert first["meta"] == {"total": before, "page": 1, "per_page": 20}
    assert len(first["data"]) == 20
    names = listed(appliance)
    assert len(names) == before
    seen: list[str] = []
    for number in range(1, -(-before // 7) + 1):
        found = page(appliance, f"?page={number}&per_page=7")
        assert (found["meta"]["page"], found["meta"]["per_page"]) == (number, 7)
        seen += [one["name"] for one in found["data"]]
        make(appliance, f"later-{number}")
    assert seen[:before] == names, "none twice, none left out, the oldest first"
    far = page(appliance, "?page=1000000000&per_page=100")
    assert far["data"] == []
    assert far["meta"]["total"] > before


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("page=1.5", "page"),
        ("page=", "page"),
        ("page=1&page=2", "page"),
        ("page=1000000001", "page"),
        (f"page={'9' * 40}", "page"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("per_page=%D9%A3", "per_page"),
        ("status=running", "status"),
        ("status=", "status"),
        ("status=Active", "status"),
    ],
)
def test_s1_1_a_parameter_out_of_range_is_a_400_that_names_it(appliance: Appliance, query: str, field: str) -> None:
    said = refused(appliance.ask("GET", f"{PIPELINES}?{query}"), 400, "invalid_request")
    assert list(said["details"]) == [field]
    assert said["message"].startswith(f"{field}: ")


def test_s1_1_the_status_is_that_of_the_table_and_filters(appliance: Appliance) -> None:
    make(appliance, "runs-well")
    make(appliance, "held", status="paused")
    make(appliance, "in-trouble", batch={"max_age": "100ms"}, destinations=[{"type": "files", "path": BLOCKED}])
    make(appliance, "stops")
    assert appliance.emit({}, pipeline="in-trouble").status == 200
    appliance.ask("PATCH", "/v1/pipelines/stops", {"status": "draining"})
    until(lambda: shown(appliance, "in-trouble")["status"], "error".__eq__)
    until(lambda: shown(appliance, "stops")["status"], "paused".__eq__)
    found = {status: set(listed(appliance, f"&status={status}")) for status in ("active", "paused", "error")}
    assert {"runs-well"} <= found["active"]
    assert {"held", "stops"} <= found["paused"]
    assert found["error"] >= {"in-trouble"}
    assert not found["active"] & found["paused"]
    assert not found["active"] & found["error"]
    assert page(appliance, "?status=paused&per_page=1")["meta"]["total"] == len(found["paused"])
    appliance.ask("PATCH", "/v1/pipelines/in-trouble", {"status": "paused"})
    assert shown(appliance, "in-trouble")["status"] == "paused", "a pause outweighs trouble"


def test_s1_1_a_pipeline_that_drains_is_active(appliance: Appliance) -> None:
    make(appliance, "drains", batch={"max_age": "1h"}, destinations=[{"type": "files", "path": BLOCKED}])
    assert appliance.emit({}, pipeline="drains").status == 200
    assert appliance.ask("PATCH", "/v1/pipelines/drains", {"status": "draining"}).json["status"] == "draining"
    assert shown(appliance, "drains")["status"] == "active"
    assert "drains" in listed(appliance, "&status=active")
    same = put(appliance, "drains", shown(appliance, "drains"))
    assert same["status"] == "active"
    assert appliance.pipeline("drains")["state"] == "draining", "what is shown, sent back, changes nothing"


# One pipeline ----------------------------------------------------------------------------------------------


def test_s1_2_the_documents_definition_is_created_and_returned_as_written(appliance: Appliance) -> None:
    body: dict[str, Any] = {
        "name": "new-pipeline",
        "version": "1.0",
        "sources": [{"type": "push"}],
        "transforms": [],
        "destinations": [{"type": "files", "path": "out"}],
    }
    answer = appliance.ask("POST", PIPELINES, body)
    found = good(answer, 201, models.PipelineShown)["data"]
    assert set(LISTED) <= set(found)
    (destination,) = found["destinations"]
    assert destination.items() >= body["destinations"][0].items()
    assert {name: found[name] for name in body if name != "destinations"} == {
        name: value for name, value in body.items() if name != "destinations"
    }
    assert found["status"] == "active"
    again = appliance.ask("GET", f"{PIPELINES}/new-pipeline")
    assert good(again, 200, models.PipelineShown)["data"] == found
    assert answer.headers["ETag"] == again.headers["ETag"]


def test_s1_2_a_pipeline_is_found_by_its_name_id_and_uuid(appliance: Appliance) -> None:
    found = make(appliance, "three-names")
    uuid = appliance.pipeline("three-names")["uuid"]
    assert shown(appliance, found["id"]) == shown(appliance, uuid) == shown(appliance, "three-names") == found
    assert put(appliance, uuid, {"version": "2"})["name"] == "three-names"


def test_s1_2_what_get_shows_put_takes_back_and_changes_nothing(appliance: Appliance) -> None:
    make(
        appliance,
        "round",
        version=1.5,
        schedule="*/5 * * * *",
        title="Round Trip",
        domain="d1",
        batch={"max_events": 7, "max_bytes": "64KiB", "max_age": "500ms"},
        retry={"initial": "1s", "max": 5},
        limits={"ingest_max_records_per_request": 9, "requests_per_minute": 99},
        access={"requires_api_key": False, "allowed_origins": ["https://a.example"]},
        enrich={"timestamp_field": "at"},
        idempotency="strict",
        sources=[{"type": "push"}, {"type": "connector", "connector": "hubspot", "config": {"api_key": "s3cret"}}],
        destinations=[
            {"type": "files", "name": "main", "compression": "gzip"},
            {"type": "connector", "connector": "bigquery", "config": {"dataset": "d", "token": "s3cret"}},
        ],
    )
    before = appliance.ask("GET", f"{PIPELINES}/round")
    assert b"s3cret" not in before.body
    after = appliance.ask(
        "PUT", f"{PIPELINES}/round", before.json["data"], headers={"If-Match": before.headers["ETag"]}
    )
    assert good(after, 200, models.PipelineShown) == before.json
    assert after.headers["ETag"] == before.headers["ETag"]
    assert before.json["data"]["version"] == "1.5"
    assert "s3cret" not in appliance.log.read_text()


def test_s1_2_what_is_kept_beyond_the_model_survives_a_round(appliance: Appliance) -> None:
    """`extra` is where S4 keeps what its open objects hold."""
    before = make(appliance, "more", extra={"note": {"a": [1]}, "token": "s3cret"})
    assert before["extra"] == {"note": {"a": [1]}, "token": "[redacted]"}
    etag = appliance.ask("GET", f"{PIPELINES}/more").headers["ETag"]
    assert put(appliance, "more", before) == before
    assert appliance.ask("GET", f"{PIPELINES}/more").headers["ETag"] == etag
    assert put(appliance, "more", {})["extra"] is None


def test_s1_2_put_replaces_the_whole_configuration(appliance: Appliance) -> None:
    make(appliance, "replaced", version="3", schedule="0 0 * * *", batch={"max_events": 7}, title="T")
    found = put(appliance, "replaced", {"sources": [{"type": "push"}]})
    assert (found["version"], found["schedule"], found["title"]) == ("1.0", None, None)
    assert found["batch"]["max_events"] == 1_000
    assert found["sources"] == [{"type": "push"}]
    assert found["next_run_at"] is None


def test_s1_2_put_never_renames(appliance: Appliance) -> None:
    made = make(appliance, "stays")
    make(appliance, "other")
    for field, value in (("name", "other"), ("name", "free"), ("id", "pl_other")):
        said = refused(appliance.ask("PUT", f"{PIPELINES}/stays", {field: value}), 422, "invalid_configuration")
        assert list(said["details"]) == [field]
        assert repr(made[field]) in said["details"][field]
    assert shown(appliance, "stays") == made
    assert put(appliance, "stays", {"name": "stays", "id": made["id"], "version": "2"})["version"] == "2"


def test_s1_2_status_pauses_and_resumes_where_it_differs(appliance: Appliance) -> None:
    make(appliance, "switched")
    assert put(appliance, "switched", {"status": "paused"})["status"] == "paused"
    assert put(appliance, "switched", {"version": "2"})["status"] == "paused", "left out, it stays"
    assert put(appliance, "switched", {"status": "error"})["status"] == "paused"
    assert put(appliance, "switched", {"status": "active"})["status"] == "active"
    appliance.ask("PATCH", "/v1/pipelines/switched", {"status": "draining"})
    until(lambda: appliance.pipeline("switched")["state"], "stopped".__eq__)
    assert put(appliance, "switched", {"status": "paused"})["status"] == "paused"
    assert appliance.pipeline("switched")["state"] == "stopped"
    assert put(appliance, "switched", {"status": "active"})["status"] == "active"
    assert appliance.pipeline("switched")["state"] == "active"


def test_s1_2_if_match_lets_the_second_of_two_writers_know(appliance: Appliance) -> None:
    make(appliance, "contended")
    etag = appliance.ask("GET", f"{PIPELINES}/contended").headers["ETag"]
    assert put(appliance, "contended", {"version": "2"}, If_Match=etag)["version"] == "2"
    answer = appliance.ask("PUT", f"{PIPELINES}/contended", {"version": "3"}, headers={"If-Match": etag})
    refused(answer, 412, "precondition_failed")
    assert shown(appliance, "contended")["version"] == "2"


def test_s1_2_deleted_it_and_its_runs_are_gone(appliance: Appliance) -> None:
    make(appliance, "doomed")
    run = start(appliance, "doomed")["id"]
    good(appliance.ask("DELETE", f"{PIPELINES}/doomed"), 204, None)
    for method, path in (
        ("GET", "doomed"),
        ("PUT", "doomed"),
        ("DELETE", "doomed"),
        ("GET", "doomed/runs"),
        ("POST", "doomed/runs"),
        ("GET", f"doomed/runs/{run}"),
    ):
        body = b"{}" if method in {"PUT", "POST"} else None
        refused(appliance.ask(method, f"{PIPELINES}/{path}", body), 404, "pipeline_not_found")
    assert "doomed" not in listed(appliance)
    make(appliance, "doomed")
    assert appliance.ask("GET", f"{PIPELINES}/doomed/runs").json["meta"]["total"] == 0
    refused(appliance.ask("GET", f"{PIPELINES}/doomed/runs/{run}"), 404, "run_not_found")


def test_s1_2_a_pipeline_of_a_file_is_changed_there(appliance: Appliance) -> None:
    for method, body in (("PUT", {"version": "2"}), ("DELETE", None)):
        refused(appliance.ask(method, f"{PIPELINES}/orders-stream", body), 409, "pipeline_managed_by_file")
    assert start(appliance, "orders-stream")["pipeline"] == "orders-stream"


# What is wrong ---------------------------------------------------------------------------------------------


def test_s1_6_a_name_that_is_taken_is_a_409(appliance: Appliance) -> None:
    made = make(appliance, "taken")
    bodies: list[dict[str, Any]] = [{"name": "taken"}, {"name": "not-taken", "id": made["id"]}]
    for body in bodies:
        refused(appliance.ask("POST", PIPELINES, body), 409, "name_taken")
    assert "not-taken" not in listed(appliance)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name"),
    ({"name": 5}, "name"),
    ({"name": ""}, "name"),
    ({"name": "User Analytics"}, "name"),
    ({"name": "runs"}, "name"),
    ({"name": "x" * 64}, "name"),
    ({"name": "pl_8f3b"}, "name"),
    ({"version": []}, "version"),
    ({"version": None}, "version"),
    ({"version": "x" * 65}, "version"),
    ({"schedule": "often"}, "schedule"),
    ({"schedule": 5}, "schedule"),
    ({"schedule": "0 0 30 2 *"}, "schedule"),
    ({"sources": "push"}, "sources"),
    ({"sources": {}}, "sources"),
    ({"sources": ["push"]}, "sources.0"),
    ({"sources": [{"type": "postgres"}]}, "sources.0"),
    ({"sources": [{"type": "push"}, {"kind": "push"}]}, "sources.1"),
    ({"sources": [{"type": "push", "url": "x"}]}, "sources.0.url"),
    ({"transforms": [{"type": "nothing"}]}, "transforms.0"),
    ({"destinations": []}, "destinations"),
    ({"destinations": [{"type": "files", "path": "../x"}]}, "destinations.0.path"),
    ({"destinations": [{"type": "files"}, {"type": "files", "compression": "rar"}]}, "destinations.1.compression"),
    ({"batch": {"max_events": 0}}, "batch.max_events"),
    ({"batch": {"max_events": 10**30}}, "batch.max_events"),
    ({"retry": {"initial": "soon"}}, "retry.initial"),
    ({"status": "stopped"}, "status"),
    ({"status": 5}, "status"),
    ({"status": {}}, "status"),
    ({"shedule": "0 0 * * *"}, "shedule"),
    ({"id": "8f3a"}, "id"),
]


@pytest.mark.parametrize(("fields", "path"), WRONG)
def test_s1_6_a_wrong_configuration_is_a_422_with_a_text_for_each_field(
    appliance: Appliance, fields: dict[str, Any], path: str
) -> None:
    said = refused(appliance.ask("POST", PIPELINES, {"name": "never-made", **fields}), 422, "invalid_configuration")
    assert path in said["details"], said
    assert all(said["details"].values())
    refused(appliance.ask("GET", f"{PIPELINES}/never-made"), 404, "pipeline_not_found")


def test_s1_6_every_wrong_field_is_named_at_once(appliance: Appliance) -> None:
    body = {"version": [], "batch": {"max_events": 0, "max_age": "x"}, "shedule": 1}
    said = refused(appliance.ask("POST", PIPELINES, body), 422, "invalid_configuration")
    assert set(said["details"]) == {"name", "version", "batch.max_events", "batch.max_age", "shedule"}
    assert "did you mean 'schedule'?" in said["details"]["shedule"]


def test_s1_6_what_is_wrong_is_not_given_back_without_bounds(appliance: Appliance) -> None:
    body = {"name": "wordy", **{f"{n}-{'x' * 3_000}": 1 for n in range(300)}}
    answer = appliance.ask("POST", PIPELINES, body)
    said = refused(answer, 422, "invalid_configuration")
    assert len(said["details"]) == 100
    assert max(map(len, said["details"])) == 1_000
    assert said["message"].endswith("…")


def test_s1_6_an_absolute_path_is_for_files_alone(appliance: Appliance) -> None:
    body = {"name": "outside", "destinations": [{"type": "files", "path": "/etc"}]}
    said = refused(appliance.ask("POST", PIPELINES, body), 422, "invalid_configuration")
    assert list(said["details"]) == ["destinations.0.path"]


@pytest.mark.parametrize("name", ["nobody", "x" * 300, "%00", "%F0%9F%A6%80", "..%2F..%2Fetc", "%ED%A0%80"])
def test_s1_6_an_unknown_pipeline_is_a_404(appliance: Appliance, name: str) -> None:
    refused(appliance.ask("GET", f"{PIPELINES}/{name}"), 404, "pipeline_not_found")


def test_s1_7_keys_begin_with_df_key(appliance: Appliance) -> None:
    asked = {"name": "s1", "scopes": ["read"], "prefix": "df_key_"}
    secret = appliance.ask("POST", "/_local/keys", asked).json["secret"]
    assert secret.startswith("df_key_")
    assert appliance.ask("GET", PIPELINES, key=secret).status == 200
    refused(appliance.ask("POST", PIPELINES, {"name": "x"}, key=secret), 403, "forbidden")
    for wrong in (None, secret[:-1], "df_key_..."):
        answer = appliance.ask("GET", PIPELINES, key=wrong)
        refused(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_s1_many_at_once_make_one_pipeline_of_a_name(appliance: Appliance) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: appliance.ask("POST", PIPELINES, {"name": "once"}), range(32)))
    assert sorted(one.status for one in answers) == [201] + [409] * 31
    assert json.dumps(listed(appliance)).count('"once"') == 1
