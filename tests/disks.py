"""A small disk of its own: a real tmpfs, mounted for the test."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path


class Disk:
    """A mounted file system that can be filled to the brim."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Write until nothing more fits, but for `leave_bytes`."""
        with self._ballast.open("ab", buffering=0) as file:
            for block in (1 << 20, 4096, 1):
                while self.free_bytes() - block >= leave_bytes and self._written(file, block):
                    pass

    @staticmethod
    def _written(file: RawIOBase, size: int) -> bool:
        try:
            return file.write(b"\0" * size) == size
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False

    def give_back(self) -> None:
        """Make room again."""
        self._ballast.unlink()

    def free_bytes(self) -> int:
        """Bytes that still fit."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


@contextmanager
def mounted(path: Path, size_mib: int) -> Iterator[Disk]:
    """A tmpfs of `size_mib` at `path`. Raises: PermissionError where mounting is not allowed."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PermissionError(f"mount a tmpfs: {done.stderr.strip()}; run the tests as root to have this one")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
