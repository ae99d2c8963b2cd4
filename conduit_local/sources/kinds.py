"""The kinds of sources."""

from typing import Annotated, Literal

from pydantic import Field

from conduit_local.core.secrets import SecretMap
from conduit_local.core.spec import Component


class PushSource(Component):
    """Events are sent to the pipeline through the HTTP APIs; every pipeline has this source."""

    type: Literal["push"] = "push"


class ConnectorSource(Component):
    """A source that is known by its name only, with whatever settings it takes (S4.1)."""

    type: Literal["connector"] = "connector"
    connector: Annotated[str, Field(min_length=1, max_length=100)]
    """What it is called, like `hubspot`; the settings may name a stand-in for it."""
    config: SecretMap = SecretMap("{}")


SOURCES: dict[str, type[Component]] = {"push": PushSource, "connector": ConnectorSource}
