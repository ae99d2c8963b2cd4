"""A whole source of a package of its own: the draws of a lottery, one a day, the same for the same seed."""

import random
from typing import Annotated, Literal

from pydantic import Field

from conduit_local.core.event import NewEvents
from conduit_local.core.pulling import Pulled, Source
from conduit_local.sources.events import PulledSpec
from conduit_local.sources.kinds import Means


class LotterySpec(PulledSpec):
    """Draws of six numbers."""

    type: Literal["lottery"] = "lottery"
    seed: int = 0
    days: Annotated[int, Field(ge=0)] = 7

    @property
    def cursor_name(self) -> str:
        """What its cursor is kept under."""
        return f"lottery:{self.seed}"


class LotterySource:
    """The draws behind the cursor, which is the number of the last one."""

    def __init__(self, spec: LotterySpec, means: Means) -> None:
        self._spec = spec
        self._clock = means.clock

    async def pull(self, cursor: str | None, most: int) -> Pulled:
        """`Source.pull`."""
        first = int(cursor or 0)
        last = min(self._spec.days, first + most)
        payloads = [b'{"day":%d,"numbers":%a}' % (day, self._draw(day)) for day in range(first + 1, last + 1)]
        types = [self._spec.event_type or "lottery.drawn"] * len(payloads)
        events = NewEvents(types, payloads) if payloads else None
        return Pulled(events=events, cursor=str(last), more=last < self._spec.days)

    async def wait(self) -> None:
        """`Source.wait`: until tomorrow."""
        await self._clock.wait(None, 86_400)

    async def close(self) -> None:
        """`Source.close`: nothing is held."""

    def _draw(self, day: int) -> list[int]:
        return sorted(random.Random(f"{self._spec.seed} {day}").sample(range(1, 50), 6))


class _Lottery:
    spec = LotterySpec

    @staticmethod
    def make(spec: LotterySpec, means: Means) -> Source:
        return LotterySource(spec, means)


LOTTERY = _Lottery()
