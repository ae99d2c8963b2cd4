"""Dead letters: looked at, edited, replayed, discarded."""

import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from conduit_local.core.dead import DeadFilter, DeadGroup, DeadLetter, Stage, parse_dead_id
from conduit_local.core.envelope import payload_of, with_payload
from conduit_local.core.errors import Conflict, DeadLetterInHand, DeadLetterNotFound, InvalidRequest
from conduit_local.core.event import check_event_type
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.run import Run, RunState, Trigger
from conduit_local.core.strict import NotAnEvent, payload_in
from conduit_local.engine.journal import say
from conduit_local.engine.parts import Parts
from conduit_local.engine.runs import require_room
from conduit_local.engine.topology import LivePipeline

MOST_IN_A_REPLAY = 10_000
"""A replay takes as many at once; the next one takes the rest."""
_DISCARD_SLICE = 1_000
_READ_AT_ONCE = 32  # each may hold 256 KiB


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """A replay that was asked for."""

    run: Run
    letters: int
    left: int
    """How many that were meant it could not take: a replay takes 10,000 at once."""


class Dead:
    """What operators do with dead letters. A pipeline is named by any of its names; None means all of them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def live_of(self, letter: DeadLetter) -> LivePipeline | None:
        """The pipeline of a dead letter; None once it is deleted."""
        return self._parts.topology.by_number(letter.pipeline)

    async def each(
        self, wanted: DeadFilter, before: int | None = None
    ) -> AsyncGenerator[tuple[DeadLetter, LivePipeline], None]:
        """
        All of them, the newest first, each with its pipeline, without those of deleted ones; read a few at a time.

        Raises: StoreUnavailable.
        """
        while True:
            found = await self._parts.catalog.dead_letters(wanted, before, _READ_AT_ONCE)
            for letter in found:
                if (live := self.live_of(letter)) is not None:
                    yield letter, live
            if len(found) < _READ_AT_ONCE:
                return
            before = found[-1].number

    async def groups(self, wanted: DeadFilter) -> list[tuple[DeadGroup, LivePipeline]]:
        """By pipeline, destination, stage and reason, the most first. Raises: StoreUnavailable."""
        found = await self._parts.catalog.dead_groups(wanted)
        topology = self._parts.topology
        return [(one, live) for one in found if (live := topology.by_number(one.pipeline)) is not None]

    async def count(self, wanted: DeadFilter) -> int:
        """How many there are. Raises: StoreUnavailable."""
        return await self._parts.catalog.count_dead(wanted)

    async def find(self, public_id: str) -> tuple[DeadLetter, LivePipeline]:
        """One of them, and its pipeline. Raises: DeadLetterNotFound, StoreUnavailable."""
        number = parse_dead_id(public_id)
        letter = await self._parts.catalog.dead_letter(number) if number is not None else None
        live = self.live_of(letter) if letter is not None else None
        if letter is None or live is None:
            raise DeadLetterNotFound(f"no dead letter {public_id[:80]!r}: it was replayed or discarded, or never was")
        return letter, live

    async def edit(self, public_id: str, payload: bytes, event_type: str | None = None) -> DeadLetter:
        """
        Give it another payload, and maybe another type; the event keeps its id and place.

        Shape:  `payload` is a JSON object as in a request, of at most 262,144 bytes.
        Raises: DeadLetterNotFound, DeadLetterInHand, InvalidRequest, PayloadTooLarge, StoreUnavailable.
        """
        letter, _ = await self.find(public_id)
        try:
            content = payload_in(payload)
        except NotAnEvent as error:
            raise refusal([Problem(path=("payload",), message=str(error).removeprefix("it "))]) from None
        if event_type is not None:
            check_event_type(event_type)
            if letter.stage is not Stage.EXTRACT and event_type != letter.event_type:
                raise InvalidRequest("the type of an event that is on the log cannot change, its payload can")
        if letter.stage is not Stage.EXTRACT:
            content = with_payload(letter.content, content)
        kind = event_type or letter.event_type
        at_us = self._parts.clock.now_us()
        if not await self._parts.catalog.edit_dead(letter.number, content, kind, at_us):
            raise DeadLetterInHand(f"the dead letter {letter.id} is being replayed, or is gone")
        return replace(letter, content=content, event_type=kind, edited_at_us=at_us)

    async def replay(self, ref: str, wanted: DeadFilter) -> Replay:
        """
        Deliver them once more, as a run: to the destination that lacks them, by the transforms of now.

        Those that fail again stay, with the reason of now; the others are gone from here, landed exactly once.
        Raises: PipelineNotFound; DeadLetterNotFound when there is none, or others have them in hand; Conflict when too
                many runs wait; StoreUnavailable.
        """
        parts = self._parts
        async with parts.changing(ref) as live:
            require_room(live)
            held = tuple(name for name, one in live.pipeline.spec.routes().items() if one.paused)
            wanted = replace(wanted, pipeline=live.number, without=held)
            run = Run(
                number=0,
                pipeline=live.number,
                trigger=Trigger.REPLAY,
                state=RunState.PENDING,
                through_seq=0,
                created_at_us=parts.clock.now_us(),
                started_at_us=None,
            )
            run, taken = await parts.catalog.begin_replay(run, wanted, MOST_IN_A_REPLAY)
            if not taken and held and await parts.catalog.count_dead(replace(wanted, without=())):
                raise Conflict(f"{', '.join(held)} is paused, or a run has them in hand: a replay waits for nothing")
            if not taken:
                raise DeadLetterNotFound(f"no dead letters of {live.pipeline.name!r} to replay that no run has in hand")
            live.waiting.append(run)
        left = max(0, await parts.catalog.count_dead(wanted) - taken) if taken == MOST_IN_A_REPLAY else 0
        parts.completion.tell(live)
        say(logging.INFO, f"replay of {taken:,} dead {_letters(taken)} asked for", live.pipeline.name, run.id)
        return Replay(run=run, letters=taken, left=left)

    async def discard(self, ref: str, wanted: DeadFilter) -> int:
        """
        Drop them for good; they count as purged. Returns how many went.

        Raises: PipelineNotFound; Conflict when all of them are in a replay's hand; StoreUnavailable.
        """
        parts = self._parts
        live = parts.topology.find(ref)
        wanted = replace(wanted, pipeline=live.number)
        count = 0
        while gone := await parts.catalog.discard_dead(wanted, _DISCARD_SLICE):
            parts.topology.note_gone(gone)
            count += sum(gone.values())
        if count:
            say(logging.WARNING, f"{count:,} dead {_letters(count)} discarded", live.pipeline.name)
        elif await parts.catalog.count_dead(wanted):
            raise Conflict("a run is replaying them just now: cancel it first")
        return count


def _letters(count: int) -> str:
    return "letter" if count == 1 else "letters"


def payload_of_letter(letter: DeadLetter) -> bytes:
    """What was, or would have been, the event's payload."""
    return letter.content if letter.stage is Stage.EXTRACT else payload_of(letter.content)


def numbers_of(public_ids: Sequence[str]) -> tuple[int, ...]:
    """The numbers in public ids. Raises: DeadLetterNotFound."""
    found = []
    for one in public_ids:
        number = parse_dead_id(one)
        if number is None:
            raise DeadLetterNotFound(f"no dead letter {one[:80]!r}: ids look like dead_12")
        found.append(number)
    return tuple(found)
