"""What is imported when: a command that answers at once must not load what it does not use."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import KEY, ORDERS, Appliance, serving

HEAVY = {"aiohttp", "textual", "rich", "pydantic", "msgspec", "watchfiles", "prometheus_client", "yaml", "uvloop"}
LOOK = """
import atexit, json, sys
atexit.register(lambda: print("\\n" + json.dumps(sorted({name.split(".")[0] for name in sys.modules}))))
from conduit_local.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("imports"), {"orders": ORDERS}) as running:
        yield running


def loaded(*args: str) -> set[str]:
    """The top-level names of all modules that a command has imported by its end."""
    done = subprocess.run([sys.executable, "-c", LOOK, *args], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_and_status_load_neither_the_terminal_ui_nor_a_server(appliance: Appliance) -> None:
    who = ("--url", appliance.url, "--key", KEY)
    for args in (("--help",), ("--version",), ("status", *who), ("events", "send", "pl_8f3a", "a.b", "{}", *who)):
        found = loaded(*args)
        assert "click" in found
        assert not found & HEAVY, args
        assert "asyncio" not in found, args


def test_the_clients_package_is_light_until_asyncio_is_asked_for() -> None:
    script = "import sys, conduit_local; {}; print(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    for what in ("None", "conduit_local.Conduit"):
        done = subprocess.run(
            [sys.executable, "-c", "import json; " + script.format(what)], capture_output=True, text=True, check=True
        )
        assert not set(json.loads(done.stdout)) & HEAVY, what


def test_the_appliance_loads_no_terminal_ui_and_nothing_that_it_may_never_need(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    script = LOOK.replace(
        "from conduit_local.cli.main import main",
        "import conduit_local.cli.serve as serve\n"
        "import os, signal\n"
        "serve._say_ready = lambda url: os.kill(os.getpid(), signal.SIGTERM)\n"
        "from conduit_local.cli.main import main",
    )
    args = ("serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--config-dir", str(tmp_path / "config"))
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout.splitlines()[-1]))
    assert "aiohttp" in found
    assert not found & {
        "textual",
        "rich",
        "prometheus_client",
        "duckdb",
        "pyarrow",
        "asyncpg",
        "botocore",
        "urllib3",
        "pytest",
    }
