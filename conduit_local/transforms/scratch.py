"""
Files that live for a batch: in a folder of our own, which is emptied at every start and end.

A child that a killed appliance left behind may write on until it notices, for half a second: while the next appliance
empties the folder, and it must not find a place there that has become another child's.
"""

import asyncio
import errno
import itertools
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_TRIES = 1_000


def emptied(folder: Path) -> Path:
    """The folder, made or emptied, as its real path: DuckDB compares those."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _remove(entry)
        else:
            entry.unlink()
    return folder.resolve()


def _remove(folder: Path) -> None:
    """Again while somebody adds files to it, or takes them away."""
    for _ in range(_TRIES):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.ENOENT}:
                raise
        if not folder.exists():
            return
    raise OSError(errno.ENOTEMPTY, "somebody writes to it without end", str(folder))


def fresh_names() -> Iterator[str]:
    """Names of files and folders that none of an earlier appliance has."""
    life = uuid.uuid4().hex[:12]
    return (f"{life}-{number}" for number in itertools.count(1))


def write(target: Path, pieces: Iterable[bytes]) -> None:
    """Makes a file of them."""
    with target.open("wb") as file:
        file.writelines(pieces)


async def in_thread(work: Callable[[], None]) -> None:
    """Waits for the thread also when it is cancelled: what comes next may remove what the thread still writes."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
