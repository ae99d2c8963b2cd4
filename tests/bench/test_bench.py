"""The benchmark runs, and prints every figure that it promises; how good they are is for scripts/bench to say."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_benchmark_prints_every_figure() -> None:
    command = [sys.executable, "-m", "tests.bench", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) >= 17
    assert all(row["found"] for row in rows)
    assert {row["what"] for row in rows if row["holds"] is not None} >= {
        "idle CPU",
        "idle RSS",
        "`serve` to first accepted event",
        "end to end: HTTP to synced files",
    }
