"""The data folder: one appliance at a time, and who that is."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from conduit_local.core.errors import Broken


class FolderInUse(Broken):
    """Another appliance works on this data folder."""

    code = "data_folder_in_use"


class FolderUnusable(Broken):
    """The data folder cannot be made, or cannot be written to."""

    code = "data_folder_unusable"


class DataFolder:
    """
    The data folder, locked for one appliance.

    The lock is the kernel's (`flock`), so a killed holder never leaves a stale one; what the file says is only for
    people.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def database(self) -> Path:
        """The store."""
        return self.path / "conduit.db"

    @property
    def api_key(self) -> Path:
        """The key made on first start, for the CLI and the TUI."""
        return self.path / "api-key"

    @property
    def secret_keys(self) -> Path:
        """The keys that secrets are sealed with."""
        return self.path / "secrets.key"

    @property
    def appliance(self) -> Path:
        """Who serves this folder, and where."""
        return self.path / "appliance.json"

    def __enter__(self) -> Self:
        """Raises: FolderInUse, naming the holder; FolderUnusable."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FolderUnusable(f"open the data folder {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = self._holder()
            os.close(self._lock)
            self._lock = None
            raise FolderInUse(f"the data folder {self.path} is in use by {holder}") from error
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps({"pid": os.getpid()}).encode(), 0)
        except OSError as error:
            self.__exit__(None, None, None)
            raise FolderUnusable(f"write to the data folder {self.path}: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _holder(self) -> str:
        assert self._lock is not None
        try:
            pid = json.loads(os.pread(self._lock, 200, 0))["pid"]
        except (ValueError, KeyError, TypeError):
            return "another appliance"
        try:
            url = json.loads(self.appliance.read_bytes())["url"]
        except (OSError, ValueError, KeyError, TypeError):
            return f"process {pid}"
        return f"process {pid}, which serves {url}"


def write_private(path: Path, content: bytes) -> None:
    """Replace a small file at once, readable by its owner only."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
