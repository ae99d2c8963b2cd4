"""S3.2, S3.3: destinations, their secrets, and what `blocked` does."""

import json
import threading
from typing import Any

import pytest

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.kinds import edited_spec
from conduit_local.core.secrets import REVEAL
from conduit_local.dialects.s3 import destination_wire, told
from conduit_local.dialects.s3.models import DestinationChange
from tests.appliance import KEY, Appliance
from tests.dialects.s3.asking import (
    NOBODY,
    PIPES,
    accepted,
    flushed,
    good,
    landed,
    make,
    refused,
    route_of,
    shown,
    taken,
    wrong,
)
from tests.making import MODEL, pipeline

SECRET = "correct-horse-battery-staple"
SNOWFLAKE = {
    "destination_type": "snowflake",
    "destination_name": "Warehouse",
    "destination_config": {
        "host": "db.example.com",
        "port": 5432,
        "password": SECRET,
        "url": f"postgres://etl:{SECRET}@db.example.com/raw",
        "credentials": {"key": SECRET, "more": [SECRET]},
    },
}
REDACTED = {
    "host": "db.example.com",
    "port": 5432,
    "password": "[redacted]",
    "url": "[redacted]",
    "credentials": {"key": "[redacted]", "more": ["[redacted]"]},
}


def files(folder: str, **fields: Any) -> dict[str, Any]:
    """A destination of files in a folder of its own."""
    return {"destination_type": "files", "destination_config": {"path": folder}, **fields}


def add(appliance: Appliance, pipe: str, body: object) -> dict[str, Any]:
    """A new destination."""
    answer = appliance.ask("POST", f"{PIPES}/{pipe}/destinations", body)
    found: dict[str, Any] = good(answer, 201, told.DestinationAnswer)["destination"]
    return found


def change(appliance: Appliance, pipe: str, destination: str, body: object, below: str = "") -> dict[str, Any]:
    """A destination after a change."""
    answer = appliance.ask("PATCH", f"{PIPES}/{pipe}/destinations/{destination}{below}", body)
    found: dict[str, Any] = good(answer, 200, told.DestinationAnswer)["destination"]
    return found


# Made and removed ------------------------------------------------------------------------------------------------


def test_s3_2_a_destination_is_made_changed_and_removed(appliance: Appliance) -> None:
    pipe = make(appliance, "destinations")["pipe_id"]
    made = add(appliance, pipe, files("d-two", destination_name="Second Files"))
    assert (made["destination_name"], made["destination_status"]) == ("Second Files", "active")
    assert shown(appliance, pipe)["destinations"][1] == made
    changed = change(appliance, pipe, made["destination_id"], {"destination_name": "Renamed"})
    assert changed == made | {"destination_name": "Renamed"}
    config = {"destination_config": {"compression": "gzip"}}
    changed = change(appliance, pipe, made["destination_id"].upper(), config)
    assert changed["destination_config"] == made["destination_config"] | {"compression": "gzip"}
    path = f"{PIPES}/{pipe}/destinations/{made['destination_id']}"
    assert good(appliance.ask("DELETE", path), 200, told.Deleted) == {"deleted": True}
    refused(appliance.ask("DELETE", path), 404, "destination_not_found")
    refused(appliance.ask("PATCH", path, {"destination_name": "x"}), 404, "destination_not_found")
    refused(appliance.ask("PATCH", f"{path}/status", {"destination_status": "active"}), 404, "destination_not_found")


def test_s3_2_the_last_destination_stays(appliance: Appliance) -> None:
    made = make(appliance, "last one")
    path = f"{PIPES}/{made['pipe_id']}/destinations/{made['destinations'][0]['destination_id']}"
    said = refused(appliance.ask("DELETE", path), 409, "conflict")
    assert "destination" in said["message"]
    add(appliance, made["pipe_id"], files("instead"))
    assert appliance.ask("DELETE", path).status == 200
    assert len(shown(appliance, made["pipe_id"])["destinations"]) == 1


def test_s3_2_a_new_destination_gets_what_comes_from_then_on(appliance: Appliance) -> None:
    pipe = make(appliance, "later", destinations=[files("later-a")])["pipe_id"]
    accepted(appliance, pipe, [{"n": 1}, {"n": 2}])
    add(appliance, pipe, files("later-b", destination_name="b"))
    accepted(appliance, pipe, {"n": 3})
    for name, folder, expected in (("files", "later-a", [1, 2, 3]), ("b", "later-b", [3])):
        flushed(appliance, pipe, name)
        assert [one["n"] for one in landed(appliance, folder)] == expected


def test_s3_2_a_removed_destination_still_gets_what_was_accepted(appliance: Appliance) -> None:
    made = make(appliance, "removed", destinations=[files("removed-a", destination_name="a"), files("removed-b")])
    pipe, removed = made["pipe_id"], made["destinations"][0]["destination_id"]
    accepted(appliance, pipe, [{"n": 1}, {"n": 2}])
    assert appliance.ask("DELETE", f"{PIPES}/{pipe}/destinations/{removed}").status == 200
    accepted(appliance, pipe, {"n": 3})
    flushed(appliance, pipe, "files")
    assert [one["n"] for one in landed(appliance, "removed-b")] == [1, 2, 3]
    appliance.until(lambda _: [one["n"] for one in landed(appliance, "removed-a")] == [1, 2])


def test_s3_2_a_type_that_is_not_built_in_keeps_its_records_until_it_is(appliance: Appliance) -> None:
    made = make(appliance, "connector", destinations=[SNOWFLAKE])
    assert made["destinations"][0]["destination_type"] == "snowflake"
    accepted(appliance, made["pipe_id"], [{}, {}])
    assert shown(appliance, made["pipe_id"])["usage"]["pending"] == 2


@pytest.mark.parametrize("path", ["/etc", "../out", "a/../../b", ""])
def test_s3_2_files_stay_below_the_data_folder(appliance: Appliance, path: str) -> None:
    pipe = make(appliance, "contained")["pipe_id"]
    answer = appliance.ask("POST", f"{PIPES}/{pipe}/destinations", files(path))
    assert set(wrong(answer)) == {"destination_config.path"}
    answer = appliance.ask("POST", PIPES, {"pipe_name": "x", "destinations": [files("good"), files(path)]})
    assert set(wrong(answer)) == {"destinations.1.destination_config.path"}


# Secrets ---------------------------------------------------------------------------------------------------------


def test_s3_3_secrets_read_redacted_wherever_they_are_shown(appliance: Appliance) -> None:
    made = make(appliance, "secretive", destinations=[SNOWFLAKE])
    pipe, destination = made["pipe_id"], made["destinations"][0]
    assert destination["destination_config"] == REDACTED
    assert add(appliance, pipe, SNOWFLAKE)["destination_config"] == REDACTED
    for config in ({"password": ""}, {"password": "[redacted]"}, {"host": "db.example.com", "url": ""}):
        answer = change(appliance, pipe, destination["destination_id"], {"destination_config": config})
        assert answer["destination_config"] == REDACTED
    blocked = change(appliance, pipe, destination["destination_id"], {"destination_status": "blocked"}, "/status")
    assert blocked["destination_config"] == REDACTED
    for path in (PIPES, f"{PIPES}/{pipe}", f"/api/v1/pipelines/{made['pipe_name']}", "/_local/snapshot"):
        page = appliance.ask("GET", path)
        assert page.status == 200
        assert SECRET.encode() not in page.body
    assert SECRET not in appliance.log.read_text()


def test_s3_3_secrets_are_sealed_on_the_disk(appliance: Appliance) -> None:
    secret = f"{SECRET}-on-disk"
    config = {"password": secret, "host": "plain-to-see"}
    make(appliance, "sealed", destinations=[{"destination_type": "mysql", "destination_config": config}])
    kept = b"".join(path.read_bytes() for path in appliance.data.glob("conduit.db*"))
    assert secret.encode() not in kept
    assert b"sealed:v1:" in kept


def changed(config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The whole configuration of a destination with secrets after a change."""
    kept = {"type": "connector", "connector": "snowflake", "name": "w", "config": SNOWFLAKE["destination_config"]}
    change = DestinationChange(destination_config=config, **fields)

    def edit(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"destinations": [destination_wire.changed_document(document["destinations"][0], change)]}

    spec = edited_spec(pipeline("orders", destinations=[kept]).spec, edit, MODEL)
    found: dict[str, Any] = spec.destinations[0].model_dump(mode="json", context=REVEAL)["config"]
    return found


@pytest.mark.parametrize("kept", ["", "[redacted]"])
def test_s3_3_an_empty_text_keeps_a_secret(kept: str) -> None:
    whole: Any = SNOWFLAKE["destination_config"]
    assert changed({"password": kept}) == whole
    assert changed({"password": kept, "host": "db2"}) == whole | {"host": "db2"}
    assert changed({"credentials": {"key": kept}, "url": kept}) == whole
    assert changed({"credentials": {"key": "new"}})["credentials"] == {"key": "new", "more": [SECRET]}
    assert changed({"password": "new"}) == whole | {"password": "new"}
    assert "password" not in changed({"password": None})


def test_s3_3_an_empty_text_empties_what_is_no_secret() -> None:
    assert changed({"host": ""})["host"] == ""


def test_s3_3_a_placeholder_without_a_secret_behind_it_is_refused() -> None:
    for config in ({"host": "[redacted]"}, {"new": {"token": "[redacted]"}}, {"credentials": {"other": "[redacted]"}}):
        with pytest.raises(InvalidRequest, match="stands for a secret"):
            changed(config)


def test_s3_3_a_placeholder_in_a_new_destination_is_refused_by_its_path(appliance: Appliance) -> None:
    pipe = make(appliance, "placeholders")["pipe_id"]
    answer = appliance.ask("POST", f"{PIPES}/{pipe}/destinations", SNOWFLAKE | {"destination_config": REDACTED})
    assert set(wrong(answer)) == {
        "destination_config.password",
        "destination_config.url",
        "destination_config.credentials.key",
        "destination_config.credentials.more.0",
    }


# Blocked ---------------------------------------------------------------------------------------------------------


def test_s3_3_blocked_stops_that_destination_alone_and_keeps_its_records(appliance: Appliance) -> None:
    """What comes before, while and after it is blocked lands exactly once, in order, while records keep coming."""
    made = make(
        appliance,
        "blocked",
        destinations=[files("blocked-a", destination_name="a"), files("blocked-b", destination_name="b")],
    )
    pipe, held = made["pipe_id"], made["destinations"][1]["destination_id"]
    over = threading.Event()

    def keep_sending() -> None:
        for n in range(200):
            accepted(appliance, pipe, [{"n": 3 * n}, {"n": 3 * n + 1}, {"n": 3 * n + 2}])
            if over.is_set() and n > 50:
                return

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        for _ in range(2):
            status = change(appliance, pipe, held, {"destination_status": "blocked"}, "/status")
            assert status["destination_status"] == "blocked"
            assert shown(appliance, pipe)["destinations"][1]["destination_status"] == "blocked"
            at_least = taken(appliance, pipe)
            flushed(appliance, pipe, "a")
            assert len(landed(appliance, "blocked-a")) >= at_least
            assert len(landed(appliance, "blocked-b")) <= at_least
            change(appliance, pipe, held, {"destination_status": "active"}, "/status")
            flushed(appliance, pipe, "b")
    finally:
        over.set()
        sender.join()
    for name in ("a", "b"):
        flushed(appliance, pipe, name)
        assert route_of(appliance, pipe, name)["ledger"]["closes"]
        assert [one["n"] for one in landed(appliance, f"blocked-{name}")] == list(range(taken(appliance, pipe)))


def test_s3_3_a_blocked_destination_that_is_removed_gets_nothing_more(appliance: Appliance) -> None:
    made = make(
        appliance,
        "given up",
        destinations=[files("up-a", destination_name="a"), files("up-b", destination_status="blocked")],
    )
    pipe = made["pipe_id"]
    accepted(appliance, pipe, [{"n": 1}, {"n": 2}])
    gone = made["destinations"][1]["destination_id"]
    assert appliance.ask("DELETE", f"{PIPES}/{pipe}/destinations/{gone}").status == 200
    flushed(appliance, pipe, "a")
    assert (len(landed(appliance, "up-a")), landed(appliance, "up-b")) == (2, [])
    assert shown(appliance, pipe)["usage"]["pending"] == 0


def test_s3_3_blocked_shows_in_the_other_apis_as_a_held_route(appliance: Appliance) -> None:
    made = make(appliance, "held elsewhere", destinations=[files("held-a", destination_status="blocked")])
    accepted(appliance, made["pipe_id"], {})
    assert appliance.ask("GET", f"/v1/pipelines/{made['pipe_id']}").json["status"] == "active"
    assert route_of(appliance, made["pipe_id"], "files")["ledger"]["pending"] == 1


def test_s3_2_ids_of_parts_are_uuids_that_do_not_change(appliance: Appliance) -> None:
    made = make(appliance, "lasting ids", destinations=[files("ids")])
    destination = made["destinations"][0]["destination_id"]
    assert appliance.ask("PATCH", f"{PIPES}/{made['pipe_id']}", {"pipe_name": "Other Ids"}).status == 200
    change(appliance, made["pipe_id"], destination, {"destination_name": "Other"})
    assert shown(appliance, made["pipe_id"])["destinations"][0]["destination_id"] == destination
    assert change(appliance, made["pipe_id"], "files", {"destination_name": "By Name"})["destination_id"] == destination
    refused(appliance.ask("DELETE", f"{PIPES}/{made['pipe_id']}/destinations/{NOBODY}"), 404, "destination_not_found")
    assert KEY not in json.dumps(shown(appliance, made["pipe_id"]))
