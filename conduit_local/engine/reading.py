"""How far a route has put its events into batches, and what comes next."""

from collections.abc import Callable

from conduit_local.core.batch import Batch, Chunk, Cut, Mark, first_lines
from conduit_local.core.batch import cut as cut_chunks
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.ports import Clock
from conduit_local.core.spec import BatchSpec
from conduit_local.engine.tape import Tape
from conduit_local.engine.topology import LiveRoute

_ALL = 1 << 62


class Reading:
    """A place on a tape: ahead of the route's cursor by the batches on their way."""

    def __init__(self, tape: Tape, route: LiveRoute, clock: Clock) -> None:
        self.tape = tape
        self._route = route
        self._clock = clock
        on_their_way = route.hands.batches
        self.position = Mark(on_their_way[-1].last_seq if on_their_way else route.cursor, 0, 0)
        self._known = False

    async def know_position(self) -> None:
        """How many bytes lie before it is asked of the store, once."""
        if not self._known:
            self.position = await self.tape.mark(self.position.seq)
            self._known = True

    async def cut(self, spec: BatchSpec, partition: Callable[[int], str], through_seq: int | None) -> Cut | None:
        """The next batch, or None."""
        chunks = await self.tape.read(self.position.seq, through_seq or _ALL, spec.max_events, spec.max_bytes)
        return cut_chunks(chunks, spec, partition, through_seq)

    def move_behind(self, cut: Cut) -> None:
        """That batch is intended."""
        self.position = Mark(cut.last_seq, self.position.bytes_before + cut.size_bytes, 0)

    async def until_due(self, spec: BatchSpec, partition: Callable[[int], str]) -> float:
        """Seconds until the oldest event has waited long enough, or the partition changed; at most 0 when due."""
        oldest_us = await self.know_oldest()
        if partition(oldest_us) != partition(self.tape.head().received_at_us):
            return 0.0
        age_us = self._clock.now_us() - oldest_us
        if age_us < 0:  # the time of day was set back: waiting for it would hold events for hours
            return 0.0
        return spec.max_age - age_us / 1_000_000

    async def know_oldest(self) -> int:
        """When the oldest event that is not yet in a batch was received."""
        if not self.position.received_at_us:
            self.position = await self.tape.mark(self.position.seq)
        self._route.next_us = self.position.received_at_us
        return self.position.received_at_us

    async def again(self, batch: Batch, first_seq: int, last_seq: int) -> list[Chunk]:
        """
        These events of an intent that was written before, in chunks that hold no others.

        Raises: DestinationUnavailable when they are not all there any more.
        """
        found: list[Chunk] = []
        after = first_seq - 1
        for chunk in await self.tape.read(after, last_seq, last_seq - after, _ALL):
            if chunk.first_seq > last_seq:
                break
            if chunk.last_seq > last_seq:
                lines = first_lines(chunk.lines, last_seq - chunk.first_seq + 1)
                chunk = chunk._replace(last_seq=last_seq, lines=lines)
            found.append(chunk)
        if sum(chunk.last_seq - chunk.first_seq + 1 for chunk in found) != last_seq - after:
            raise DestinationUnavailable(
                f"read events {batch.first_seq}-{batch.last_seq} again: they are not all on the log",
                needs_person=True,
            )
        return found
