"""The schema, step by step. Each step is one transaction; before an old database is changed, a copy is kept."""

import os
import sqlite3
from importlib import resources
from pathlib import Path

from conduit_local.store.connection import StoreBroken


class StoreTooNew(StoreBroken):
    """The database was written by a newer version."""

    code = "store_too_new"


def steps() -> list[tuple[int, str]]:
    """The steps in order: number and SQL, from `migrations/NNNN_name.sql`."""
    folder = resources.files("conduit_local.store") / "migrations"
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), entry.read_text("utf-8")) for name, entry in found]


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """
    Bring the database at `path` to this version's schema.

    Killed between two steps or within one, the next start goes on from the last whole step; the copy made before the
    first of them stays beside the database as `conduit.db.before-<version>`.

    Raises: StoreTooNew for a database of a newer version, which is left as it is.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    todo = steps()
    newest = todo[-1][0]
    if version > newest:
        raise StoreTooNew(
            f"{path} has schema version {version}; this version of conduit-local knows {newest} at most: "
            "start the newer version, or use another data folder"
        )
    if 0 < version < newest:
        _keep_copy(db, path.with_name(f"{path.name}.before-{newest:04d}"))
    for number, script in todo:
        if number <= version:
            continue
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _keep_copy(db: sqlite3.Connection, copy: Path) -> None:
    """A whole copy under its final name, or none: a copy that a crash cut short is made again."""
    if copy.exists():
        return
    part = copy.with_name(f".{copy.name}.part")
    part.unlink(missing_ok=True)
    target = sqlite3.connect(part)
    try:
        db.backup(target)
    finally:
        target.close()
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(copy)
    folder = os.open(copy.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _statements(script: str) -> list[str]:
    """The statements of a script, without leaving the transaction as `executescript` would."""
    found, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    if rest.strip() and not all(line.startswith("--") for line in rest.split("\n") if line):
        found.append(rest)
    return found
