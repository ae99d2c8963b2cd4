"""The bell: wakes a pipeline's routes. It carries no truth; a lost ring costs latency only."""

import asyncio
from collections import defaultdict

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock


class LocalBell:
    """A bell within one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung: defaultdict[PipelineNumber, int] = defaultdict(int)
        self._waiting: dict[PipelineNumber, set[asyncio.Future[None]]] = {}

    def ring(self, pipeline: PipelineNumber) -> None:
        """`Bell.ring`."""
        self._rung[pipeline] += 1
        waiting = self._waiting.pop(pipeline, None)
        if waiting:
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def heard(self, pipeline: PipelineNumber) -> int:
        """`Bell.heard`."""
        return self._rung[pipeline]

    async def wait(self, pipeline: PipelineNumber, heard: int, seconds: float | None) -> None:
        """`Bell.wait`."""
        if self._rung[pipeline] != heard:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(pipeline, set())
        waiting.add(future)
        try:
            await self._clock.wait(future, seconds)
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(pipeline) is waiting:
                del self._waiting[pipeline]
