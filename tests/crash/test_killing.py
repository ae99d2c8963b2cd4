"""`kill -9` under traffic, in short; the long form is scripts/crash."""

import os
from pathlib import Path

import pytest

from tests.crash.killing import kill_often


@pytest.mark.slow
def test_kills_under_traffic_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", os.getpid()))
    found = kill_often(tmp_path, int(os.environ.get("CRASH_KILLS", "12")), seed)
    assert found["wrong"] == [], found
    assert found["acknowledged"] > 100, found
    assert sum(found["points"].values()) == found["kills"]
