"""
Which files a pattern means, found without ever leaving the folder it begins in.

It begins in the data folder, or, where the pattern is absolute, in the last folder that this names in full. From there
each folder is opened without following links, relative to the one before; what is no regular file is passed over.
"""

import os
import re
import stat
from collections.abc import Container, Iterator
from fnmatch import translate
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MAX_DEPTH = 16
_WILD = frozenset("*?[")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not blocking: a pipe would never open


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises: ValueError where it could mean anything but files below a named folder."""
    path = PurePosixPath(pattern)
    names = path.parts[1:] if path.is_absolute() else path.parts
    if "\0" in pattern or ".." in names or len(pattern) > 1_024 or not pattern.isprintable():
        raise ValueError("must be at most 1,024 visible characters, without `..`")
    if len(names) < 2 or _WILD & set(names[0]) or pattern.endswith("/"):
        raise ValueError("must name a folder first, and then files in it, like inbox/*.jsonl")
    return pattern


class Found(NamedTuple):
    """A file."""

    path: str
    """As people write it: relative where the pattern is."""
    status: os.stat_result
    matches: bool
    """Whether the pattern means it by its name; if not, it is there because it is known."""


class Inbox:
    """The files that a pattern means."""

    def __init__(self, pattern: str, data_folder: Path) -> None:
        path = PurePosixPath(pattern)
        names = path.parts[1:] if path.is_absolute() else path.parts
        plain = next((place for place, name in enumerate(names[:-1]) if _WILD & set(name)), len(names) - 1)
        fixed, self._wild, self._last = names[:plain], names[plain:-1], _matcher(names[-1])
        self._data_folder = data_folder
        self._root = Path("/", *fixed) if path.is_absolute() else data_folder
        self._fixed = () if path.is_absolute() else fixed
        self._above = len(fixed) if path.is_absolute() else 0
        self._shown = f"{'/' if path.is_absolute() else ''}{'/'.join(fixed)}"
        self.folder = self._root.joinpath(*self._fixed)
        """The last folder that is named in full."""
        self.deep = bool(self._wild)
        """Whether folders below it are meant, too."""

    def files(self, known: Container[int]) -> list[Found] | None:
        """
        The files that are there, by path: those whose name matches, and beside them those of a `known` inode number
        whatever they are called by now. None where the folder is not there. Raises: OSError.
        """
        try:
            here = self._open(self._fixed)
        except FileNotFoundError:
            return None
        found: list[Found] = []
        self._own = self._data_folder.stat()
        self._walk(here, self._shown, list(self._wild), known, found, 0)
        return sorted(set(found), key=lambda one: one.path)

    def open(self, path: str) -> int:
        """The descriptor of a file that was found. Raises: OSError."""
        *folders, name = path.removeprefix("/").split("/")[self._above :]
        here = self._open(tuple(folders))
        try:
            return os.open(name, _FILE, dir_fd=here)
        finally:
            os.close(here)

    def _open(self, names: tuple[str, ...]) -> int:
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in names:
            try:
                below = os.open(name, _FOLDER, dir_fd=here)
            finally:
                os.close(here)
            here = below
        return here

    def _walk(
        self, here: int, path: str, wild: list[str], known: Container[int], found: list[Found], depth: int
    ) -> None:
        """All below an open folder, which is closed in the end."""
        try:
            if not wild:
                found += self._files_in(here, path, known)
                return
            first, rest = wild[0], wild[1:]
            if first == "**":
                self._walk(os.dup(here), path, rest, known, found, depth)
            matches = _matcher("*" if first == "**" else first)
            with os.scandir(here) as entries:
                names = sorted(one.name for one in entries if matches(one.name) and one.is_dir(follow_symlinks=False))
            for name in names if depth < MAX_DEPTH else ():
                try:
                    below = os.open(name, _FOLDER, dir_fd=here)
                except OSError:  # gone since it was listed, or not ours to look into: as if it were not there
                    continue
                self._walk(below, f"{path}/{name}", wild if first == "**" else rest, known, found, depth + 1)
        finally:
            os.close(here)

    def _files_in(self, here: int, path: str, known: Container[int]) -> Iterator[Found]:
        own = os.fstat(here)
        if (own.st_dev, own.st_ino) == (self._own.st_dev, self._own.st_ino):
            return  # the appliance's own: the store, keys
        with os.scandir(here) as entries:
            for entry in entries:
                matches = self._last(entry.name)
                if not matches and entry.inode() not in known:
                    continue
                try:
                    status = os.stat(entry.name, dir_fd=here, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield Found(f"{path}/{entry.name}", status, matches)


class _Matcher:
    """Whether a name is meant by one step of a pattern; hidden ones only where it says so."""

    def __init__(self, pattern: str) -> None:
        self._hidden = pattern.startswith(".")
        self._pattern = re.compile(translate(pattern))

    def __call__(self, name: str) -> bool:
        return (self._hidden or not name.startswith(".")) and self._pattern.match(name) is not None


_matcher = _Matcher
