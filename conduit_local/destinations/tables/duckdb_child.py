"""
A request a line on stdin, an answer a line on stdout, both JSON. The lines of a batch follow its request in pieces,
each behind its length (4 bytes), the last one of length 0.

    {"ready": true}                                                   first of all, from the child
    {"place": PLACE, "write": BATCH, "columns": …, "envelopes": …}    and the lines
    {"place": PLACE, "page": [LAST, PREFIX]}
    {"place": PLACE, "probe": true, "columns": …}
    {"done": …}                                                       done
    {"failed": [KIND, MESSAGE]}                                       not done: nothing of it is there
"""

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from conduit_local.destinations.tables import duckdb_file
from conduit_local.destinations.tables.duckdb_table import Batch, Failed, Place, columns_from

_ORPHANED = 3
_LOOK_S = 0.5


def run() -> None:
    """Serve until stdin ends. The command line: the parent's process id."""
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the appliance, which ends us when it has no more to do
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")  # the pipe to the parent is ours alone: a library that prints writes to stderr
    os.dup2(2, 1)
    _say(answers, {"ready": True})
    for line in sys.stdin.buffer:
        _say(answers, _answer(json.loads(line)))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    place = Place(**request["place"])
    try:
        if "write" in request:
            pieces = _pieces(sys.stdin.buffer)
            try:
                batch = Batch(**request["write"])
                envelopes = bool(request["envelopes"])
                return {"done": duckdb_file.write(place, batch, columns_from(request), pieces, envelopes=envelopes)}
            finally:
                for _ in pieces:  # the parent writes them all before it reads
                    continue
        if "page" in request:
            return {"done": duckdb_file.page(place, *request["page"])}
        return {"done": duckdb_file.probe(place, columns_from(request))}
    except Failed as failed:
        return {"failed": [failed.kind, failed.message]}


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while size := int.from_bytes(_exactly(stream, 4), "big"):
        yield _exactly(stream, size)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes; where the parent is gone there are fewer, and nothing is committed any more."""
    found = stream.read(size)
    if len(found) < size:
        os._exit(_ORPHANED)
    return found


def _say(answers: BinaryIO, answer: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _end_with_parent(parent: int) -> None:
    """What waits for a lock must not outlive the appliance, however that ended."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(_ORPHANED)
