"""
Delivery evidence: the ledger beside what lies at the destinations.

The ledger is read first, so that all it names must be there by then. What lies there beyond it is judged once the
intents, and then the ledger, were read anew: deliveries go on meanwhile, and raise no false alarm. Nothing is locked.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

from conduit_local.core.catalog import Catalog
from conduit_local.core.delivering import Destination, Destinations, Finding, opened, origin_of
from conduit_local.core.errors import DestinationNotFound, DestinationUnavailable
from conduit_local.core.spec import DestinationSpec
from conduit_local.core.texts import Texts
from conduit_local.engine.evidence import Ledger, Place, Progress, Verified
from conduit_local.engine.looking import READ_AT_ONCE, Look, Tell
from conduit_local.engine.strangers import Strangers
from conduit_local.engine.topology import LivePipeline, Topology

_PROBE_WITHIN_S = 20.0


class Verifier:
    """Looks at destinations at its own pace, with objects of its own beside those that routes deliver through."""

    def __init__(
        self, topology: Topology, tag: str, catalog: Catalog, destinations: Destinations, texts: Texts
    ) -> None:
        """`tag` is the store's."""
        self._topology = topology
        self._tag = tag
        self._catalog = catalog
        self._destinations = destinations
        self._texts = texts
        self._turns = asyncio.Semaphore(READ_AT_ONCE)

    async def probe(self, ref: str, name: str) -> tuple[DestinationSpec, list[Finding]]:
        """
        Try a destination of the configuration out. Whatever is wrong is a finding.

        Raises: PipelineNotFound, DestinationNotFound.
        """
        live = self._topology.find(ref)
        specs = live.pipeline.spec.routes()
        if name not in specs:
            raise _no_destination(live, name, specs)
        async with self._opened(live, name, specs[name]) as destination:
            try:
                async with asyncio.timeout(_PROBE_WITHIN_S):
                    return specs[name], await destination.probe()
            except TimeoutError:
                message = f"there was no end to it within {_PROBE_WITHIN_S:g} seconds"
                return specs[name], [Finding(step="answer", ok=False, message=message)]

    async def names(self, ref: str, wanted: str | None = None) -> list[str]:
        """
        The destinations to verify: those of the configuration and those that still deliver; or the one that is wanted,
        which the ledger alone may know any more.

        Raises: PipelineNotFound, DestinationNotFound, StoreUnavailable.
        """
        live = self._topology.find(ref)
        names = list(dict.fromkeys(map(_name_of, [*live.pipeline.spec.routes(), *live.routes])))
        if wanted is None:
            return names
        past = map(_name_of, await self._catalog.landed_routes(live.number))
        known = dict.fromkeys([*names, *past])
        if wanted not in known:
            raise _no_destination(live, wanted, known)
        return [wanted]

    async def verify(self, ref: str, name: str, tell: Tell, *, quick: bool = False) -> Verified:
        """
        Compare one of `names` with the ledger. `quick` reads no object whose size is right.

        Order:  `tell` hears how far it is, and of each deviation as soon as it is sure.
        Raises: PipelineNotFound, also where it is deleted meanwhile; StoreUnavailable.
        """
        live = self._topology.find(ref)
        ledger = Ledger(self._catalog, live, name)
        await tell(Progress(destination=name, step="ledger", done=0))
        await ledger.read_on()
        route = live.routes.get(name)
        now = live.pipeline.spec.routes().get(name) or (route.spec if route is not None else None)
        places = ledger.places(self._texts, now)
        verified = Verified(
            destination=name,
            type=places[0].spec.type if places else "",
            is_configured=name in live.pipeline.spec.routes(),
        )
        strangers = Strangers(self._catalog, live, ledger)
        roots: set[str] = set()
        for place in places:
            is_new = place.root not in roots if place.entries else len(places) == 1
            roots.add(place.root)
            try:
                await self._look(live, place, ledger, strangers if is_new else None, verified, tell, quick=quick)
            except DestinationUnavailable as error:
                verified.unavailable = verified.unavailable or error.message
        return verified

    async def _look(
        self,
        live: LivePipeline,
        place: Place,
        ledger: Ledger,
        strangers: Strangers | None,
        verified: Verified,
        tell: Tell,
        *,
        quick: bool,
    ) -> None:
        """Raises: DestinationUnavailable; as `verify`."""
        async with self._opened(live, verified.destination, place.spec) as destination:
            look = Look(live.pipeline.folder, place, destination, ledger, strangers, verified, tell, self._turns)
            if not await look.listed():
                return
            for route in look.routes_of_the_rest():
                async with self._opened(live, route, place.spec) as own:
                    await look.listed_of(route, own)
            await look.told_missing()
            await look.read(quick=quick)

    def _opened(
        self, live: LivePipeline, route: str, spec: DestinationSpec
    ) -> AbstractAsyncContextManager[Destination]:
        """A destination as this route has it: some keep apart what each route lands."""
        return opened(self._destinations, spec, origin_of(self._tag, live.pipeline.uuid, route))


def _name_of(route: str) -> str:
    """The destination of a route; a run's own has the run behind it."""
    return route.partition("@")[0]


def _no_destination(live: LivePipeline, name: str, known: Iterable[str]) -> DestinationNotFound:
    return DestinationNotFound(
        f"the pipeline {live.pipeline.name!r} has no destination {name[:80]!r}; it has: {', '.join(known)}"
    )
