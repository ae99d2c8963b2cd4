"""A crash just before and just after every few effects (all of them: scripts/simulate)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.simulation import judge


@pytest.mark.slow
def test_a_crash_at_any_effect_loses_and_doubles_nothing(tmp_path: Path) -> None:
    every, seed = os.environ.get("SIMULATE_EVERY", "6"), os.environ.get("SIMULATE_SEED", str(os.getpid()))
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.simulation", str(tmp_path / "at"), "--every", every, "--seed", seed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["failures"] == [], f"seed {seed}"
    assert found["effects"] > 100
    assert found["crashes"] > 20


def line(seq: int, n: int) -> bytes:
    return b'{"event_id":"evt_abcde0001%08d","payload":{"n":%d}}\n' % (seq, n)


def write(folder: Path, name: str, rows: list[tuple[int, int]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"".join(line(*row) for row in rows))


def good(folder: Path) -> None:
    write(folder / "out" / "orders", "000000000001-000000000020.jsonl", [(n + 1, n) for n in range(20)])
    write(folder / "out" / "other", "000000000001-000000000010.jsonl", [(n + 1, n) for n in range(10)])


def test_the_judge_passes_what_is_right(tmp_path: Path) -> None:
    good(tmp_path)
    assert judge(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("000000000001-000000000010.jsonl", [(n + 1, n) for n in range(9)]),
        ("000000000001-000000000010.jsonl", [(n + 1, n) for n in range(10)] + [(11, 3)]),
        ("000000000001-000000000010.jsonl", [(1, n) for n in range(10)]),
        ("000000000002-000000000011.jsonl", [(n + 1, n) for n in range(10)]),
        (".000000000001-000000000010.jsonl.part", []),
    ],
)
def test_the_judge_notices_what_is_wrong(tmp_path: Path, name: str, rows: list[tuple[int, int]]) -> None:
    good(tmp_path)
    if not name.startswith("."):
        (tmp_path / "out" / "other" / "000000000001-000000000010.jsonl").unlink()
    write(tmp_path / "out" / "other", name, rows)
    assert judge(tmp_path) is not None
