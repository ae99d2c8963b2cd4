"""
Local files.

Exactly once: a batch's key is fixed before the first attempt. It is written to a hidden `.<name>.part` file in the same
folder, flushed to the disk, renamed, and the folder flushed; so a file under a final name is whole, and a repeat
finds it. A file that is there with other content is never written over: the route is blocked until a person decides.
"""

import asyncio
import errno
import os
import stat
import uuid
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from conduit_local.core.batch import Partition, Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Finding, Found, ObjectContent
from conduit_local.core.encoding import Encoder
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.objects import ObjectsSpec
from conduit_local.formats.objects import Pieces, Summed, encoded

_COMPARE_BYTES = 1 << 20
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not blocking: a pipe would never open
_PERSON_MUST_ACT = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


def check_path(path: str) -> str:
    """The path itself. Raises: ValueError when it leads elsewhere than it says, or cannot be one."""
    parts = PurePosixPath(path).parts
    if not path or not parts or parts == ("/",) or "\0" in path or ".." in parts or len(path) > 1_024:
        raise ValueError("must be a folder below the data folder, or an absolute path; without `..`")
    if not path.isprintable():
        raise ValueError("must not hold control characters")
    return path


class FilesSpec(ObjectsSpec):
    """Lands batches as files."""

    remote: ClassVar[bool] = False

    type: Literal["files"] = "files"
    path: Annotated[str, AfterValidator(check_path)] = "out"
    """The folder: relative to the data folder, or absolute (in configuration files; for APIs where allowed)."""


class FilesDestination:
    """`Destination` for local files."""

    def __init__(self, spec: FilesSpec, data_folder: Path, threads: ThreadPoolExecutor, encoder: Encoder) -> None:
        self._form = spec.form
        self._encoder = encoder
        self._partition = Partition(spec.partition)
        self._threads = threads
        path = Path(spec.path)
        self._root = path if path.is_absolute() else data_folder
        self._below = () if path.is_absolute() else path.parts
        self.extension = self._form.extension
        self.in_flight = spec.concurrency or 1

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`."""
        return self._partition.of(received_at_us)

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: in a thread; when the caller is cancelled, the thread goes on to its end."""
        async with encoded(content, self._form, self._encoder) as pieces:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._write, key, pieces)

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: the file is opened here, and read by whoever asks for its pieces."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._open, key)

    async def objects(self, folder: str) -> AsyncIterator[Sequence[Found]]:
        """`Destination.objects`: folder by folder. What is hidden is none of them: a `.part` of an attempt is."""
        folders = [folder]
        while folders:
            here = folders.pop()
            below, found = await asyncio.get_running_loop().run_in_executor(self._threads, self._list, here)
            folders += below
            yield found

    async def probe(self) -> list[Finding]:
        """`Destination.probe`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._probe)

    async def close(self) -> None:
        """`Destination.close`: nothing is held between batches."""

    def _list(self, folder: str) -> tuple[list[str], list[Found]]:
        names = (*self._below, *folder.split("/"))
        below: list[str] = []
        found: list[Found] = []
        try:
            with _folder(self._root, names, make=False) as here:
                for name in sorted(os.listdir(here)):  # noqa: PTH208 - a descriptor
                    try:
                        entry = os.stat(name, dir_fd=here, follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # gone since: the `.part` of a batch that has landed meanwhile
                    if stat.S_ISDIR(entry.st_mode):
                        below.append(f"{folder}/{name}")
                    elif not name.startswith("."):
                        found.append(Found(f"{folder}/{name}", entry.st_size))
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise DestinationUnavailable(f"list {self._root.joinpath(*names)}: {_reason(error)}") from error
        return below, found

    def _probe(self) -> list[Finding]:
        findings: list[Finding] = []
        name, content = f".probe-{uuid.uuid4().hex}", b"conduit-local looks whether it can write here\n"
        step = "write"

        def note(message: str) -> None:
            findings.append(Finding(step=step, ok=True, message=message))

        try:
            with _folder(self._root, self._below) as folder:
                _place(folder, name, [content])
                note(f"{self._root.joinpath(*self._below)} takes files")
                try:
                    step = "read back"
                    with os.fdopen(os.open(name, _TO_READ, dir_fd=folder), "rb") as file:
                        if file.read() != content:
                            raise OSError(errno.EIO, "what was written comes back changed")
                    note("what was written comes back")
                    step = "overwrite"
                    with suppress(FileExistsError):
                        _place(folder, name, [b"other content\n"])
                        raise OSError(errno.EIO, "a file with other content was written over")
                    note("a file with other content is never written over")
                finally:
                    os.unlink(name, dir_fd=folder)
                step = "remove"
                note("the trial file is gone")
        except OSError as error:
            findings.append(Finding(step=step, ok=False, message=_reason(error)))
        return findings

    def _open(self, key: str) -> ObjectContent | None:
        *folders, name = (*self._below, *key.split("/"))
        place = self._root.joinpath(*folders, name)
        try:
            with _folder(self._root, folders, make=False) as folder:
                fd = os.open(name, _TO_READ, dir_fd=folder)
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                os.close(fd)
                raise OSError(errno.EISDIR, "something else stands where the file belongs")
            pieces = _pieces(fd)
            next(pieces)  # from here on the file is closed with it, also when nobody asks for a piece
            return ObjectContent(size_bytes=found.st_size, pieces=pieces)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DestinationUnavailable(f"read {place}: {_reason(error)}") from error

    def _write(self, key: str, pieces: Pieces) -> Written:
        *folders, name = (*self._below, *key.split("/"))
        place = self._root.joinpath(*folders, name)
        try:
            with _folder(self._root, folders) as folder:
                summed = Summed(pieces())
                _place(folder, name, summed)
        except FileExistsError as error:
            raise DestinationUnavailable(
                f"write {place}: a file with other content is there; move it away, or give the pipeline another path",
                needs_person=True,
            ) from error
        except OSError as error:
            raise DestinationUnavailable(
                f"write {place}: {_reason(error)}", needs_person=error.errno in _PERSON_MUST_ACT
            ) from error
        return Written(str(place), summed.size_bytes, summed.sha256)


def _reason(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return "a symbolic link or a file stands where a folder belongs; links are not followed below the path"
    return error.strerror or type(error).__name__


def _pieces(fd: int) -> Generator[bytes, None, None]:
    """Nothing, then the content of an open file, which is closed at its end, or when nobody reads on."""
    with os.fdopen(fd, "rb", buffering=0) as file:
        yield b""
        while piece := file.read(_COMPARE_BYTES):
            yield piece


@contextmanager
def _folder(root: Path, names: Sequence[str], *, make: bool = True) -> Iterator[int]:
    """
    The descriptor of a folder below `root`; missing folders are made and flushed, if `make`.

    Each step is opened without following links, relative to the one before: nothing outside the root is reached,
    whatever stands there in the meantime.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            try:
                below = _open_folder(name, here)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=here)
                os.fsync(here)
                below = _open_folder(name, here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _open_folder(name: str, where: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=where)


def _place(folder: int, name: str, content: Iterable[bytes]) -> None:
    """Put `content` under `name` at once and for good. Raises: FileExistsError when other content is there."""
    part = f".{name}.part"
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    try:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)
        with os.fdopen(fd, "w+b") as file:
            file.writelines(content)
            file.flush()
            os.fsync(fd)
            if _exists(folder, name):
                _require_same(folder, name, file.fileno())
                os.unlink(part, dir_fd=folder)
            else:
                os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):  # a full disk needs the space back; whatever else fails here fails again next time
            os.unlink(part, dir_fd=folder)
        raise
    os.fsync(folder)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _require_same(folder: int, name: str, ours: int) -> None:
    """Raises: FileExistsError unless the file `name` has the bytes of the open file `ours`."""
    theirs = os.open(name, _TO_READ, dir_fd=folder)
    try:
        offset = 0
        while True:
            block = os.pread(ours, _COMPARE_BYTES, offset)
            if os.pread(theirs, _COMPARE_BYTES, offset) != block:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
            if not block:
                os.fsync(theirs)
                return
            offset += len(block)
    finally:
        os.close(theirs)
