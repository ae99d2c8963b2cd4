"""A data folder of 100 MiB filled to the brim, with a plug pulled on top (fault 3)."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Answer, Appliance
from tests.conftest import missing
from tests.crash.test_orders import again
from tests.disks import mounted
from tests.engines import payloads_below

_PIPELINE = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 20, max_age: 100ms}
"""


def event(n: int) -> dict[str, Any]:
    """An event of some 200 kB that hardly compresses."""
    return {"n": n, "filling": random.Random(n).randbytes(100_000).hex()}


def accepted(appliance: Appliance, first: int, most: int) -> tuple[int, Answer | None]:
    """Send events until one is refused: the number of the next one, and the refusal."""
    for n in range(first, first + most):
        answer = appliance.emit(event(n), f"k{n}")
        if answer.status != 200:
            return n, answer
    return first + most, None


def check_refusal(answer: Answer | None) -> None:
    """S0's own words, and when to come back."""
    assert answer is not None
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["error"]["message"]


@pytest.mark.slow
def test_a_full_disk_refuses_keeps_what_it_has_and_goes_on_by_itself(tmp_path: Path) -> None:
    try:
        with mounted(tmp_path / "disk", 100) as disk:
            appliance = Appliance(tmp_path, {"orders": _PIPELINE}, data=disk.path / "data")
            with appliance:
                disk.fill(leave_bytes=40 << 20)
                next_, refusal = accepted(appliance, 0, 1_000)
                check_refusal(refusal)
                disk.fill()
                check_refusal(appliance.emit({"small": True}))
                assert appliance.ask("GET", "/v1/events?limit=5").status == 200
                assert appliance.snapshot()["store"]["trouble"]
                disk.give_back()
                began = time.monotonic()
                while appliance.emit(event(next_), f"k{next_}").status != 200:
                    assert time.monotonic() < began + 10, "it did not go on by itself"
                disk.fill()
                again(appliance)  # a start on a full disk
                check_refusal(appliance.emit({"small": True}))
                disk.give_back()
                began = time.monotonic()
                while appliance.emit(event(next_ + 1), f"k{next_ + 1}").status != 200:
                    assert time.monotonic() < began + 10, "it did not go on by itself after a start"
                appliance.until_delivered()
                assert not appliance.snapshot()["store"]["trouble"]
            assert payloads_below(appliance.data / "out") == [event(n) for n in range(next_ + 2)]
    except PermissionError as error:
        missing(str(error))
