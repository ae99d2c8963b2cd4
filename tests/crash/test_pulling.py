"""`kill -9` of two appliances, one of which reads the other, in short; the long form is scripts/crash-pulling."""

import os
from pathlib import Path

import pytest

from tests.crash.pulling import pull


@pytest.mark.slow
def test_what_one_appliance_reads_from_another_lands_once_whoever_is_killed(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", os.getpid()))
    found = pull(tmp_path, int(os.environ.get("CRASH_EVENTS", "10000")), int(os.environ.get("CRASH_KILLS", "4")), seed)
    assert found["wrong"] == [], found
    assert sum(found["killed"].values()) == int(os.environ.get("CRASH_KILLS", "4"))
