"""A server of numbered pages that holds one back until it is told to go on; for sources that are read slowly."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Pages:
    """`source` is what reads them; the last of them waits for `go_on`."""

    def __init__(self, pages: list[list[dict[str, Any]]]) -> None:
        self.pages = pages
        self.go_on = threading.Event()
        self.source: dict[str, Any] = {}


@contextmanager
def held_pages(*pages: list[dict[str, Any]]) -> Iterator[Pages]:
    """Pages of records, `{"data": […], "next": "1"}`, for a block."""
    found = Pages(list(pages))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = int(parse_qs(urlsplit(self.path).query).get("after", ["0"])[0])
            is_last = place + 1 == len(found.pages)
            if is_last:
                found.go_on.wait(30)
            body = json.dumps({"data": found.pages[place], "next": None if is_last else str(place + 1)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        found.source = {
            "type": "http",
            "url": f"http://127.0.0.1:{listening.server_port}/records",
            "records": "data",
            "cursor": {"param": "after", "next": "next"},
            "every": "1h",
        }
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            found.go_on.set()
            listening.shutdown()
            thread.join()
