"""`kill -9` on either of two appliances in a row, in short; the long form is scripts/crash-chain."""

import os
from pathlib import Path

import pytest

from tests.crash.chain import forward


@pytest.mark.slow
def test_kills_of_either_side_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", os.getpid()))
    found = forward(tmp_path, int(os.environ.get("CRASH_KILLS", "6")), seed)
    assert found["wrong"] == [], found
    assert found["acknowledged"] > 100, found
    assert sum(found["points"].values()) == found["kills"]
