"""
Paths into events, as people write them, and what they become in SQL.

`event_id` is a column, `payload.order.id` a field in a column of JSON, `payload.items[0].sku` one in a list. A name
with a dot or a bracket in it stands in double quotes: `payload."a.b"`.
"""

import re
from dataclasses import dataclass

_NAME = r'(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^."\[\]]+))'
_FIRST = re.compile(_NAME)
_NEXT = re.compile(rf"\.{_NAME}|\[(?P<index>\d+|\*)\]")
MAX_PATH = 1_000


class Each:
    """A step into every item of a list, which is written `[*]`."""


EACH = Each()
Step = str | int | Each
"""Into an object by its key, into a list by a number, or into every item of one."""


@dataclass(frozen=True, slots=True)
class Path:
    """A column, and the way into it."""

    column: str
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """What the column is called that this path alone makes."""
        return next((step for step in reversed(self.steps) if isinstance(step, str)), self.column)


def parse_path(text: str) -> Path:
    """Raises: ValueError, saying how paths are written."""
    wrong = ValueError(
        f"{text[:100]!r} is not a path; write a column like event_id, or a field like payload.order.id, "
        'payload.items[0].sku or payload."a.b"'
    )
    first = _FIRST.match(text)
    if first is None or len(text) > MAX_PATH or not text.isprintable():
        raise wrong
    steps: list[Step] = []
    place = first.end()
    while place < len(text):
        found = _NEXT.match(text, place)
        if found is None:
            raise wrong
        steps.append(_step(found))
        place = found.end()
    if "*" in steps:  # DuckDB reads it as every key, even in quotes
        raise wrong
    return Path(_name(first), tuple(steps))


def check_path(text: str) -> str:
    """The path itself. Raises: ValueError as `parse_path`."""
    parse_path(text)
    return text


def check_column(name: str) -> str:
    """The name itself. Raises: ValueError unless it can be that of a column."""
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise ValueError("the name of a column must have 1 to 255 visible characters")
    return name


def _step(found: re.Match[str]) -> Step:
    if found["index"] is None:
        return _name(found)
    return EACH if found["index"] == "*" else int(found["index"])


def _name(found: re.Match[str]) -> str:
    return found["plain"] or found["quoted"].replace('""', '"')


def check_not_empty(fields: object) -> object:
    """`fields` as they were given. Raises: ValueError when they are an empty list or mapping."""
    if fields in ([], (), {}):
        raise ValueError("must name at least one")
    return fields


def quoted_name(name: str) -> str:
    """A column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def json_path(steps: tuple[Step, ...]) -> str:
    """The steps in SQL, as the JSON functions take them: `$."order"."items"[0]`."""
    return quoted_text("$" + "".join(map(_written, steps)))


def _written(step: Step) -> str:
    match step:
        case str():
            return '."' + step.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case int():
            return f"[{step}]"
        case _:
            return "[*]"
