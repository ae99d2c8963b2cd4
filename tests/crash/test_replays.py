"""`kill -9` while dead letters are replayed: each lands once, or is still dead, and the ledger closes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import Appliance
from tests.engines import objects_below

COUNT = 60
BAD = 24
_PIPELINE = """
name: orders
id: pl_8f3a
batch: {{max_events: 10, max_age: 50ms}}
transforms: [{{type: sql, query: "SELECT event_id, {cast}(payload->>'n' AS INTEGER) AS n FROM events"}}]
destinations: [{{type: files, name: one, path: one}}, {{type: files, name: two, path: two, compression: gzip}}]
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty events, of which 24 died on both routes."""
    folder = tmp_path_factory.mktemp("filled")
    with Appliance(folder, {"orders": _PIPELINE.format(cast="CAST")}) as appliance:
        payloads = [{"n": f"x{n}" if n % 5 in {1, 3} else n} for n in range(COUNT)]
        batch = [{"event_type": "a.b", "payload": one} for one in payloads]
        assert appliance.ask("POST", "/_local/pipelines/orders/events", batch).status == 200
        appliance.until_delivered("orders")
        assert [one["ledger"]["dead"] for one in appliance.pipeline("orders")["destinations"]] == [BAD, BAD]
    return folder


def replay(appliance: Appliance) -> None:
    """Asked for; where the appliance was gone before it could answer, that is no answer."""
    try:
        answer = appliance.ask("POST", "/_local/dead/replay", {"pipeline": "orders", "all": True})
    except OSError:
        return
    assert answer.status in {202, 404, 409}, answer


def landed(folder: Path) -> list[Any]:
    found = [json.loads(line) for content in objects_below(folder).values() for line in content.splitlines()]
    return sorted(row["event_id"] for row in found)


@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("run kept", 1),
        ("refresh kept", 1),
        ("commit", 16),
        ("rows made", 1),
        ("file synced", 3),
        ("renamed", 2),
        ("batch close", 1),
        ("batch closed", 2),
    ],
)
def test_killed_at_any_step_a_replay_lands_each_letter_once(
    filled: Path, tmp_path: Path, point: str, number: int
) -> None:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    mended = {"orders": _PIPELINE.format(cast="TRY_CAST")}
    dying = Appliance(tmp_path, mended, program=("tests.crash.victim", point, str(number)))
    assert dying.started()
    replay(dying)
    assert dying.ended_within(10), f"{point} was not passed {number} times"
    assert dying.killed
    with Appliance(tmp_path, mended) as appliance:

        def over(found: Any) -> bool:
            (one,) = found["pipelines"]
            return not one["runs"] and not one["runs_waiting"] and len(one["destinations"]) == 2

        appliance.until(over)
        replay(appliance)
        appliance.until(over)
        ledgers = [one["ledger"] for one in appliance.pipeline("orders")["destinations"]]
        assert [(one["delivered"], one["dead"], one["closes"]) for one in ledgers] == [(COUNT, 0, True)] * 2
        for name in ("one", "two"):
            found = landed(appliance.data / name)
            assert len(found) == COUNT
            assert len(set(found)) == COUNT
