"""How much room the log has: the quota, the disk, and what the last commit said."""

import os
import sqlite3
import time
from pathlib import Path

from conduit_local.core.errors import ConduitError, QuotaSpent, StoreUnavailable
from conduit_local.core.log import Usage

_LOOK_EVERY_S = 0.1
_RETRY_AFTER_S = 0.25
_TOUCH = "UPDATE store SET value = value WHERE name = 'tag'"


class Room:
    """
    Decides, before an event joins a group, whether there is room for it.

    Looked at in the writer's thread after a commit, at most ten times a second; the loop only reads the outcome. When
    a commit failed, the next caller after a quarter of a second is the one that tries again.
    """

    def __init__(self, database: Path, *, quota_bytes: int, min_free_bytes: int) -> None:
        self._database = database
        self._quota_bytes = quota_bytes
        self._min_free_bytes = min_free_bytes
        self._used_bytes = 0
        self._file_bytes = 0
        self._free_bytes = 0
        self._looked_at_s = 0.0
        self._failure: ConduitError | None = None
        self._failed_at_s = 0.0
        self._to_be_looked_at = False

    def look(self, db: sqlite3.Connection, *, always: bool = False) -> None:
        """Measure, in the writer's thread."""
        now_s = time.monotonic()
        if not always and now_s - self._looked_at_s < _LOOK_EVERY_S:
            return
        self._looked_at_s = now_s
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (unused,) = db.execute("PRAGMA freelist_count").fetchone()
        wal_bytes = _size(self._database.with_name(self._database.name + "-wal"))
        disk = os.statvfs(self._database.parent)
        self._used_bytes = (pages - unused) * page_size + wal_bytes
        self._file_bytes = pages * page_size + wal_bytes
        self._free_bytes = disk.f_bavail * disk.f_frsize

    def refusal(self) -> ConduitError | None:
        """Why an event cannot be taken now, or None. On the loop; costs two comparisons when all is well."""
        if self._failure is not None and time.monotonic() - self._failed_at_s < _RETRY_AFTER_S:
            return self._failure
        if self._used_bytes > self._quota_bytes:
            return QuotaSpent(
                f"the storage quota is used up: {self._used_bytes:,} of {self._quota_bytes:,} bytes",
                retry_after_s=5,
            )
        if self._free_bytes < self._min_free_bytes:
            return QuotaSpent(
                f"the disk is nearly full: {self._free_bytes:,} bytes free, {self._min_free_bytes:,} are kept back",
                retry_after_s=5,
            )
        return None

    def wants_a_look(self) -> bool:
        """Whether what is known is too old to refuse on, or to show; True for one caller, who then has it looked at."""
        known_at_s = max(self._looked_at_s, self._failed_at_s)
        if self._to_be_looked_at or time.monotonic() - known_at_s <= _RETRY_AFTER_S:
            return False
        self._to_be_looked_at = True
        return True

    @property
    def failed(self) -> bool:
        """Whether the last commit failed."""
        return self._failure is not None

    def note_look(self, error: ConduitError | None) -> None:
        """What came of the look that somebody wanted."""
        self._to_be_looked_at = False
        self.note(error)

    def note(self, error: ConduitError | None) -> None:
        """What the last commit said."""
        self._failure = error if isinstance(error, StoreUnavailable) else None
        self._failed_at_s = time.monotonic()

    def usage(self) -> Usage:
        """For people."""
        refusal = self._failure or self.refusal()
        return Usage(
            used_bytes=self._used_bytes,
            file_bytes=self._file_bytes,
            free_bytes=self._free_bytes,
            quota_bytes=self._quota_bytes,
            trouble=refusal.message if refusal else None,
        )


class Look:
    """
    Measures again (`Work` for the writer), while events are refused and no other commit would.

    Where a commit had failed it writes, for that alone tells whether the next one would.
    """

    counts_on = False

    def __init__(self, room: Room) -> None:
        self._room = room

    def seal(self) -> None:
        """Nothing joins."""

    def prepare(self) -> bool:
        """Measuring is no transaction."""
        return not self._room.failed

    def apply(self, db: sqlite3.Connection) -> None:
        """Measure; write what is there already."""
        if self._room.failed:
            db.execute(_TOUCH)
        self._room.look(db, always=True)

    def settle(self, error: ConduitError | None) -> None:
        """What the commit said counts as for any other."""
        self._room.note_look(error)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
