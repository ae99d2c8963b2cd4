"""Changing the key that secrets are sealed with."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from conduit_local.core.catalog import Catalog
from conduit_local.engine.journal import say


class KeyRing(Protocol):
    """The keys behind a vault."""

    def begin_rotation(self) -> Callable[[], None]:
        """
        Seal with a new key from now on; returns what drops the old ones, once everything is sealed anew.

        Raises: StoreUnavailable; nothing has changed then.
        """
        ...


class Sealing:
    """Rotation: a new key, everything sealed anew in one commit, and only then the old keys go."""

    def __init__(self, catalog: Catalog, keys: KeyRing) -> None:
        self._catalog = catalog
        self._keys = keys
        self._rotating = asyncio.Lock()

    async def rotate(self) -> int:
        """
        Returns how many records hold secrets that were sealed anew. A crash in between leaves both keys in place.

        Raises: StoreUnavailable.
        """
        async with self._rotating:
            drop_old = self._keys.begin_rotation()
            changed = await self._catalog.reseal()
            drop_old()
            say(logging.INFO, f"secrets are sealed with a new key: {changed} records")
            return changed
