"""The project's own files, as git knows them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "conduit_local"


@cache
def files() -> tuple[Path, ...]:
    """What is in the repository, or is about to be."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(path for name in found.split("\0") if name and (path := ROOT / name).is_file())


def modules(*below: str) -> tuple[Path, ...]:
    """The Python files below folders or files of the repository."""
    places = tuple(ROOT / one for one in below)
    found = tuple(path for path in files() if path.suffix == ".py" and any(path.is_relative_to(one) for one in places))
    assert found, f"nothing below {below}"
    return found


@cache
def tree(path: Path) -> ast.Module:
    """A module, parsed."""
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    """The path as people write it."""
    return str(path.relative_to(ROOT))


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module with their lines; docstrings are none."""
    docs = {
        id(node.value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def calls(path: Path) -> Iterator[tuple[int, str, ast.Call]]:
    """The calls of a module: line, what is called as it is written, and the call."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node
