"""
A watched inbox: files that are dropped, appended to, rotated, emptied or replaced; each record is taken once.

A file is told by its inode and by what was read of it, not by its name: renamed it goes on where it was, also under a
name that is not asked for, so that the end of a rotated log is not lost. A file with other content under an old name is
another file. The cursor says all of it, and is kept with the events.

A line is taken when its line feed is there. What has none is taken once the file has rested for `settle`: of JSON half
an object is never valid, so nothing is made of half a line but, at worst, a dead letter. JSON documents and packed
files are read once they rest.
"""

import asyncio
import errno
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from conduit_local.core.plain import plain
from conduit_local.core.ports import Clock
from conduit_local.core.pulling import Pulled, SourceFailed
from conduit_local.core.spec import Duration
from conduit_local.core.times import SECOND_US
from conduit_local.formats.csv_rows import read_csv
from conduit_local.formats.json_document import read_json_document
from conduit_local.formats.json_lines import read_json_lines
from conduit_local.formats.pieces import Corrupt, Reader, Skip
from conduit_local.sources.events import Look, PulledSpec, type_out_of
from conduit_local.sources.inbox import Found, Inbox, check_pattern
from conduit_local.sources.reading import MARK_BYTES, SourceFile, open_as, packing_of
from conduit_local.sources.remembered import MAX_FILES, Memory, Remembered

Format = Literal["auto", "jsonl", "json", "csv"]

READERS: Mapping[str, Reader] = {"jsonl": read_json_lines, "json": read_json_document, "csv": read_csv}
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv"}
_MOST_SCANNED_BYTES = 64 * 1024**2
"""In one look, also where nothing comes of it: a line of 100 MB, a million empty ones."""
_NEEDS_PERSON = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def format_of(path: str, asked: Format) -> str:
    """The format of a file, by its name where it is not said: `a.csv.gz`, `a.jsonl.1`."""
    if asked != "auto":
        return asked
    suffixes = PurePosixPath(path).suffixes
    return next((_SUFFIXES[one] for one in reversed(suffixes) if one in _SUFFIXES), "jsonl")


def type_by_name(path: str) -> str:
    """The type of a file's events: its name up to what tells its format."""
    name = PurePosixPath(path).name
    ends = [place for suffix in (*_SUFFIXES, ".gz", ".zst") if (place := name.find(suffix)) > 0]
    return type_out_of(plain(name[: min(ends, default=len(name))]))


class FilesSpec(PulledSpec):
    """A watched folder: each record of each file becomes an event, once."""

    type: Literal["files"] = "files"
    path: Annotated[str, AfterValidator(check_pattern)]
    """Which files, like `inbox/*.jsonl` or `inbox/**/*.csv.gz`; relative to the data folder, or absolute."""
    format: Format = "auto"
    """`auto`: by the name; what tells nothing is read as JSON lines."""
    every: Annotated[Duration, Field(ge=0.05, le=86_400)] = 1.0
    """How often to look where the system tells of no change."""
    settle: Annotated[Duration, Field(ge=0, le=86_400)] = 5.0
    """How long a file must rest before its last line is taken without a line feed, and before it is read at all where
    it is a JSON document or packed."""

    @property
    def cursor_name(self) -> str:
        """What its cursor is kept under."""
        return f"files:{self.path}"


class FilesSource:
    """`Source` of local files."""

    def __init__(self, spec: FilesSpec, data_folder: Path, threads: ThreadPoolExecutor, clock: Clock) -> None:
        self._spec = spec
        self._inbox = Inbox(spec.path, data_folder)
        self._threads = threads
        self._clock = clock
        self._closed = False
        self._unpacking: dict[str, SourceFile] = {}
        """At most one packed file that is being read, so that it need not be unpacked from its begin each time."""

    async def pull(self, cursor: str | None, most: int) -> Pulled:
        """`Source.pull`: in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._pull, cursor, most)

    async def wait(self) -> None:
        """`Source.wait`: what the system tells of the folder is a hint; `every` is what counts."""
        await self._clock.wait(self._hint(), self._spec.every)

    async def close(self) -> None:
        """`Source.close`."""
        self._closed = True
        self._let_go()

    async def _hint(self) -> None:
        from watchfiles import awatch

        with suppress(OSError, RuntimeError):  # no such folder, or no watches left: then the interval does it
            async for _ in awatch(
                self._inbox.folder, watch_filter=None, debounce=50, step=20, recursive=self._inbox.deep
            ):
                return
        await asyncio.get_running_loop().create_future()

    def _let_go(self) -> None:
        while self._unpacking:
            self._unpacking.popitem()[1].close()

    def _pull(self, cursor: str | None, most: int) -> Pulled:
        memory = Memory.out_of(cursor)
        look = Look(self._spec, most)
        notes: list[str] = []
        try:
            files = self._inbox.files(memory.inodes)
        except OSError as error:
            raise _failed(str(self._inbox.folder), error) from error
        if files is None:
            if not memory.missing:
                memory.missing = True
                notes.append(f"the folder {self._inbox.folder} is not there yet")
            return Pulled(events=None, cursor=memory.text(), notes=notes)
        memory.missing = False
        troubles: list[SourceFailed] = []
        more = False
        done: set[tuple[int, int]] = set()
        for file, known in self._in_order(files, memory):
            identity = file.status.st_dev, file.status.st_ino
            if identity in done:  # another name of the same file
                continue
            done.add(identity)
            if known is not None and known.is_as_it_was(file.status) and (known.path, known.device) == _name(file):
                continue
            if more or look.full:
                more = True
                continue
            try:
                more = self._read(file, known, memory, look, notes)
            except FileNotFoundError:
                continue
            except OSError as error:
                troubles.append(_failed(plain(file.path), error))
            except _TooMany:
                said = f"{self._spec.path}: more than {MAX_FILES:,} files; take those away that are read"
                troubles.append(SourceFailed(said, needs_person=True))
                break
        matching = {(one.status.st_dev, one.status.st_ino) for one in files if one.matches}
        resting = {one for one in done - matching if one in memory.files and not memory.files[one].changed_ns}
        memory.note_gone(matching | resting, self._clock.now_us() // SECOND_US)
        text = memory.text()
        if troubles and text == cursor:
            raise troubles[0]
        return Pulled(events=look.events, cursor=text, poison=look.poison, more=more, notes=notes)

    @staticmethod
    def _in_order(files: list[Found], memory: Memory) -> Iterator[tuple[Found, Remembered | None]]:
        """By path; before them those with a name that is not asked for: their records are older."""
        found = [(file, memory.of(file.path, file.status)) for file in files]
        yield from sorted(found, key=lambda one: (one[0].matches, one[0].path))

    def _read(self, found: Found, known: Remembered | None, memory: Memory, look: Look, notes: list[str]) -> bool:
        """Whether more is to be had at once. Raises: OSError, _TooMany."""
        packing = packing_of(found.path if known is None else known.known_as)
        if packing and not self._rests(found.status):
            return False
        file = self._opened(found.path, packing, known)
        before = look.state
        keep = False
        try:
            status = os.fstat(file.fd)
            if (status.st_dev, status.st_ino) != (found.status.st_dev, found.status.st_ino):
                return True  # replaced since it was listed
            if known is not None and known.is_in(file, status.st_size):
                entry = replace(known, path=found.path, device=status.st_dev)
            else:
                entry = Remembered(path=found.path, known_as=found.path, device=status.st_dev, inode=status.st_ino)
                if known is not None:
                    notes.append(f"{plain(found.path)} was emptied or has other content: it is read from its beginning")
            rested = self._rests(status)
            after, more = self._take(file, entry, status, rested, look)
            now = os.fstat(file.fd)
            if now.st_size < status.st_size or (rested and _change(now) != _change(status)):
                look.back_to(before)  # what was read may be half the old and half the new; or no end any more
                return True
            whole = rested and not more
            if whole and not file.complete and after.place.skip is not Skip.REST:
                notes.append(f"{plain(found.path)} ends in the middle of what is packed: the rest is waited for")
            after = replace(
                after,
                size_bytes=status.st_size if whole or packing else entry.size_bytes,
                changed_ns=status.st_mtime_ns if whole else 0,
            )
            if not memory.put(after, known):
                raise _TooMany
            if packing and more and not self._closed:
                self._unpacking[_key(after)] = file
                keep = True
            return more
        except (OSError, _TooMany):
            look.back_to(before)
            raise
        finally:
            if not keep:
                file.close()

    def _take(
        self, file: SourceFile, entry: Remembered, status: os.stat_result, rested: bool, look: Look
    ) -> tuple[Remembered, bool]:
        """What comes of a file, and whether there is more of it at once."""
        path, otherwise = plain(entry.path), type_by_name(entry.known_as)
        form = format_of(entry.known_as, self._spec.format)
        place = entry.place
        if place.skip is Skip.REST:
            if form != "json" and not packing_of(entry.known_as):
                return entry, False
            place = place._replace(skip=Skip.NOTHING)  # it was changed: what was wrong may be mended
        if form == "json" and not rested:
            return entry, False
        end = file.scanned_bytes + _MOST_SCANNED_BYTES
        more = False
        try:
            for piece in READERS[form](file, place, lambda: rested and file.complete):
                if piece.content is not None:
                    look.take(piece.content, f"{path}{piece.where}", otherwise, piece.error)
                place = piece.end
                more = look.full or file.scanned_bytes > end
                if more or place.skip is Skip.REST:
                    break
        except Corrupt as error:
            look.take(os.pread(file.fd, MARK_BYTES, 0), path, otherwise, str(error))
            place = place._replace(skip=Skip.REST)
        return entry.read_to(file, place, status.st_size), more and place.skip is not Skip.REST

    def _rests(self, status: os.stat_result) -> bool:
        return self._clock.now_us() - status.st_mtime_ns // 1000 >= self._spec.settle * SECOND_US

    def _opened(self, path: str, packing: str, known: Remembered | None) -> SourceFile:
        file = self._unpacking.pop(_key(known), None) if known is not None and packing else None
        self._let_go()
        if file is not None:
            return file
        return open_as(self._inbox.open(path), packing)


class _TooMany(Exception):
    """There are more files than can be remembered."""


def _key(entry: Remembered) -> str:
    return f"{entry.device} {entry.inode} {entry.place.offset} {entry.head}"


def _change(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _name(file: Found) -> tuple[str, int]:
    return file.path, file.status.st_dev


def _failed(path: str, error: OSError) -> SourceFailed:
    reason = error.strerror or type(error).__name__
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        reason = "a symbolic link or a file stands where a folder belongs; links are not followed below the path"
    return SourceFailed(f"read {path}: {reason}", needs_person=error.errno in _NEEDS_PERSON)
