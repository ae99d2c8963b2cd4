"""Fetching: what comes back, bounded, and what is never connected to (fault 17). What servers do wrong: `test_http`."""

import asyncio
import gzip

import pytest

from conduit_local.core.fetching import Fetched, FetchRefused
from conduit_local.core.ports import SendFailed
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.egress.resolver import Resolver
from tests.egress.receiver import Receiver, Request, status
from tests.egress.test_client import Names, client

LIMIT = 1_000_000


async def get(fetcher: HttpClient, url: str, max_bytes: int = LIMIT) -> Fetched:
    """Fetch something."""
    return await fetcher.get(url, {"Authorization": "Bearer x", "Accept-Encoding": "br"}, 5.0, max_bytes)


async def test_a_body_comes_whole_and_unpacked() -> None:
    link = '</next?a=1>; rel="next", <http://x.example/>; rel="last"'
    answer = status(200, "Content-Encoding: gzip", f"Link: {link}", body=gzip.compress(b"[1]" * 1_000))
    async with Receiver(answer) as receiver, client() as fetcher:
        found = await get(fetcher, f"{receiver.url}?a=b%2Fc")
        assert found.body == b"[1]" * 1_000
        assert found.next_url == f"http://127.0.0.1:{receiver.port}/next?a=1"
        (request,) = receiver.got
        assert request.target == "/hook?a=b%2Fc"
        assert request.headers["authorization"] == "Bearer x"
        assert request.headers["accept-encoding"] == "gzip"
        await get(fetcher, receiver.url)
        assert receiver.connections == 1, "the connection is used again"


@pytest.mark.parametrize("body", [b"x" * 1_001, gzip.compress(b"x" * 50_000_000)], ids=["plain", "gzip"])
async def test_a_body_over_the_limit_is_not_read_on(body: bytes) -> None:
    packed = ["Content-Encoding: gzip"] if len(body) > 1_001 else []
    async with Receiver(status(200, *packed, body=body)) as receiver, client() as fetcher:
        with pytest.raises(SendFailed, match="more than 1,000 bytes"):
            await get(fetcher, receiver.url, 1_000)


async def test_a_body_without_end_ends_at_the_limit() -> None:
    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with Receiver(endless) as receiver, client() as fetcher:
        with pytest.raises(SendFailed, match="more than 1,000,000 bytes"):
            await get(fetcher, receiver.url)


async def test_redirects_are_told_and_not_followed() -> None:
    async with Receiver(status(307, "Location: http://169.254.169.254/")) as receiver, client() as fetcher:
        found = await get(fetcher, receiver.url)
        assert (found.status, found.location) == (307, "http://169.254.169.254/")
        assert len(receiver.got) == 1


async def test_a_name_that_changes_to_loopback_after_the_check_gets_nowhere() -> None:
    names = Names(["93.184.215.14"], ["127.0.0.1"])
    async with Receiver() as receiver, client(names, loopback=False) as fetcher:
        url = f"http://rebinding.example:{receiver.port}/"
        await fetcher.check(url)
        with pytest.raises(FetchRefused, match=r"refused: 127\.0\.0\.1"):
            await get(fetcher, url)
        assert receiver.got == []


async def test_what_is_refused_as_it_is_written_is_not_looked_up() -> None:
    names = Names(["93.184.215.14"])
    async with HttpClient(Guard((), loopback=False), Resolver(names)) as fetcher:
        for url in (
            "http://169.254.169.254/x",
            "http://[::1]/",
            "http://localhost/",
            "ftp://a.example/",
            "http://a:b@c/",
        ):
            with pytest.raises(FetchRefused):
                await get(fetcher, url)
    assert names.asked == []


async def test_nobody_there_is_no_refusal() -> None:
    async with Receiver() as receiver, client() as fetcher:
        url = receiver.url
        receiver._server.close()
        await receiver._server.wait_closed()
        with pytest.raises(SendFailed) as failed:
            await get(fetcher, url)
        assert not isinstance(failed.value, FetchRefused)
