"""Reload when files change."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import awatch

from conduit_local.config.apply import Configuration
from conduit_local.config.files import FOLDER, SUFFIXES
from conduit_local.config.settings import FILE_NAME
from conduit_local.core.ports import Clock
from conduit_local.engine.journal import LOGGER

_DEBOUNCE_MS = 300
_LOOK_EVERY_MS = 2_000
_LOOK_AGAIN_S = 5.0

Seen = dict[str, tuple[int, int]]
"""The files by name, with time of change and size."""


async def watch(folder: Path, configuration: Configuration, clock: Clock, seen: Seen) -> None:
    """
    Reload when the files below `folder` are no longer those that were `seen`, for ever.

    The system's notice of a change is a hint; what counts is how the files look, so a notice that is lost (on a network
    drive, between the start and the first look) costs two seconds. Changes that come together are taken together.
    Half-written files are broken files, and change nothing until they are whole.
    """
    while True:
        try:
            async for _ in _hints(folder, clock):
                now = await asyncio.to_thread(look, folder)
                if now == seen:
                    continue
                if now.get(FILE_NAME) != seen.get(FILE_NAME):
                    configuration.note_settings_changed()
                if {**now, FILE_NAME: None} != {**seen, FILE_NAME: None}:
                    await configuration.reload()
                seen = now
        except OSError as error:
            LOGGER.warning("watching %s: %s; trying again", folder, error)
            await clock.wait(None, _LOOK_AGAIN_S)


def look(folder: Path) -> Seen:
    """How the files look now."""
    seen: Seen = {}
    for path in [folder / FILE_NAME, *(folder / FOLDER).glob("*")]:
        try:
            if path.suffix in SUFFIXES:
                found = path.stat()
                seen[path.name] = (found.st_mtime_ns, found.st_size)
        except OSError:  # gone between listing and looking; or not there at all
            continue
    return seen


async def _hints(folder: Path, clock: Clock) -> AsyncIterator[None]:
    """Something may have changed: at once where the system says so, every two seconds anyway."""
    while not await asyncio.to_thread(folder.is_dir):
        await clock.wait(None, _LOOK_AGAIN_S)
    hints = awatch(
        folder,
        watch_filter=lambda _, path: Path(path).suffix in SUFFIXES,
        debounce=_DEBOUNCE_MS,
        step=50,
        rust_timeout=_LOOK_EVERY_MS,
        yield_on_timeout=True,
    )
    async for _ in hints:
        yield


async def repeat_postponed(configuration: Configuration, clock: Clock) -> None:
    """Apply again, every five seconds, what could not be applied because the store was unavailable."""
    while True:
        await clock.wait(None, _LOOK_AGAIN_S)
        if configuration.postponed:
            await configuration.reload()
