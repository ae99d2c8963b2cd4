"""How many events came since a time: found by halving, so the cost follows the logarithm of the log."""

import sqlite3
from collections.abc import Sequence

from conduit_local.core.batch import Mark
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.store.ends import Ends
from conduit_local.store.readers import Readers

_CHUNK_THROUGH = (
    "SELECT first_seq, last_seq, received_at_us FROM chunks"
    " WHERE pipeline = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"
)


class Received:
    """The part of `Log` that counts by time of receipt."""

    _readers: Readers
    _ends: Ends

    async def received_since(self, pipelines: Sequence[Pipeline], since_us: int) -> dict[PipelineNumber, int]:
        """`Log.received_since`."""
        heads = {pipeline.number: self._ends.of(pipeline) for pipeline in pipelines}
        recent = {number: head for number, head in heads.items() if head.received_at_us >= since_us}
        if not recent:
            return dict.fromkeys(heads, 0)

        def count(db: sqlite3.Connection) -> dict[PipelineNumber, int]:
            return {number: _count(db, number, head, since_us) for number, head in recent.items()}

        return dict.fromkeys(heads, 0) | await self._readers.call(count)


def _count(db: sqlite3.Connection, pipeline: PipelineNumber, head: Mark, since_us: int) -> int:
    """Time of receipt rises with `seq`, but for what came while the clock was set back."""
    first = db.execute(_CHUNK_THROUGH, (pipeline, 0)).fetchone()
    if first is None:
        return 0
    low, high = first[0], head.seq + 1
    while low < high:
        middle = (low + high) // 2
        row = db.execute(_CHUNK_THROUGH, (pipeline, middle)).fetchone()
        if row is None:
            return 0  # all of it was dropped meanwhile
        first_seq, last_seq, received_at_us = row
        if received_at_us >= since_us:
            high = min(middle, max(low, first_seq))
        else:
            low = last_seq + 1
    return int(head.seq + 1 - low)
