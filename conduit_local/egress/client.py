"""Sending and fetching: once, without following, with a bound on everything that comes back."""

import asyncio
import email.utils
import errno
import socket
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from conduit_local.core.fetching import Fetched, FetchRefused
from conduit_local.core.plain import plain
from conduit_local.core.ports import Answered, SendFailed
from conduit_local.egress.guard import Guard, UrlRefused, host_of
from conduit_local.egress.resolver import Resolver

_EXCERPT_BYTES = 4_096
_EXCERPT_CHARS = 200
_LONGEST_WAIT_S = 86_400.0
_RESOLVE_WITHIN_S = 2.0
_SMALL_BYTES = 65_536
_GZIP = 31


class HttpClient:
    """`Sender` and `Fetcher` on aiohttp: no proxy, cookie or redirect; the guard sees every address connected to."""

    def __init__(self, guard: Guard, resolver: Resolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or Resolver()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def check(self, url: str) -> None:
        """
        `Sender.check`: also of what the name resolves to now. A name that does not resolve passes: it is looked at
        again when it is connected to.
        """
        self._guard.check_url(url)
        try:
            async with asyncio.timeout(_RESOLVE_WITHIN_S):
                found = await self._resolver.resolve(host_of(url), 0, socket.AF_UNSPEC)
        except OSError:
            return
        for address in found:
            self._guard.check_address(address["host"])

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes | Sequence[bytes], timeout_s: float
    ) -> Answered:
        """`Sender.post`."""
        pieces = [body] if isinstance(body, bytes) else body
        size = sum(map(len, pieces))
        with _worded("POST", url, timeout_s):
            self._guard.check_url(url)
            async with self._opened().post(
                URL(url, encoded=True),  # as it was given: what stands in it may be signed
                data=b"".join(pieces) if size <= _SMALL_BYTES else _one_by_one(pieces),
                headers={"Accept-Encoding": "identity", **headers, "Content-Length": str(size)},  # it is read as it is
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                begin, broken = await self._begin(answer)
                return Answered(
                    status=answer.status,
                    retry_after_s=_retry_after_s(answer.headers.get("Retry-After")),
                    excerpt=_excerpt(begin),
                    body=begin,
                    broken=broken,
                )

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Fetched:
        """`Fetcher.get`."""
        with _worded("GET", url, timeout_s):
            self._guard.check_url(url)
            async with self._opened().get(
                URL(url, encoded=True),
                headers={"Accept": "application/json", **headers, "Accept-Encoding": "gzip"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                links = answer.links
                following = links["next"].get("url") if "next" in links else None
                return Fetched(
                    status=answer.status,
                    retry_after_s=_retry_after_s(answer.headers.get("Retry-After")),
                    location=answer.headers.get("Location"),
                    next_url=str(following) if following is not None else None,
                    body=await self._whole(answer, url, max_bytes)
                    if answer.status == 200
                    else _excerpt((await self._begin(answer))[0]).encode(),
                )

    @staticmethod
    async def _whole(answer: aiohttp.ClientResponse, url: str, max_bytes: int) -> bytes:
        """The body, unpacked. Raises: SendFailed, aiohttp.ClientError."""
        packing = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if packing not in {"identity", "", "gzip", "x-gzip"}:
            raise SendFailed(
                f"GET {shown_url(url)}: its body is packed as {plain(packing)[:40]!r}, which nobody asked for"
            )
        unpack = zlib.decompressobj(_GZIP) if "gzip" in packing else None
        parts: list[bytes] = []
        size = 0
        try:
            async for piece in answer.content.iter_any():
                found = piece if unpack is None else unpack.decompress(piece, max_bytes + 1 - size)
                parts.append(found)
                size += len(found)
                if size > max_bytes:
                    answer.close()
                    raise SendFailed(f"GET {shown_url(url)}: its body has more than {max_bytes:,} bytes")
        except zlib.error as error:
            answer.close()
            raise SendFailed(f"GET {shown_url(url)}: its body is not whole gzip: {error}") from error
        if unpack is not None and size and not unpack.eof:
            raise SendFailed(f"GET {shown_url(url)}: its body is cut short")
        return b"".join(parts)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # whoever sends bounds it for each receiver: those that hang must not use up a common pool
                ttl_dns_cache=5,
                resolver=self._resolver,
                socket_factory=self._guard.socket_factory,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            )
        return self._session

    @staticmethod
    async def _begin(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """
        The begin of the body, and whether it broke off; a longer one is not read, and its connection not used again.
        What was answered stands all the same. Of a body that is packed nothing is given back.
        """
        found, broken = b"", False
        try:
            while len(found) < _EXCERPT_BYTES:
                piece = await answer.content.read(_EXCERPT_BYTES - len(found))
                if not piece:
                    break
                found += piece
        except (aiohttp.ClientError, OSError):
            broken = True
            answer.close()
        if not answer.content.at_eof():
            answer.close()
        return b"" if answer.headers.get("Content-Encoding") else found, broken


def _excerpt(begin: bytes) -> str:
    """For people."""
    return plain(begin.decode("utf-8", "replace"))[:_EXCERPT_CHARS]


async def _one_by_one(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@contextmanager
def _worded(method: str, url: str, timeout_s: float) -> Iterator[None]:
    """What goes wrong on the network, as people should read it. Raises: FetchRefused, SendFailed."""
    try:
        yield
    except UrlRefused as error:
        raise FetchRefused(f"{method} {shown_url(url)}: refused: {error}") from error
    except TimeoutError as error:
        raise SendFailed(f"{method} {shown_url(url)}: no answer within {timeout_s:g}s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        said = f"{method} {shown_url(url)}: {_reason(error)}"
        if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.EACCES:
            raise FetchRefused(said) from error
        raise SendFailed(said, unsent=isinstance(error, aiohttp.ClientConnectorError)) from error


def shown_url(url: str) -> str:
    """The URL without its query, which may hold secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return "the URL"
    return plain(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}")[:_EXCERPT_CHARS]


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not valid: {plain(str(error.certificate_error))}"
        case aiohttp.ClientConnectorError():
            return plain(error.os_error.strerror or str(error.os_error))
        case aiohttp.ClientResponseError():  # its own text has the URL in it
            return f"what came back is not HTTP: {plain(error.message)[:_EXCERPT_CHARS]}"
        case aiohttp.InvalidURL():
            return "it is not a URL"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer came"
        case OSError():
            return plain(error.strerror or str(error) or type(error).__name__)
        case _:
            return f"{type(error).__name__}: {plain(str(error))[:_EXCERPT_CHARS]}"


def _retry_after_s(text: str | None) -> float | None:
    """Seconds, given as such or as a date; at most a day."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_WAIT_S)
    try:
        at_s = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, at_s - time.time()), _LONGEST_WAIT_S)
