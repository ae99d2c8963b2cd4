"""
A request a line on stdin, an answer a line on stdout, both JSON; data goes through files.

    {"ready": true}                                                  first of all, from the child
    {"queries": ["SELECT …", …]}                                     on no events: to check
    {"queries": ["SELECT …", …], "source": PATH, "target": PATH}     on the lines in `source`
    {"columns": [["a", "INTEGER"], …], "source": …, "target": …}     these fields of the lines as Parquet
    {"begun": true}                                                  the request has arrived
    {"columns": [["a", "INTEGER"]], "rows": 3}                       done; no columns: envelopes
    {"written": true}                                                done: Parquet
    {"failed": {"kind", "message", "step", "place"}}                 not done (`failures.py`)
"""

import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from conduit_local.core.content import Column
from conduit_local.transforms.child.failures import Failed
from conduit_local.transforms.child.tables import Database

_ORPHANED = 3
_LOOK_S = 0.5
_OWN_BYTES = 512 * 1024**2
"""Address space that DuckDB takes and hardly uses; without it the third batch failed under a limit of 256 MiB."""


def run() -> None:
    """As the command line says: folder, memory and output in bytes, how nice to be, the parent's process id."""
    folder, memory, output, nice, parent = sys.argv[1:]
    os.nice(int(nice))
    serve(Path(folder), int(memory), int(output), int(parent))


def serve(folder: Path, memory_bytes: int, output_bytes: int, parent: int) -> None:
    """Serve until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the appliance, which ends us when it has no more to do
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    _bound(memory_bytes, output_bytes)
    with _answers() as answers:
        database = Database(folder, memory_bytes, output_bytes)
        _say(answers, {"ready": True})
        for line in sys.stdin.buffer:
            _say(answers, {"begun": True})
            _say(answers, _answer(database, json.loads(line)))


def _answer(database: Database, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if "queries" not in request:
            columns = [Column(name, kind) for name, kind in request["columns"]]
            database.encode(columns, Path(request["source"]), Path(request["target"]))
            return {"written": True}
        if "source" not in request:
            return {"columns": database.check(request["queries"])}
        columns, rows = database.run(request["queries"], Path(request["source"]), Path(request["target"]))
    except Failed as failed:
        return {"failed": failed.answer()}
    return {"columns": columns, "rows": rows}


def _answers() -> BinaryIO:
    """The pipe to the parent, ours alone: a library that prints (DuckDB's progress bar did) writes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _bound(memory_bytes: int, output_bytes: int) -> None:
    """What the process has mapped by now is its own; what queries may take comes on top."""
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, mapped + 2 * memory_bytes + _OWN_BYTES)
    _lower(resource.RLIMIT_FSIZE, output_bytes)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(limit: int, wanted: int) -> None:
    _, most = resource.getrlimit(limit)
    most = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(limit, (most, most))


def _end_with_parent(parent: int) -> None:
    """A query that never ends must not outlive the appliance, however that ended."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(_ORPHANED)
