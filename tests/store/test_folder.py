"""The data folder: one appliance at a time, and who that is (fault 24)."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from conduit_local.store.folder import DataFolder, FolderInUse, FolderUnusable, write_private

HOLD = """
import sys, pathlib
from conduit_local.store.folder import DataFolder
with DataFolder(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def release(process: "subprocess.Popen[str]", *, kill: bool) -> None:
    if kill:
        process.kill()
    process.communicate()


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    process = hold(tmp_path / "data")
    try:
        with pytest.raises(FolderInUse, match=re.escape(f"in use by process {process.pid}")):
            DataFolder(tmp_path / "data").__enter__()
        (tmp_path / "data" / "appliance.json").write_text(json.dumps({"pid": process.pid, "url": "http://127.0.0.1:1"}))
        with pytest.raises(FolderInUse, match="which serves http://127"):
            DataFolder(tmp_path / "data").__enter__()
    finally:
        release(process, kill=False)


@pytest.mark.parametrize("kill", [True, False])
def test_a_lock_does_not_outlive_its_holder(tmp_path: Path, kill: bool) -> None:
    release(hold(tmp_path / "data"), kill=kill)
    with DataFolder(tmp_path / "data") as folder:
        assert folder.database == tmp_path / "data" / "conduit.db"


def test_a_lock_file_with_nonsense_in_it_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"\xff\x00 nonsense")
    with DataFolder(tmp_path):
        pass


def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "a" / "b"):
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_file_in_the_way_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(FolderUnusable, match=r"open the data folder .*: "):
        DataFolder(tmp_path / "data").__enter__()


def test_private_files_are_replaced_whole_and_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    for content in (b"one", b"two"):
        write_private(path, content)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["api-key"]
