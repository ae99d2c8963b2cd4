"""JSON answers."""

import time
from collections.abc import Mapping
from email.utils import formatdate

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


def receipt_answer(body: bytes, *, replayed: bool) -> web.StreamResponse:
    """200 with a receipt, JSON already; says so when it repeats an earlier one."""
    if replayed:
        return web.Response(body=body, headers=_REPLAYED, content_type=_TYPE)
    return Receipt(body)


class Receipt(web.StreamResponse):
    """
    A 200 with a short JSON body and no header of its own, written in one piece.

    aiohttp lays out the headers of each answer anew. For the one answer that every event needs, that was 14 % of all
    that a request costs. What is not a plain HTTP/1.1 exchange goes the ordinary way.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._content = body
        self._connection: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Decide how it is written."""
        if request.version == HttpVersion11 and request.keep_alive and self._keep_alive is None and not self._headers:
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
        transport.write(b"%b%d\r\n\r\n%b" % (_head(), len(self._content), self._content))
        if transport.get_write_buffer_size() > _FULL_BUFFER_BYTES:
            await request.writer.drain()


_head_of = (0, b"")


def _head() -> bytes:
    """All of the head but the length's number; made once a second, for the date."""
    global _head_of  # noqa: PLW0603 - a memory of the last answer, nothing else
    second = int(time.time())
    if second != _head_of[0]:
        date = formatdate(second, usegmt=True).encode()
        _head_of = (
            second,
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nDate: %b\r\nContent-Length: " % (_TYPE.encode(), date),
        )
    return _head_of[1]
