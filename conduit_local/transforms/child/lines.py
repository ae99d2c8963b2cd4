"""
Rows as JSON lines, put together as text.

DuckDB's own `FORMAT json` reads every JSON value and writes it anew, numbers and all; a payload that came through
untouched must be, byte for byte, what it was.
"""

import json

from conduit_local.core.content import Column
from conduit_local.transforms.columns import EVENTS
from conduit_local.transforms.paths import quoted_name, quoted_text

_WHOLE_S, _FRACTION = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"
_STRICT = r"""(?i)nan|inf|,\s*[\]}]"""
_ID = (r"[A-Za-z0-9_-]+", "letters, digits, _ and -")
_PLAIN = {
    "event_id": _ID,
    "pipeline_id": _ID,
    "event_type": (r"[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*", "letters, digits, _ or - between dots, like order.created"),
}
"""What readers of envelopes take as it stands, without quotes or escapes in it."""
_STRING = r'"(?:[^"\\]|\\.)*"'


def are_envelopes(columns: list[Column]) -> bool:
    """Whether the rows are events again: these columns, of these types, and no others."""
    return sorted(columns) == sorted(EVENTS)


def line_of(columns: list[Column]) -> str:
    """The expression that makes a line of a row, in SQL; envelopes have their fields in the order of the log."""
    if are_envelopes(columns):
        values = [(column, _required(column) if column.name != "payload" else _value(column)) for column in EVENTS]
    else:
        values = [(column, _value(column)) for column in columns]
    parts = [
        f"{quoted_text(('{' if place == 0 else ',') + json.dumps(column.name, ensure_ascii=False) + ':')} || {value}"
        for place, (column, value) in enumerate(values)
    ]
    return " || ".join([*parts, "'}'"])


def _required(column: Column) -> str:
    """Ids, types and times of events: what reads envelopes relies on their being there."""
    name = quoted_name(column.name)
    reason = quoted_text(f"{column.name} is NULL, which that of an event cannot be")
    wrong = ""
    if column.name in _PLAIN:
        said = quoted_text(f"{column.name} is not what that of an event may be: {_PLAIN[column.name][1]}")
        wrong = f" WHEN NOT regexp_full_match({name}, '{_PLAIN[column.name][0]}') THEN error({said})"
    return f"CASE WHEN {name} IS NULL THEN error({reason}){wrong} ELSE {_value(column)} END"


def _value(column: Column) -> str:
    name = quoted_name(column.name)
    match column.kind:
        case "TIMESTAMP WITH TIME ZONE":
            shown = f"CASE WHEN microsecond({name}) % 1000000 = 0 THEN strftime({name}, '{_WHOLE_S}')"
            text = f"'\"' || {shown} ELSE strftime({name}, '{_FRACTION}') END || '\"'"
        case "JSON":
            text = _checked(column, f"translate({name}::VARCHAR, chr(10) || chr(13), '  ')")
        case kind if kind.startswith("DECIMAL(") and kind.endswith(")"):
            text = f"regexp_replace({name}::VARCHAR, '^(-?)[.]', '\\10.')"  # DuckDB writes .05, which is no JSON
        case kind if any(word in kind for word in ("DOUBLE", "FLOAT", "JSON", "VARIANT")):
            text = _checked(column, f"to_json({name})::VARCHAR")
        case _:
            text = f"to_json({name})::VARCHAR"
    return f"coalesce({text}, 'null')"


def _checked(column: Column, text: str) -> str:
    """DuckDB takes NaN, Infinity and a comma before the end for JSON; nobody else does."""
    reason = quoted_text(f"{column.name} holds NaN, Infinity or a comma too many, which no JSON may")
    bare = f"regexp_replace({text}, '{_STRING}', '\"\"', 'g')"
    wrong = f"regexp_matches({text}, '{_STRICT}') AND regexp_matches({bare}, '{_STRICT}')"
    return f"CASE WHEN {wrong} THEN error({reason}) ELSE {text} END"
