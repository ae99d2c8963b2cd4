"""The kinds of transforms."""

from conduit_local.core.spec import Component

TRANSFORMS: dict[str, type[Component]] = {}
