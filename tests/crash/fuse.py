"""A fuse: ends the process at the n-th passing of whatever it was put around."""

import sqlite3
import threading
from collections.abc import Callable
from typing import Any


class Fuse:
    """Ends the process by `end()` at passing number `last`, before or after what is passed. Used from any thread."""

    def __init__(self, last: int, *, after: bool, end: Callable[[], object]) -> None:
        self._last = last
        self._after = after
        self._end = end
        self._guard = threading.Lock()
        self._passed = 0

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with the fuse around it."""

        def fused(*args: Any, **options: Any) -> Any:
            with self._guard:
                self._passed += 1
                mine = self._passed == self._last
            if mine and not self._after:
                self._end()
            result = function(*args, **options)
            if mine:
                self._end()
            return result

        return fused

    def wrap_sqlite(self) -> None:
        """Put it around every statement that changes a database, and around COMMIT."""
        fuse = self

        class Fused(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if sql.lstrip()[:6] in {"SELECT", "PRAGMA"}:
                    return super().execute(sql, *args)
                cursor: sqlite3.Cursor = fuse.wrap(super().execute)(sql, *args)
                return cursor

        real = sqlite3.connect
        sqlite3.connect = lambda *args, **options: real(*args, **{**options, "factory": Fused})
