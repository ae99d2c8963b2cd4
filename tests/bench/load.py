"""A closed-loop sender: so many connections, each with one request under way."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from tests.bench.bodies import Maker


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What one stretch of sending gave."""

    requests: int
    seconds: float
    latencies_ms: list[float]

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which `share` of the requests were answered."""
        return sorted(self.latencies_ms)[min(len(self.latencies_ms) - 1, int(len(self.latencies_ms) * share))]


class _Sender(asyncio.Protocol):
    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._sent_at = 0.0
        self._idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        self._idle = False
        request = self._load.make()
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        end = data.find(b"\r\n\r\n")
        at = data.find(b"Content-Length: ")
        if end < 0 or len(data) < end + 4 + int(data[at + 16 : data.find(b"\r\n", at)]):
            self._received = data
            return
        self._received = b""
        if self._load.answered(data, time.perf_counter() - self._sent_at):
            self.send()
        else:
            self._idle = True

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._idle:
            self._load.fail("a connection was closed before its answer")

    def close(self) -> None:
        self._transport.close()


class Load:
    """One stretch of sending."""

    def __init__(self, make: Maker, connections: int, requests: int) -> None:
        self.make = make
        self.enough = asyncio.Event()
        self.quiet = asyncio.Event()
        self.wrong: str | None = None
        self.latencies_ms: list[float] = []
        self._open = connections
        self._left = requests

    def answered(self, answer: bytes, seconds: float) -> bool:
        """One request is done; returns whether another one is wanted."""
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
            self.fail(f"refused: {answer[:400]!r}")
        self.latencies_ms.append(seconds * 1000)
        self._left -= 1
        if self._left == 0:
            self.enough.set()
        if not self.enough.is_set():
            return True
        self._open -= 1
        if self._open == 0:
            self.quiet.set()
        return False

    def fail(self, words: str) -> None:
        """End this; the figures would be of something else."""
        self.wrong = self.wrong or words
        self.enough.set()
        self.quiet.set()


async def send(
    port: int, make: Maker, connections: int, *, seconds: float = 600.0, requests: int = -1, warm_s: float = 0.0
) -> Slice:
    """
    Send for `seconds`, or `requests` requests; what is sent in the first `warm_s` is not counted.

    Raises: RuntimeError where an answer is not a 200 or 202.
    """
    load = Load(make, connections, requests)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Sender(load), "127.0.0.1", port) for _ in range(connections)]
    for _, sender in opened:
        sender.send()
    if warm_s:
        await asyncio.sleep(warm_s)
    before, began = len(load.latencies_ms), time.perf_counter()
    with suppress(TimeoutError):
        await asyncio.wait_for(load.enough.wait(), seconds)
    counted, took = load.latencies_ms[before:], time.perf_counter() - began
    load.enough.set()
    await load.quiet.wait()
    for _, sender in opened:
        sender.close()
    if load.wrong:
        raise RuntimeError(load.wrong)
    return Slice(requests=len(counted), seconds=took, latencies_ms=counted)
