"""`kill -9` under traffic, in short; the long form is scripts/crash."""

import os
from pathlib import Path

import pytest

from tests.crash.killing import kill_often
from tests.crash.victim import POINTS, RARE_POINTS, owner_of


@pytest.mark.parametrize("where", [where for where, _ in (POINTS | RARE_POINTS).values() if where != "sqlite3:write"])
def test_every_point_is_still_there(where: str) -> None:
    owner, name = owner_of(*where.split(":"))
    assert callable(getattr(owner, name))


@pytest.mark.slow
def test_kills_under_traffic_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", os.getpid()))
    found = kill_often(tmp_path, int(os.environ.get("CRASH_KILLS", "12")), seed)
    assert found["wrong"] == [], found
    assert found["acknowledged"] > 100, found
    assert sum(found["points"].values()) == found["kills"]
