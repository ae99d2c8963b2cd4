"""`kill -9` while batches go to S3 through a storm, in short; the long form is scripts/crash-landing."""

import os
from pathlib import Path

import pytest

from tests.crash.landing import POINTS, land
from tests.destinations.s3_servers import Server


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["moto", "swift"])
def test_kills_while_batches_go_to_s3_lose_and_double_nothing(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    seed = int(os.environ.get("CRASH_SEED", os.getpid()))
    kills = int(os.environ.get("CRASH_KILLS", "4"))
    found = land(tmp_path, server, 5_000, kills, seed)
    assert found["wrong"] == [], found
    assert set(found["points"]) <= {*POINTS, "at start", "not reached; outside"}
    assert sum(found["spoilt"].values()) > 0
