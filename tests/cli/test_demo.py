"""`demo` and `attach`, where there is no terminal."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from conduit_local.cli.demo import EXAMPLE_KEY
from conduit_local.client.control import ControlClient
from tests.cli.commands import command, process, running


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Ask until it holds."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end


def lines_until(demo: "subprocess.Popen[str]", last: str) -> list[str]:
    """What it says, up to the line that holds `last`."""
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if last in line:
            return said
    raise AssertionError(said)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_demo_lands_live_traffic_and_leaves_nothing(tmp_path: Path) -> None:
    flags = ("demo", "--port", "0", "--speed", "20")
    with running(*flags, environment={"TMPDIR": str(tmp_path)}) as (demo, url):
        said = lines_until(demo, "SIGTERM or ctrl+c ends it")
        (data,) = tmp_path.glob("conduit-demo-*")
        (status,) = (line.split() for line in said if "conduit-local status" in line)
        assert command(*(word for word in status[1:] if word != "--watch")).code == 0
        with ControlClient(url, EXAMPLE_KEY) as client:
            eventually(lambda: all(one["last_written_at"] for one in client.snapshot()["pipelines"]))
            found = client.snapshot()
        assert {one["name"] for one in found["pipelines"]} == {"clicks", "earthquakes", "orders-stream"}
        assert any((data / "out").rglob("*.jsonl"))
        demo.terminate()
        demo.communicate(timeout=30)
        assert demo.returncode == 0
        assert not data.exists()
        assert gone(found["appliance"]["pid"])


def test_a_demo_that_was_killed_takes_its_appliance_and_folder_along(tmp_path: Path) -> None:
    with running("demo", "--port", "0", environment={"TMPDIR": str(tmp_path)}) as (demo, url):
        lines_until(demo, "SIGTERM or ctrl+c ends it")
        with ControlClient(url, EXAMPLE_KEY) as client:
            pid = client.snapshot()["appliance"]["pid"]
        demo.kill()
        eventually(lambda: gone(pid) and not any(tmp_path.glob("conduit-demo-*")))


def test_a_demo_whose_port_is_taken_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = process("demo", "--port", port, environment={"TMPDIR": str(tmp_path)})
    assert done.code == 1
    assert f"conduit-local: port {port} on 127.0.0.1 is in use; choose another with --port" in done.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_attach_says_what_to_do_instead() -> None:
    done = command("attach", "http://127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("conduit-local: the terminal UI needs a terminal")
    assert "conduit-local status" in done.err


def test_attach_to_a_data_folder_that_nobody_serves_exits_3(tmp_path: Path) -> None:
    done = command("attach", "--data-dir", str(tmp_path))
    assert done.code == 3
    assert done.err.startswith(f"conduit-local: no appliance serves the data folder {tmp_path}")
    assert command("attach", "--rate", "0").code == 2
