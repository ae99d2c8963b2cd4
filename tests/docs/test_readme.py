"""The README is run: each command of the tour in order, its output compared; `…` stands for anything."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conduit_local.config.settings import Settings, load_settings
from tests.conftest import missing
from tests.docs.parts import README, keys, part

ROOT = README.parent
TEXT = README.read_text()
PORT = "8642"


def blocks(kind: str, text: str = TEXT) -> list[str]:
    """The fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def whole(command: str) -> bool:
    """Whether the shell would run it as it stands."""
    checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return checked.returncode == 0 and not checked.stderr and not command.endswith("\\")


def steps(page: str = TEXT) -> Iterator[tuple[str, str]]:
    """Each command of the tour, with the output that is shown for it."""
    for block in blocks("console", page):
        for text in block.split("$ ")[1:] if block.startswith("$ ") else []:
            lines = text.splitlines()
            taken = next(n for n in range(1, len(lines) + 1) if whole("\n".join(lines[:n])))
            yield "\n".join(lines[:taken]), "\n".join(lines[taken:])


def pattern(shown: str) -> str:
    """Output as an expression: `…` is anything on this line, spaces may be more or fewer."""
    return "\n".join(
        re.escape(re.sub(" +", " ", line)).replace("…", ".*").replace("\\ ", " +") for line in shown.splitlines()
    )


class Tour:
    """A folder with the sample data, and what the commands so far have left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = PORT
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "CONDUIT_LOCAL_PORT": "0",
            "COLUMNS": "200",
        }
        self.server: subprocess.Popen[str] | None = None
        shutil.copytree(ROOT / "sample_data", folder / "sample_data")

    def run(self, command: str) -> str:
        """What a command prints."""
        setting = re.fullmatch(r"export (\w+)=(\S+)", command)
        if setting:
            self.environment[setting[1]] = setting[2]
            return ""
        if command.startswith("conduit-local serve"):
            return self._serve(command)
        command = command.replace(PORT, self.port)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout.replace(self.port, PORT)

    def _serve(self, command: str) -> str:
        with (self.folder / "log").open("w") as log:
            self.server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, (self.folder / "log").read_text()
        self.port = line.strip().rpartition(":")[2]
        return line.replace(self.port, PORT)


@contextmanager
def tour(folder: Path) -> Iterator[Tour]:
    """A tour whose appliance is stopped at the end."""
    found = Tour(folder)
    try:
        yield found
    finally:
        if found.server is not None:
            found.server.terminate()
            found.server.communicate(timeout=30)


@pytest.mark.slow
def test_the_tour_goes_as_it_is_shown(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("the tour uses curl; on Debian and Ubuntu: sudo apt install curl")
    done = 0
    with tour(tmp_path) as walk:
        for command, shown in steps():
            printed = walk.run(command)
            assert re.fullmatch(pattern(shown), printed.strip("\n")), f"$ {command}\n{printed}\nis not\n{shown}"
            done += 1
        (script,) = blocks("python")
        event_id, status = walk.run(f"{sys.executable} - <<'EOF'\n{script}\nEOF").split()
        assert event_id.startswith("evt_")
        assert status == "success"
    assert done > 10


@pytest.mark.slow
def test_the_example_of_s0s_page_goes_as_it_is_shown(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("the page uses curl; on Debian and Ubuntu: sudo apt install curl")
    page = (ROOT / "conduit_local/dialects/s0/README.md").read_text()
    with tour(tmp_path) as walk:
        walk.run("export CONDUIT_LOCAL_API_KEY=ck_live_8Hx2Qm4Rt9Vn0Lb")
        walk.run("conduit-local serve --data-dir data --config-dir sample_data")
        for command, shown in steps(page):
            assert re.fullmatch(pattern(shown), walk.run(command).strip("\n")), command


def test_every_dialect_has_a_page_with_an_example_and_what_was_decided() -> None:
    for folder in sorted((ROOT / "conduit_local/dialects").glob("s[0-9]")):
        page = (folder / "README.md").read_text()
        assert page.startswith(f"# {folder.name.upper()}"), folder
        assert "curl" in page
        assert "decided" in page


def test_the_configuration_that_is_shown_is_good(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    names = []
    for text in blocks("yaml"):
        name = text.split("\n", 1)[0].removeprefix("# ").partition(":")[0]
        if name.startswith("pipelines/to-"):
            continue  # run against real servers in `test_destinations`
        names.append(name)
        (tmp_path / name).write_text(text)
    assert sorted(names) == [
        "conduit-local.yaml",
        "pipelines/inbox.yaml",
        "pipelines/orders.yaml",
        "pipelines/quakes.yaml",
    ]
    checked = subprocess.run(
        [sys.executable, "-m", "conduit_local", "check", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert load_settings(tmp_path, [], {}).settings == Settings(), "what is shown as defaults are not the defaults"


def test_the_keys_of_the_terminal_ui_are_the_action_tables() -> None:
    assert part(TEXT, "keys") == keys(), "python -m tests.docs.parts writes them anew"


def test_scripts_and_files_that_are_named_are_there() -> None:
    named = set(re.findall(r"\b(scripts/\w+)", TEXT)) | {*re.findall(r"\]\((?!http)([^)]+)\)", TEXT)}
    assert {"scripts/run", "scripts/test", "scripts/bench", "scripts/crash", "scripts/simulate"} <= named
    for name in sorted(named):
        assert (ROOT / name).exists(), name
        assert not name.startswith("scripts/") or os.access(ROOT / name, os.X_OK), name


def test_the_table_of_speeds_says_where_and_when() -> None:
    table = part(TEXT, "bench")
    assert re.match(r"\d{4}-\d\d-\d\d, \d+ cores of ", table)
    assert "end to end: HTTP to synced files" in table
