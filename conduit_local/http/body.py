"""Reading a body: never more than was allowed, never longer than was allowed."""

import asyncio
import sys
import zlib
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from conduit_local.core.errors import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidRequest,
    Unavailable,
    UnsupportedEncoding,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_SMALL_BYTES = 65_536
_ANY_GZIP_OR_ZLIB = 31
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 24}  # 16 MiB; a frame may ask for 2 GiB


class BodyReader:
    """
    Reads bodies for all connections.

    Large bodies share one budget, so that many at once cannot take the machine's memory; what is over it is answered
    503 and may be repeated.
    """

    def __init__(self, *, deadline_s: float = 30.0, budget_bytes: int = 64 * 1024**2) -> None:
        self._deadline_s = deadline_s
        self._budget_bytes = budget_bytes
        self._held_bytes = 0

    async def read(self, request: web.BaseRequest, limit_bytes: int) -> bytes:
        """The decoded body; `Call.body` says what is raised."""
        content = request.content
        if content.is_eof() and content.exception() is None:
            body = content.read_nowait(-1)
            if len(body) > limit_bytes:
                raise _too_large(limit_bytes)
        else:
            body = await self._read_slowly(request, limit_bytes)
        encoding = request.headers.get("Content-Encoding")
        if encoding is None:
            return body
        return await _decode(body, encoding, limit_bytes)

    async def _read_slowly(self, request: web.BaseRequest, limit_bytes: int) -> bytes:
        announced = request.content_length
        if announced is not None and announced > limit_bytes:
            raise _too_large(limit_bytes)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # aiohttp takes what was written for the begin of the answer
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._deadline_s):
                while part := await request.content.readany():
                    size += len(part)
                    self._held_bytes += len(part)
                    parts.append(part)
                    if size > limit_bytes:
                        raise _too_large(limit_bytes)
                    if self._held_bytes > self._budget_bytes and size > _SMALL_BYTES:
                        raise Unavailable("too many large bodies at once; send this one again", retry_after_s=1)
        except TimeoutError as error:
            raise BodyTooSlow(f"the body did not arrive within {self._deadline_s:g} seconds") from error
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise InvalidRequest("the body does not end as its headers say") from error
        finally:
            self._held_bytes -= size
        return b"".join(parts)


async def _decode(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    match encoding.strip().lower():
        case "identity" | "":
            return body
        case "gzip" | "x-gzip":
            name, decoder = "gzip", _gunzip
        case "zstd":
            name, decoder = "zstd", _unzstd
        case _:
            raise UnsupportedEncoding(f"Content-Encoding {encoding[:40]!r}: send it plain, as gzip or as zstd")
    try:
        if len(body) <= _SMALL_BYTES:
            return decoder(body, limit_bytes)
        return await asyncio.to_thread(decoder, body, limit_bytes)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise InvalidRequest(f"the body is not whole {name}: {error}") from error


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    found: list[bytes] = []
    room = limit_bytes
    while body:
        stream = zlib.decompressobj(_ANY_GZIP_OR_ZLIB)
        part = stream.decompress(body, room + 1)
        body, room = _rest(stream, part, room, limit_bytes)
        found.append(part)
    return b"".join(found)


def _unzstd(body: bytes, limit_bytes: int) -> bytes:
    found: list[bytes] = []
    room = limit_bytes
    while body:
        stream = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        part = stream.decompress(body, room + 1)
        body, room = _rest(stream, part, room, limit_bytes)
        found.append(part)
    return b"".join(found)


def _rest(stream: _Stream, part: bytes, room: int, limit_bytes: int) -> tuple[bytes, int]:
    """What follows one member or frame, and the room that is left for it."""
    if len(part) > room:
        raise _too_large(limit_bytes)
    if not stream.eof:
        raise EOFError("it is cut short")
    return stream.unused_data, room - len(part)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body exceeds {limit_bytes:,} bytes")
