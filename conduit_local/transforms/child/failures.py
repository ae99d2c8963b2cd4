"""What went wrong with a query, in words for the parent."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

import duckdb

Kind = Literal["query", "rows", "memory", "output", "disk", "broken"]
"""
`query`: it is wrong, whatever the events are. `rows`: it failed on these. `memory`, `output`: it took too much of it.
`disk`: a file could not be read or written. `broken`: the database is of no more use.
"""

_MOST_CHARACTERS = 2_000
_WEAK_ARROW = re.compile(r"'json_extract(?:_string)?\(JSON, (?:BOOLEAN|STRUCT)")
_QUERY_ERRORS = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.NotImplementedException,
    duckdb.DependencyException,
    duckdb.TransactionException,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a query, from 1. `column` counts characters."""

    line: int
    column: int


class Failed(Exception):
    """A step that did not come to its end."""

    def __init__(self, kind: Kind, message: str, step: int = 0, place: Place | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.step = step
        self.place = place

    def answer(self) -> dict[str, Any]:
        """As it goes to the parent."""
        place = (self.place.line, self.place.column) if self.place else None
        return {"kind": self.kind, "message": self.message[:_MOST_CHARACTERS], "step": self.step, "place": place}


def place_in(query: str, position: int) -> Place | None:
    """Where byte `position` of the query is; None when it is not in it."""
    written = query.encode()
    if not 0 <= position <= len(written):
        return None
    before = written[:position].decode(errors="ignore")
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def failure_of(error: Exception, step: int, query: str, wrapped_bytes: int = 0) -> Failed:
    """`error` of DuckDB; `query` was run behind `wrapped_bytes` of our own."""
    told = _told(error)
    place = place_in(query, int(told["position"]) - wrapped_bytes) if "position" in told else None
    message = _readable(" ".join(str(told.get("exception_message", error)).split()))
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException) or "bad_alloc" in message:
        return Failed("memory", message, step)
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return Failed("broken", message, step)
    if isinstance(error, _QUERY_ERRORS):
        return Failed("query", message, step, place)
    if isinstance(error, duckdb.IOException):
        return Failed("output" if "too large" in message.lower() else "disk", message, step)
    return Failed("rows", message, step, place)


def _readable(message: str) -> str:
    """Without the list of every function of that name; with what the field falls over most often."""
    message = message.partition(" Candidate functions:")[0]
    if _WEAK_ARROW.search(message):
        message += " (a chain of arrows binds weaker than = and IS: write (payload->'a'->>'b') or payload->>'$.a.b')"
    return message


def _told(error: Exception) -> dict[str, Any]:
    """What `errors_as_json` put behind the kind of the error."""
    text = str(error)
    try:
        told = json.loads(text[text.index("{") :])
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
