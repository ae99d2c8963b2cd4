"""What a person ordered survives `kill -9`: by S0, by the command line; the terminal's keys are tried in tests/tui."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Appliance
from tests.crash.oracle import PIPELINE, payload
from tests.engines import payloads_below

_SLOW = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 1000, max_age: 1h}
"""
_FAST = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 10, max_age: 50ms}
"""


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    """An appliance whose pipeline delivers soon."""
    with Appliance(tmp_path, {"orders": _FAST}) as found:
        yield found


def again(appliance: Appliance) -> None:
    """Pull the plug, and start on what is left."""
    appliance.kill()
    appliance.start()


def send(appliance: Appliance, first: int, count: int) -> None:
    """Events `first` and the next ones, each answered."""
    for n in range(first, first + count):
        assert appliance.emit(payload(n), f"k{n}").status == 200


def order(appliance: Appliance, verb: str) -> None:
    """What a person may order."""
    assert appliance.ask("POST", f"/_local/pipelines/{PIPELINE}/{verb}").status in {200, 202}


def numbers(appliance: Appliance) -> list[int]:
    """The events in the files, in order."""
    return [found["n"] for found in payloads_below(appliance.data / "out")]


def state(appliance: Appliance) -> Any:
    """The pipeline's state."""
    return appliance.pipeline(PIPELINE)["state"]


def test_a_pause_survives_and_goes_on_accepting(appliance: Appliance) -> None:
    send(appliance, 0, 5)
    appliance.until_delivered()
    order(appliance, "pause")
    send(appliance, 5, 5)
    again(appliance)
    assert state(appliance) == "paused"
    send(appliance, 10, 5)
    assert numbers(appliance) == [0, 1, 2, 3, 4]
    order(appliance, "resume")
    again(appliance)
    assert state(appliance) == "active"
    appliance.until_delivered()
    assert numbers(appliance) == list(range(15))


def test_a_drain_survives_and_ends_stopped(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": _SLOW}) as appliance:
        order(appliance, "pause")
        send(appliance, 0, 25)
        order(appliance, "drain")
        again(appliance)
        assert appliance.emit({}).status == 409
        appliance.until(lambda found: found["pipelines"][0]["state"] == "stopped")
        assert numbers(appliance) == list(range(25))
        again(appliance)
        assert state(appliance) == "stopped"
        assert appliance.emit({}).status == 409
        order(appliance, "resume")
        again(appliance)
        send(appliance, 25, 1)


def test_a_flush_survives_and_delivers_what_was_pending_then(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": _SLOW}) as appliance:
        send(appliance, 0, 25)
        order(appliance, "flush")
        again(appliance)
        appliance.until(lambda found: found["pipelines"][0]["pending"] == 0)
        send(appliance, 25, 3)
        again(appliance)
        assert numbers(appliance) == list(range(25))  # the flush is over: what came later waits for its own batch
        assert appliance.pipeline(PIPELINE)["pending"] == 3


@pytest.mark.parametrize("verb", ["pause", "drain", "flush"])
def test_killed_at_once_after_the_answer_it_holds(appliance: Appliance, verb: str) -> None:
    send(appliance, 0, 12)
    order(appliance, verb)
    again(appliance)
    if verb == "pause":
        assert state(appliance) == "paused"
        order(appliance, "resume")
    appliance.until_delivered()
    if verb == "drain":
        appliance.until(lambda found: found["pipelines"][0]["state"] == "stopped")
    assert numbers(appliance) == list(range(12))
