"""Bad input on the wire: sizes, lies, bombs, slowness, guesses, web pages (faults 12 to 15, 18, 19)."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from backports import zstd

from tests.appliance import KEY, ORDERS, Appliance, read_answer, serving

HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n".encode()
EVENT = b'{"pipeline_id":"pl_8f3a","event_type":"a.b","payload":{}}'
SETTINGS = "connections: {head_deadline: 1s, body_deadline: 1s, max: 600}"


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("faults"), {"orders": ORDERS}, settings=SETTINGS) as running:
        yield running


def post(body: bytes, headers: bytes = b"", path: bytes = b"/v1/events") -> bytes:
    return b"POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (path, HEAD, headers, len(body), body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def is_well(appliance: Appliance) -> None:
    """A fresh event is taken, and quickly."""
    began = time.monotonic()
    assert appliance.emit({}).status == 200
    assert time.monotonic() - began < 1


# Not HTTP, or too much of it (13) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n\r\n\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header: x\r\n\r\n",
        b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-A: 1\r\n" * 10_000 + b"\r\n",
        b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n",
    ],
    ids=[
        "zeros",
        "tls",
        "version",
        "header",
        "10k headers",
        "long header",
        "long path",
        "two lengths",
        "negative",
        "x",
    ],
)
def test_what_is_not_http_is_400_in_json_or_closed(appliance: Appliance, content: bytes) -> None:
    answer = appliance.raw(content)
    if answer:
        assert status(answer) in {400, 405, 408, 431, 505}, answer[:200]
        body = answer.partition(b"\r\n\r\n")[2]
        assert not body or "error" in json.loads(body)
    is_well(appliance)


def test_a_chunked_body_is_read_and_one_that_lies_is_400(appliance: Appliance) -> None:
    chunked = b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    half = len(EVENT) // 2
    good = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (half, EVENT[:half], len(EVENT) - half, EVENT[half:])
    assert status(appliance.raw(chunked + good)) == 200
    for bad in (b"zz\r\nabc\r\n0\r\n\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffffff\r\nabc"):
        answer = appliance.raw(chunked + bad)
        assert not answer or status(answer) in {400, 408}, answer
    is_well(appliance)


def test_an_endless_body_is_413_within_the_cap(appliance: Appliance) -> None:
    before = appliance.rss_mib()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", appliance.port), timeout=15) as connection:
            connection.sendall(b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            block = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
            try:
                for _ in range(2_000):
                    connection.sendall(block)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = read_answer(connection)
        assert not answer or status(answer) == 413
    assert appliance.rss_mib() - before < 64
    is_well(appliance)


def test_an_announced_giant_is_413_at_once(appliance: Appliance) -> None:
    head = b"POST /v1/events HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999\r\n\r\n"
    began = time.monotonic()
    answer = appliance.raw(head)
    assert status(answer) == 413
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "payload_too_large"
    assert time.monotonic() - began < 1


def test_a_client_that_waits_for_100_continue_gets_it(appliance: Appliance) -> None:
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=15) as connection:
        head = b"POST /v1/events HTTP/1.1\r\n%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (HEAD, len(EVENT))
        connection.sendall(head)
        assert connection.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(EVENT)
        assert status(read_answer(connection)) == 200


def test_pipelined_requests_are_answered_in_order(appliance: Appliance) -> None:
    count = 50
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=15) as connection:
        connection.sendall(post(EVENT) * count)
        found = b""
        while found.count(b"HTTP/1.1 200") < count:
            block = connection.recv(65_536)
            assert block, found[-300:]
            found += block
    ids = [part[: part.index(b'"')] for part in found.split(b'"event_id":"')[1:]]
    assert ids == sorted(ids)


# Bombs (14) ------------------------------------------------------------------------------------------------


def test_a_bomb_is_413_within_the_cap(appliance: Appliance) -> None:
    before = appliance.rss_mib()
    zeros = b"\0" * (200 * 1024**2)
    for name, content in ((b"gzip", gzip.compress(zeros)), (b"zstd", zstd.compress(zeros))):
        for path in (b"/v1/events", b"/_local/pipelines/pl_8f3a/events"):
            answer = appliance.raw(post(content, b"Content-Encoding: %s\r\n" % name, path))
            assert status(answer) == 413
    assert appliance.rss_mib() - before < 64
    is_well(appliance)


def test_a_zstd_frame_that_wants_a_giant_window_is_400(appliance: Appliance) -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    frame = compressor.compress(b"x" * 1000) + compressor.flush()
    answer = appliance.raw(post(frame, b"Content-Encoding: zstd\r\n"))
    assert status(answer) == 400
    is_well(appliance)


@pytest.mark.parametrize("encoding", [b"gzip, gzip", b"gzip,zstd", b"br", b"deflate", b"compress", b"\xff"])
def test_other_and_nested_encodings_are_415(appliance: Appliance, encoding: bytes) -> None:
    answer = appliance.raw(post(gzip.compress(gzip.compress(EVENT)), b"Content-Encoding: %s\r\n" % encoding))
    assert status(answer) == 415


@pytest.mark.parametrize("cut", [1, 4, 8, 20])
def test_a_stream_that_is_cut_short_is_400(appliance: Appliance, cut: int) -> None:
    for name, content in ((b"gzip", gzip.compress(EVENT)), (b"zstd", zstd.compress(EVENT))):
        answer = appliance.raw(post(content[:-cut], b"Content-Encoding: %s\r\n" % name))
        assert status(answer) == 400


# Slowness (15) ---------------------------------------------------------------------------------------------


def test_a_head_that_does_not_end_is_closed_after_its_deadline(appliance: Appliance) -> None:
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=15) as connection:
        began = time.monotonic()
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: 127")
        assert read_answer(connection).startswith((b"HTTP/1.1 408", b""))
        assert 0.8 < time.monotonic() - began < 5


def test_a_second_head_that_does_not_end_is_closed_too(appliance: Appliance) -> None:
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=15) as connection:
        connection.sendall(post(EVENT))
        assert status(read_answer(connection)) == 200
        began = time.monotonic()
        connection.sendall(b"POST /v1/ev")
        read_answer(connection)
        assert 0.8 < time.monotonic() - began < 5


def test_a_body_that_does_not_end_is_408(appliance: Appliance) -> None:
    began = time.monotonic()
    answer = appliance.raw(b"POST /v1/events HTTP/1.1\r\n%sContent-Length: 500\r\n\r\n{" % HEAD)
    assert status(answer) == 408
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"
    assert 0.8 < time.monotonic() - began < 5


def test_two_thousand_slow_sockets_do_not_slow_down_the_others(appliance: Appliance) -> None:
    slow: list[socket.socket] = []
    longest = 0.0
    try:
        for n in range(2_000):
            connection = socket.create_connection(("127.0.0.1", appliance.port), timeout=5)
            connection.send(b"GET /v1/events HTTP/1.1\r\nX: " if n % 2 else b"POST /v1/events HTTP/1.1\r\n" + HEAD)
            slow.append(connection)
            if n % 50 == 0:
                began = time.monotonic()
                assert appliance.ask("GET", "/_local/health/live", key=None).status == 200
                longest = max(longest, time.monotonic() - began)
        is_well(appliance)
    finally:
        for connection in slow:
            connection.close()
    assert longest < 0.5
    is_well(appliance)


# Web pages and guesses (18, 19) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:8642", "x@evil", ""]
)
def test_a_host_that_is_not_ours_is_refused_even_with_a_key(appliance: Appliance, host: str) -> None:
    raw = f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    answer = appliance.raw(raw)
    assert status(answer) in {400, 403}
    assert b"orders" not in answer


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:8642", "[::1]:8642", "192.168.1.7", "app.localhost"]
)
def test_our_own_names_and_any_address_pass(appliance: Appliance, host: str) -> None:
    raw = f"GET /v1/pipelines/pl_8f3a HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    assert status(appliance.raw(raw)) == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:1", "file://"]
)
def test_a_page_from_elsewhere_is_refused(appliance: Appliance, origin: str) -> None:
    answer = appliance.ask("POST", "/v1/events", EVENT, headers={"Origin": origin})
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_of_our_own_passes(appliance: Appliance) -> None:
    assert appliance.ask("POST", "/v1/events", EVENT, headers={"Origin": appliance.url}).status == 200


def test_without_keys_a_form_on_a_web_page_still_cannot_post(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}, "--auth", "off") as running:
        assert running.ask("POST", "/v1/events", EVENT, key=None).status == 200
        form = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        assert running.ask("POST", "/v1/events", EVENT, key=None, headers=form).status == 403
        assert running.ask("POST", "/v1/events", EVENT, key=None, headers={"Content-Type": "text/plain"}).status == 415


def test_no_key_is_found_in_any_log_or_answer(appliance: Appliance) -> None:
    secret = appliance.ask("POST", "/_local/keys", {"name": "secretive", "scopes": ["admin"]}).json["secret"]
    for _ in range(2):
        appliance.ask("GET", "/v1/events", key=secret)
        appliance.ask("GET", "/v1/events?limit=x", key=secret)
        appliance.ask("GET", "/nowhere", key=secret)
        appliance.ask("POST", "/v1/events", b"{", key=secret)
    said = appliance.log.read_text()
    for path in ("/_local/keys", "/_local/logs", "/_local/config", "/_local/snapshot"):
        said += appliance.ask("GET", path).body.decode()
    assert secret not in said
    assert KEY not in said
    for file in appliance.data.glob("conduit.db*"):
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/v1", "/v2/events", "/_local", "/_local/nope", "/%2e%2e/etc/passwd", "/v1/events/%00"]
)
def test_paths_outside_every_api_get_json_too(appliance: Appliance, path: str) -> None:
    answer = appliance.ask("GET", path)
    assert answer.status == 404
    assert list(answer.json["error"])[:2] == ["code", "message"]


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "[/red]", "\u202eevil", "a\r\nInjected: 1", "${jndi:ldap://x}"])
def test_foreign_text_never_drives_a_log_or_a_header(appliance: Appliance, text: str) -> None:
    answer = appliance.ask(
        "POST", "/v1/events", json.dumps({"pipeline_id": text, "event_type": "a", "payload": {"x": text}}).encode()
    )
    assert answer.status == 404
    appliance.ask("PUT", "/_local/pipelines/x", {"name": text})
    said = appliance.log.read_bytes()
    assert b"\x1b" not in said
    assert "\u202e".encode() not in said
    assert "Injected" not in answer.headers
