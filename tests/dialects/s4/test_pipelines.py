"""S4.1-S4.5, S4.8: pipelines, domains and copies, against a running appliance."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from conduit_local.core.times import parse_rfc3339
from conduit_local.dialects.s4 import models
from tests.appliance import Appliance
from tests.dialects.s4.asking import (
    EXAMPLE,
    PIPELINES,
    TOKEN,
    change,
    ended,
    good,
    key_for,
    listed,
    make,
    refused,
    send,
    shown,
    start,
)

CREATED = ["id", "name", "schedule", "enabled", "domain_id", "created_at", "updated_at"]
LISTED = [
    "id",
    "name",
    "schedule",
    "enabled",
    "domain_id",
    "created_at",
    "domain_name",
    "last_run_status",
    "last_run_at",
]


def slug_of(appliance: Appliance, ref: str) -> str:
    name: str = appliance.ask("GET", f"/_local/pipelines/{ref}").json["name"]
    return name


# Made ------------------------------------------------------------------------------------------------------


def test_s4_1_the_documents_example_is_accepted_as_it_stands(appliance: Appliance) -> None:
    answer = appliance.ask("POST", PIPELINES, EXAMPLE)
    found = good(answer, 201, models.PipelineShown)
    assert list(found) == CREATED
    assert {name: found[name] for name in ("name", "schedule", "enabled", "domain_id", "updated_at")} == {
        "name": "HubSpot to BigQuery",
        "schedule": "0 */6 * * *",
        "enabled": True,
        "domain_id": "uuid",
        "updated_at": None,
    }
    assert str(uuid.UUID(found["id"])) == found["id"]
    assert len(found["created_at"]) == len("2024-01-15T10:00:00Z")
    assert TOKEN.encode() not in answer.body
    assert answer.headers["ETag"]


def test_s4_2_the_whole_config_is_for_admins_alone(appliance: Appliance) -> None:
    made = make(appliance, "for admins", EXAMPLE["config"])
    found = shown(appliance, made["id"])
    assert found.pop("config") == EXAMPLE["config"]
    assert found == made
    for scope in ("read", "manage"):
        answer = appliance.ask("GET", f"{PIPELINES}/{made['id']}", key=key_for(appliance, scope))
        assert TOKEN.encode() not in answer.body
        config = good(answer, 200, models.PipelineDetail)["config"]
        assert config["source"]["authentication"]["params"] == {"token": "[redacted]"}
        assert config["destination"] == EXAMPLE["config"]["destination"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_s4_2_no_other_answer_has_the_config(appliance: Appliance) -> None:
    made = make(appliance, "discreet", EXAMPLE["config"])
    answers = [
        appliance.ask("GET", f"{PIPELINES}?limit=1000"),
        appliance.ask("PUT", f"{PIPELINES}/{made['id']}", {"enabled": True}),
        appliance.ask("POST", f"{PIPELINES}/{made['id']}/duplicate"),
        appliance.ask("POST", f"{PIPELINES}/{made['id']}/run"),
        appliance.ask("GET", f"/api/v1/pipelines/{slug_of(appliance, made['id'])}"),
        appliance.ask("GET", f"/_local/pipelines/{made['id']}"),
        appliance.ask("GET", "/_local/snapshot"),
    ]
    for answer in answers:
        assert answer.status < 300, answer
        assert TOKEN.encode() not in answer.body


def test_s4_1_the_slug_is_the_configs_name_or_made_of_the_name(appliance: Appliance) -> None:
    assert slug_of(appliance, make(appliance, "Any Thing", {"name": "the-slug"})["id"]) == "the-slug"
    again = make(appliance, "Any Thing", {"name": "the-slug"})
    assert (slug_of(appliance, again["id"]), again["name"]) == ("the-slug-2", "Any Thing")
    assert shown(appliance, again["id"])["config"]["name"] == "the-slug"
    assert slug_of(appliance, make(appliance, "Ünser Täglich Brot!")["id"]) == "unser-taglich-brot"
    assert slug_of(appliance, make(appliance, "数据")["id"]).startswith("pipeline")
    assert slug_of(appliance, make(appliance, "x", {"name": "runs"})["id"]) != "runs"


def test_s4_1_what_may_be_left_out(appliance: Appliance) -> None:
    found = make(appliance, "bare")
    assert (found["schedule"], found["enabled"], found["domain_id"]) == (None, True, None)
    assert shown(appliance, found["id"])["config"] == {
        "name": "bare",
        "source": {"name": "push"},
        "destination": {"name": "files"},
    }


def test_s4_8_a_pipeline_that_is_not_enabled_is_paused(appliance: Appliance) -> None:
    found = make(appliance, "disabled", enabled=False)
    assert found["enabled"] is False
    assert appliance.ask("GET", f"/v1/pipelines/{found['id']}").json["status"] == "paused"
    assert appliance.emit({}, pipeline="disabled").status == 200, "it takes events all the same"


def test_s4_1_many_of_one_name_at_once_are_all_made(appliance: Appliance) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: make(appliance, "Crowded", {"name": "crowded"}), range(12)))
    assert len({one["id"] for one in found}) == 12
    assert {slug_of(appliance, one["id"]) for one in found} == {"crowded", *(f"crowded-{n}" for n in range(2, 13))}


# Listed ----------------------------------------------------------------------------------------------------


def test_s4_3_a_list_has_what_the_document_shows_the_oldest_first(appliance: Appliance) -> None:
    domain = f"d-{uuid.uuid4()}"
    made = [make(appliance, f"listed {n}", domain_id=domain) for n in range(5)]
    found = listed(appliance, f"?domain_id={domain}")
    assert [one["id"] for one in found] == [one["id"] for one in made]
    assert list(found[0]) == LISTED
    assert {name: found[0][name] for name in LISTED if name in made[0]} == {
        name: made[0][name] for name in LISTED if name in made[0]
    }
    assert (found[0]["domain_name"], found[0]["last_run_status"], found[0]["last_run_at"]) == (domain, None, None)
    run = ended(appliance, start(appliance, made[0]["id"])["id"])
    after = listed(appliance, f"?domain_id={domain}")[0]
    assert (after["last_run_status"], after["last_run_at"]) == ("success", run["started_at"])
    assert listed(appliance, f"?domain_id={domain}-other") == []
    assert listed(appliance, "?domain_id=") == []
    assert {one["id"] for one in made} <= {one["id"] for one in listed(appliance, "?limit=1000")}


def test_s4_3_pages_neither_skip_nor_repeat_while_pipelines_are_made(appliance: Appliance) -> None:
    domain = f"d-{uuid.uuid4()}"
    made = [make(appliance, f"paged {n}", domain_id=domain)["id"] for n in range(5)]
    seen: list[str] = []
    for offset in range(0, 6, 2):
        seen += [one["id"] for one in listed(appliance, f"?domain_id={domain}&limit=2&offset={offset}")]
        made.append(make(appliance, "another", domain_id=domain)["id"])
    assert seen == made[:6]
    assert listed(appliance, f"?domain_id={domain}&offset=1000000000") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("offset=-1", "offset"),
        ("offset=1000000001", "offset"),
        ("offset=1e3", "offset"),
        ("domain_id=a&domain_id=b", "domain_id"),
    ],
)
def test_s4_3_a_parameter_out_of_range_is_a_400_that_names_it(appliance: Appliance, query: str, field: str) -> None:
    message = refused(appliance.ask("GET", f"{PIPELINES}?{query}"), 400, "invalid_request")
    assert message.startswith(f"{field}: ")


# Domains ---------------------------------------------------------------------------------------------------


def test_s4_3_a_domain_is_there_on_first_use_and_can_be_named(appliance: Appliance) -> None:
    path = "/api/domains/marketing%2F%C3%A9"
    refused(appliance.ask("GET", path), 404, "domain_not_found")
    make(appliance, "in a domain", domain_id="marketing/é")
    assert good(appliance.ask("GET", path), 200, models.DomainShown) == {"id": "marketing/é", "name": "marketing/é"}
    named = {"id": "marketing/é", "name": "Marketing"}
    assert good(appliance.ask("PUT", path, {"name": "Marketing"}), 200, models.DomainShown) == named
    assert good(appliance.ask("GET", path), 200, models.DomainShown) == named
    (found,) = listed(appliance, "?domain_id=marketing/%C3%A9")
    assert (found["domain_id"], found["domain_name"]) == ("marketing/é", "Marketing")


def test_s4_3_a_domain_can_be_named_before_its_first_use(appliance: Appliance) -> None:
    good(appliance.ask("PUT", "/api/domains/sales", {"name": "Sales"}), 200, models.DomainShown)
    make(appliance, "sold", domain_id="sales")
    assert listed(appliance, "?domain_id=sales")[0]["domain_name"] == "Sales"


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": ""}, "name"), ({"name": 5}, "name"), ({"name": "a\nb"}, "name"), ({"title": "x"}, "name")],
)
def test_s4_3_a_name_that_cannot_be_is_refused(appliance: Appliance, body: dict[str, Any], field: str) -> None:
    assert refused(appliance.ask("PUT", "/api/domains/d", body), 400, "invalid_request").startswith(f"{field}: ")
    long = appliance.ask("PUT", f"/api/domains/{'x' * 201}", {"name": "x"})
    assert refused(long, 400, "invalid_request").startswith("id: ")


# Changed ---------------------------------------------------------------------------------------------------


def test_s4_4_the_documents_update_merges(appliance: Appliance) -> None:
    made = good(appliance.ask("POST", PIPELINES, EXAMPLE), 201, models.PipelineShown)
    body: dict[str, Any] = {"name": "HubSpot Contacts (Production)", "schedule": "0 */4 * * *", "enabled": False}
    found = change(appliance, made["id"], **body)
    assert list(found) == CREATED
    assert found == {**made, **body, "updated_at": found["updated_at"]}
    assert parse_rfc3339(found["updated_at"]) >= parse_rfc3339(made["created_at"])
    assert shown(appliance, made["id"]) == {**found, "config": EXAMPLE["config"]}


def test_s4_4_each_field_changes_alone_and_null_removes(appliance: Appliance) -> None:
    made = make(appliance, "step by step", EXAMPLE["config"], schedule="0 0 * * *", domain_id="a")
    assert change(appliance, made["id"]) == made
    assert change(appliance, made["id"], schedule=None)["schedule"] is None
    assert change(appliance, made["id"], domain_id="b")["domain_id"] == "b"
    assert change(appliance, made["id"], domain_id=None)["domain_id"] is None
    assert change(appliance, made["id"], name="another")["name"] == "another"
    assert change(appliance, made["id"], enabled=False)["enabled"] is False
    assert change(appliance, made["id"], enabled=False)["enabled"] is False
    assert change(appliance, made["id"], enabled=True)["enabled"] is True
    after = change(appliance, made["id"], config={"source": {"stream": "deals"}})
    found = shown(appliance, made["id"])
    assert found["config"]["source"] == {**EXAMPLE["config"]["source"], "stream": "deals"}
    assert (found["name"], found["updated_at"]) == ("another", after["updated_at"])


def test_s4_4_a_manager_changes_a_config_without_ever_seeing_its_secrets(appliance: Appliance) -> None:
    made = make(appliance, "managed", EXAMPLE["config"])
    manager = key_for(appliance, "manage")
    config = shown(appliance, made["id"], manager)["config"]
    config["source"]["stream"] = "deals"
    change(appliance, made["id"], manager, config=config)
    whole = shown(appliance, made["id"])["config"]
    assert whole["source"]["authentication"] == EXAMPLE["config"]["source"]["authentication"]
    assert whole["source"]["stream"] == "deals"


def test_s4_4_if_match_keeps_two_writers_apart(appliance: Appliance) -> None:
    made = make(appliance, "matched")
    path = f"{PIPELINES}/{made['id']}"
    etag = appliance.ask("GET", path).headers["ETag"]
    first = appliance.ask("PUT", path, {"name": "first"}, headers={"If-Match": etag})
    assert good(first, 200, models.PipelineShown)["name"] == "first"
    for body in ({"name": "second"}, {"enabled": False}, {}):
        refused(appliance.ask("PUT", path, body, headers={"If-Match": etag}), 412, "precondition_failed")
    found = shown(appliance, made["id"])
    assert (found["name"], found["enabled"]) == ("first", True)
    again = appliance.ask("PUT", path, {"enabled": False}, headers={"If-Match": first.headers["ETag"]})
    assert good(again, 200, models.PipelineShown)["enabled"] is False
    assert appliance.ask("GET", path).headers["ETag"] == again.headers["ETag"]


def test_s4_4_a_pipeline_of_a_file_can_be_paused_but_not_changed(appliance: Appliance) -> None:
    refused(appliance.ask("PUT", f"{PIPELINES}/pl_8f3a", {"name": "mine"}), 409, "pipeline_managed_by_file")
    refused(appliance.ask("DELETE", f"{PIPELINES}/pl_8f3a"), 409, "pipeline_managed_by_file")
    assert change(appliance, "pl_8f3a", enabled=False)["enabled"] is False
    assert change(appliance, "pl_8f3a", enabled=True)["enabled"] is True
    assert shown(appliance, "pl_8f3a")["config"]["destination"]["name"] == "files"


def test_s4_4_a_deleted_pipeline_is_gone_with_its_runs(appliance: Appliance) -> None:
    made = make(appliance, "gone")
    send(appliance, "gone", 3)
    run = ended(appliance, start(appliance, made["id"])["id"])["id"]
    good(appliance.ask("DELETE", f"{PIPELINES}/{made['id']}"), 204, None)
    for method, path in (
        ("GET", made["id"]),
        ("PUT", made["id"]),
        ("DELETE", made["id"]),
        ("GET", f"{made['id']}/runs"),
        ("POST", f"{made['id']}/run"),
        ("POST", f"{made['id']}/duplicate"),
    ):
        body: object = {} if method == "PUT" else None
        refused(appliance.ask(method, f"{PIPELINES}/{path}", body), 404, "pipeline_not_found")
    for path in ("", "/logs", "/download"):
        refused(appliance.ask("GET", f"{PIPELINES}/runs/{run}{path}"), 404, "run_not_found")
    assert made["id"] not in {one["id"] for one in listed(appliance, "?limit=1000")}


def test_s4_any_form_of_an_id_will_do(appliance: Appliance) -> None:
    made = make(appliance, "named", {"name": "by-any-name"})
    public = appliance.ask("GET", f"/_local/pipelines/{made['id']}").json["id"]
    assert shown(appliance, public) == shown(appliance, "by-any-name") == shown(appliance, made["id"])
    for wrong in ("nobody", "x" * 5_000, "é", "\0", "%", made["id"].upper()):
        refused(appliance.ask("GET", f"{PIPELINES}/{quote(wrong, safe='')}"), 404, "pipeline_not_found")


# Copied ----------------------------------------------------------------------------------------------------


def test_s4_5_a_copy_is_disabled_and_has_all_but_runs_and_events(appliance: Appliance) -> None:
    made = make(appliance, "Original", EXAMPLE["config"], schedule="0 0 * * *", domain_id="copies")
    copy = good(appliance.ask("POST", f"{PIPELINES}/{made['id']}/duplicate"), 201, models.PipelineShown)
    assert list(copy) == CREATED
    assert (copy["name"], copy["enabled"], copy["updated_at"]) == ("Original (Copy)", False, None)
    assert (copy["schedule"], copy["domain_id"]) == ("0 0 * * *", "copies")
    assert copy["id"] != made["id"]
    assert shown(appliance, copy["id"])["config"] == EXAMPLE["config"]
    change(appliance, copy["id"], config={"source": {"authentication": {"params": {"token": "its own"}}}})
    assert shown(appliance, made["id"])["config"] == EXAMPLE["config"]


def test_s4_5_every_further_copy_gets_a_name_of_its_own(appliance: Appliance) -> None:
    made = make(appliance, "Twice")
    path = f"{PIPELINES}/{made['id']}/duplicate"
    bodies: list[object] = [None, {}, {"name": None}, b""]
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda body: appliance.ask("POST", path, body), bodies)
        names = {good(answer, 201, models.PipelineShown)["name"] for answer in answers}
    assert names == {"Twice (Copy)", "Twice (Copy 2)", "Twice (Copy 3)", "Twice (Copy 4)"}


def test_s4_5_a_copy_is_called_as_is_asked(appliance: Appliance) -> None:
    made = make(appliance, "Named")
    path = f"{PIPELINES}/{made['id']}/duplicate"
    for _ in range(2):
        copy = good(appliance.ask("POST", path, {"name": "HubSpot to BigQuery (Copy)"}), 201, models.PipelineShown)
        assert copy["name"] == "HubSpot to BigQuery (Copy)"
    assert refused(appliance.ask("POST", path, {"title": "x"}), 400, "invalid_request").startswith("title: ")
    assert refused(appliance.ask("POST", path, {"name": " x "}), 400, "invalid_request").startswith("name: ")


# With the other APIs ---------------------------------------------------------------------------------------


def test_s4_what_another_api_makes_and_changes_shows_here(appliance: Appliance) -> None:
    assert appliance.ask("POST", "/v1/pipelines", {"name": "theirs", "batch_size": 5}).status == 201
    found = shown(appliance, "theirs")
    assert (found["name"], found["enabled"], found["domain_id"]) == ("theirs", True, None)
    assert found["config"]["source"] == {"name": "push"}
    assert appliance.ask("PATCH", "/v1/pipelines/theirs", {"status": "draining"}).status == 200
    assert appliance.ask("PATCH", "/v1/pipelines/theirs", {"status": "active"}).status == 200
    change(appliance, "theirs", name="Ours", config={"destination": {"config": {"path": "moved"}}})
    configuration = appliance.ask("GET", "/_local/pipelines/theirs").json["configuration"]
    assert configuration["destinations"][0]["path"] == "moved"
    assert (configuration["batch"]["max_events"], configuration["title"]) == (5, "Ours")
