"""
`GET /_local/stream`: server-sent events.

What is sent is made when it can be sent: a client that reads slowly gets the newest snapshot, never a queue of old
ones, and is told how many log lines it missed. Memory is one answer a client.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from conduit_local.control.wire import encode_event, encode_line
from conduit_local.core.errors import Unavailable
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.engine import Engine
from conduit_local.http.call import Call

_TOPICS = frozenset({"snapshot", "log", "events"})
_LINES_AT_ONCE = 500
_EVENTS_AT_ONCE = 20
_SHARED_US = 100_000


class Streams:
    """All streams that are open."""

    def __init__(self, engine: Engine, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._ended = asyncio.Event()
        self._made_at_us = 0
        self._made = b""

    def end(self) -> None:
        """The appliance stops: streams end now, so that nobody waits for them."""
        self._ended.set()

    async def get_stream(self, call: Call) -> web.StreamResponse:
        """
        `GET /_local/stream?topics=snapshot,log,events&interval_ms=500&after=0`.

        Shape: events `snapshot` (as `/_local/snapshot`), `log` (`{lines, missed}`) and `events` (`{events, accepted}`:
        the newest of those accepted since the last time, 20 at most; at first the newest there are, with 0 accepted).
        `after` is the number of the last known line.
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
            await self._say(response, client, topics, interval_s)
        return response

    async def _say(self, response: web.StreamResponse, client: "_Client", topics: set[str], interval_s: float) -> None:
        while not self._ended.is_set():
            said = b""
            if "log" in topics:
                said += client.log()
            if "events" in topics:
                said += await client.events()
            if "snapshot" in topics:
                said += self._shared_snapshot()
            await response.write(said or b": still here\n\n")
            try:
                async with asyncio.timeout(interval_s):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def _shared_snapshot(self) -> bytes:
        """One snapshot serves all clients that ask within a tenth of a second."""
        now_us = self._engine.clock.steady_us()
        if now_us - self._made_at_us >= _SHARED_US or not self._made:
            self._made = _event("snapshot", self._snapshot())
            self._made_at_us = now_us
        return self._made


class _Client:
    """What one client has seen."""

    def __init__(self, engine: Engine, after: int, pipeline: str | None) -> None:
        self._engine = engine
        self._line = after if after <= engine.journal.newest else 0
        self._ref = pipeline
        self._live = engine.topology.find(pipeline) if pipeline is not None else None
        self._accepted = self._count()
        self._begun = False

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
        accepted = self._count()
        since, self._accepted = accepted - self._accepted, accepted
        wanted = min(since, _EVENTS_AT_ONCE) if self._begun else _EVENTS_AT_ONCE
        if wanted <= 0:
            return _event("events", {"events": [], "accepted": 0})
        try:
            page, pipelines = await self._engine.queries.events(self._ref, None, wanted)
        except Unavailable:
            return b""
        self._begun = True
        sample = [encode_event(event, pipelines[event.id.pipeline]) for event in page.events]  # type: ignore[index]
        return _event("events", {"events": sample, "accepted": since})

    def _count(self) -> int:
        lives = [self._live] if self._live else self._engine.topology.live()
        return sum(self._engine.log.head(live.pipeline).seq for live in lives)


def _event(name: str, value: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))
