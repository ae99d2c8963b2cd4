"""One model under five APIs: a pipeline that is made in one is driven, seen, run, read and deleted in the others."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import KEY, Answer, Appliance, serving

RECORDS = [{"n": n} for n in range(250)]


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with serving(tmp_path, {}) as running:
        yield running


def good(answer: Answer, status: int = 200) -> Any:
    assert answer.status == status, answer
    return answer.json if answer.body else None


def until(appliance: Appliance, path: str, wanted: str, within_s: float = 20.0) -> Any:
    """Ask until the run at `path` (S4) has this status."""
    end = time.monotonic() + within_s
    while (found := good(appliance.ask("GET", path)))["status"] != wanted:
        assert time.monotonic() < end, found
    return found


def test_one_pipeline_is_driven_through_all_five(appliance: Appliance) -> None:
    # made in S4
    config = {
        "name": "five-ways",
        "source": {"name": "push"},
        "destination": {"name": "files", "config": {"path": "out"}},
    }
    made = good(
        appliance.ask(
            "POST",
            "/api/pipelines",
            {"name": "Five Ways", "config": config, "schedule": None, "enabled": True, "domain_id": "d1"},
        ),
        201,
    )
    uuid = made["id"]

    # paused in S2, so that what comes next waits; fed in S3, S2 and S0
    def operate(operation: str, **parameters: Any) -> Any:
        body = {"operation": operation, "parameters": parameters}
        found = good(appliance.ask("POST", "/pipeline", body))
        assert found["success"] is True
        return found["data"]

    operate("pause", pipeline="five-ways")
    accepted = good(appliance.ask("POST", f"/v1/ingest/{uuid}", RECORDS[:100]), 202)
    assert (accepted["pipe_name"], accepted["records_count"]) == ("Five Ways", 100)
    assert operate("ingest", pipeline=uuid, events=RECORDS[100:249])["accepted"] == 149
    assert appliance.emit(RECORDS[249], pipeline="five-ways").status == 200

    # seen in S0, S1, S3 and S4
    seen = good(appliance.ask("GET", f"/v1/pipelines/{uuid}"))
    assert (seen["name"], seen["status"]) == ("five-ways", "paused")
    public_id = seen["id"]
    assert good(appliance.ask("GET", "/api/v1/pipelines/five-ways"))["data"]["status"] == "paused"
    pipe = good(appliance.ask("GET", f"/v1/pipes/{public_id}"))["pipe"]
    assert (pipe["pipe_id"], pipe["usage"]["pending"]) == (uuid, 250)
    assert good(appliance.ask("GET", "/api/pipelines?domain_id=d1"))[0]["enabled"] is False
    assert operate("pipeline", pipeline=public_id)["status"] == "paused"
    assert good(appliance.ask("GET", f"/v1/events?pipeline_id={uuid}&limit=1"))["has_more"] is True

    # run in S1 while it is paused, then resumed in S4
    run = good(appliance.ask("POST", "/api/v1/pipelines/five-ways/runs", {"full_refresh": False}), 202)["data"]
    assert run["pipeline"] == "five-ways"
    ended = until(appliance, f"/api/pipelines/runs/{run['id']}", "success")
    assert good(appliance.ask("GET", f"/api/v1/pipelines/five-ways/runs/{run['id']}"))["data"]["rows_loaded"] == 250
    good(appliance.ask("PUT", f"/api/pipelines/{public_id}", {"enabled": True}))
    assert good(appliance.ask("GET", f"/v1/pipelines/{uuid}"))["status"] == "active"

    # its object downloaded in S4: all of it, once, in order
    found = appliance.ask("GET", f"/api/pipelines/runs/{ended['id']}/download")
    assert (found.status, found.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert [json.loads(line)["payload"] for line in found.body.splitlines()] == RECORDS
    assert "INFO" in good(appliance.ask("GET", f"/api/pipelines/runs/{ended['id']}/logs"))["logs"]

    # the ledger closes; deleted in S0, and gone everywhere
    (route,) = appliance.pipeline("five-ways")["destinations"]
    assert route["ledger"]["closes"]
    assert (route["ledger"]["accepted"], route["ledger"]["delivered"], route["ledger"]["pending"]) == (250, 250, 0)
    assert good(appliance.ask("DELETE", f"/v1/pipelines/{public_id}")) == {"id": public_id, "deleted": True}
    for path in (
        f"/v1/pipelines/{uuid}",
        "/api/v1/pipelines/five-ways",
        f"/v1/pipes/{uuid}",
        f"/v1/ingest/{uuid}",
        f"/api/pipelines/{uuid}",
        f"/api/pipelines/runs/{ended['id']}",
        "/_local/pipelines/five-ways",
    ):
        assert appliance.ask("GET", path).status == 404, path
    gone = appliance.ask("POST", "/pipeline", {"operation": "pipeline", "parameters": {"pipeline": uuid}})
    assert (gone.status, gone.json["error"]["code"]) == (404, "NOT_FOUND")


def test_a_query_made_in_one_api_is_mended_in_another_and_what_died_lands_by_a_replay(appliance: Appliance) -> None:
    """`create {sql}` in S2; fed in S3; the dead seen beside it; mended in S1; replayed; followed in S4 and S1."""
    cast = "SELECT payload->>'id' AS id, CAST(payload->>'total' AS DOUBLE) AS total FROM events"
    body = {"operation": "create", "parameters": {"name": "Mended Ways", "sql": cast, "batch_size": 100}}
    made = good(appliance.ask("POST", "/pipeline", body))["data"]
    pipe = good(appliance.ask("GET", f"/v1/pipes/{made['id']}"))["pipe"]
    records = [{"id": n, "total": "many" if n % 50 == 7 else n / 2} for n in range(200)]
    accepted = good(appliance.ask("POST", f"/v1/ingest/{pipe['pipe_id']}", records), 202)
    assert accepted["records_count"] == 200
    appliance.until(lambda _: appliance.pipeline("mended-ways")["pending"] == 0)

    ledger = appliance.pipeline("mended-ways")["destinations"][0]["ledger"]
    assert (ledger["accepted"], ledger["delivered"], ledger["dead"], ledger["closes"]) == (200, 196, 4, True)
    letters = good(appliance.ask("GET", "/_local/dead?pipeline=mended-ways"))["data"]
    assert len({one["event_id"] for one in letters}) == 4
    assert all("'many'" in one["error"] for one in letters)

    seen = good(appliance.ask("GET", "/api/v1/pipelines/mended-ways"))["data"]
    (transform,) = seen["transforms"]
    seen["transforms"] = [{**transform, "query": transform["query"].replace("CAST", "TRY_CAST")}]
    good(appliance.ask("PUT", "/api/v1/pipelines/mended-ways", seen))
    described = {"operation": "pipeline", "parameters": {"pipeline": "Mended Ways"}}
    assert "TRY_CAST" in good(appliance.ask("POST", "/pipeline", described))["data"]["transforms"][0]["query"]

    good(appliance.ask("POST", "/_local/dead/replay", {"pipeline": "mended-ways", "all": True}), 202)
    (replay,) = [
        one
        for one in good(appliance.ask("GET", f"/api/pipelines/{pipe['pipe_id']}/runs"))
        if one["triggered_by"] == "replay"
    ]
    until(appliance, f"/api/pipelines/runs/{replay['id']}", "success")
    told = good(appliance.ask("GET", f"/api/v1/pipelines/mended-ways/runs/{replay['id']}"))["data"]
    assert (told["trigger"], told["rows_loaded"], told["error"]) == ("replay", 4, None)
    found = appliance.ask("GET", f"/api/pipelines/runs/{replay['id']}/download")
    assert [json.loads(line) for line in found.body.splitlines()] == [
        {"id": str(n), "total": None} for n in (7, 57, 107, 157)
    ]

    landed = [
        json.loads(line)
        for path in (appliance.data / "out" / "mended-ways").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sorted(int(row["id"]) for row in landed) == list(range(200)), "each once"
    ledger = appliance.pipeline("mended-ways")["destinations"][0]["ledger"]
    assert (ledger["accepted"], ledger["delivered"], ledger["dead"], ledger["closes"]) == (200, 200, 0, True)
    assert good(appliance.ask("GET", "/_local/dead?pipeline=mended-ways"))["data"] == []


def test_any_key_works_on_any_api_whatever_its_prefix(appliance: Appliance) -> None:
    asked = ("/v1/pipelines", "/api/v1/pipelines", "/v1/pipes", "/api/pipelines", "/_local/pipelines", "/webhooks")
    for prefix in ("ck_live_", "bp_v1_", "df_key_"):
        body = {"name": prefix, "scopes": ["read"], "prefix": prefix}
        secret = good(appliance.ask("POST", "/_local/keys", body), 201)["secret"]
        assert secret.startswith(prefix)
        for path in asked:
            assert appliance.ask("GET", path, key=secret).status == 200, path
            assert appliance.ask("GET", path, key=secret[:-1]).status == 401, path
    assert KEY not in appliance.log.read_text()
