"""The shape of the code: sizes, words that have no place here, and where a few things may be named."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, calls, files, modules, name_of, strings, tree

MOST_LINES = 300
LONGER = {
    "conduit_local/core/errors.py": "the whole tree of errors, drawn on top of the file",
    "conduit_local/tui/app.py": "what every screen shares, and who does the actions of the table",
}
"""Files over 300 lines, and why each is one idea."""


def test_a_file_over_300_lines_has_a_reason() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules("conduit_local")}
    assert {name for name, count in lines.items() if count > MOST_LINES} <= set(LONGER)
    assert all(lines[name] > 0.9 * MOST_LINES for name in LONGER), "a reason that is no longer needed"


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" + "DO|FIX" + r"ME|X" + r"XX)\b")
    found = [
        f"{name_of(path)}:{number}"
        for path in files()
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".tcss", ""}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if later.search(line)
    ]
    assert not found


def test_what_is_not_implemented_is_so_in_every_class_below() -> None:
    """No stubs: `raise NotImplementedError` stands only in a method that each derived class brings itself."""
    classes = [
        (name_of(path), node)
        for path in modules("conduit_local")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    ]
    for place, base in classes:
        for method in (one for one in base.body if "raise NotImplementedError" in ast.unparse(one)):
            assert isinstance(method, ast.FunctionDef), f"{place}:{method.lineno}"
            below = [one for _, one in classes if base.name in map(ast.unparse, one.bases)]
            assert below, f"{place}:{method.lineno}: a stub"
            for derived in below:
                assert method.name in {getattr(one, "name", None) for one in derived.body}, derived.name


def test_no_task_is_made_but_in_a_group() -> None:
    stray = {"asyncio.create_task", "asyncio.ensure_future", "loop.create_task", "asyncio.gather", "create_task"}
    found = [
        f"{name_of(path)}:{line}: {name}"
        for path in modules("conduit_local")
        for line, name, _ in calls(path)
        if name in stray or (name.endswith("create_task") and name != "tasks.create_task")
    ]
    waits = [one for one in found if one.startswith("conduit_local/engine/clock.py:") and one.endswith("ensure_future")]
    assert found == waits
    assert len(waits) == 2


def test_a_group_of_tasks_is_what_the_name_says() -> None:
    """`tasks.create_task` is only as good as `tasks`: it comes from `asyncio.TaskGroup()` in the same function."""
    for path in modules("conduit_local"):
        text = path.read_text()
        if "tasks.create_task" in text:
            assert "asyncio.TaskGroup()" in text, name_of(path)


# Who may name what -----------------------------------------------------------------------------------------

SQL = re.compile(
    r"\b(SELECT\b.+\bFROM|INSERT\b.*\bINTO|UPDATE\b.+\bSET|DELETE\s+FROM|(CREATE|DROP|ALTER)\s+(TABLE|INDEX|TRIGGER)"
    r"|PRAGMA\s+\w+|BEGIN\s+IMMEDIATE)\b",
    re.DOTALL,
)


def test_sql_stands_in_the_store_and_where_people_write_it_only() -> None:
    found = {name_of(path) for path in modules("conduit_local") for _, text in strings(path) if SQL.search(text)}
    assert found
    allowed = ("conduit_local/store/", "conduit_local/transforms/", "conduit_local/destinations/tables/")
    assert all(name.startswith(allowed) for name in found), found


def imported(path: Path) -> Iterator[str]:
    """The full names of all that a module imports, wherever it does."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)


def those_that_import(wanted: Callable[[str], bool]) -> set[str]:
    return {name_of(path) for path in modules("conduit_local") if any(map(wanted, imported(path)))}


def test_sqlites_drivers_are_named_in_the_store_only() -> None:
    found = those_that_import(lambda name: name.split(".")[0] in {"sqlite3", "aiosqlite"})
    assert found
    assert all(name.startswith("conduit_local/store/") for name in found), found


def test_duckdb_is_named_in_the_childs_program_only() -> None:
    found = those_that_import(lambda name: name.split(".")[0] == "duckdb")
    assert found
    allowed = ("conduit_local/transforms/child/", "conduit_local/destinations/tables/duckdb_")
    assert all(name.startswith(allowed) for name in found), found


def test_aiohttps_server_is_named_where_http_is_spoken_only() -> None:
    allowed = ("conduit_local/http/", "conduit_local/dialects/", "conduit_local/control/", "conduit_local/app.py")
    clients = {"conduit_local/client/conduit.py", "conduit_local/egress/client.py", "conduit_local/egress/resolver.py"}
    found = those_that_import(lambda name: name.split(".")[0] == "aiohttp")
    assert found - clients == {name for name in found if name.startswith(allowed)}
    for name in clients:
        (client,) = modules(name)
        assert "web" not in re.findall(r"aiohttp\.(\w+)", client.read_text())


def test_textual_is_named_in_the_terminal_ui_only() -> None:
    found = those_that_import(lambda name: name.split(".")[0] in {"textual", "rich"})
    assert found
    assert all(name.startswith("conduit_local/tui/") for name in found), found


def test_the_command_line_reaches_a_running_appliance_through_the_client_only() -> None:
    inside = ("control", "dialects", "destinations", "engine", "formats", "sources", "transforms")
    found = {
        f"{name_of(path)}: {name}"
        for path in modules("conduit_local/cli")
        for name in imported(path)
        if name.startswith(tuple(f"conduit_local.{floor}" for floor in inside))
    }
    assert not found


S0_WORDS = ("ev_cursor", "pl_cursor", "batch_size", "/v1/")
"""What only the events API says: its cursors, its fields, its paths."""


@pytest.mark.parametrize("floor", ["core", "engine", "formats", "store", "sources", "transforms", "destinations"])
def test_a_dialects_words_are_not_spoken_below_it(floor: str) -> None:
    spoken = "".join(text for path in modules("conduit_local/dialects/s0") for _, text in strings(path))
    assert all(word in spoken for word in S0_WORDS), "the list is out of date"
    found = [
        f"{name_of(path)}:{line}: {word}"
        for path in modules(f"conduit_local/{floor}")
        for line, text in strings(path)
        for word in S0_WORDS
        if word in text
    ]
    assert not found


def test_the_http_kit_knows_no_dialect() -> None:
    found = [
        f"{name_of(path)}:{line}: {text}"
        for path in modules("conduit_local/http")
        for line, text in strings(path)
        if any(word in text for word in (*S0_WORDS, "/_local"))
    ]
    assert not found


# The repository --------------------------------------------------------------------------------------------


def test_every_script_says_what_runs_it_and_may_be_run() -> None:
    scripts = [path for path in files() if path.parent in {ROOT / "scripts", ROOT / ".ci"}]
    run = [path for path in scripts if path.suffix == "" and path.name != "environment"]
    assert {"run", "test", "check"} <= {path.name for path in run}
    for path in run:
        assert path.read_text().startswith("#!/usr/bin/env "), name_of(path)
        assert path.stat().st_mode & 0o111 == 0o111, name_of(path)


def test_no_file_knows_a_machine_or_a_registry() -> None:
    places = re.compile(
        "|".join(["/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w", "/Use" + "rs/", "index-" + "url", "py" + "pi"])
    )
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:100]}"
        for path in files()
        if path.suffix not in {".jsonl", ".svg", ".raw", ".png"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if places.search(line)
    ]
    assert not found


def test_no_test_sleeps() -> None:
    """The benchmark is none: it makes load at a pace."""
    found = [
        f"{name_of(path)}:{line}: {ast.unparse(call)}"
        for path in modules("tests")
        if not path.is_relative_to(ROOT / "tests" / "bench")
        for line, name, call in calls(path)
        if name.split(".")[-1] == "sleep" and [ast.unparse(one) for one in call.args] != ["0"]
    ]
    assert not found


def test_every_package_says_what_is_in_it() -> None:
    for path in modules("conduit_local"):
        if path.name == "__init__.py" and path.parent.parent == ROOT / "conduit_local":
            assert ast.get_docstring(ast.parse(path.read_text())), name_of(path)
