"""The kinds of sources."""

from typing import Literal

from conduit_local.core.spec import Component


class PushSource(Component):
    """Events are sent to the pipeline through the HTTP APIs; every pipeline has this source."""

    type: Literal["push"] = "push"


SOURCES: dict[str, type[Component]] = {"push": PushSource}
