"""Pause, resume, drain, flush: every order in every state."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Answer, Appliance
from tests.control.conftest import Make
from tests.engines import payloads_below

PATH = "/_local/pipelines"
EVENTS = [{"event_type": "a.b", "payload": {"n": n}} for n in range(3)]


class Held:
    """A pipeline with three events pending, which cannot be delivered until it is let go."""

    numbers = itertools.count()

    def __init__(self, appliance: Appliance, make: Make) -> None:
        self._appliance = appliance
        path = f"held-{next(self.numbers)}"
        self._obstacle: Path = appliance.data / path
        self._obstacle.write_text("in the way")
        self.name = make(destinations=[{"type": "files", "path": path}], batch={"max_age": "1h"})
        assert self.send().status == 200

    def order(self, verb: str) -> Answer:
        return self._appliance.ask("POST", f"{PATH}/{self.name}/{verb}")

    def send(self) -> Answer:
        return self._appliance.ask("POST", f"{PATH}/{self.name}/events", EVENTS)

    def until(self, condition: Callable[[Any], bool]) -> Any:
        self._appliance.until(lambda _: condition(self.shown))
        return self.shown

    @property
    def shown(self) -> Any:
        """The pipeline as the snapshot has it."""
        return self._appliance.pipeline(self.name)

    def let_go(self) -> None:
        self._obstacle.unlink()

    @property
    def landed(self) -> list[int]:
        """What is in the files."""
        return [payload["n"] for payload in payloads_below(self._obstacle)]


@pytest.fixture
def held(appliance: Appliance, make: Make) -> Held:
    return Held(appliance, make)


def bring(held: Held, state: str) -> None:
    """Bring the pipeline into a state."""
    match state:
        case "paused":
            held.order("pause")
        case "draining":
            held.order("drain")
        case "stopped":
            held.let_go()
            held.order("drain")
    held.until(lambda shown: shown["state"] == state)


@pytest.mark.parametrize(
    ("state", "verb", "status", "then"),
    [
        ("active", "pause", 200, "paused"),
        ("active", "resume", 200, "active"),
        ("active", "drain", 200, "draining"),
        ("active", "flush", 202, "active"),
        ("paused", "pause", 200, "paused"),
        ("paused", "resume", 200, "active"),
        ("paused", "drain", 200, "draining"),
        ("paused", "flush", 202, "paused"),
        ("draining", "pause", 200, "paused"),
        ("draining", "resume", 200, "active"),
        ("draining", "drain", 200, "draining"),
        ("draining", "flush", 202, "draining"),
        ("stopped", "pause", 409, "stopped"),
        ("stopped", "resume", 200, "active"),
        ("stopped", "drain", 200, "stopped"),
        ("stopped", "flush", 202, "stopped"),
    ],
)
def test_every_order_in_every_state(held: Held, state: str, verb: str, status: int, then: str) -> None:
    bring(held, state)
    answer = held.order(verb)
    assert answer.status == status
    if status == 409:
        assert answer.code == "conflict"
        assert "is stopped; resume it first" in answer.json["error"]["message"]
    elif status == 200:
        assert answer.json["state"] == then
    else:
        assert (answer.json["trigger"], answer.json["pipeline"]) == ("manual", held.name)
    assert held.shown["state"] == then
    taken = held.send()
    if then in {"draining", "stopped"}:
        assert (taken.status, taken.code) == (409, "pipeline_not_accepting")
        assert f"is {then} and takes no new events" in taken.json["error"]["message"]
    else:
        assert taken.status == 200
    assert held.shown["destinations"][0]["ledger"]["closes"]


def test_paused_it_takes_events_and_lands_none_and_resumed_it_lands_all(held: Held) -> None:
    held.order("pause")
    held.let_go()
    assert held.send().status == 200
    assert held.until(lambda shown: shown["accepted"] == 6)["pending"] == 6
    assert held.landed == []
    held.order("resume")
    held.order("flush")
    held.until(lambda shown: shown["pending"] == 0)
    assert held.landed == [0, 1, 2, 0, 1, 2]


def test_a_drain_shows_its_progress_and_ends_stopped(held: Held) -> None:
    held.order("drain")
    (run,) = held.until(lambda shown: shown["health"] == "blocked")["runs"]
    assert (run["trigger"], run["left"], run["of"]) == ("drain", 3, 3)
    held.let_go()
    held.order("flush")  # tries at once, whatever the backoff says
    assert held.until(lambda shown: shown["state"] == "stopped" and not shown["runs"])["pending"] == 0
    assert held.landed == [0, 1, 2]


def test_a_flush_is_a_run_that_ends_in_success(appliance: Appliance, held: Held) -> None:
    held.let_go()
    run = held.order("flush").json
    held.until(lambda shown: shown["pending"] == 0 and not shown["runs"])
    found = appliance.ask("GET", f"/_local/runs/{run['id']}").json
    assert (found["state"], found["trigger"], found["rows"], found["batches"]) == ("success", "manual", 3, 1)


def test_an_order_called_off_leaves_its_run_cancelled(appliance: Appliance, held: Held) -> None:
    flush = held.order("flush").json
    held.order("drain")
    held.order("pause")
    assert held.shown["runs"] == []
    runs = appliance.ask("GET", f"/_local/runs?pipeline={held.name}&state=cancelled").json["data"]
    assert {run["trigger"] for run in runs} == {"manual", "drain"}
    assert flush["id"] in {run["id"] for run in runs}
    held.let_go()
    held.order("resume")
    held.order("flush")
    held.until(lambda shown: shown["pending"] == 0)
    assert held.landed == [0, 1, 2]


def test_flushing_what_is_empty_ends_at_once(appliance: Appliance, make: Make) -> None:
    name = make()
    run = appliance.ask("POST", f"{PATH}/{name}/flush").json
    appliance.until(lambda _: appliance.ask("GET", f"/_local/runs/{run['id']}").json["state"] == "success")
