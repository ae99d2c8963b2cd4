"""Objects at a destination that the ledger did not name when it was read."""

from conduit_local.core.batch import seqs_of
from conduit_local.core.catalog import Catalog
from conduit_local.core.ids import parse_run_id
from conduit_local.engine.evidence import Ledger
from conduit_local.engine.topology import LivePipeline


class Strangers:
    """Tells those that were delivered meanwhile, or before the ledger begins, from those that nobody here put there."""

    def __init__(self, catalog: Catalog, live: LivePipeline, ledger: Ledger) -> None:
        self._catalog = catalog
        self._live = live
        self._ledger = ledger
        self._known_runs: dict[int, bool] = {}

    async def judged(self, keys: list[str], root: str) -> tuple[list[str], int]:
        """
        Those of `keys`, below `root`, that are extra, and how many of the others are older than the ledger.

        Order:  the intents before the ledger: what is delivered in between is in both.
        Raises: PipelineNotFound, StoreUnavailable.
        """
        on_their_way = {batch.key for route in self._live.routes.values() for batch in route.hands.batches}
        await self._ledger.read_on()
        unknown = [key for key in keys if key not in on_their_way and key not in self._ledger.keys]
        if not unknown:
            return [], 0
        reaches = await self._reaches(root)
        extra = [key for key in unknown if not await self._is_older(key, reaches)]
        return extra, len(unknown) - len(extra)

    async def _reaches(self, root: str) -> dict[str, tuple[int, int]]:
        """By route that lands there: behind which number it began, and the first one that the ledger still has."""
        found: dict[str, tuple[int, int]] = {}
        number, first_seq = self._live.number, self._live.pipeline.first_seq
        sharing = self._ledger.sharing(root)
        for name in dict.fromkeys([*await self._ledger.routes(), *self._live.routes]):
            if name.partition("@")[0] not in sharing:
                continue
            route = self._live.routes.get(name)
            start = route.start_seq if route is not None else 0 if "@" in name else first_seq - 1
            if await self._catalog.batch_of(number, name, start + 1) is not None:
                found[name] = (start, start + 1)
                continue
            oldest = await self._catalog.landed(number, name, 0, 1)
            found[name] = (start, oldest[0].first_seq if oldest else (route.cursor if route is not None else 0) + 1)
        return found

    async def _is_older(self, key: str, reaches: dict[str, tuple[int, int]]) -> bool:
        """Whether it may well have been delivered, and forgotten since."""
        seqs = seqs_of(key)
        if seqs is None:
            return False
        first, last = seqs
        below = key.removeprefix(f"{self._live.pipeline.folder}/").partition("/")[0]
        run = parse_run_id(below)
        if run is not None:
            kept = [reach for name, reach in reaches.items() if name.endswith(f"@{below}")]
            if not kept:
                return run <= self._ledger.newest_run and not await self._is_known(run)
            return any(start < first and last < oldest for start, oldest in kept)
        if last < self._live.pipeline.first_seq:
            return True  # of an earlier pipeline that had this folder
        return any(start < first and last < oldest for name, (start, oldest) in reaches.items() if "@" not in name)

    async def _is_known(self, run: int) -> bool:
        """Whether the run is still kept: then its deliveries are, too."""
        if run not in self._known_runs:
            self._known_runs[run] = await self._catalog.run(run) is not None
        return self._known_runs[run]
