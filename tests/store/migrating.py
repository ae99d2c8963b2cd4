"""
A migration that is killed at its n-th effect, for every n; in a process that is really gone.

    python -m tests.store.migrating OLD FOLDER

`OLD` holds a database of the newest version. A process without threads copies it and forks a child for each n, which
ends at its n-th effect (a statement, an fsync, a rename, …), once just before it and once just after.
"""

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from conduit_local.store import migrate as module
from tests.crash.fuse import Fuse
from tests.crash.simulation import in_child

CRASHED = 9
LAST = module.steps()[-1][0]
TWO_MORE = [
    (LAST + 1, "ALTER TABLE keys ADD COLUMN note TEXT;\nCREATE TABLE two (x);\n"),
    (LAST + 2, "CREATE TABLE three (x);\nINSERT INTO three SELECT position FROM chunks;\n"),
]


def bring_up(folder: Path, fuse: Fuse | None) -> None:
    """Migrate to two versions behind the last."""
    known = module.steps()
    module.steps = lambda: [*known, *TWO_MORE]
    if fuse is not None:
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, fuse.wrap(getattr(os, name)))
        fuse.wrap_sqlite()
    path = folder / "conduit.db"
    module.migrate(sqlite3.connect(path, isolation_level=None), path)


def wrong(path: Path, versions: set[int]) -> str | None:
    """What is wrong with a database that may be of these versions, or None."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        (events,) = db.execute("SELECT sum(last_seq - first_seq + 1) FROM chunks").fetchone()
        rows = db.execute("SELECT count(*) FROM three").fetchone()[0] if "three" in tables else None
        if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            return "is damaged"
    if version not in versions:
        return f"has version {version}"
    if ("two" in tables, "three" in tables, rows) != (
        version > LAST,
        version > LAST + 1,
        1 if version > LAST + 1 else None,
    ):
        return f"has half a step: version {version}, {sorted(tables)}, {rows}"
    return None if events == 3 else f"has {events} events"


def crash_at(old: Path, place: Path, number: int, *, after: bool) -> tuple[bool, list[str]]:
    """One crash and the next start; whether it got that far, and what is wrong."""
    shutil.copytree(old, place)
    fuse = Fuse(number, after=after, end=lambda: os._exit(CRASHED))
    code, said = in_child(lambda _: bring_up(place, fuse))
    if code not in {0, CRASHED}:
        return True, [f"failed by itself: {said}"]
    path, copy = place / "conduit.db", place / f"conduit.db.before-{LAST + 2:04d}"
    found = [f"after the crash it {text}" for text in [wrong(path, {LAST, LAST + 1, LAST + 2})] if text]
    found += [f"the copy {text}" for text in [wrong(copy, {LAST}) if copy.exists() else None] if text]
    healed, words = in_child(lambda _: bring_up(place, None))
    if healed != 0:
        return True, [*found, f"the next start failed: {words}"]
    found += [f"after the next start it {text}" for text in [wrong(path, {LAST + 2})] if text]
    found += [f"after the next start the copy {text}" for text in [wrong(copy, {LAST})] if text]
    return code == CRASHED, found


def main() -> None:
    """Crash everywhere; one JSON line of what was found."""
    old, folder = map(Path, sys.argv[1:])
    failures, number, crashes, going = [], 0, 0, True
    while going:
        number, going = number + 1, False
        for after in (False, True):
            crashed, found = crash_at(old, folder / f"{number}-{after}", number, after=after)
            going |= crashed
            crashes += crashed
            failures += [f"effect {number} {'after' if after else 'before'}: {text}" for text in found]
    print(json.dumps({"crashes": crashes, "failures": failures}))


if __name__ == "__main__":
    main()
