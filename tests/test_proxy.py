"""The proxy does to exchanges what it is told, and only that."""

import http.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.proxy import HALF, HELD, LOST, PASS, RESET, Fault, Late, Proxy, proxied, refusal


class Handler(BaseHTTPRequestHandler):
    """Echoes bodies, and keeps them."""

    protocol_version = "HTTP/1.1"
    taken: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def taken() -> list[bytes]:
    return []


@pytest.fixture
def proxy(taken: list[bytes]) -> Iterator[Proxy]:
    handler = type("Bound", (Handler,), {"taken": taken})
    with Server(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with proxied(server.server_address[1]) as found:
                yield found
        finally:
            server.shutdown()


class Server(ThreadingHTTPServer):
    """Says nothing of connections that are reset."""

    def handle_error(self, *_: object) -> None:
        """Nothing."""


def post(
    proxy: Proxy, body: bytes, connection: http.client.HTTPConnection | None = None, path: str = "/"
) -> tuple[int, bytes]:
    own = connection or http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    try:
        own.request("POST", path, body)
        answer = own.getresponse()
        return answer.status, answer.read()
    finally:
        if connection is None:
            own.close()


def test_exchanges_on_one_connection_are_counted_and_spoilt_one_by_one(proxy: Proxy, taken: list[bytes]) -> None:
    proxy.plan = lambda number, _: RESET if number == 3 else PASS
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    assert post(proxy, b"a" * 200_000, connection) == (200, b"a" * 200_000)
    assert post(proxy, b"b", connection) == (200, b"b")
    with pytest.raises(ConnectionError):
        post(proxy, b"c", connection)
    connection.close()
    assert (proxy.seen, taken) == (3, [b"a" * 200_000, b"b"])


@pytest.mark.parametrize(("fault", "reached"), [(RESET, False), (LOST, True), (HALF, True)])
def test_a_connection_is_reset_before_or_behind_what_the_server_does(
    proxy: Proxy, taken: list[bytes], fault: Fault, reached: bool
) -> None:
    proxy.plan = lambda _number, _request: fault
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        post(proxy, b"x")
    assert bool(taken) is reached


def test_the_proxy_answers_itself(proxy: Proxy, taken: list[bytes]) -> None:
    proxy.plan = lambda _number, request: refusal("503 Slow Down", body="no") if b"POST" in request else PASS
    assert post(proxy, b"y" * 300_000) == (503, b"no")
    assert taken == []


def test_what_is_held_goes_on_when_it_is_released(proxy: Proxy, taken: list[bytes]) -> None:
    proxy.plan = lambda _, request: HELD if b"/held" in request else Late(0.01)
    answers: list[tuple[int, bytes]] = []
    thread = Thread(target=lambda: answers.append(post(proxy, b"z", path="/held")))
    thread.start()
    assert post(proxy, b"late") == (200, b"late")
    while thread.is_alive():
        proxy.release()
        thread.join(0.01)
    assert answers == [(200, b"z")]
    assert sorted(taken) == [b"late", b"z"]
