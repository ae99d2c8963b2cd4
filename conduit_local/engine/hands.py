"""The batches of one route that are on their way, in the order of the log."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from conduit_local.core.batch import Batch
from conduit_local.core.catalog import BatchEnd

_WINDOW = 4
"""So many times as many batches as may be on their way may have landed behind one that has not."""


@dataclass(slots=True, kw_only=True, eq=False)
class Hand:
    """A batch whose intent is written, until the cursor is behind it."""

    batch: Batch
    parts: Sequence[bytes] | None = None
    """Its events, as long as nothing went wrong with it: many that wait must not hold many in memory."""
    oldest_us: int | None = None
    """When the first of its events was received, where it is known."""
    busy: bool = False
    """Whether an attempt is under way."""
    failed: bool = False
    """Whether its last attempt failed."""
    may_be_there: bool = False
    """Whether an attempt before may have landed it, and only the answer was lost."""
    end: BatchEnd | None = None
    """How it landed; kept once all before it have landed, too."""


class Hands:
    """The cursor moves over those that have landed without a gap; each may land at any time."""

    def __init__(self) -> None:
        self._hands: deque[Hand] = deque()

    def __bool__(self) -> bool:
        return bool(self._hands)

    @property
    def batches(self) -> list[Batch]:
        """The intents."""
        return [hand.batch for hand in self._hands]

    @property
    def oldest_us(self) -> int | None:
        """When the first event of the first of them was received, where it is known."""
        return self._hands[0].oldest_us

    @property
    def busy(self) -> int:
        """How many attempts are under way."""
        return sum(hand.busy for hand in self._hands)

    @property
    def failing(self) -> bool:
        """Whether an attempt failed, and none has succeeded since."""
        return any(hand.failed for hand in self._hands)

    def room(self, most: int) -> bool:
        """Whether another one may be taken up, where `most` may be on their way at once."""
        on_their_way = sum(hand.end is None for hand in self._hands)
        return on_their_way < most and len(self._hands) < _WINDOW * most

    def add(self, hand: Hand) -> None:
        """The next one."""
        self._hands.append(hand)

    def next(self) -> Hand | None:
        """The first one that has not landed and is not being tried."""
        return next((hand for hand in self._hands if hand.end is None and not hand.busy), None)

    def ends(self) -> list[BatchEnd]:
        """Those from the first one on that have landed without a gap."""
        found: list[BatchEnd] = []
        for hand in self._hands:
            if hand.end is None:
                break
            found.append(hand.end)
        return found

    def drop(self, count: int) -> None:
        """The cursor is behind the first `count` of them."""
        for _ in range(count):
            self._hands.popleft()

    def split(self, hand: Hand, halves: Sequence[Batch]) -> None:
        """Two batches take the place of one."""
        place = self._hands.index(hand)
        self._hands.remove(hand)
        for half in reversed(halves):
            self._hands.insert(place, Hand(batch=half, oldest_us=hand.oldest_us))
