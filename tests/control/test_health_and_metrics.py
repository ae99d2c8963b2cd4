"""Liveness, readiness, `/metrics`."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.appliance import Appliance
from tests.control.conftest import Make

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(appliance: Appliance) -> tuple[Samples, dict[str, str]]:
    """All samples by name and labels, and each family's kind; nothing is there twice."""
    answer = appliance.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples: Samples = {}
    kinds: dict[str, str] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.name not in kinds
        assert family.documentation
        kinds[family.name] = family.type
        for sample in family.samples:
            name = (sample.name, frozenset(sample.labels.items()))
            assert name not in samples
            samples[name] = sample.value
    return samples, kinds


def of(samples: Samples, pipeline: str) -> dict[tuple[str, ...], float]:
    """The samples of one pipeline: by name and what labels there are besides its own."""
    found = {}
    for (name, labels), value in samples.items():
        by_name = dict(labels)
        if by_name.pop("pipeline", None) == pipeline:
            assert by_name.pop("pipeline_id").startswith("pl_")
            found[(name, *(by_name[label] for label in sorted(by_name)))] = value
    return found


def send(appliance: Appliance, name: str, count: int) -> None:
    events: list[Any] = [{"event_type": "a.b", "payload": {}}] * count
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200


def test_alive_and_ready_are_said_to_anybody(appliance: Appliance) -> None:
    for path, status in (("live", "live"), ("ready", "ready")):
        answer = appliance.ask("GET", f"/_local/health/{path}", key=None)
        assert (answer.status, answer.json) == (200, {"status": status})
        assert appliance.ask("HEAD", f"/_local/health/{path}", key=None).status == 200


def test_every_family_has_its_kind_and_counters_end_in_total(appliance: Appliance) -> None:
    samples, kinds = scrape(appliance)
    assert kinds == {
        "conduit_events_accepted": "counter",
        "conduit_events_delivered": "counter",
        "conduit_delivery_failures": "counter",
        "conduit_events_filtered": "counter",
        "conduit_events_pending": "gauge",
        "conduit_dead_letters": "gauge",
        "conduit_source_events_pulled": "counter",
        "conduit_source_health": "gauge",
        "conduit_pipeline_state": "gauge",
        "conduit_route_health": "gauge",
        "conduit_store_used_bytes": "gauge",
        "conduit_store_quota_bytes": "gauge",
        "conduit_disk_free_bytes": "gauge",
        "conduit_store_refuses": "gauge",
    }
    counters = {name for name, kind in kinds.items() if kind == "counter"}
    names = {f"{name}_total" if name in counters else name for name in kinds}
    where_something_pulls = {"conduit_source_events_pulled_total", "conduit_source_health"}
    assert names - where_something_pulls <= {name for name, _ in samples} <= names


def test_counts_follow_what_happens(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_events": 10, "max_age": "1h"})
    send(appliance, name, 25)
    appliance.until(lambda _: appliance.pipeline(name)["pending"] == 5)
    assert of(scrape(appliance)[0], name) == {
        ("conduit_events_accepted_total",): 25,
        ("conduit_events_delivered_total", "files"): 20,
        ("conduit_events_pending", "files"): 5,
        ("conduit_events_filtered_total", "files"): 0,
        ("conduit_dead_letters", "files"): 0,
        ("conduit_dead_letters", ""): 0,
        ("conduit_delivery_failures_total", "files"): 0,
        ("conduit_pipeline_state", "active"): 1,
        ("conduit_pipeline_state", "paused"): 0,
        ("conduit_pipeline_state", "draining"): 0,
        ("conduit_pipeline_state", "stopped"): 0,
        ("conduit_route_health", "files", "ok"): 1,
        ("conduit_route_health", "files", "retrying"): 0,
        ("conduit_route_health", "files", "blocked"): 0,
    }
    appliance.ask("POST", f"/_local/pipelines/{name}/drain")
    appliance.until(lambda _: appliance.pipeline(name)["state"] == "stopped")
    found = of(scrape(appliance)[0], name)
    assert found["conduit_events_delivered_total", "files"] == 25
    assert [found["conduit_pipeline_state", state] for state in ("active", "draining", "stopped")] == [0, 0, 1]


def test_a_route_in_trouble_is_counted_by_health_and_failures(appliance: Appliance, make: Make) -> None:
    (appliance.data / "scraped").write_text("in the way")
    name = make(
        batch={"max_events": 1},
        retry={"initial": "10ms", "max": "10ms"},
        destinations=[{"type": "files"}, {"type": "files", "name": "a_-z", "path": "scraped"}],
    )
    send(appliance, name, 1)
    appliance.until(lambda _: appliance.pipeline(name)["destinations"][1]["attempt"] >= 2)
    found = of(scrape(appliance)[0], name)
    assert (found["conduit_route_health", "a_-z", "blocked"], found["conduit_route_health", "a_-z", "ok"]) == (1, 0)
    assert (found["conduit_route_health", "files", "blocked"], found["conduit_route_health", "files", "ok"]) == (0, 1)
    assert found["conduit_delivery_failures_total", "a_-z"] >= 2
    (appliance.data / "scraped").unlink()
    appliance.until_delivered(name)
    assert of(scrape(appliance)[0], name)["conduit_route_health", "a_-z", "ok"] == 1


def test_what_is_filtered_out_dies_and_is_pulled_is_counted(appliance: Appliance, make: Make) -> None:
    query = "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events WHERE payload->>'n' <> '0'"
    name = make(
        batch={"max_age": "50ms"},
        transforms=[{"type": "sql", "query": query}],
        sources=[{"type": "push"}, {"type": "files", "path": "counted/*.jsonl"}],
    )
    (appliance.data / "counted").mkdir()
    (appliance.data / "counted" / "a.jsonl").write_text('{"n": 0}\n{"n": 0}\n{"n": "x"}\n{"n": 4}\nno event\n')
    appliance.until(lambda _: appliance.pipeline(name)["dead"] == 2)
    found = of(scrape(appliance)[0], name)
    assert found["conduit_events_filtered_total", "files"] == 2
    assert found["conduit_dead_letters", "files"] == found["conduit_dead_letters", ""] == 1
    source = "files:counted/*.jsonl"
    assert found["conduit_source_events_pulled_total", source] == 4
    assert (found["conduit_source_health", "ok", source], found["conduit_source_health", "blocked", source]) == (1, 0)


def test_a_deleted_pipeline_is_no_longer_counted(appliance: Appliance, make: Make) -> None:
    name = make()
    assert of(scrape(appliance)[0], name)
    appliance.ask("DELETE", f"/_local/pipelines/{name}")
    assert not of(scrape(appliance)[0], name)


def test_the_store_is_measured(appliance: Appliance) -> None:
    samples, _ = scrape(appliance)
    store = appliance.snapshot()["store"]
    nothing: frozenset[tuple[str, str]] = frozenset()
    assert samples["conduit_store_quota_bytes", nothing] == store["quota_bytes"] == 10 * 1024**3
    assert samples["conduit_store_used_bytes", nothing] > 0
    assert samples["conduit_disk_free_bytes", nothing] > 0
    assert samples["conduit_store_refuses", nothing] == 0
