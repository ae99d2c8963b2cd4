"""The listening socket and its connections."""

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from conduit_local.core.errors import Broken
from conduit_local.engine.journal import LOGGER
from conduit_local.http.answers import json_answer

_RESERVED_FILES = 256
"""Descriptors kept for the store, objects and the like."""
_SLOW_HEAD = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class CannotListen(Broken):
    """The address is in use, or not ours to listen on."""

    code = "cannot_listen"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """How connections are treated."""

    host: str = "127.0.0.1"
    port: int = 8642
    max_connections: int = 4_096
    head_deadline_s: float = 10.0
    """From the first byte of a request, or the start of a connection, to the end of its headers."""
    idle_s: float = 75.0
    """How long a connection may wait between two requests."""
    grace_s: float = 10.0
    """How long requests may take to end when the appliance stops."""


class Connection(RequestHandler):
    """aiohttp's connection, with a deadline for request heads, and JSON for what it cannot parse."""

    __slots__ = ("_alarm", "_server")

    def __init__(self, server: "Connections", **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the first deadline; make room when there are too many connections."""
        super().connection_made(transport)
        self._arm()
        self._server.admit(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the deadline."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A whole head ends the deadline, a piece of one starts it."""
        super().data_received(data)
        if self._messages or self._request_in_progress:
            if self._alarm is not None:
                self._disarm()
        elif self._alarm is None:
            self._arm()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP gets a short answer in JSON; the connection is closed after it."""
        if isinstance(exc, ConnectionError):
            raise exc  # the other side is gone; nobody is there to be told
        if status >= 500:
            LOGGER.error("a request failed outside its handler", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already; the connection is closed instead")
        text = "the request is not valid HTTP" if status < 500 else "an unexpected error"
        answer = json_answer({"error": {"code": "bad_request", "message": text}}, status)
        answer.force_close()
        return answer

    def refuse(self, words: bytes) -> None:
        """Say `words` and close."""
        self._disarm()
        if self.transport is not None:
            self.transport.write(words)
        self.force_close()

    def _arm(self) -> None:
        self._alarm = self._loop.call_later(self._server.head_deadline_s, self._too_slow)
        self._server.waiting[self] = None

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._server.waiting.pop(self, None)

    def _too_slow(self) -> None:
        self._alarm = None
        self.refuse(_SLOW_HEAD)


class Connections(web.Server):
    """All connections; past the cap, whoever has been waiting longest for a request goes first."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], settings: ServerSettings, cap: int
    ) -> None:
        super().__init__(
            handler,
            request_factory=self._request,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=settings.idle_s,
            lingering_time=2.0,
            logger=LOGGER,
        )
        self.head_deadline_s = settings.head_deadline_s
        self.waiting: dict[Connection, None] = {}
        self._cap = cap

    def __call__(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, newcomer: Connection) -> None:
        """Make room for a connection."""
        if len(self._connections) <= self._cap:
            return
        oldest = next(iter(self.waiting), newcomer)
        oldest.refuse(_FULL)

    def _request(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: "asyncio.Task[None]"
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """A server that accepts requests."""

    url: str
    connections: Connections


@asynccontextmanager
async def listen(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], settings: ServerSettings
) -> AsyncIterator[Listening]:
    """
    Accept requests until the block ends; then stop listening, and let requests under way end within the grace.

    Raises: CannotListen.
    """
    cap = min(settings.max_connections, _raise_file_limit() - _RESERVED_FILES)
    connections = Connections(handler, settings, max(cap, 16))
    runner = web.ServerRunner(connections, shutdown_timeout=settings.grace_s)
    await runner.setup()
    try:
        listener = _bind(settings.host, settings.port)
        await web.SockSite(runner, listener, backlog=1024).start()
        port = listener.getsockname()[1]
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield Listening(url=f"http://{shown}:{port}", connections=connections)
    finally:
        await runner.cleanup()


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        hint = "is in use; choose another with --port, or 0 for any that is free"
        reason = hint if error.errno == errno.EADDRINUSE else f"cannot be listened on: {error.strerror}"
        raise CannotListen(f"port {port} on {host} {reason}") from error
    return listener


def _raise_file_limit() -> int:
    """As many descriptors as the system lets us have; returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft
