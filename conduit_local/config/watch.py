"""Reload when files change."""

import asyncio
from pathlib import Path

from watchfiles import Change, awatch

from conduit_local.config.apply import Configuration
from conduit_local.config.files import FOLDER, SUFFIXES
from conduit_local.config.settings import FILE_NAME
from conduit_local.core.ports import Clock
from conduit_local.engine.journal import LOGGER

_DEBOUNCE_MS = 300
_LOOK_AGAIN_S = 5.0


async def watch(folder: Path, configuration: Configuration, clock: Clock) -> None:
    """
    Reload after each change below `folder`, for ever; a folder that is not there yet is waited for.

    Changes that come together are taken together, so that an editor's delete and write are one. Half-written files
    are broken files, and change nothing until they are whole.
    """

    def ours(_change: Change, path: str) -> bool:
        found = Path(path)
        return found.suffix in SUFFIXES and (found.parent == folder / FOLDER or found.name == FILE_NAME)

    while True:
        while not await asyncio.to_thread(folder.is_dir):
            await clock.wait(None, _LOOK_AGAIN_S)
        try:
            await configuration.reload()
            async for changes in awatch(folder, watch_filter=ours, debounce=_DEBOUNCE_MS, step=50):
                names = {Path(path).name for _, path in changes}
                if FILE_NAME in names:
                    configuration.note_settings_changed()
                if names != {FILE_NAME}:
                    await configuration.reload()
        except OSError as error:
            LOGGER.warning("watching %s: %s; trying again", folder, error)
        await clock.wait(None, _LOOK_AGAIN_S)


async def repeat_postponed(configuration: Configuration, clock: Clock) -> None:
    """Apply again, every five seconds, what could not be applied because the store was unavailable."""
    while True:
        await clock.wait(None, _LOOK_AGAIN_S)
        if configuration.postponed:
            await configuration.reload()
