"""The UI as it is: a process in a terminal, beside the appliance."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.tui.terminal import Terminal, run_in_terminal

HELD = """
name: held
batch: {max_events: 1000, max_age: 1h}
"""
COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9\d|10\d)(?:;[\d;]*)?m")


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with serving(tmp_path, {"held": HELD, "orders": ORDERS}) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """One that whatever becomes of a UI leaves as it is."""
    with serving(tmp_path_factory.mktemp("lasting"), {"orders": ORDERS}) as running:
        yield running


def attached(
    appliance: Appliance, *flags: str, environment: Mapping[str, str] | None = None, deaf: bool = False
) -> Terminal:
    """`attach` on an appliance; `deaf` to SIGHUP."""
    given = {"CONDUIT_TOKEN": KEY, **(environment or {})}
    return Terminal("attach", appliance.url, *flags, home=appliance.folder, environment=given, deaf=deaf)


def state(appliance: Appliance, name: str) -> str:
    return str(appliance.pipeline(name)["state"])


def is_accepting(appliance: Appliance) -> bool:
    """Whether it takes events and delivers them."""
    before = appliance.pipeline("orders-stream")["accepted"]
    accepted = appliance.emit({"n": 1}).status == 200
    appliance.until_delivered("orders-stream")
    return accepted and appliance.pipeline("orders-stream")["accepted"] == before + 1


def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def test_all_orders_by_keyboard_in_80_by_24(appliance: Appliance) -> None:
    with attached(appliance) as terminal:
        terminal.until_shown("held", "orders-stream", "ledger ok", "FOLLOW")
        for n in range(7):
            assert appliance.emit({"n": n}, pipeline=appliance.pipeline("held")["id"]).status == 200
        terminal.until(lambda text: re.search(r"RUN +held .* 7 ", text) is not None)
        terminal.type("p")
        terminal.until_shown("PAUSED held")
        assert state(appliance, "held") == "paused"
        terminal.type("p")
        terminal.until(lambda text: "PAUSED" not in text)
        assert state(appliance, "held") == "active"
        terminal.type("f")
        terminal.until_shown("Flush held on 127.0.0.1", "7 events pending")
        terminal.type("enter")
        terminal.until(lambda text: "7 events pending" not in text)
        assert appliance.pipeline("held")["pending"] == 7, "Enter is Cancel"
        terminal.type("f")
        terminal.until_shown("7 events pending")
        terminal.type("tab", "enter")
        terminal.until_shown("7 rows")
        assert appliance.pipeline("held")["pending"] == 0
        terminal.type("D")
        terminal.until_shown("Drain held on 127.0.0.1", "refuses new events")
        terminal.type("y")
        terminal.until_shown("STOP")
        assert state(appliance, "held") == "stopped"
        for key, word in (("2", '{"n": 6}'), ("3", "drained; stopped"), ("4", "manual"), ("?", "Keys: runs")):
            terminal.type(key)
            terminal.until_shown(word)
        terminal.type("escape")
        terminal.until(lambda text: "Keys: runs" not in text)
        terminal.type("q")
        assert terminal.ended() == 0
        assert terminal.is_restored
    assert is_accepting(appliance)


def kill(terminal: Terminal) -> None:
    terminal.signal(signal.SIGKILL)
    assert terminal.ended() == -signal.SIGKILL


def close(terminal: Terminal) -> None:
    terminal.close()
    assert terminal.process.wait(20) == -signal.SIGHUP


@pytest.mark.parametrize("end", [kill, close])
def test_however_the_ui_ends_the_appliance_goes_on(lasting: Appliance, end: Callable[[Terminal], None]) -> None:
    with attached(lasting) as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        end(terminal)
        assert is_accepting(lasting)
        assert lasting.process is not None
        assert lasting.process.poll() is None


def test_a_terminal_that_is_gone_without_a_signal_ends_the_ui(lasting: Appliance) -> None:
    with attached(lasting, deaf=True) as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        terminal.close()
        assert terminal.process.wait(20) == 128 + signal.SIGHUP


def test_sigterm_restores_the_terminal(lasting: Appliance) -> None:
    with attached(lasting) as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        assert not terminal.is_restored
        terminal.signal(signal.SIGTERM)
        assert terminal.ended() == 0
        assert terminal.is_restored


def test_an_appliance_that_is_gone_is_said_and_found_again(appliance: Appliance, tmp_path: Path) -> None:
    with attached(appliance) as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        appliance.kill()
        terminal.until_shown("STALE", "no connection")
        terminal.type("p")
        terminal.until_shown("orders are off")
        with Appliance(tmp_path, None, "--port", str(appliance.port)) as again:
            terminal.until(lambda text: "STALE" not in text)
            assert state(again, "held") == "active"


@pytest.mark.parametrize(("flags", "environment"), [(["--ascii"], {}), ([], {"PYTHONIOENCODING": "latin-1"})])
def test_without_colours_and_in_ascii_nothing_else_is_printed(
    lasting: Appliance, flags: list[str], environment: dict[str, str]
) -> None:
    lasting.emit({"name": "地震 é"})
    with attached(lasting, *flags, environment={"NO_COLOR": "1", **environment}) as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        for key, word in (("2", "u5730"), ("enter", "esc closes")):
            terminal.type(key)
            terminal.until_shown(word)
        terminal.type("escape")
        terminal.until(lambda text: "esc closes" not in text)
        for key, word in (("3", "1 row"), ("1", "QUEUE")):
            terminal.type(key)
            terminal.until_shown(word)
        terminal.type("q")
        terminal.ended()
        assert terminal.raw.isascii()
        assert not COLOUR.findall(terminal.raw.decode())


def test_without_a_terminal_that_can_draw_it_says_what_to_do(tmp_path: Path) -> None:
    code, said = run_in_terminal(["attach"], tmp_path, {"TERM": "dumb"})
    assert code == 1
    assert "the terminal UI needs a terminal" in said
    assert "conduit-local status" in said
    assert "\x1b" not in said


# `conduit-local` by itself: the appliance as a child -------------------------------------------------------------


class Own:
    """The folders of an appliance that `conduit-local` starts, and what it says of itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "own"
        (folder / "own-config" / "pipelines").mkdir(parents=True)
        (folder / "own-config" / "pipelines" / "orders.yaml").write_text(ORDERS)
        self.environment = {
            "CONDUIT_LOCAL_DATA_DIR": str(self.data),
            "CONDUIT_LOCAL_CONFIG_DIR": str(folder / "own-config"),
            "CONDUIT_LOCAL_PORT": "0",
            "CONDUIT_LOCAL_API_KEY": KEY,
        }

    def terminal(self) -> Terminal:
        """`conduit-local` in a terminal."""
        return Terminal(home=self.folder, environment=self.environment)

    def announced(self) -> dict[str, Any] | None:
        """`appliance.json`."""
        path = self.data / "appliance.json"
        return dict(json.loads(path.read_bytes())) if path.exists() else None

    def end(self) -> None:
        """Do not leave it behind, whatever the test has met."""
        said = self.announced()
        if said is not None and is_alive(said["pid"]):
            os.kill(said["pid"], signal.SIGTERM)
            until(lambda: not is_alive(said["pid"]))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    made = Own(tmp_path)
    yield made
    made.end()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_closing_the_terminal_leaves_its_appliance_running_and_the_next_one_finds_it(own: Own) -> None:
    reached = Appliance(own.folder / "none")
    with own.terminal() as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        said = own.announced()
        assert said is not None
        reached.port = int(said["url"].rsplit(":", 1)[1])
        assert reached.emit({"n": 0}).status == 200
        terminal.close()
        assert terminal.process.wait(20) == -signal.SIGHUP
    assert own.announced() == said
    assert reached.snapshot()["appliance"]["pid"] == said["pid"]
    assert is_accepting(reached)
    with own.terminal() as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        terminal.type("q")
        assert terminal.ended() == 0, "it was not started here: nothing is asked"
        assert own.announced() == said
    os.kill(said["pid"], signal.SIGTERM)
    until(lambda: not is_alive(said["pid"]))
    assert own.announced() is None
    landed = [
        json.loads(line) for path in (own.data / "out").rglob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert sorted(one["payload"]["n"] for one in landed) == [0, 1]


def test_quitting_may_stop_the_appliance_or_leave_it(own: Own) -> None:
    with own.terminal() as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        left = own.announced()
        assert left is not None
        terminal.type("q")
        terminal.until_shown("was started with this terminal")
        terminal.type("tab", "tab", "enter")
        assert terminal.ended() == 0
        assert terminal.is_restored
        assert f"still running at {left['url']} (process {left['pid']})" in terminal.raw.decode()
    assert is_alive(left["pid"])
    own.end()
    with own.terminal() as terminal:
        terminal.until_shown("orders-stream", "FOLLOW")
        stopped = own.announced()
        assert stopped is not None
        assert stopped["pid"] != left["pid"]
        terminal.type("q")
        terminal.until_shown("was started with this terminal")
        terminal.type("tab", "enter")
        assert terminal.ended() == 0
        assert terminal.is_restored
    assert own.announced() is None
    assert not is_alive(stopped["pid"])


def named_in_a_process(folder: Path) -> list[str]:
    """The processes that were started with this folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it is gone by now
            if str(folder).encode() in line.read_bytes():
                found.append(line.parent.name)
    return found


def test_closing_the_terminal_of_a_demo_ends_it_and_takes_its_folder_away(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp")}
    with Terminal("demo", "--port", "0", home=tmp_path, environment=environment) as terminal:
        terminal.until_shown("clicks", "earthquakes", "orders-stream", "rows")
        (folder,) = (tmp_path / "tmp").glob("conduit-demo-*")
        pid = json.loads((folder / "appliance.json").read_bytes())["pid"]
        terminal.close()
        assert terminal.process.wait(20) == -signal.SIGHUP
        until(lambda: not is_alive(pid))
        until(lambda: not folder.exists())
    until(lambda: not named_in_a_process(folder))
