"""What the kinds of transforms have in common: each compiles to one query."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from conduit_local.core.problems import Problem, refusal
from conduit_local.core.spec import Component

MAX_QUERY = 64 * 1024
_GENERATED = re.compile(r"/\* (filter|select|rename|mask) \*/ SELECT ")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variables:
    """What takes the place of `${NAME}` in the transform at `place` of its pipeline."""

    values: Mapping[str, str]
    place: int

    def in_sql(self, field: str, text: str) -> str:
        """`text` of `field` with values put in, so that within quotes they cannot end them. Raises: InvalidRequest."""
        return _VARIABLE.sub(lambda found: self._value(field, found).replace("'", "''"), text)

    def in_text(self, field: str, text: str) -> str:
        """`text` of `field`, which is no SQL, with values put in as they are. Raises: InvalidRequest."""
        return _VARIABLE.sub(partial(self._value, field), text)

    def _value(self, field: str, found: re.Match[str]) -> str:
        value = self.values.get(found[1])
        if value is None:
            known = ", ".join(sorted(self.values)) or "none"
            message = f"there is no variable {found[1]}; known here: {known}"
            raise refusal([Problem(path=("transforms", self.place, field), message=message)])
        return value


class Transform(Component):
    """A transform's settings, which compile to SQL."""

    def compiled(self, variables: Variables) -> str:
        """The query over `events` that does it. Raises: InvalidRequest when a variable is missing."""
        raise NotImplementedError


def check_sql(text: str) -> str:
    """The text itself. Raises: ValueError when it is empty, too long, or holds what no SQL can."""
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text.encode()) > MAX_QUERY:
        raise ValueError(f"must have at most 64 KiB, not {len(text.encode())} bytes")
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    return text


def generated(kind: str, query: str) -> str:
    """Marks a query that people did not write, so that a place in it is not shown to them as one of theirs."""
    return f"/* {kind} */ {query}"


def place_as_written(query: str, line: int | None, column: int | None) -> tuple[int | None, int | None]:
    """Where in the text that people wrote a place in `query`, compiled of it, is; None, None when it is in none."""
    found = _GENERATED.match(query)
    if found is None:
        return line, column
    return (line - 1, column) if found[1] == "filter" and line is not None and line > 1 else (None, None)
