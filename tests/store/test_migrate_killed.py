"""A migration that is killed, in a process that is really gone (fault 25)."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from conduit_local.store import migrate
from tests.making import add, numbered, store_at
from tests.store.migrating import LAST, TWO_MORE, wrong


async def fill(folder: Path) -> None:
    """A database of the newest version, with three events."""
    async with store_at(folder) as store:
        await store.log.append(await add(store), numbered(0, 3), None)


async def start(folder: Path) -> None:
    async with store_at(folder):
        pass


def test_killed_at_any_effect_a_migration_leaves_whole_steps_and_a_whole_copy(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    asyncio.run(fill(old))
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.migrating", str(old), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["failures"] == []
    assert found["crashes"] >= 16  # two steps of four statements or so, the copy; before and after each


def test_a_copy_that_was_cut_short_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(fill(tmp_path))
    (tmp_path / f".conduit.db.before-{LAST + 2:04d}.part").write_bytes(b"half a copy")
    monkeypatch.setattr(migrate, "steps", lambda real=migrate.steps: [*real(), *TWO_MORE])
    asyncio.run(start(tmp_path))
    assert wrong(tmp_path / "conduit.db", {LAST + 2}) is None
    assert wrong(tmp_path / f"conduit.db.before-{LAST + 2:04d}", {LAST}) is None
    assert not list(tmp_path.glob(".*"))
