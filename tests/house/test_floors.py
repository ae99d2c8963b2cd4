"""The floors of the house, as import-linter holds them, and that its contracts forget no package."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import PACKAGE, ROOT

PACKAGES = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}


def contracts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


def test_each_floor_imports_lower_ones_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3_000:]
    assert f"Contracts: {len(contracts())} kept, 0 broken." in done.stdout


@pytest.mark.parametrize(
    ("driver", "allowed"),
    [
        ("sqlite3", {"store"}),
        ("aiosqlite", {"store"}),
        (
            "aiohttp",
            {"http", "dialects", "control", "client", "egress"},
        ),  # client: its own half, imported when it is used
    ],
)
def test_a_contract_about_a_driver_forgets_no_package(driver: str, allowed: set[str]) -> None:
    (contract,) = (
        one
        for one in contracts()
        if driver in one.get("forbidden_modules", []) and "conduit_local.cli" in one["source_modules"]
    )
    named = {name.removeprefix("conduit_local.") for name in contract["source_modules"]} - {"app"}
    # core may not import sqlite3 by a contract of its own
    assert PACKAGES - named - {"core"} == allowed


def test_the_layers_name_every_package() -> None:
    (layers,) = (one for one in contracts() if one["type"] == "layers")
    assert layers["exhaustive"] is True
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    assert named == PACKAGES | {"app"}
