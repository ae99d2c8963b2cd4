"""What a route reads: its pipeline's log, or the dead letters that a replay has in hand."""

from typing import Protocol

from conduit_local.core.batch import Chunk, Mark
from conduit_local.core.catalog import Catalog
from conduit_local.core.dead import DeadLetter
from conduit_local.core.envelope import received_at_of
from conduit_local.core.log import Log
from conduit_local.engine.topology import LivePipeline, LiveRoute

_LETTERS_AT_ONCE = 1_000


class Tape(Protocol):
    """Events in order, numbered without gaps; `core.ports.Log` has the promises of each method."""

    def head(self) -> Mark:
        """The end."""
        ...

    async def mark(self, seq: int) -> Mark:
        """The place behind event `seq`."""
        ...

    async def read(self, after_seq: int, through_seq: int, max_events: int, max_bytes: int) -> list[Chunk]:
        """The events behind `after_seq`."""
        ...


class LogTape:
    """A pipeline's log."""

    def __init__(self, log: Log, live: LivePipeline) -> None:
        self._log = log
        self._live = live

    def head(self) -> Mark:
        """`Tape.head`."""
        return self._log.head(self._live.pipeline)

    async def mark(self, seq: int) -> Mark:
        """`Tape.mark`."""
        return await self._log.mark(self._live.number, seq)

    async def read(self, after_seq: int, through_seq: int, max_events: int, max_bytes: int) -> list[Chunk]:
        """`Tape.read`."""
        return await self._log.read(self._live.number, after_seq, through_seq, max_events, max_bytes)


class LettersTape:
    """The dead letters of one route that a replay has in hand; an event's number is its place among them."""

    def __init__(self, catalog: Catalog, run: int, route: LiveRoute) -> None:
        self._catalog = catalog
        self._run = run
        self._died_on = route.name.rpartition("@")[0]
        self._last = route.through_seq or 0

    def head(self) -> Mark:
        """`Tape.head`."""
        return Mark(self._last, 0, 0)

    async def mark(self, seq: int) -> Mark:
        """`Tape.mark`: a replay waits for nothing, so that bytes do not matter."""
        found = await self._catalog.letters_in_hand(self._run, self._died_on, seq, 1)
        return Mark(seq, 0, received_at_of(found[0][1].content) if found else 0)

    async def read(self, after_seq: int, through_seq: int, max_events: int, max_bytes: int) -> list[Chunk]:
        """`Tape.read`: each letter is a chunk of its own."""
        chunks: list[Chunk] = []
        size = 0
        while len(chunks) < max_events and size <= max_bytes:
            found = await self._catalog.letters_in_hand(self._run, self._died_on, after_seq, _LETTERS_AT_ONCE)
            for place, letter in found:
                chunks.append(_chunk(place, letter))
                size += len(letter.content)
                if place >= through_seq or size > max_bytes:
                    return chunks
            if not found:
                return chunks
            after_seq = found[-1][0]
        return chunks


def tape_of(live: LivePipeline, route: LiveRoute, log: Log, catalog: Catalog) -> Tape:
    """What the route reads."""
    if route.replays is not None:
        return LettersTape(catalog, route.replays, route)
    return LogTape(log, live)


def _chunk(place: int, letter: DeadLetter) -> Chunk:
    return Chunk(place, place, received_at_of(letter.content), letter.content + b"\n")
