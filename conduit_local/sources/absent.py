"""What is pushed, and what a configuration names and this appliance does not have."""

from typing import Annotated, Literal

from pydantic import Field

from conduit_local.core.ports import Clock
from conduit_local.core.pulling import Pulled, SourceFailed
from conduit_local.core.secrets import SecretMap
from conduit_local.core.spec import Component

_LOOK_AGAIN_S = 60.0


class PushSource(Component):
    """Events are sent to the pipeline through the HTTP APIs; every pipeline has this source."""

    type: Literal["push"] = "push"


class ConnectorSource(Component):
    """A source that is known by its name only, with whatever settings it takes (S4.1)."""

    type: Literal["connector"] = "connector"
    connector: Annotated[str, Field(min_length=1, max_length=100)]
    """What it is called, like `hubspot`; the settings may name a stand-in for it."""
    config: SecretMap = SecretMap("{}")

    @property
    def cursor_name(self) -> str:
        """What its stand-in's cursor is kept under."""
        return f"connector:{self.connector}"


class AbsentSource:
    """`Source` that is not here: says what a person must do."""

    def __init__(self, reason: str, clock: Clock) -> None:
        self._reason = reason
        self._clock = clock

    async def pull(self, cursor: str | None, most: int) -> Pulled:
        """`Source.pull`: never."""
        raise SourceFailed(self._reason, needs_person=True)

    async def wait(self) -> None:
        """`Source.wait`."""
        await self._clock.wait(None, _LOOK_AGAIN_S)

    async def close(self) -> None:
        """`Source.close`: nothing is held."""
