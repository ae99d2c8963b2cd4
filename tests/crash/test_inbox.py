"""`kill -9` while files grow in an inbox, in short; the long form is scripts/crash-inbox."""

import os
from pathlib import Path

import pytest

from tests.crash.inbox import POINTS, drop


@pytest.mark.slow
def test_kills_while_an_inbox_grows_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", os.getpid()))
    found = drop(tmp_path, int(os.environ.get("CRASH_KILLS", "5")), seed)
    assert found["wrong"] == [], found
    assert found["dead"] == 3
    assert set(found["points"]) <= {*POINTS, "at start", "not reached; outside"}
