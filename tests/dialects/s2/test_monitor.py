"""S2.5: the figures of `monitor`, against what an independent load generator saw."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Appliance, serving
from tests.bench.pace import Sent, paced
from tests.dialects.s2.asking import create, ingest, monitored, send, until

SECONDS = 8.0
WINDOW_S = 6
A_REQUEST = 20
EVERY_S = 0.04


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with serving(tmp_path, {}, "--testing") as running:
        yield running


def rates(sent: list[Sent], asked_s: float) -> list[float]:
    """Events a second that the generator saw, for each window that the figures can be of: it ends with a second."""
    ends = [asked_s - late / 20 for late in range(24)]
    return [sum(one.events for one in sent if end - WINDOW_S < one.at_s <= end) / WINDOW_S for end in ends]


def near(value: float, seen: list[float]) -> bool:
    """Whether a figure is within 5 % of what the generator saw."""
    return 0.95 * min(seen) <= value <= 1.05 * max(seen)


def test_s2_5_monitor_agrees_with_a_load_generator_within_five_percent(appliance: Appliance) -> None:
    made = {"name": "loaded", "batch": {"max_events": 100, "max_age": "100ms"}}
    assert appliance.ask("POST", "/api/v1/pipelines", made).status == 201
    sent = paced(appliance.port, "loaded", seconds=SECONDS, every_s=EVERY_S, events=A_REQUEST)
    asked_s = time.monotonic()
    found = monitored(appliance, pipeline="loaded", window_s=WINDOW_S)
    seen = rates(sent, asked_s)
    assert max(seen) <= 1.1 * A_REQUEST / EVERY_S, "the generator kept its own pace"
    assert found["measured_s"] == pytest.approx(WINDOW_S, rel=0.05)
    assert near(found["throughput"]["in_per_s"], seen), (found, seen)
    assert near(found["throughput"]["out_per_s"], seen), (found, seen)
    assert found["errors"] == {"count": 0, "per_minute": 0.0}

    took = sorted(one.took_ms for one in sent)
    accept = found["latency"]["accept_ms"]
    assert 0 < accept["p50"] <= took[len(took) // 2], "the appliance's part of what a request takes"
    assert accept["p50"] <= accept["p95"] <= accept["p99"] <= took[-1]
    total = sum(one.events for one in sent)
    until(lambda: appliance.pipeline("loaded")["pending"], lambda pending: pending == 0)

    def whole() -> Any:
        return monitored(appliance, pipeline="loaded", window_s=600)

    found = until(whole, lambda one: one["throughput"]["delivered"] == total)
    assert (found["throughput"]["accepted"], found["pending"]) == (total, 0), "no event is counted twice, or not at all"
    assert monitored(appliance, window_s=600)["throughput"]["accepted"] == total
    assert 0 < found["latency"]["delivery_ms"]["p50"] < 5_000


def test_s2_5_a_window_is_as_long_as_the_clock_says(appliance: Appliance) -> None:
    def clock(**given: Any) -> None:
        assert appliance.ask("POST", "/_local/test/clock", given).status == 200

    create(appliance, "driven", batch_size=10)
    clock(freeze=True)

    def measured_s() -> float:
        found: float = monitored(appliance, pipeline="driven", window_s=600)["measured_s"]
        return found

    for count in (30, 20, 10):
        ingest(appliance, "driven", events=[{"n": n} for n in range(count)])
        until(lambda: appliance.pipeline("driven")["pending"], lambda pending: pending == 0)
        enough_s = measured_s() + 1
        clock(advance=2)
        until(lambda: measured_s() >= enough_s, bool)  # noqa: B023 - called within the round
    found = monitored(appliance, pipeline="driven", window_s=2)
    assert found["throughput"]["accepted"] == found["throughput"]["delivered"] == 30, "the last two looks"
    assert found["measured_s"] == pytest.approx(4, abs=0.01), "each came after two seconds"
    assert found["throughput"]["in_per_s"] == pytest.approx(30 / 4, rel=0.01)


def test_s2_5_what_was_there_before_the_start_is_not_in_the_figures(appliance: Appliance) -> None:
    create(appliance, "earlier", batch_size=5)
    ingest(appliance, "earlier", events=[{}] * 50)
    until(lambda: appliance.pipeline("earlier")["pending"], lambda pending: pending == 0)
    appliance.stop()
    appliance.start()
    found = until(lambda: monitored(appliance, pipeline="earlier"), lambda one: one["measured_s"] > 1)
    assert (found["throughput"]["accepted"], found["throughput"]["in_per_s"], found["pending"]) == (0, 0.0, 0)
    assert send(appliance, "delete", {"pipeline": "earlier"}).status == 200
