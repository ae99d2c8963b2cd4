"""`/_local/snapshot`: its shape, its ledgers, its alarms."""

from typing import Any

from conduit_local import __version__
from tests.appliance import Appliance, serving
from tests.control.conftest import Make

TEXT, NUMBER, YES_NO, NOTHING = "text", "number", "yes or no", "nothing"
LEDGER = {"accepted": NUMBER, "delivered": NUMBER, "dead": NUMBER, "pending": NUMBER, "purged": NUMBER}
ROUTE = {
    "name": TEXT,
    "type": TEXT,
    "settings": {"path": TEXT, "format": TEXT, "compression": TEXT, "record": TEXT, "partition": TEXT},
    "health": TEXT,
    "message": NOTHING,
    "attempt": NUMBER,
    "retry_s": NOTHING,
    "transforming": YES_NO,
    "in_flight": NUMBER,
    "paused": YES_NO,
    "retiring": YES_NO,
    "errors_per_minute": NUMBER,
    "last_written_at": TEXT,
    "ledger": {**LEDGER, "filtered": NUMBER, "closes": YES_NO},
}
PIPELINE = {
    "id": TEXT,
    "uuid": TEXT,
    "name": TEXT,
    "title": NOTHING,
    "state": TEXT,
    "schedule": NOTHING,
    "timezone": TEXT,
    "next_run_at": NOTHING,
    "health": TEXT,
    "message": NOTHING,
    "managed_by": NOTHING,
    "created_at": TEXT,
    "accepted": NUMBER,
    "in_per_s": NUMBER,
    "out_per_s": NUMBER,
    "pending": NUMBER,
    "oldest_s": NOTHING,
    "dead": NUMBER,
    "errors_per_minute": NUMBER,
    "last_written_at": TEXT,
    "last_object": TEXT,
    "last_run": TEXT,
    "batch": {"max_events": NUMBER, "max_bytes": NUMBER, "max_age": NUMBER},
    "runs": [],
    "runs_waiting": NUMBER,
    "sources": [],
    "destinations": [ROUTE],
}
APPLIANCE = {
    "version": TEXT,
    "pid": NUMBER,
    "url": TEXT,
    "data_dir": TEXT,
    "config_dir": TEXT,
    "auth": TEXT,
    "testing": YES_NO,
    "uptime_s": NUMBER,
}
STORE = {
    "used_bytes": NUMBER,
    "file_bytes": NUMBER,
    "free_bytes": NUMBER,
    "quota_bytes": NUMBER,
    "trouble": NOTHING,
    "durability": TEXT,
}


def shape(value: Any) -> Any:
    """What kind of thing stands where."""
    match value:
        case dict():
            return {name: shape(one) for name, one in value.items()}
        case list():
            return [shape(one) for one in value]
        case None:
            return NOTHING
        case bool():
            return YES_NO
        case str():
            return TEXT
        case _:
            return NUMBER


def send(appliance: Appliance, name: str, count: int) -> None:
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200


def ledgers(appliance: Appliance, name: str) -> dict[str, tuple[int, int, int, int, int]]:
    """By destination: accepted, delivered, dead, pending, purged."""
    found = {}
    for route in appliance.pipeline(name)["destinations"]:
        ledger = route["ledger"]
        accepted, *rest = (ledger[field] for field in LEDGER)
        assert ledger["closes"] is True
        assert accepted == sum(rest)
        found[route["name"]] = (accepted, *rest)
    return found


def test_everything_stands_where_it_is_promised(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_age": "50ms"})
    send(appliance, name, 3)
    appliance.until_delivered(name)
    found = appliance.snapshot()
    assert list(found) == [
        "appliance",
        "time",
        "store",
        "configuration",
        "totals",
        "ledger_closes",
        "alarms",
        "log_number",
        "pipelines",
        "departing",
    ]
    assert shape(found["appliance"]) == APPLIANCE
    assert shape(found["store"]) == STORE
    assert shape(found["totals"]) == {"in_per_s": NUMBER, "out_per_s": NUMBER, "pending": NUMBER, "dead": NUMBER}
    assert shape(appliance.pipeline(name)) == PIPELINE
    assert found["configuration"] == {"problems": []}
    assert [one for one in found["alarms"] if one["pipeline"] == name] == []
    assert found["ledger_closes"] is True


def test_it_says_which_appliance_this_is(appliance: Appliance) -> None:
    found = appliance.snapshot()["appliance"]
    assert appliance.process is not None
    assert (found["version"], found["pid"], found["url"]) == (__version__, appliance.process.pid, appliance.url)
    assert (found["data_dir"], found["config_dir"]) == (str(appliance.data), str(appliance.config))
    assert (found["auth"], found["testing"]) == ("required", False)


def test_the_ledger_closes_on_each_destination_whatever_becomes_of_the_other(appliance: Appliance, make: Make) -> None:
    obstacle = appliance.data / "in-the-way"
    obstacle.write_text("a file where a folder belongs")
    both = [{"type": "files"}, {"type": "files", "name": "held", "path": "in-the-way"}]
    name = make(batch={"max_events": 5, "max_age": "50ms"}, destinations=both)
    send(appliance, name, 12)
    appliance.until(lambda _: ledgers(appliance, name)["files"] == (12, 12, 0, 0, 0))
    found = appliance.until(lambda _: appliance.pipeline(name)["health"] == "blocked")
    assert ledgers(appliance, name)["held"] == (12, 0, 0, 12, 0)
    assert found["ledger_closes"] is True
    obstacle.unlink()
    appliance.ask("POST", f"/_local/pipelines/{name}/flush")
    appliance.until(lambda _: appliance.pipeline(name)["health"] == "ok" and not appliance.pipeline(name)["pending"])
    assert ledgers(appliance, name) == {"files": (12, 12, 0, 0, 0), "held": (12, 12, 0, 0, 0)}


def test_a_destination_in_trouble_is_shown_with_reason_attempt_and_wait(appliance: Appliance, make: Make) -> None:
    (appliance.data / "trouble").write_text("a file where a folder belongs")
    slow = {"initial": "1h", "max": "1h"}
    name = make(batch={"max_events": 1}, retry=slow, destinations=[{"type": "files", "path": "trouble"}])
    send(appliance, name, 4)
    appliance.until(lambda _: appliance.pipeline(name)["health"] == "blocked")
    shown = appliance.pipeline(name)
    (route,) = shown["destinations"]
    assert "trouble" in route["message"]
    assert shown["message"] == route["message"]
    assert (route["health"], route["attempt"], route["errors_per_minute"], shown["errors_per_minute"]) == (
        "blocked", 1, 1, 1,
    )  # fmt: skip
    assert 0 < route["retry_s"] <= 3_600
    assert (shown["pending"], shown["last_written_at"], shown["last_object"]) == (4, None, None)
    assert 0 <= shown["oldest_s"] < 60
    (appliance.data / "trouble").unlink()


def test_accounts_of_destinations_that_come_and_go_close_too(appliance: Appliance, make: Make) -> None:
    old, new = {"type": "files", "name": "old"}, {"type": "files", "name": "new", "path": "new"}
    name = make(batch={"max_age": "1h"}, destinations=[old])
    send(appliance, name, 4)
    appliance.ask("POST", f"/_local/pipelines/{name}/pause")
    changed = {"batch": {"max_age": "1h"}, "destinations": [new]}
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", changed).status == 200
    send(appliance, name, 3)
    appliance.until(lambda _: set(ledgers(appliance, name)) == {"new"})  # what is left of the old one still lands
    assert ledgers(appliance, name) == {"new": (3, 0, 0, 3, 0)}
    appliance.ask("POST", f"/_local/pipelines/{name}/flush")
    appliance.until(lambda _: ledgers(appliance, name) == {"new": (3, 3, 0, 0, 0)})


def test_events_that_a_removed_destination_never_gets_are_not_pending(appliance: Appliance, make: Make) -> None:
    (appliance.data / "stuck").write_text("a file where a folder belongs")
    stuck, good = {"type": "files", "name": "stuck", "path": "stuck"}, {"type": "files", "name": "good"}
    name = make(batch={"max_events": 1}, destinations=[stuck, good])
    send(appliance, name, 2)
    appliance.until(lambda _: appliance.pipeline(name)["health"] == "blocked")
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", {"destinations": [good]}).status == 200
    send(appliance, name, 50)
    appliance.ask("POST", f"/_local/pipelines/{name}/flush")
    appliance.until(lambda _: ledgers(appliance, name)["good"] == (52, 52, 0, 0, 0))
    assert ledgers(appliance, name)["stuck"] == (2, 0, 0, 2, 0)
    shown = appliance.pipeline(name)
    assert [route["retiring"] for route in shown["destinations"]] == [True, False]
    assert shown["pending"] == 2
    (appliance.data / "stuck").unlink()
    appliance.ask("POST", f"/_local/pipelines/{name}/flush")
    appliance.until(lambda _: set(ledgers(appliance, name)) == {"good"} and not appliance.pipeline(name)["pending"])


def test_totals_add_up(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_age": "1h"})
    send(appliance, name, 11)
    found = appliance.snapshot()
    assert found["totals"]["pending"] == sum(one["pending"] for one in found["pipelines"])
    assert appliance.pipeline(name)["pending"] == 11


def test_a_deleted_pipeline_departs_with_what_it_still_owes(appliance: Appliance, make: Make) -> None:
    (appliance.data / "leaving").write_text("a file where a folder belongs")
    name = make(batch={"max_age": "1h"}, destinations=[{"type": "files", "path": "leaving"}])
    send(appliance, name, 6)
    public_id = appliance.pipeline(name)["id"]
    appliance.ask("DELETE", f"/_local/pipelines/{name}")
    found = appliance.snapshot()
    assert {"id": public_id, "name": name, "pending": 6} in found["departing"]
    assert name not in {one["name"] for one in found["pipelines"]}
    (appliance.data / "leaving").unlink()


def test_a_broken_file_is_an_alarm_with_file_line_and_field(tmp_path: Any) -> None:
    good = "name: good\n"
    with serving(tmp_path, {"good": good}) as own:
        assert own.snapshot()["configuration"] == {"problems": []}
        own.write_pipeline("bad", "name: bad\nbatch:\n  max_age: soon\n")
        own.ask("POST", "/_local/config/reload")
        (problem,) = own.snapshot()["configuration"]["problems"]
        assert (problem["file"], problem["line"], problem["field"]) == ("pipelines/bad.yaml", 3, "batch.max_age")
        assert "500ms" in problem["message"]
        own.write_pipeline("bad", "name: bad\n")
        own.ask("POST", "/_local/config/reload")
        assert own.snapshot()["configuration"] == {"problems": []}
