"""A look at a store from outside, without changing it."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from conduit_local.store.migrate import steps


def problems_of_store(path: Path) -> list[str]:
    """What is wrong with the database at `path`: its schema version and SQLite's own quick check."""
    # without a WAL nobody has it open; `immutable` then keeps SQLite from leaving a -wal and a -shm behind
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=2.0)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            newest = steps()[-1][0]
            if version > newest:
                return [f"has schema version {version}; this version knows {newest} at most"]
            found = [row[0] for row in db.execute("PRAGMA quick_check(20)")]
            return [] if found == ["ok"] else found
        finally:
            db.close()
    except sqlite3.Error as error:
        return [f"cannot be read: {error}"]
