"""The catalog's dead letters; a part of `core.catalog`, by subject."""

from collections.abc import Sequence
from typing import Protocol

from conduit_local.core.dead import DeadFilter, DeadGroup, DeadLetter
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.run import Run


class DeadCatalog(Protocol):
    """Dead letters, and the replays that have them in hand."""

    async def dead_letters(self, wanted: DeadFilter, before: int | None, limit: int) -> list[DeadLetter]:
        """The newest first, of those whose number is below `before`."""
        ...

    async def dead_letter(self, number: int) -> DeadLetter | None:
        """One of them."""
        ...

    async def count_dead(self, wanted: DeadFilter) -> int:
        """How many there are."""
        ...

    async def dead_groups(self, wanted: DeadFilter) -> list[DeadGroup]:
        """By pipeline, destination, stage and reason; the most first."""
        ...

    async def edit_dead(self, number: int, content: bytes, event_type: str, at_us: int) -> bool:
        """Replace what it holds. False when it is gone or a replay has it in hand."""
        ...

    async def begin_replay(self, run: Run, wanted: DeadFilter, limit: int) -> tuple[Run, int]:
        """
        Keep a run that has these dead letters in hand, `limit` at most, those of other replays left out; return it with
        its number, and how many they are. Where there is none, no run is kept.

        Order: each gets its place among those of its route: 1, 2, 3, … as they are numbered on the log.
        """
        ...

    async def in_hand(self, run: int) -> dict[str, int]:
        """How many dead letters of each route a replay has in hand or had; by the last place that was given."""
        ...

    async def letters_in_hand(self, run: int, route: str, after: int, limit: int) -> list[tuple[int, DeadLetter]]:
        """Those of a route behind the place `after`, each with its place, in order."""
        ...

    async def letters_failed(self, letters: Sequence[tuple[int, str]], at_us: int) -> None:
        """A replay's letters (number, error) died again: nobody has them in hand."""
        ...

    async def discard_dead(self, wanted: DeadFilter, limit: int) -> dict[tuple[PipelineNumber, str], int]:
        """
        Drop dead letters that no replay has in hand, `limit` at most; returns how many went, by pipeline and route.

        Their routes count them as purged from then on.
        """
        ...

    async def prune_dead(self, before_us: int, keep: int, limit: int) -> dict[tuple[PipelineNumber, str], int]:
        """As `discard_dead`, of those that died before then, or are not among the newest `keep`."""
        ...
