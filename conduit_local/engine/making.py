"""
Rows out of events: a recipe applied to a batch, and the search for the events that it fails on.

A batch that fails is halved until the culprits stand alone; those die, and the recipe is applied to the rest as a
whole, so that ORDER BY and aggregates mean what they say.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from conduit_local.core.batch import Batch, Chunk
from conduit_local.core.content import Content, Joined
from conduit_local.core.dead import NewDeadLetter, Stage
from conduit_local.core.envelope import type_of
from conduit_local.core.errors import TransformUnavailable
from conduit_local.core.transforming import (
    Overstepped,
    QueryRefused,
    Recipe,
    RowsRefused,
    TransformFailed,
    Transforms,
)

_MOST_OVERSTEPS = 12
"""Each may take as long as the time limit says, and costs a child: enough to find one event among a thousand."""
_LONE_OVERSTEPS = 3
"""So many events alone that are too much for a query, and it is the query."""

Read = Callable[[int, int], Awaitable[list[Chunk]]]
"""The events from one number to another, in chunks that hold no others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What became of a batch's events."""

    content: Content
    dead: Sequence[NewDeadLetter] = ()
    overstepped: bool = False
    """Whether any of them died of what it took, which another time may do."""


async def make(
    transforms: Transforms, recipe: Recipe, batch: Batch, read: Read, goes_on: Callable[[], bool] = lambda: True
) -> Made:
    """
    Apply the recipe to the batch; `goes_on` is asked each time that it overstepped, for the search may then take long.

    Raises: TransformUnavailable; whatever `read` raises.
    """
    return await _Making(transforms, recipe, batch, read, goes_on).make()


class _Making:
    def __init__(
        self, transforms: Transforms, recipe: Recipe, batch: Batch, read: Read, goes_on: Callable[[], bool]
    ) -> None:
        self._transforms = transforms
        self._recipe = recipe
        self._batch = batch
        self._read = read
        self._goes_on = goes_on
        self._dead: list[NewDeadLetter] = []
        self._oversteps = self._lone_oversteps = 0

    async def make(self) -> Made:
        pieces: list[Content] = []
        try:
            await self._search(self._batch.first_seq, self._batch.last_seq, pieces)
            if self._dead and len(pieces) > 1:
                whole = await self._rest()
                if whole is not None:
                    _close(pieces)
                    pieces = [whole]
        except BaseException:
            _close(pieces)
            raise
        content = pieces[0] if len(pieces) == 1 else Joined(pieces)
        return Made(content=content, dead=self._dead, overstepped=self._lone_oversteps > 0)

    async def _search(self, first_seq: int, last_seq: int, pieces: list[Content]) -> None:
        """Add what these events yield to `pieces`, and those that fail to the dead."""
        try:
            pieces.append(await self._apply(first_seq, last_seq))
        except QueryRefused as error:
            raise TransformUnavailable(self._told(error), needs_person=True) from error
        except (RowsRefused, Overstepped) as error:
            if isinstance(error, Overstepped):
                await self._count(error, alone=first_seq == last_seq)
            if first_seq == last_seq:
                (chunk,) = await self._read(first_seq, last_seq)
                line = chunk.lines.rstrip(b"\n")
                self._dead.append(
                    NewDeadLetter(
                        seq=first_seq,
                        stage=Stage.TRANSFORM,
                        error=self._told(error),
                        event_type=type_of(line),
                        content=line,
                    )
                )
                return
            middle = (first_seq + last_seq) // 2
            await self._search(first_seq, middle, pieces)
            await self._search(middle + 1, last_seq, pieces)

    async def _rest(self) -> Content | None:
        """What the living yield together; None where they fail together, though not in pieces."""
        try:
            return await self._apply(self._batch.first_seq, self._batch.last_seq)
        except (RowsRefused, Overstepped):
            return None

    async def _apply(self, first_seq: int, last_seq: int) -> Content:
        async def parts() -> list[bytes]:
            chunks = await self._read(first_seq, last_seq)
            return _without(chunks, {one.seq for one in self._dead}) if self._dead else [one.lines for one in chunks]

        return await self._transforms.apply(self._batch.pipeline, self._recipe, parts)

    async def _count(self, error: Overstepped, *, alone: bool) -> None:
        """Raises: TransformUnavailable once it is clear that the query is too much, not the events."""
        self._oversteps += 1
        self._lone_oversteps += alone
        if self._oversteps == 1:
            try:
                await self._transforms.check(self._recipe)
            except TransformFailed as without_events:
                raise TransformUnavailable(self._told(without_events), needs_person=True) from error
        if not self._goes_on():
            raise TransformUnavailable(self._told(error), needs_person=True) from error
        if self._lone_oversteps >= _LONE_OVERSTEPS:
            text = f"{self._told(error)}; {self._lone_oversteps} events alone are too much for it already"
            raise TransformUnavailable(text, needs_person=True) from error
        if self._oversteps >= _MOST_OVERSTEPS:
            text = (
                f"{self._told(error)}; {self._oversteps} times in one batch: make it cheaper, or lower batch.max_events"
            )
            raise TransformUnavailable(text, needs_person=True) from error

    def _told(self, error: TransformFailed) -> str:
        return error.message if len(self._recipe) == 1 else f"transform {error.step + 1}: {error.message}"


def _without(chunks: Sequence[Chunk], dead: set[int]) -> list[bytes]:
    parts: list[bytes] = []
    for chunk in chunks:
        if dead.isdisjoint(range(chunk.first_seq, chunk.last_seq + 1)):
            parts.append(chunk.lines)
            continue
        lines = chunk.lines.split(b"\n")[:-1]
        parts += [line + b"\n" for seq, line in enumerate(lines, chunk.first_seq) if seq not in dead]
    return parts


def _close(pieces: Sequence[Content]) -> None:
    for piece in pieces:
        piece.close()
