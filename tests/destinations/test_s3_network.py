"""Servers that are none, or behave badly, and addresses that are not to be reached."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.content import Envelopes
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.egress.guard import Guard
from tests.destinations.s3_servers import Server
from tests.destinations.test_contract import content
from tests.destinations.test_s3 import KEY, landing, refused


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[int, list[str]]]:
    """A server that answers as it is told; its port, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield running.server_address[1], asked
        finally:
            running.shutdown()
            thread.join()


def at(port: int, **more: Any) -> dict[str, Any]:
    keys = {"access_key_id": "key", "secret_access_key": "hidden-from-all"}
    return {"type": "s3", "bucket": "lake", "endpoint_url": f"http://127.0.0.1:{port}", **keys, **more}


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    def inside(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()

    with answering(inside) as (target, seen):

        def elsewhere(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(301)
            handler.send_header("Location", f"http://127.0.0.1:{target}/inside")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with answering(elsewhere) as (port, _):
            async with landing(tmp_path, at(port)) as made:
                assert "not followed" in await refused(made, needs_person=True)
                with pytest.raises(DestinationUnavailable, match="not followed"):
                    await made.read(KEY)
                pages = made.objects("orders")
                assert pages is not None
                with pytest.raises(DestinationUnavailable, match="not followed"):
                    await anext(pages)
        assert seen == []


@pytest.mark.parametrize(("status", "code"), [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")])
async def test_a_bucket_elsewhere_is_for_a_person_who_says_where(tmp_path: Path, status: int, code: str) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        body = f"<Error><Code>{code}</Code><Message>No.</Message><Region>eu-west-1</Region></Error>".encode()
        handler.send_response(status)
        handler.send_header("x-amz-bucket-region", "eu-west-1")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with answering(elsewhere) as (port, asked):
        async with landing(tmp_path, at(port, conditional_create=True)) as made:
            assert "`region`" in await refused(made, needs_person=True)
    assert asked == [f"PUT /lake/{KEY}"]


async def test_the_guard_is_asked_about_the_address_that_is_connected_to(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    async with landing(tmp_path, moto.settings(bucket), Guard((), loopback=False)) as made:
        assert "127.0.0.1 is this machine itself" in await refused(made, needs_person=True)
    asked = []

    def look_up(host: str, port: int, _: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.1", "10.1.2.3")]

    elsewhere = {"endpoint_url": f"http://storage.example.org:{moto.port}"}
    async with landing(tmp_path, moto.settings(bucket) | elsewhere, look_up=look_up) as made:
        said = await refused(made, needs_person=True)
    assert asked == ["storage.example.org"]
    assert "10.1.2.3 is in a private" in said
    assert "`allowed_networks`" in said
    assert moto.objects(bucket) == {}


async def test_the_next_address_is_tried_where_one_does_not_answer(tmp_path: Path, moto: Server) -> None:
    asked = []

    def look_up(host: str, port: int, _: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    bucket = moto.new_bucket()
    named = {"endpoint_url": f"http://localhost:{moto.port}"}
    async with landing(tmp_path, moto.settings(bucket) | named, look_up=look_up) as made:
        await made.write(KEY, content(1, 10))
    assert set(asked) == {"localhost"}
    assert list(moto.objects(bucket)) == [KEY]


class Hanging:
    """A name server that answers nobody until the end."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._over = threading.Event()

    def look_up(self, host: str, _port: int, _family: int) -> list[tuple[Any, ...]]:
        self.asked.set()
        self._over.wait()
        raise OSError(f"{host} is not known")

    def end(self) -> None:
        """Answer; return once no look-up is under way."""
        self._over.set()
        for thread in threading.enumerate():
            if thread.name.startswith("look up "):
                thread.join()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    found = Hanging()
    yield found
    found.end()


def assert_no_thread_is_held() -> None:
    """Those that the process waits for at its end are at theirs; look-ups may hang on in threads that it leaves."""
    for thread in threading.enumerate():
        if thread.name.startswith(("s3", "look up")) and not thread.daemon:
            thread.join(3)
            assert not thread.is_alive(), thread.name


HOSTED = {"endpoint_url": "https://storage.example.org"}


async def test_a_look_up_that_hangs_is_given_up_and_holds_no_thread(tmp_path: Path, hanging: Hanging) -> None:
    async with landing(tmp_path, at(1, timeout="100ms") | HOSTED, look_up=hanging.look_up) as made:
        for _ in range(made.in_flight + 1):
            async with asyncio.timeout(3):
                said = await refused(made, needs_person=False)
    why = "storage.example.org could not be looked up within 0.1s"
    assert said == f"write s3://lake/{KEY}: storage.example.org:443 cannot be reached: {why}"
    assert_no_thread_is_held()


async def test_closing_ends_a_look_up_that_hangs(tmp_path: Path, hanging: Hanging) -> None:
    async with landing(tmp_path, at(1, timeout="10m") | HOSTED, look_up=hanging.look_up) as made:
        writing = asyncio.ensure_future(made.write(KEY, content(1, 10)))
        abandoned = asyncio.ensure_future(made.write(f"{KEY}.zst", content(1, 10)))
        await asyncio.to_thread(hanging.asked.wait)
        abandoned.cancel()
        async with asyncio.timeout(3):
            await made.close()
        with pytest.raises(DestinationUnavailable, match="the destination is closed"):
            await writing
    assert_no_thread_is_held()


async def test_a_name_that_does_not_resolve_is_tried_again(tmp_path: Path) -> None:
    async with landing(tmp_path, at(1) | {"endpoint_url": "http://storage.invalid"}) as made:
        await refused(made, needs_person=False)


async def test_a_server_that_is_asked_to_wait_for_says_how_long(tmp_path: Path) -> None:
    def busy(handler: BaseHTTPRequestHandler) -> None:
        body = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
        handler.send_response(503)
        handler.send_header("Retry-After", "7")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with answering(busy) as (port, asked):
        async with landing(tmp_path, at(port, conditional_create=True)) as made:
            with pytest.raises(DestinationUnavailable) as caught:
                await made.write(KEY, content(1, 10))
    assert caught.value.message == f"write s3://lake/{KEY}: 503 SlowDown: Reduce your request rate"
    assert (caught.value.needs_person, caught.value.wait_s) == (False, 7.0)
    assert len(asked) == 1


async def test_a_server_that_does_not_know_the_condition_is_asked_without_it(tmp_path: Path) -> None:
    conditions = []

    def simple(handler: BaseHTTPRequestHandler) -> None:
        condition = handler.headers.get("If-None-Match")
        conditions.append((handler.command, condition))
        handler.send_response(404 if handler.command == "HEAD" else 501 if condition else 200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with answering(simple) as (port, _):
        async with landing(tmp_path, at(port, conditional_create=True)) as made:
            await made.write(KEY, content(1, 10))
            assert conditions == [("PUT", "*"), ("HEAD", None), ("PUT", None)]
            await made.write(KEY, content(1, 10))
            assert conditions[3:] == [("HEAD", None), ("PUT", None)]


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"])
async def test_an_answer_that_trickles_is_given_up(tmp_path: Path, begin: bytes) -> None:
    ended = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(begin)
            while not ended.wait(0.02):
                handler.wfile.write(b"H")
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True

    with answering(trickle) as (port, asked):
        async with landing(tmp_path, at(port, timeout="200ms", conditional_create=True)) as made:
            assert "nothing came for 0.2s" in await refused(made, needs_person=False)
        ended.set()
    assert len(asked) == 1


async def test_an_answer_without_an_end_is_given_up(tmp_path: Path) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 1_000_000)
        except OSError:
            handler.close_connection = True

    with answering(endless) as (port, _):
        async with landing(tmp_path, at(port, conditional_create=True)) as made:
            assert "more than 8 MiB" in await refused(made, needs_person=False)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (502, "<html><body>Bad</body></html>", "502 Bad Gateway"),
        (502, "<!DOCTYPE html><html><body>Bad<br></html>", "502 Bad Gateway"),
        (503, "come back later", "503 Service Unavailable"),
        (500, "<Error><Code>InternalError</Code></Error>", "500 InternalError"),
        (200, "<Error><Code>InternalError</Code><Message>We. Failed.</Message></Error>", "InternalError: We. Failed"),
    ],
)
async def test_what_fails_beyond_the_server_passes(tmp_path: Path, status: int, body: str, said: str) -> None:
    large = Envelopes([b'{"n":"%s"}\n' % (b"x" * (6 << 20))], 1)
    uploading = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    answers = {
        "POST /lake/k?uploads": uploading,
        "GET": "<ListMultipartUploadsResult><Bucket>lake</Bucket></ListMultipartUploadsResult>",
    }

    def server(handler: BaseHTTPRequestHandler) -> None:
        asked = f"{handler.command} {handler.path}"
        known = next((text for begin, text in answers.items() if asked.startswith(begin)), "")
        is_last = asked == "POST /lake/k?uploadId=u"
        content = (body if is_last else known).encode()
        handler.send_response(status if is_last else 200)
        handler.send_header("ETag", "e")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    with answering(server) as (port, asked):
        async with landing(tmp_path, at(port, conditional_create=True, part_size="5MiB")) as made:
            with pytest.raises(DestinationUnavailable, match=said) as caught:
                await made.write("k", large)
    assert not caught.value.needs_person
    assert not [one for one in asked if one.startswith("DELETE")]  # nobody knows whether it was completed


@pytest.mark.parametrize("element", ["html", "ListBucketResult"])
async def test_what_is_no_s3_server_is_said_so(tmp_path: Path, element: str) -> None:
    def page(handler: BaseHTTPRequestHandler) -> None:
        body = f'<!DOCTYPE a [<!ENTITY a "aaaa">]><{element}><Name>&a;</Name></{element}>'.encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with answering(page) as (port, _):
        async with landing(tmp_path, at(port)) as made:
            pages = made.objects("orders")
            assert pages is not None
            with pytest.raises(DestinationUnavailable, match="not S3's: look at `endpoint_url`"):
                await anext(pages)


async def test_closing_ends_a_handshake_that_hangs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with landing(tmp_path, at(1, timeout="10m") | {"endpoint_url": url}) as made:
            hanging = asyncio.ensure_future(made.write(KEY, content(1, 10)))
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                await asyncio.to_thread(connection.recv, 1)  # the handshake has begun
                async with asyncio.timeout(3):
                    await made.close()
                with pytest.raises(DestinationUnavailable):
                    await hanging
