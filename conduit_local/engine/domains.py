"""Domains: groups of pipelines. Any text is one, from the first pipeline on that names it (S4.3)."""

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import DomainNotFound
from conduit_local.core.names import check_title
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.topology import Topology


class Domains:
    """The names of domains; one that was given none is called as its id."""

    def __init__(self, catalog: Catalog, topology: Topology) -> None:
        self._catalog = catalog
        self._topology = topology
        self._names: dict[str, str] = {}

    async def load(self) -> None:
        """Read them from the catalog."""
        self._names = await self._catalog.domains()

    def name_of(self, domain: str) -> str:
        """What it is called."""
        return self._names.get(domain, domain)

    def require(self, domain: str) -> str:
        """Its name. Raises: DomainNotFound where no pipeline ever was in it."""
        if domain in self._names or domain in self._topology.domains:
            return self.name_of(domain)
        raise DomainNotFound(f"no domain {domain[:80]!r}")

    async def rename(self, domain: str, name: str) -> None:
        """Call it so, making it if need be. Raises: InvalidRequest, StoreUnavailable."""
        try:
            check_title(name)
        except ValueError as error:
            raise refusal([Problem(path=("name",), message=str(error))]) from None
        if not 0 < len(domain) <= 200:
            raise refusal([Problem(path=("id",), message="must have 1 to 200 characters")])
        await self._catalog.name_domain(domain, name)
        self._names[domain] = name
