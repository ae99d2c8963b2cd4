"""Destinations in front of real ones, for tests that hold them up or make them fail."""

from collections.abc import AsyncIterator, Callable, Sequence

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Destination, Finding, Found, ObjectContent
from conduit_local.core.problems import Problem
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.destinations.kinds import DestinationMaker


class Wrapped:
    """A destination that does what the real one behind it does; to be derived from."""

    def __init__(self, real: Destination) -> None:
        self.real = real
        self.extension = real.extension
        self.in_flight = real.in_flight

    def partition(self, received_at_us: int) -> str:
        return self.real.partition(received_at_us)

    async def write(self, key: str, content: Content) -> Written:
        return await self.real.write(key, content)

    async def read(self, key: str) -> ObjectContent | None:
        return await self.real.read(key)

    def objects(self, folder: str) -> AsyncIterator[Sequence[Found]] | None:
        return self.real.objects(folder)

    async def probe(self) -> list[Finding]:
        return await self.real.probe()

    async def close(self) -> None:
        await self.real.close()


class WrappedMaker:
    """Makes destinations, and puts each into what `wrap` makes of it."""

    def __init__(self, maker: DestinationMaker, wrap: Callable[[DestinationSpec, Destination], Destination]) -> None:
        self._maker = maker
        self._wrap = wrap

    def make(self, spec: DestinationSpec, origin: str = "") -> Destination:
        return self._wrap(spec, self._maker.make(spec, origin))

    def missing(self, spec: PipelineSpec) -> str | None:
        return self._maker.missing(spec)

    def refused_to_apis(self, spec: PipelineSpec) -> list[Problem]:
        return self._maker.refused_to_apis(spec)
