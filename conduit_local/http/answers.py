"""JSON answers."""

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

_ENCODER = msgspec.json.Encoder()
_TYPE = "application/json"
_REPLAYED = {"Idempotent-Replayed": "true"}
_FULL_BUFFER_BYTES = 65_536


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` (dicts, lists, dataclasses, numbers, text) as JSON in UTF-8."""
    return web.Response(body=_ENCODER.encode(value), status=status, headers=headers, content_type=_TYPE)


def receipt_answer(body: bytes, status: int = 200, *, replayed: bool) -> web.StreamResponse:
    """200 or 202 with a receipt, JSON already; says so when it repeats an earlier one."""
    if replayed:
        return web.Response(body=body, status=status, headers=_REPLAYED, content_type=_TYPE)
    return Receipt(body, status)


class Receipt(web.StreamResponse):
    """
    A 200 or 202 with a short JSON body, written in one piece.

    aiohttp lays out the headers of each answer anew. For the one answer that every event needs, that was 14 % of all
    that a request costs. What is not a plain HTTP/1.1 exchange goes the ordinary way.
    """

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(status=status)
        self._content = body
        self._connection: web.BaseRequest | None = None
        self._own = b""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Decide how it is written."""
        if request.version == HttpVersion11 and request.keep_alive and self._keep_alive is None:
            self._own = _lines(tuple(self._headers.items())) if self._headers else b""
            self._keep_alive = True
            self._connection = request
            return None
        self.content_type = _TYPE
        self.content_length = len(self._content)
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Write it. Raises: ConnectionResetError when nobody is there any more."""
        request = self._connection
        if request is None:
            await super().write_eof(self._content)
            return
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed before its answer")
        head = _head(self._status)
        transport.write(b"%b%d\r\n%b\r\n%b" % (head, len(self._content), self._own, self._content))
        if transport.get_write_buffer_size() > _FULL_BUFFER_BYTES:
            await request.writer.drain()


@lru_cache(maxsize=1024)
def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Raises: ValueError for what would begin a line of its own."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a header must not hold a line break")
    return text.encode()


_HEAD = "HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\nDate: {date}\r\nContent-Length: "
_heads_of: tuple[int, dict[int, bytes]] = (0, {})


def _head(status: int) -> bytes:
    """All of the head but the length's number; made once a second, for the date."""
    global _heads_of  # noqa: PLW0603 - a memory of the last answer, nothing else
    second = int(time.time())
    if second != _heads_of[0]:
        date = formatdate(second, usegmt=True)
        heads = {
            int(one): _HEAD.format(status=one.value, phrase=one.phrase, kind=_TYPE, date=date).encode()
            for one in (HTTPStatus.OK, HTTPStatus.ACCEPTED)
        }
        _heads_of = (second, heads)
    return _heads_of[1][status]
