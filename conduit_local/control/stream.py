"""
`GET /_local/stream`: server-sent events.

What is sent is made when it can be sent: a client that reads slowly gets the newest snapshot, never a queue of old
ones, and is told how many log lines it missed. Memory is one answer a client. The system's own send buffer, which would
grow to megabytes and so to minutes of the past, is kept small.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from aiohttp import web

from conduit_local.control.wire import encode_event, encode_line
from conduit_local.core.errors import Unavailable
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.engine import Engine
from conduit_local.http.call import Call

_TOPICS = frozenset({"snapshot", "log", "events"})
_LINES_AT_ONCE = 500
_EVENTS_AT_ONCE = 20
_SHARED_S = 0.1
_UNSENT_BYTES = 32_768


class Streams:
    """All streams that are open."""

    def __init__(self, engine: Engine, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._ended = asyncio.Event()
        self._sending: set[asyncio.Transport] = set()
        self._made_at_s = 0.0
        self._made = b""

    def end(self) -> None:
        """The appliance stops: streams end now, so that nobody waits for them, nor for a client that does not read."""
        self._ended.set()
        for transport in list(self._sending):
            transport.abort()

    @property
    def ended(self) -> bool:
        """Whether the appliance stops."""
        return self._ended.is_set()

    @contextmanager
    def sending(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """What is sent within the block is cut off where the appliance stops. Raises: ConnectionResetError."""
        if transport is None:
            raise ConnectionResetError("the connection was closed")
        self._sending.add(transport)
        try:
            yield
        finally:
            self._sending.discard(transport)

    async def get_stream(self, call: Call) -> web.StreamResponse:
        """
        `GET /_local/stream?topics=snapshot,log,events&interval_ms=500&after=0`.

        Shape: events `snapshot` (as `/_local/snapshot`), `log` (`{lines, missed}`) and `events` (`{events, accepted}`:
        the newest of those accepted since the last time, 20 at most; at first the newest there are, with 0 accepted).
        `after` is the number of the last known line. The stream ends when the caller's key is revoked, or the pipeline
        that it asked for is deleted.
        """
        topics = set((call.text("topics") or "snapshot").split(","))
        if not topics <= _TOPICS:
            raise refusal([Problem(path=("topics",), message=f"must be some of: {', '.join(sorted(_TOPICS))}")])
        interval_s = call.number("interval_ms", 500, 100, 60_000) / 1000
        client = _Client(self._engine, call.number("after", 0, 0, 1 << 53), call.text("pipeline"))
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        with suppress(ConnectionError):  # the client went away; nothing is owed to it
            await response.prepare(call.request)
            _keep_no_queue(call.request.transport)
            while call.request.method != "HEAD" and await self._say(call, response, client, topics):
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval_s):
                        await self._ended.wait()
        return response

    async def _say(self, call: Call, response: web.StreamResponse, client: "_Client", topics: set[str]) -> bool:
        """Say the news, once what was said before is on its way; False when there is no more to say to this client."""
        transport = call.request.transport
        if transport is None:
            return False
        with self.sending(transport):
            await call.request.writer.drain()
            if self._ended.is_set() or client.gone or not self._engine.keys.holds(call.principal):
                return False
            await response.write(await self._news(client, topics) or b": still here\n\n")
        return True

    async def _news(self, client: "_Client", topics: set[str]) -> bytes:
        said = b""
        if "log" in topics:
            said += client.log()
        if "events" in topics:
            said += await client.events()
        if "snapshot" in topics:
            said += self._shared_snapshot()
        return said

    def _shared_snapshot(self) -> bytes:
        """One snapshot serves all clients that ask within a tenth of a second."""
        now_s = asyncio.get_running_loop().time()  # the loop's: a clock that tests have frozen must not freeze the view
        if now_s - self._made_at_s >= _SHARED_S or not self._made:
            self._made = _event("snapshot", self._snapshot())
            self._made_at_s = now_s
        return self._made


class _Client:
    """What one client has seen."""

    def __init__(self, engine: Engine, after: int, pipeline: str | None) -> None:
        self._engine = engine
        self._line = after if after <= engine.journal.newest else 0
        self._live = engine.topology.find(pipeline) if pipeline is not None else None
        self._heads: dict[PipelineNumber, int] = {}
        self._begun = False
        self._since()

    @property
    def gone(self) -> bool:
        """Whether the pipeline that was asked for is deleted."""
        return self._live is not None and self._live.pipeline.deleted

    def log(self) -> bytes:
        """Lines since the last time."""
        journal = self._engine.journal
        lines = journal.after(self._line, _LINES_AT_ONCE)
        if not lines:
            return b""
        missed = max(0, lines[0].number - self._line - 1) if self._line else 0
        self._line = lines[-1].number
        return _event("log", {"lines": [encode_line(line) for line in lines], "missed": missed})

    async def events(self) -> bytes:
        """A sample of the events since the last time."""
        since = self._since()
        wanted = min(since, _EVENTS_AT_ONCE) if self._begun else _EVENTS_AT_ONCE
        if not wanted:
            return _event("events", {"events": [], "accepted": 0})
        try:
            ref = self._live.pipeline.uuid if self._live else None  # names change
            page, pipelines = await self._engine.queries.events(ref, None, wanted)
        except Unavailable:
            return b""
        self._begun = True
        sample = [encode_event(event, pipelines[PipelineNumber(event.id.pipeline)]) for event in page.events]
        return _event("events", {"events": sample, "accepted": since})

    def _since(self) -> int:
        """How many events were accepted since this was last asked."""
        before, self._heads = self._heads, {}
        since = 0
        for live in [self._live] if self._live else self._engine.topology.live():
            seq = self._engine.log.head(live.pipeline).seq
            self._heads[live.number] = seq
            since += seq - before.get(live.number, live.pipeline.first_seq - 1)
        return since


def _keep_no_queue(transport: asyncio.Transport | None) -> None:
    """Let `drain` wait until the system has taken all that was said, and the system take little."""
    if transport is not None:
        transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES)


def _event(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))
