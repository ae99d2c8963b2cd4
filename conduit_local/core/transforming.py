"""What the engine needs of transforms; a part of `core.ports`, by subject."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from conduit_local.core.content import Column, Content
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.spec import PipelineSpec

Recipe = tuple[str, ...]
"""A chain of transforms, compiled to SQL: each query reads the table `events` that the one before made. () for none."""


class TransformFailed(Exception):
    """A query that did not come to its end. `message` says why, for people; `step` is its place in the recipe."""

    def __init__(self, message: str, *, step: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.step = step


class QueryRefused(TransformFailed):
    """The query is wrong, whatever the events are. `line` and `column` say where, from 1, if that is known."""

    def __init__(self, message: str, *, step: int = 0, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, step=step)
        self.line = line
        self.column = column


class RowsRefused(TransformFailed):
    """It failed on these events, and may not on others: a cast, a division, an error that the query raised."""


class Overstepped(TransformFailed):
    """It took more time, memory or room than there is, or brought the child down; fewer events may do."""


class Transforms(Protocol):
    """Runs people's SQL, out of harm's way."""

    def recipe(self, spec: PipelineSpec, variables: Mapping[str, str] | None = None) -> Recipe:
        """The pipeline's transforms, compiled, `${NAME}` replaced in them. Costs nothing where there are none."""
        ...

    async def check(self, recipe: Recipe) -> tuple[Column, ...]:
        """
        The columns of the rows that the recipe yields, found by running it on no events.

        Raises: QueryRefused, Overstepped, TransformUnavailable.
        """
        ...

    async def apply(
        self, owner: PipelineNumber, recipe: Recipe, read: Callable[[], Awaitable[Sequence[bytes]]]
    ) -> Content:
        """
        What the recipe makes of the events that `read` gives; the caller closes it.

        `read` is called once the owner's turn has come, and not before: those that wait hold no events in memory.

        Shape:  `read` gives envelope lines (`Chunk.lines`), maybe none. Where the rows are whole envelopes again, with
                the columns of `events` and no others, `columns` is None.
        Order:  that of the query; without ORDER BY that of the events. The same events give the same bytes.
        Raises: QueryRefused, RowsRefused, Overstepped, TransformUnavailable; and whatever `read` raises.
        """
        ...

    async def close(self) -> None:
        """Cut off what runs or waits, and refuse the rest, with TransformUnavailable: no event is blamed for it."""
        ...
