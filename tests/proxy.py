"""
A proxy that tests control: it stands between us and a real server, and spoils exchanges as it is told.

An exchange is what a client sends until the server answers, and that answer; this fits HTTP without pipelining and
PostgreSQL's protocol, whatever else they say.
"""

import asyncio
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

_READ_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Spoilt(Enum):
    """What may become of an exchange."""

    PASS = auto()
    RESET = auto()
    """The connection is reset before the server hears anything."""
    LOST = auto()
    """The server gets it and answers; the answer is thrown away, the connection reset."""
    HALF = auto()
    """Half of the answer's first block comes through, then the connection is reset."""
    HELD = auto()
    """It is passed on once `Proxy.release` is called, and not before."""


PASS, RESET, LOST, HALF, HELD = Spoilt


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers instead of the server, which hears nothing; the connection is closed then."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Late:
    """It is passed on so much later."""

    seconds: float


Fault = Spoilt | Answer | Late


def refusal(status: str, *headers: str, body: str = "") -> Answer:
    """An HTTP answer like `503 Slow Down`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", "Connection: close", *headers]
    return Answer(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


class Proxy:
    """What stands between. `plan` is asked for each exchange: its number from 1 on, and the first bytes of it."""

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._upstream = port
        self.loop = loop
        self._released = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.plan: Callable[[int, bytes], Fault] = lambda _number, _request: PASS
        self.seen = 0
        """How many exchanges began."""

    @property
    def url(self) -> str:
        """Its address, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def release(self) -> None:
        """What is held goes on; what comes later and is to be held is held again."""

        def go() -> None:
            self._released.set()
            self._released.clear()

        self.loop.call_soon_threadsafe(go)

    async def serve(self, ready: threading.Event, stopped: asyncio.Event) -> None:
        """Serve until `stopped`."""
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stopped.wait()
        server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError):
                await _Connection(self, reader, writer).run(self._upstream)
        except asyncio.CancelledError:  # the proxy stops, or one direction has ended
            return
        finally:
            self._connections.discard(task)
            reset(writer)

    def next_fault(self, request: bytes) -> Fault:
        """What becomes of the exchange that begins."""
        self.seen += 1
        return self.plan(self.seen, request)

    async def held(self) -> None:
        """Return once what is held is released."""
        await self._released.wait()


class _Over(Exception):
    """One direction of a connection has ended."""


class _Connection:
    """A client's connection, and ours to the server."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._fault: Fault = PASS
        self._answered = True

    async def run(self, port: int) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as sides:
                sides.create_task(self._requests(up_writer))
                sides.create_task(self._answers(up_reader))
        except* (_Over, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            reset(up_writer)

    async def _requests(self, up_writer: asyncio.StreamWriter) -> NoReturn:
        """Raises: _Over, so that the other direction ends too."""
        while content := await self._reader.read(_READ_BYTES):
            if self._answered:
                self._answered = False
                self._fault = self._proxy.next_fault(content)
                match self._fault:
                    case Spoilt.RESET:
                        raise _Over
                    case Spoilt.HELD:
                        await self._proxy.held()
                    case Late(seconds):
                        passed = self._proxy.loop.create_future()
                        self._proxy.loop.call_later(seconds, passed.set_result, None)
                        await passed
                    case Answer(answer):
                        await self._swallow(content)
                        self._writer.write(answer)
                        await self._writer.drain()
                        self._writer.write_eof()
                        await self._reader.read()
                        raise _Over
                    case _:
                        pass
            up_writer.write(content)
            await up_writer.drain()
        raise _Over

    async def _swallow(self, begin: bytes) -> None:
        """Read an HTTP request to its end."""
        while b"\r\n\r\n" not in begin:
            begin += await self._reader.readexactly(1)
        head, _, body = begin.partition(b"\r\n\r\n")
        if _CHUNKED.search(head):
            while not body.endswith(b"0\r\n\r\n"):
                body = body[-8:] + await self._reader.readexactly(1)
        elif (length := _LENGTH.search(head)) is not None:
            await self._reader.readexactly(int(length[1]) - len(body))

    async def _answers(self, up_reader: asyncio.StreamReader) -> None:
        """Until the server closes; the client closes then, too. Raises: _Over."""
        while content := await up_reader.read(_READ_BYTES):
            self._answered = True
            if self._fault is Spoilt.LOST:
                raise _Over
            half = self._fault is Spoilt.HALF
            self._writer.write(content[: len(content) // 2] if half else content)
            await self._writer.drain()
            if half:
                raise _Over
        self._writer.write_eof()  # no reset: it would take from the client what it has not read yet


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once, so that the other side sees a reset."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy in front of a server on loopback, in a thread of its own."""
    ready = threading.Event()
    made: list[tuple[Proxy, asyncio.Event, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        stopped = asyncio.Event()
        proxy = Proxy(port, asyncio.get_running_loop())
        made.append((proxy, stopped, asyncio.get_running_loop()))
        await proxy.serve(ready, stopped)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="proxy")
    thread.start()
    ready.wait()
    proxy, stopped, loop = made[0]
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
