"""A DuckDB file, read by another process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READ = """
import duckdb, json, sys
db = duckdb.connect(sys.argv[1], read_only=sys.argv[3] == "read")
db.execute("SET TimeZone = 'UTC'")
print(json.dumps(db.execute(sys.argv[2]).fetchall(), default=str))
"""
HOLD = """
import duckdb, sys
db = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""


def rows(path: Path, query: str) -> list[list[Any]]:
    """What another process reads in the file."""
    return _done(path, query, "read")


def change(path: Path, statements: str) -> None:
    """Have another process change the file."""
    for statement in statements.split(";"):
        _done(path, statement, "write")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process has the file open for reading."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate("")


def lines_by_key(path: Path) -> dict[str, bytes]:
    """By key of the ledger, the lines that its rows are; the file was written to by one batch after the other."""
    found: dict[str, bytes] = {}
    if not path.exists():
        return found
    names = [name for (name,) in rows(path, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'events'")]
    at = "strftime(received_at, '%Y-%m-%dT%H:%M:%SZ')"
    fields = "payload" if names == ["payload"] else f"event_id, pipeline_id, event_type, {at}, payload"
    events = iter(rows(path, f"SELECT {fields} FROM events ORDER BY rowid"))
    for key, count in rows(path, "SELECT key, rows FROM conduit_batches ORDER BY rowid"):
        found[key] = b"".join(_line(next(events)) for _ in range(count))
    assert next(events, None) is None, "rows of no batch"
    return found


def _line(row: list[str]) -> bytes:
    if len(row) == 1:
        return f"{row[0]}\n".encode()
    head = zip(("event_id", "pipeline_id", "event_type", "received_at"), row, strict=False)
    return ("{" + ",".join(f'"{name}":"{value}"' for name, value in head) + f',"payload":{row[4]}}}\n').encode()


def _done(path: Path, query: str, how: str) -> list[list[Any]]:
    done = subprocess.run([sys.executable, "-c", READ, str(path), query, how], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[list[Any]] = json.loads(done.stdout)
    return found
