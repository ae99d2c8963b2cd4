"""A small HTTP server that answers as it is told and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Said(NamedTuple):
    """An answer; status 0: close the connection without one."""

    status: int
    body: object = {}
    headers: Mapping[str, str] = {}


class Asked(NamedTuple):
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    body: Any


ACCEPTED = Said(
    200,
    {
        "event_id": "evt_1",
        "pipeline_id": "pl_8f3a",
        "event_type": "order.created",
        "status": "accepted",
        "received_at": "2026-06-21T14:09:33Z",
        "a field of a later version": 1,
    },
)


def refused(status: int, code: str = "unavailable", **headers: str) -> Said:
    """An error as the appliance words it."""
    body = {"error": {"code": code, "message": f"the reason for {code}"}}
    return Said(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Server:
    """Answers with `script`, one after the other; the last one again and again."""

    def __init__(self, script: Sequence[Said]) -> None:
        self.script = list(script)
        self.asked: list[Asked] = []
        self.url = ""


@contextmanager
def answering(*script: Said) -> Iterator[Server]:
    """A server for a block."""
    server = Server(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append(Asked(self.path, dict(self.headers), json.loads(content) if content else None))
            said = server.script.pop(0) if len(server.script) > 1 else server.script[0]
            if not said.status:
                self.close_connection = True
                return
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the standard library's name

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        server.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
