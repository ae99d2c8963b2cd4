"""Numbered pages of a list that grows at its front: page 2 goes on from page 1, whatever has come since."""

from collections import OrderedDict
from collections.abc import Callable

_MOST = 1_000


class Anchors:
    """
    Remembers, for each reader and list, how far the list went when its first page was read.

    Page numbers and offsets count from the newest; without this, what arrives between two pages would be shown twice.
    """

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, ...], int] = OrderedDict()

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
