"""A receiver of webhooks on a real port: raw, so that it can answer as no server should."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Head = dict[str, str]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """What came; header names in lowercase."""

    target: str
    headers: Head
    body: bytes
    rest: asyncio.StreamReader
    """What comes after it."""


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
"""Writes whatever it likes; returning goes on to the connection's next request."""


async def accept(_request: Request, writer: asyncio.StreamWriter) -> None:
    """200."""
    writer.write(OK)


async def hang(request: Request, _writer: asyncio.StreamWriter) -> None:
    """Nothing, until the other side goes away."""
    await request.rest.read()


async def reset(_request: Request, writer: asyncio.StreamWriter) -> None:
    """The connection breaks."""
    writer.transport.abort()


def says(answer: bytes) -> Answer:
    """These very bytes."""

    async def answered(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return answered


def status(code: int, *headers: str, body: bytes = b"") -> Answer:
    """A status, with headers and a body."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {code} x", *headers, f"Content-Length: {len(body)}"))
    return says(f"{head}\r\n".encode() + body)


@dataclass(slots=True)
class Receiver:
    """Keeps what came, and answers as it is told."""

    answer: Answer = accept
    got: list[Request] = field(default_factory=list)
    connections: int = 0
    """Open ones."""
    port: int = 0
    on_request: Callable[[], None] = lambda: None
    _tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.got.append(request)
                self.on_request()
                await self.answer(request, writer)
                if writer.is_closing():
                    return
                await writer.drain()
        except (OSError, asyncio.CancelledError):  # it is over
            return
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def start(self) -> asyncio.Server:
        """Listen on loopback."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port or None)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def __aenter__(self) -> "Receiver":
        self._server = await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    _server: Any = None


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(first.split(" ")[1], headers, body, reader)
    except (asyncio.IncompleteReadError, OSError):
        return None


@contextmanager
def in_a_thread(receiver: Receiver) -> Iterator[Receiver]:
    """The receiver on a loop of its own, for tests that block."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def run() -> None:
        async with receiver:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="receiver")
    thread.start()
    assert ready.wait(10)
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
