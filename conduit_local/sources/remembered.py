"""What a `files` source remembers of each file: the text of its cursor."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from conduit_local.core.times import DAY_S
from conduit_local.formats.pieces import Place, Skip
from conduit_local.sources.reading import MARK_BYTES, PackedFile, SourceFile, mark_of

MAX_FILES = 5_000
FORGET_AFTER_S = DAY_S
_BEGIN = Place()


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """
    A file, and how far it was read.

    It is the same file where its inode is, and where it begins and goes on up to that place as it did: inode numbers
    are used again, and a file can be emptied and filled anew.
    """

    path: str
    """Where it is, or was when it was last there."""
    known_as: str
    """Where it was first: its format and its events' type follow from that, whatever it is called later."""
    device: int
    inode: int
    place: Place = _BEGIN
    head: str = ""
    """The mark of its first bytes, and of how many: `1024:9f…`."""
    tail: str = ""
    """The mark of the bytes before `place`; of a packed file none."""
    size_bytes: int = 0
    """How long it was when it was last read to its end."""
    changed_ns: int = 0
    """And when it had last been changed; 0 where that was too short ago to tell it from a later change."""
    gone_s: int = 0
    """Since when it is not there any more, or goes by a name that is not asked for."""

    def is_as_it_was(self, status: os.stat_result) -> bool:
        """Whether nothing was done to it since it was read to its end; without opening it."""
        return self.changed_ns != 0 and (self.size_bytes, self.changed_ns) == (status.st_size, status.st_mtime_ns)

    def is_in(self, file: SourceFile, size_bytes: int) -> bool:
        """Whether what was read of it is still what an open file holds up to there. Raises: OSError."""
        if isinstance(file, PackedFile):
            if size_bytes < self.size_bytes:
                return False
        elif size_bytes < self.place.offset:
            return False
        if self.head:
            length = int(self.head.partition(":")[0])
            if mark_of(os.pread(file.fd, length, 0)) != self.head.partition(":")[2]:
                return False
        if self.tail:
            start = max(0, self.place.offset - MARK_BYTES)
            return mark_of(os.pread(file.fd, self.place.offset - start, start)) == self.tail
        return True

    def read_to(self, file: SourceFile, place: Place, size_bytes: int) -> "Remembered":
        """It, once it is read up to `place`. Raises: OSError."""
        if place.offset == 0:
            return replace(self, place=place)
        head, tail = self.head, ""
        if isinstance(file, PackedFile):
            length = min(MARK_BYTES, size_bytes)
            head = head or f"{length}:{mark_of(os.pread(file.fd, length, 0))}"
        else:
            length = min(MARK_BYTES, place.offset)
            head = head or f"{length}:{mark_of(file.head[:length])}"
            tail = mark_of(file.before(place.offset))
        return replace(self, place=place, head=head, tail=tail)


@dataclass(slots=True)
class Memory:
    """All files, by device and inode."""

    files: dict[tuple[int, int], Remembered] = field(default_factory=dict)
    missing: bool = False
    """Whether it was said that the folder is not there."""

    @property
    def inodes(self) -> set[int]:
        """The inode numbers of all."""
        return {inode for _, inode in self.files}

    def of(self, path: str, status: os.stat_result) -> Remembered | None:
        """
        What is remembered of a file. A device has another number after a restart, so where only that differs it is
        the one that had this path.
        """
        found = self.files.get((status.st_dev, status.st_ino))
        if found is not None:
            return found
        return next(
            (one for one in self.files.values() if one.inode == status.st_ino and one.path == path),
            None,
        )

    def put(self, file: Remembered, instead_of: Remembered | None) -> bool:
        """Remember it; False where there are too many already. Those that are gone for longest make room."""
        if instead_of is not None:
            self.files.pop((instead_of.device, instead_of.inode), None)
        elif len(self.files) >= MAX_FILES:
            gone = min((one for one in self.files.values() if one.gone_s), key=lambda one: one.gone_s, default=None)
            if gone is None:
                return False
            del self.files[gone.device, gone.inode]
        self.files[file.device, file.inode] = file
        return True

    def note_gone(self, there: Iterable[tuple[int, int]], now_s: int) -> None:
        """Forget what has been gone for a day; note what is not `there` any more, or is again."""
        present = set(there)
        for identity, one in list(self.files.items()):
            if identity in present:
                if one.gone_s:
                    self.files[identity] = replace(one, gone_s=0)
            elif not one.gone_s:
                self.files[identity] = replace(one, gone_s=now_s)
            elif now_s - one.gone_s > FORGET_AFTER_S:
                del self.files[identity]

    def text(self) -> str:
        """As a cursor."""
        files = [
            [
                one.path,
                one.known_as if one.known_as != one.path else "",
                one.device,
                one.inode,
                *one.place,
                one.head,
                one.tail,
                one.size_bytes,
                one.changed_ns,
                one.gone_s,
            ]
            for one in sorted(self.files.values(), key=lambda one: (one.path, one.inode))
        ]
        return json.dumps({"v": 1, "missing": self.missing, "files": files}, separators=(",", ":"))

    @classmethod
    def out_of(cls, text: str | None) -> "Memory":
        """Out of a cursor."""
        if text is None:
            return cls()
        found: dict[str, Any] = json.loads(text)
        files = {}
        for path, known_as, device, inode, offset, number, skip, head, tail, size_bytes, changed_ns, gone_s in found[
            "files"
        ]:
            files[device, inode] = Remembered(
                path=path,
                known_as=known_as or path,
                device=device,
                inode=inode,
                place=Place(offset, number, Skip(skip)),
                head=head,
                tail=tail,
                size_bytes=size_bytes,
                changed_ns=changed_ns,
                gone_s=gone_s,
            )
        return cls(files, found["missing"])
