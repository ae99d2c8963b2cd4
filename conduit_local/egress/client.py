"""Sending: once, without following, with a bound on everything that comes back."""

import email.utils
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from conduit_local.core.plain import plain
from conduit_local.core.ports import Answered, SendFailed
from conduit_local.egress.guard import Guard, UrlRefused

_EXCERPT_BYTES = 4_096
_EXCERPT_CHARS = 200
_LONGEST_WAIT_S = 86_400.0


class HttpClient:
    """`Sender` on aiohttp: no proxy, no cookie, no redirect; the guard sees every address that is connected to."""

    def __init__(self, guard: Guard, *, max_connections: int = 32) -> None:
        self._guard = guard
        self._max_connections = max_connections
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
        """`Sender.check`."""
        await self._guard.check(url)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answered:
        """`Sender.post`."""
        try:
            self._guard.check_url(url)
            async with self._opened().post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                excerpt = await self._excerpt(answer)
                return Answered(
                    status=answer.status,
                    retry_after_s=_retry_after_s(answer.headers.get("Retry-After")),
                    excerpt=excerpt,
                )
        except UrlRefused as error:
            raise SendFailed(f"POST {_shown(url)}: refused: {error}") from error
        except TimeoutError as error:
            raise SendFailed(f"POST {_shown(url)}: no answer within {timeout_s:g}s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SendFailed(f"POST {_shown(url)}: {_reason(error)}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._max_connections,
                limit_per_host=8,
                ttl_dns_cache=5,
                socket_factory=self._guard.socket_factory,
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            )
        return self._session

    @staticmethod
    async def _excerpt(answer: aiohttp.ClientResponse) -> str:
        """The begin of the body; a longer one is not read, and its connection not used again."""
        found = b""
        while len(found) < _EXCERPT_BYTES:
            piece = await answer.content.read(_EXCERPT_BYTES - len(found))
            if not piece:
                break
            found += piece
        if not answer.content.at_eof():
            answer.close()
        if answer.headers.get("Content-Encoding"):
            return ""
        return plain(found.decode("utf-8", "replace"))[:_EXCERPT_CHARS]


def _shown(url: str) -> str:
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
    except (ValueError, TypeError):
        return None
    return min(max(0.0, at_s - time.time()), _LONGEST_WAIT_S)
