"""Sending: what is connected to, what comes back, and that neither can do harm (faults 17 and 20)."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.core.ports import Answered, SendFailed
from conduit_local.egress.client import HttpClient, _retry_after_s
from conduit_local.egress.guard import Guard
from conduit_local.egress.resolver import Resolver
from tests.egress.receiver import Receiver, Request, accept, hang, reset, says, status
from tests.engines import until

PUBLIC = "93.184.215.14"
WITHIN_S = 5.0


class Names:
    """A name server that answers as it is told, and may change its mind."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found
        ]


@asynccontextmanager
async def client(
    names: Names | None = None, *, loopback: bool = True, allowed: tuple[str, ...] = ()
) -> AsyncIterator[HttpClient]:
    """A client whose names are resolved as `names` says."""
    async with HttpClient(Guard(allowed, loopback=loopback), Resolver(names) if names else None) as found:
        yield found


async def post(sender: HttpClient, url: str, within_s: float = WITHIN_S) -> Answered:
    """Send something."""
    return await sender.post(url, {"webhook-id": "msg_1"}, b'{"a":1}', within_s)


async def test_a_post_arrives_as_it_was_given() -> None:
    async with Receiver() as receiver, client() as sender:
        answered = await post(sender, f"{receiver.url}?a=b%2Fc")
        assert answered == Answered(status=200, retry_after_s=None, excerpt="")
        (request,) = receiver.got
        assert request.target == "/hook?a=b%2Fc"
        assert request.body == b'{"a":1}'
        assert request.headers["webhook-id"] == "msg_1"
        await post(sender, receiver.url)
        assert receiver.connections == 1, "the connection is used again"


@pytest.mark.parametrize("pieces", [[], [b"one"], [b"one", b"", b"two"], [b"x" * 3_000_000], [b"y" * 70_000] * 40])
async def test_a_body_in_pieces_arrives_whole_and_with_its_length(pieces: list[bytes]) -> None:
    async with Receiver() as receiver, client() as sender:
        await sender.post(receiver.url, {}, pieces, WITHIN_S)
        (request,) = receiver.got
        assert request.body == b"".join(pieces)
        assert request.headers["content-length"] == str(len(request.body))
        assert "transfer-encoding" not in request.headers


# Where it goes ---------------------------------------------------------------------------------------------------


async def test_a_name_that_changes_to_loopback_after_the_check_gets_nowhere() -> None:
    names = Names([PUBLIC], ["127.0.0.1"])
    async with Receiver() as receiver, client(names, loopback=False) as sender:
        url = f"http://rebinding.example:{receiver.port}/hook"
        await sender.check(url)
        with pytest.raises(SendFailed, match=r"refused: 127\.0\.0\.1"):
            await post(sender, url)
        assert names.asked == ["rebinding.example"] * 2
        assert receiver.got == []


async def test_of_a_names_addresses_only_the_allowed_ones_are_connected_to() -> None:
    """`127.0.0.2` is the one that is allowed; what is connected to is the address that was looked at, not the name."""
    names = Names(["10.0.0.1", "169.254.169.254", "127.0.0.1"])
    async with Receiver() as receiver, client(names, loopback=False, allowed=("127.0.0.1/32",)) as sender:
        url = f"http://mixed.example:{receiver.port}/hook"
        assert (await post(sender, url)).status == 200
        (request,) = receiver.got
        assert request.headers["host"] == f"mixed.example:{receiver.port}"
        with pytest.raises(ValueError, match="private or reserved"):
            await sender.check(url)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "fd00::1", "::1", "0.1.2.3"])
async def test_a_name_for_a_forbidden_address_is_refused_when_given_and_when_connecting(address: str) -> None:
    async with client(Names([address]), loopback=False) as sender:
        with pytest.raises(ValueError, match=r"network|itself|metadata"):
            await sender.check("http://innocent.example/")
        with pytest.raises(SendFailed, match="refused: "):
            await post(sender, "http://innocent.example/")


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://2130706433/", "http://u:p@a.example/", "file:///x"])
async def test_a_url_that_is_refused_now_is_not_sent_to_either(url: str) -> None:
    async with client(Names([PUBLIC])) as sender:
        with pytest.raises(ValueError, match=r"."):
            await sender.check(url)
        with pytest.raises(SendFailed, match="refused: "):
            await post(sender, url)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(code: int) -> None:
    async with Receiver() as inner, Receiver(status(code, f"Location: {inner.url}")) as receiver, client() as sender:
        assert (await post(sender, receiver.url)).status == code
        assert len(receiver.got) == 1
        assert inner.got == []


async def test_no_proxy_no_netrc_and_no_cookies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with Receiver() as proxy, Receiver(status(200, "Set-Cookie: a=b")) as receiver, client() as sender:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for _ in range(2):
            await post(sender, receiver.url)
        assert proxy.got == []
        assert not {"authorization", "cookie"} & receiver.got[1].headers.keys()


async def test_a_name_that_does_not_resolve_passes_the_check_and_fails_when_sent() -> None:
    def nothing(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with HttpClient(Guard((), loopback=False), Resolver(nothing)) as sender:
        await sender.check("https://not-yet.example/")
        with pytest.raises(SendFailed, match=r"POST https://not-yet\.example/: Name or service not known"):
            await post(sender, "https://not-yet.example/")


async def test_name_servers_that_hang_hold_up_neither_others_nor_the_end() -> None:
    """A hundred names nobody answers for: the loop's own threads stay free, and so does a name that is answered for."""
    over, begun, known = threading.Event(), threading.Semaphore(0), Names(["127.0.0.1"])

    def look_up(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        if host == "good.example":
            return known(host, port, family)
        begun.release()
        over.wait(30)
        return []

    async with (
        Receiver() as receiver,
        HttpClient(Guard((), loopback=True), Resolver(look_up)) as sender,
        asyncio.TaskGroup() as tasks,
    ):
        hanging = [tasks.create_task(_fails(sender, f"http://n{n}.example/")) for n in range(100)]
        for _ in hanging:
            assert await asyncio.to_thread(begun.acquire, timeout=WITHIN_S)
        async with asyncio.timeout(WITHIN_S):
            assert (await post(sender, f"http://good.example:{receiver.port}/")).status == 200
            assert await asyncio.to_thread(lambda: "free") == "free"
        for task in hanging:
            task.cancel()
    over.set()


async def _fails(sender: HttpClient, url: str) -> None:
    with pytest.raises(SendFailed):
        await post(sender, url, 30)


# What comes back -------------------------------------------------------------------------------------------------


async def drip_head(_request: Request, writer: asyncio.StreamWriter) -> None:
    """A status line, and then headers for ever, a byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not writer.is_closing():
        writer.write(b"a")
        await asyncio.sleep(0)
        await writer.drain()


async def endless_informational(_request: Request, writer: asyncio.StreamWriter) -> None:
    """`100 Continue` for ever."""
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await asyncio.sleep(0)
        await writer.drain()


async def endless_body(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Chunks for ever."""
    writer.write(b"HTTP/1.1 503 no\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        await asyncio.sleep(0)
        await writer.drain()


async def body_that_hangs(request: Request, writer: asyncio.StreamWriter) -> None:
    """A good status, and a body that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
    await hang(request, writer)


@pytest.mark.parametrize("answer", [hang, drip_head, endless_informational])
async def test_an_answer_that_does_not_come_ends_in_time(answer: Any) -> None:
    async with Receiver(answer) as receiver, client() as sender:
        began = time.monotonic()
        with pytest.raises(SendFailed):
            await post(sender, receiver.url, 0.2)
        assert time.monotonic() - began < 3
        await _none(receiver)


async def test_an_endless_body_is_cut_at_once_and_its_connection_closed() -> None:
    async with Receiver(endless_body) as receiver, client() as sender:
        answered = await post(sender, receiver.url, 30)
        assert (answered.status, answered.excerpt) == (503, "x" * 200)
        await _none(receiver)


async def body_that_breaks_off(_request: Request, writer: asyncio.StreamWriter) -> None:
    """A good status, and half a body."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
    writer.close()


@pytest.mark.parametrize("answer", [body_that_hangs, body_that_breaks_off])
async def test_a_status_counts_also_where_the_body_hangs_or_breaks_off(answer: Any) -> None:
    async with Receiver(answer) as receiver, client() as sender:
        answered = await post(sender, receiver.url, 0.2)
        assert (answered.status, answered.body, answered.broken) == (200, b"some", True)
        await _none(receiver)


async def test_of_a_body_its_begin_is_given_back_as_it_came() -> None:
    async with Receiver(status(200, body=b"\x1b" * 5_000)) as receiver, client() as sender:
        answered = await post(sender, receiver.url)
        assert (answered.body, answered.broken) == (b"\x1b" * 4_096, False)


async def _none(receiver: Receiver) -> None:
    await until(lambda: receiver.connections == 0)


async def test_a_compressed_body_is_not_unpacked() -> None:
    async with Receiver(status(500, "Content-Encoding: gzip", body=b"\x1f\x8b\x08")) as receiver, client() as sender:
        assert await post(sender, receiver.url) == Answered(status=500, retry_after_s=None, excerpt="")


async def test_what_a_receiver_says_is_made_plain() -> None:
    evil = "\x1b]0;owned\x07\r\n\u202eevil \x00[red]".encode()
    async with Receiver(status(500, body=evil)) as receiver, client() as sender:
        excerpt = (await post(sender, receiver.url)).excerpt
    assert excerpt == "\\x1b]0;owned\\x07\\x0d\\x0a\\u202eevil \\x00[red]"


BAD = [
    b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    b"\x00\x01\x02\x03\r\n\r\n",
    b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
]


@pytest.mark.parametrize("answer", [reset, *map(says, BAD)])
async def test_failures_are_told_without_what_the_url_hides(answer: Any) -> None:
    async with Receiver(answer) as receiver, client() as sender:
        with pytest.raises(SendFailed) as raised:
            await post(sender, f"{receiver.url}?token=s3cret")
        assert raised.value.message.startswith(f"POST {receiver.url}: ")
        assert "s3cret" not in raised.value.message
        assert len(raised.value.message) < 500


async def test_where_nobody_listens_the_message_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with client() as sender:
            with pytest.raises(SendFailed, match=r"refused|[Cc]onnect"):
                await post(sender, f"http://127.0.0.1:{free.getsockname()[1]}/")


@given(st.binary(max_size=200))
@example(b"HTTP/1.1 200 OK\r\nRetry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n\r\n")
def test_any_bytes_give_an_answer_or_a_failure(content: bytes) -> None:
    async def sent() -> None:
        async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(content)
            await writer.drain()
            writer.close()

        async with Receiver(answer) as receiver, client() as sender:
            try:
                found = await post(sender, receiver.url)
            except SendFailed:
                return
            assert 0 <= found.status <= 999

    asyncio.run(sent())


# Retry-After -----------------------------------------------------------------------------------------------------


async def test_retry_after_in_seconds_and_as_a_date() -> None:
    async with Receiver(status(503, "Retry-After: 120")) as receiver, client() as sender:
        assert (await post(sender, receiver.url)).retry_after_s == 120
        receiver.answer = status(429, f"Retry-After: {formatdate(time.time() + 90, usegmt=True)}")
        waits_s = (await post(sender, receiver.url)).retry_after_s
        assert waits_s is not None
        assert 80 < waits_s <= 90
        receiver.answer = accept
        assert (await post(sender, receiver.url)).retry_after_s is None


@given(st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(str))
@example("9" * 400)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("٣")
def test_any_retry_after_is_at_most_a_day(text: str) -> None:
    found = _retry_after_s(text)
    assert found is None or 0 <= found <= 86_400
