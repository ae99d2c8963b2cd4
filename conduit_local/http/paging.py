"""Numbered pages of a list that grows at its front: page 2 goes on from page 1, whatever has come since."""

from collections import OrderedDict
from collections.abc import Callable, Collection

from conduit_local.core.keys import Principal
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.run import Run, RunState
from conduit_local.engine.queries import Queries

_MOST = 1_000


class Anchors:
    """
    Remembers, for each reader and list, how far the list went when its first page was read.

    Page numbers and offsets count from the newest; without this, what arrives between two pages would be shown twice.
    """

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def __contains__(self, name: tuple[str, ...]) -> bool:
        """Whether it is remembered how far the list named `name` went."""
        return name in self._ends

    def end(self, name: tuple[str, ...], *, first: bool, newest: Callable[[], int]) -> int:
        """
        What the list named `name` (reader, path, filters) ends before: on its first page the newest there is, on
        later ones what it was then.
        """
        if first or name not in self._ends:
            self._ends[name] = newest()
        self._ends.move_to_end(name)
        while len(self._ends) > _MOST:
            self._ends.popitem(last=False)
        return self._ends[name]


class RunPages:
    """Pages of a pipeline's runs, the newest first, for all readers."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._anchors = Anchors()

    async def page(
        self, reader: Principal, pipeline: Pipeline, states: Collection[RunState], *, limit: int, offset: int
    ) -> tuple[list[Run], int]:
        """
        The runs on one page, and the number that all pages of this list end before.

        Raises: PipelineNotFound, StoreUnavailable.
        """
        name = (reader.key_id, pipeline.id, *states)
        first = offset == 0
        newest = 0
        if first or name not in self._anchors:
            there = await self._queries.runs(pipeline.id, before=None, limit=1)
            newest = there[0][0].number if there else 0
        end = self._anchors.end(name, first=first, newest=lambda: newest + 1)
        found = await self._queries.runs(pipeline.id, before=end, limit=limit, offset=offset, states=states)
        return [run for run, _ in found], end
