"""What ran on a pipeline, and how it ended, on one line. Pure; glyphs alone suffice where there are no colours."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from conduit_local.tui import look

_NAME = 14
_LEAST, _WITH_LEGEND = 10, 120


class _Mark(NamedTuple):
    """How a slice of time looks. Where several fit, the first in the table is shown."""

    glyph: str
    ascii_glyph: str
    style: str
    word: str


_MARKS: Mapping[str, _Mark] = {
    "failed": _Mark("✗", "x", look.RUN_STYLES["failed"], "failed"),
    "dead": _Mark("▲", "!", "bold yellow", "some died"),
    "cancelled": _Mark("‖", "=", look.RUN_STYLES["cancelled"], "cancelled"),
    "running": _Mark("●", "*", look.RUN_STYLES["running"], "running"),
    "pending": _Mark("○", "o", "", "waits"),
    "success": _Mark("■", "#", look.RUN_STYLES["success"], "success"),
}
_RANKS = {name: rank for rank, name in enumerate(_MARKS)}
_NOTHING = _Mark("·", ".", "dim", "")


def timeline(found: dict[str, Any], width: int, *, ascii_only: bool) -> Text:
    """The line for an answer of `/_local/runs/timeline` about one pipeline."""
    (of,) = found["data"]
    since, until = datetime.fromisoformat(found["since"]), datetime.fromisoformat(found["until"])
    span_s = (until - since).total_seconds()
    size = min(_NAME, cell_len(of["pipeline"]))
    name = look.cut(of["pipeline"], _NAME, "~" if ascii_only else "…")
    line = Text(f" {set_cell_size(name, size)} ", "bold")
    line.append(f"-{span_s / 3_600:.0f}h ", "dim")
    tail = _legend(ascii_only) if width >= _WITH_LEGEND else Text(" now", "dim")
    columns = max(_LEAST, width - line.cell_len - tail.cell_len - 1)
    worst: list[str | None] = [None] * columns
    for one in of["segments"]:
        began = _column(datetime.fromisoformat(one["started_at"]), since, span_s, columns)
        ended = datetime.fromisoformat(one["finished_at"]) if one["finished_at"] else until
        outcome = "dead" if one["dead"] and one["state"] != "failed" else one["state"]
        for column in range(began, max(began, _column(ended, since, span_s, columns)) + 1):
            shown = worst[column]
            if shown is None or _RANKS[outcome] < _RANKS[shown]:
                worst[column] = outcome
    for outcome_there in worst:
        mark = _MARKS[outcome_there] if outcome_there is not None else _NOTHING
        line.append(mark.ascii_glyph if ascii_only else mark.glyph, mark.style)
    return line.append_text(tail)


def _column(at: datetime, since: datetime, span_s: float, columns: int) -> int:
    return max(0, min(columns - 1, int((at - since).total_seconds() / span_s * columns)))


def _legend(ascii_only: bool) -> Text:
    text = Text(" now", "dim")
    for name in ("failed", "dead", "success"):
        mark = _MARKS[name]
        text.append(f"  {mark.ascii_glyph if ascii_only else mark.glyph}", mark.style)
        text.append(f" {mark.word}", "dim")
    return text
