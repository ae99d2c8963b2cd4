"""
What a configuration names and this appliance does not have: a connector without a stand-in, a secret without its key.

The pipeline is accepted as it stands, and takes and keeps events; its route is `blocked` and says what to do.
"""

from typing import Annotated, Literal

from pydantic import Field

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Finding, ObjectContent
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.secrets import SecretMap
from conduit_local.core.spec import DestinationSpec


class ConnectorSpec(DestinationSpec):
    """A destination that is known by its name only, with whatever settings it takes (S4.1)."""

    type: Literal["connector"] = "connector"
    connector: Annotated[str, Field(min_length=1, max_length=100)]
    """What it is called, like `bigquery`; the settings may name a stand-in for it."""
    config: SecretMap = SecretMap("{}")


class AbsentDestination:
    """`Destination` that is not here."""

    extension = "jsonl"
    in_flight = 1

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`."""
        return ""

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: never."""
        raise DestinationUnavailable(self._reason, needs_person=True)

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: nothing was ever written."""
        return None

    def objects(self, folder: str) -> None:
        """`Destination.objects`: there is nowhere to look."""

    async def probe(self) -> list[Finding]:
        """`Destination.probe`."""
        return [Finding(step="find", ok=False, message=self._reason)]

    async def close(self) -> None:
        """`Destination.close`: nothing is held."""
