"""A client of server-sent events that reads only when it is told to."""

import json
import select
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from tests.appliance import KEY, Appliance


class Said(NamedTuple):
    """One event: its name, its data as JSON, and when it was read."""

    name: str
    data: Any
    at_s: float


class Listener:
    """One open stream."""

    def __init__(
        self, port: int, query: str = "", *, key: str = KEY, method: str = "GET", buffer_bytes: int | None = None
    ) -> None:
        self._socket = socket.socket()
        if buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.settimeout(10)
        self._socket.connect(("127.0.0.1", port))
        head = f"{method} /_local/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
        self._socket.sendall(head.encode())
        self._raw = b""
        self._body = b""
        self.ended = False
        """Whether the stream came to its proper end."""
        while b"\r\n\r\n" not in self._raw:
            block = self._socket.recv(65_536)
            assert block, self._raw
            self._raw += block
        self.head, _, self._raw = self._raw.partition(b"\r\n\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.head.split(b" ", 2)[1])

    def waits(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not self._raw and not select.select([self._socket], [], [], seconds)[0]

    def next(self) -> Said | None:
        """The next event; comments are skipped. None at the end of the stream."""
        while True:
            block = self._block()
            if block is None:
                return None
            if block.startswith(b":"):
                continue
            name, data = block.split(b"\n")
            return Said(
                name.removeprefix(b"event: ").decode(), json.loads(data.removeprefix(b"data: ")), time.monotonic()
            )

    def comment(self) -> str:
        """The next block, which must be a comment."""
        block = self._block()
        assert block is not None
        assert block.startswith(b":"), block
        return block.decode()

    def until(self, condition: Callable[[Said], bool], within_s: float = 10.0) -> Said:
        """The first event that fits."""
        end = time.monotonic() + within_s
        while True:
            said = self.next()
            assert said is not None, "the stream has ended"
            if condition(said):
                return said
            assert time.monotonic() < end, said

    def ends(self, within_s: float = 10.0) -> bool:
        """Whether the stream comes to its proper end within so long; what it says until then does not matter."""
        end = time.monotonic() + within_s
        while time.monotonic() < end and self._block() is not None:
            pass
        return self.ended

    def _block(self) -> bytes | None:
        while b"\n\n" not in self._body:
            if self.ended or not self._chunk():
                return None
        block, _, self._body = self._body.partition(b"\n\n")
        return block

    def _chunk(self) -> bool:
        """Read one chunk of the body; False at its end. Anything but a chunk is an error."""
        while b"\r\n" not in self._raw:
            self._receive()
        size_text, _, rest = self._raw.partition(b"\r\n")
        size = int(size_text, 16)
        while len(rest) < size + 2:
            self._raw = rest
            self._receive()
            rest = self._raw
        assert rest[size : size + 2] == b"\r\n"
        self._body += rest[:size]
        self._raw = rest[size + 2 :]
        self.ended = size == 0
        return not self.ended

    def _receive(self) -> None:
        block = self._socket.recv(65_536)
        assert block, "the connection was closed in the middle"
        self._raw += block


def listen(appliance: Appliance, query: str = "", **options: Any) -> Listener:
    """Open a stream of an appliance."""
    return Listener(appliance.port, query, **options)
