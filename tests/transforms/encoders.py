"""Encoders that leave nothing behind, and what the kernel says of their children."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from conduit_local.core.encoding import EncodedFile
from conduit_local.transforms.encoding import ParquetEncoder, open_encoder
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.making import children, files_in

DEADLINE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop run until it does."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what the kernel says rings no bell
            await asyncio.sleep(0)


def children_in(folder: Path) -> set[int]:
    """The children that work below a folder."""
    return {pid for pid in children() if str(folder).encode() in _command(pid)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@asynccontextmanager
async def encoder_in(folder: Path, **settings: Any) -> AsyncIterator[ParquetEncoder]:
    """An encoder; afterwards no file and no process of it is left."""
    async with open_encoder(TransformSettings(**settings), scratch=folder) as running:
        yield running
        assert files_in(folder) == []
    assert children_in(folder) == set()
    assert list(folder.iterdir()) == []


def bytes_of(file: EncodedFile) -> bytes:
    """All of it; closed afterwards."""
    try:
        content = b"".join(file.pieces())
        assert len(content) == file.size_bytes
        return content
    finally:
        file.close()
