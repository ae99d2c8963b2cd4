"""S3.2: pipes are made, listed, changed and deleted; their limits and allowed origins."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conduit_local.dialects.s3 import told
from tests.appliance import Appliance
from tests.dialects.s3.asking import (
    APP,
    ELSEWHERE,
    MILLISECONDS,
    NOBODY,
    PIPES,
    accepted,
    good,
    make,
    refused,
    send,
    shown,
    wrong,
)


def test_s3_2_a_pipe_is_made_from_its_name_alone_and_lands_in_files(appliance: Appliance) -> None:
    made = make(appliance, "My First Pipe")
    destination_id = made["destinations"][0].pop("destination_id")
    assert made.pop("created_at") == made.pop("updated_at")
    assert made == {
        "pipe_id": made["pipe_id"],
        "pipe_name": "My First Pipe",
        "pipe_status": "active",
        "requires_api_key": True,
        "allow_any_origin": False,
        "enrich_timestamp_field": None,
        "enrich_ip_field": None,
        "destinations": [
            {
                "destination_name": "files",
                "destination_type": "files",
                "destination_config": {
                    "path": "out",
                    "format": "jsonl",
                    "compression": "none",
                    "record": "envelope",
                    "partition": "",
                },
                "destination_status": "active",
            }
        ],
        "limits": None,
        "allowed_origins": [],
        "usage": {"records_total": 0, "bytes_total": 0, "records_24h": 0, "pending": 0},
    }
    assert shown(appliance, made["pipe_id"])["destinations"][0]["destination_id"] == destination_id


def test_s3_2_a_pipe_is_made_with_all_that_it_has(appliance: Appliance) -> None:
    body = {
        "pipe_name": "everything",
        "requires_api_key": False,
        "allow_any_origin": True,
        "enrich_timestamp_field": "at",
        "enrich_ip_field": "ip",
        "pipe_status": "inactive",
        "destinations": [
            {"destination_type": "files", "destination_config": {"path": "a", "compression": "gzip"}},
            {"destination_type": "files", "destination_name": "Second", "destination_status": "blocked"},
        ],
        "limits": {"pl_ingest_max_records_per_request": 5, "pl_requests_per_minute": 60},
        "allowed_origins": [APP, {"origin_domain": ELSEWHERE}, f"{APP}/"],
    }
    made = good(appliance.ask("POST", PIPES, body), 201, told.PipeAnswer)["pipe"]
    for name in ("pipe_name", "requires_api_key", "allow_any_origin", "pipe_status", "limits"):
        assert made[name] == body[name]
    assert (made["enrich_timestamp_field"], made["enrich_ip_field"]) == ("at", "ip")
    assert [one["destination_name"] for one in made["destinations"]] == ["files", "Second"]
    assert [one["destination_status"] for one in made["destinations"]] == ["active", "blocked"]
    assert made["destinations"][0]["destination_config"]["compression"] == "gzip"
    assert [one["origin_domain"] for one in made["allowed_origins"]] == [APP, ELSEWHERE]
    assert shown(appliance, made["pipe_id"]) == made


def test_s3_2_a_pipe_is_found_by_uuid_id_and_name(appliance: Appliance) -> None:
    made = make(appliance, "By Any Name")
    public = appliance.ask("GET", f"/v1/pipelines/{made['pipe_id']}").json
    for ref in (made["pipe_id"], made["pipe_id"].upper(), public["id"], public["name"]):
        assert shown(appliance, ref) == made
    for ref in (NOBODY, "nobody", "%00", "a%2Fb"):
        refused(appliance.ask("GET", f"{PIPES}/{ref}"), 404, "pipe_not_found")


def test_s3_2_the_list_has_every_pipe_once_the_oldest_first(appliance: Appliance) -> None:
    names = [f"listed-{n}" for n in range(5)]
    ids = [make(appliance, name)["pipe_id"] for name in names]
    listed = good(appliance.ask("GET", PIPES), 200, told.PipeList)["pipes"]
    assert [one["pipe_id"] for one in listed if one["pipe_id"] in ids] == ids
    assert len({one["pipe_id"] for one in listed}) == len(listed)
    assert listed == sorted(listed, key=lambda one: one["created_at"])
    assert shown(appliance, ids[0]) in listed


def test_s3_2_usage_counts_what_was_taken(appliance: Appliance) -> None:
    pipe = make(appliance, "counted")["pipe_id"]
    assert appliance.ask("POST", f"/_local/pipelines/{pipe}/pause").status == 200
    accepted(appliance, pipe, [{"n": n} for n in range(7)])
    accepted(appliance, pipe, {"n": 7})
    usage = shown(appliance, pipe)["usage"]
    assert (usage["records_total"], usage["records_24h"], usage["pending"]) == (8, 8, 8)
    assert usage["bytes_total"] >= 8 * len('{"n":0}')


@pytest.mark.parametrize(
    "change",
    [
        {"requires_api_key": False},
        {"allow_any_origin": True},
        {"enrich_timestamp_field": "at", "enrich_ip_field": "ip"},
        {"pipe_name": "Another Name"},
        {"pipe_name": "changed", "allow_any_origin": True, "pipe_status": "inactive"},
    ],
)
def test_s3_2_what_is_not_named_in_a_change_stays(appliance: Appliance, change: dict[str, Any]) -> None:
    before = make(appliance, "changed", limits={"pl_requests_per_minute": 9}, allowed_origins=[APP])
    path = f"{PIPES}/{before['pipe_id']}"
    after = good(appliance.ask("PATCH", path, change), 200, told.PipeAnswer)["pipe"]
    assert MILLISECONDS.fullmatch(after.pop("updated_at"))
    before.pop("updated_at")
    assert after == before | change


def test_s3_2_a_new_name_is_shown_everywhere_and_may_be_the_old_one(appliance: Appliance) -> None:
    pipe = make(appliance, "Old Name Here")["pipe_id"]
    for name in ("New Name Here", "New Name Here", "new-name-here", "名前"):
        found = good(appliance.ask("PATCH", f"{PIPES}/{pipe}", {"pipe_name": name}), 200, told.PipeAnswer)["pipe"]
        assert found["pipe_name"] == name
        assert accepted(appliance, pipe, {})["pipe_name"] == name
    other = make(appliance, "名前")
    assert (other["pipe_name"], other["pipe_id"] == pipe) == ("名前", False)


def test_s3_2_an_inactive_pipe_delivers_what_there_is_and_takes_no_more(appliance: Appliance) -> None:
    pipe = make(appliance, "switched")["pipe_id"]
    accepted(appliance, pipe, [{}] * 5)
    for status, answered in (("inactive", 404), ("inactive", 404), ("active", 202), ("inactive", 404)):
        change = appliance.ask("PATCH", f"{PIPES}/{pipe}", {"pipe_status": status})
        assert good(change, 200, told.PipeAnswer)["pipe"]["pipe_status"] == status
        assert send(appliance, pipe, {}).status == answered
    end = time.monotonic() + 20
    while shown(appliance, pipe)["usage"]["pending"]:
        assert time.monotonic() < end


def test_s3_2_active_leaves_a_pause_as_it_is(appliance: Appliance) -> None:
    pipe = make(appliance, "paused elsewhere")["pipe_id"]
    assert appliance.ask("POST", f"/_local/pipelines/{pipe}/pause").status == 200
    assert shown(appliance, pipe)["pipe_status"] == "active"
    assert appliance.ask("PATCH", f"{PIPES}/{pipe}", {"pipe_status": "active"}).status == 200
    assert appliance.ask("GET", f"/v1/pipelines/{pipe}").json["status"] == "paused"


def test_s3_2_a_deleted_pipe_is_gone(appliance: Appliance) -> None:
    pipe = make(appliance, "short lived")["pipe_id"]
    assert good(appliance.ask("DELETE", f"{PIPES}/{pipe}"), 200, told.Deleted) == {"deleted": True}
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "", {"allow_any_origin": True}),
        ("PUT", "/limits", {"pl_requests_per_minute": 1}),
        ("POST", "/destinations", {"destination_type": "files"}),
        ("POST", "/allowed-origins", {"origin_domain": APP}),
        ("DELETE", f"/allowed-origins/{NOBODY}", None),
        ("DELETE", f"/destinations/{NOBODY}", None),
    ):
        refused(appliance.ask(method, f"{PIPES}/{pipe}{path}", body), 404, "pipe_not_found")


def test_s3_2_a_change_of_an_older_version_is_refused(appliance: Appliance) -> None:
    pipe = make(appliance, "versions")["pipe_id"]
    path = f"{PIPES}/{pipe}"
    old = appliance.ask("GET", path).headers["ETag"]
    changed = appliance.ask("PATCH", path, {"allow_any_origin": True}, headers={"If-Match": old})
    assert (changed.status, changed.headers["ETag"] == old) == (200, False)
    for method, below, body in (
        ("PATCH", "", {"allow_any_origin": False}),
        ("PATCH", "", {"pipe_status": "inactive"}),
        ("PUT", "/limits", {"pl_requests_per_minute": 5}),
        ("POST", "/allowed-origins", {"origin_domain": APP}),
        ("POST", "/destinations", {"destination_type": "files"}),
        ("DELETE", "", None),
    ):
        answer = appliance.ask(method, path + below, body, headers={"If-Match": old})
        refused(answer, 412, "precondition_failed")
    assert appliance.ask("GET", path).headers["ETag"] == changed.headers["ETag"]
    assert appliance.ask("DELETE", path, headers={"If-Match": changed.headers["ETag"]}).status == 200


def test_s3_2_a_pipe_of_a_file_is_changed_there_but_may_be_switched_off(appliance: Appliance) -> None:
    for method, below, body in (
        ("PATCH", "", {"allow_any_origin": True}),
        ("PUT", "/limits", {"pl_requests_per_minute": 5}),
        ("POST", "/allowed-origins", {"origin_domain": APP}),
        ("POST", "/destinations", {"destination_type": "files"}),
        ("DELETE", "", None),
    ):
        said = refused(appliance.ask(method, f"{PIPES}/pl_8f3a{below}", body), 409, "conflict")
        assert "orders.yaml" in said["message"]
    for status in ("inactive", "active"):
        assert appliance.ask("PATCH", f"{PIPES}/pl_8f3a", {"pipe_status": status}).status == 200


# Limits --------------------------------------------------------------------------------------------------------


def test_s3_2_limits_are_set_kept_and_taken_away(appliance: Appliance) -> None:
    pipe = make(appliance, "limited")["pipe_id"]
    records, requests = "pl_ingest_max_records_per_request", "pl_requests_per_minute"

    def put(**body: int | None) -> Any:
        return good(appliance.ask("PUT", f"{PIPES}/{pipe}/limits", body), 200, told.LimitsAnswer)["limits"]

    assert put(**{records: 10}) == {records: 10, requests: None}
    assert put(**{requests: 600}) == {records: 10, requests: 600}
    assert shown(appliance, pipe)["limits"] == {records: 10, requests: 600}
    refused(send(appliance, pipe, [{}] * 11), 413, "batch_too_large")
    assert put(**{records: None}) == {records: None, requests: 600}
    accepted(appliance, pipe, [{}] * 11)
    assert put(**{requests: None}) is None
    assert shown(appliance, pipe)["limits"] is None


@pytest.mark.parametrize("value", [0, -1, 10_001, 1.5, "5", True, 10**30, [], {}])
def test_s3_2_a_limit_that_is_none_is_refused(appliance: Appliance, value: object) -> None:
    field = "pl_ingest_max_records_per_request"
    assert set(wrong(appliance.ask("PUT", f"{PIPES}/pl_8f3a/limits", {field: value}))) == {field}


# Origins -------------------------------------------------------------------------------------------------------


def test_s3_2_origins_are_allowed_once_and_removed_by_id(appliance: Appliance) -> None:
    pipe = make(appliance, "origins")["pipe_id"]
    path = f"{PIPES}/{pipe}/allowed-origins"
    made = [
        good(appliance.ask("POST", path, {"origin_domain": origin}), 201, told.OriginAnswer)["allowed_origin"]
        for origin in (APP, ELSEWHERE, f"{APP}:443")
    ]
    assert made[0] == made[2]
    assert shown(appliance, pipe)["allowed_origins"] == made[:2]
    for origin_id in (made[0]["origin_id"], made[1]["origin_id"].upper()):
        assert good(appliance.ask("DELETE", f"{path}/{origin_id}"), 200, told.Deleted) == {"deleted": True}
        refused(appliance.ask("DELETE", f"{path}/{origin_id}"), 404, "origin_not_found")
    assert shown(appliance, pipe)["allowed_origins"] == []


def test_s3_2_many_of_one_name_at_once_are_all_made(appliance: Appliance) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: make(appliance, "A Crowd")["pipe_id"], range(12)))
    assert len(set(made)) == 12
    found = {appliance.ask("GET", f"/v1/pipelines/{pipe}").json["name"] for pipe in made}
    assert found == {"a-crowd", *(f"a-crowd-{n}" for n in range(2, 13))}


def test_s3_2_changes_at_once_do_not_undo_one_another(appliance: Appliance) -> None:
    pipe = make(appliance, "at once too")["pipe_id"]
    origins = [f"https://{n}.example.com" for n in range(24)]

    def go(n: int) -> int:
        path = f"{PIPES}/{pipe}"
        if n % 3 == 0:
            body = {"destination_type": "files", "destination_name": f"d{n}"}
            return appliance.ask("POST", f"{path}/destinations", body).status
        return appliance.ask("POST", f"{path}/allowed-origins", {"origin_domain": origins[n]}).status

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(go, range(24))) == {201}
    found = shown(appliance, pipe)
    assert {one["origin_domain"] for one in found["allowed_origins"]} == {origins[n] for n in range(24) if n % 3}
    assert len({one["destination_id"] for one in found["destinations"]}) == 1 + 8
