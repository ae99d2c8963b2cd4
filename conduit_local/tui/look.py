"""How things look: states, numbers, ages, sparklines. Pure; with `ascii_only`, every character is under 0x80."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size

from conduit_local.core.units import span_text

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.:-=+*#"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """
    A state: a glyph, a word, a colour; words alone suffice.

    Unhealthy sorts first; busy and idle are equal, so that what comes and goes does not jump about.
    """

    rank: int
    glyph: str
    ascii_glyph: str
    word: str
    style: str


BLOCKED = Look(rank=0, glyph="✗", ascii_glyph="x", word="BLOCK", style="bold red")
RETRYING = Look(rank=1, glyph="↻", ascii_glyph="@", word="RETRY", style="bold yellow")
DRAINING = Look(rank=2, glyph="▼", ascii_glyph="v", word="DRAIN", style="cyan")
PAUSED = Look(rank=3, glyph="‖", ascii_glyph="=", word="PAUSED", style="yellow")
RUNNING = Look(rank=4, glyph="●", ascii_glyph="*", word="RUN", style="green")
IDLE = Look(rank=4, glyph="○", ascii_glyph="o", word="IDLE", style="")
STOPPED = Look(rank=5, glyph="■", ascii_glyph="#", word="STOP", style="dim")

LEVELS = {"WARNING": "WARN", "CRITICAL": "CRIT"}
"""Those that are too long for their column."""
LEVEL_STYLES = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
RUN_STYLES = {"running": "cyan", "success": "green", "cancelled": "yellow", "failed": "bold red"}


def look_of(pipeline: dict[str, Any]) -> Look:
    """What a pipeline of the snapshot looks like."""
    if pipeline["health"] == "blocked":
        return BLOCKED
    if pipeline["health"] == "retrying":
        return RETRYING
    match pipeline["state"]:
        case "draining":
            return DRAINING
        case "paused":
            return PAUSED
        case "stopped":
            return STOPPED
    busy = pipeline["pending"] or pipeline["in_per_s"] or pipeline["out_per_s"]
    return RUNNING if busy else IDLE


def short(number: float) -> str:
    """A number in at most five characters: `0`, `310`, `9,811`, `12.4k`, `1.0M`."""
    if number < 0.05:
        return "0"
    if number < 10 and number != int(number):
        return f"{number:.1f}"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size * 0.99995:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.1f}{unit}"
    return f"{number:,.0f}"


def count(number: int) -> str:
    """A whole number with separators; short from ten million on."""
    return f"{number:,}" if number < 10_000_000 else short(number)


def tally(number: float, width: int = 7) -> str:
    """A whole number with separators where that fits, else short: `18,220`, `999,999`, `1.2M`."""
    text = f"{number:,.0f}"
    return text if len(text) <= width else short(number)


def many(number: int, word: str) -> str:
    """`1 event`, `2 events`, `2 batches`."""
    ending = "" if number == 1 else "es" if word.endswith("ch") else "s"
    return f"{count(number)} {word}{ending}"


def took(duration_ms: float) -> str:
    """How long something took: `41ms`, `16.0s`, `41m`."""
    if duration_ms < 10_000:
        return f"{duration_ms:.0f}ms"
    return f"{duration_ms / 1_000:.1f}s" if duration_ms < 60_000 else span_text(duration_ms / 1_000)


def cut(text: str, width: int, mark: str) -> str:
    """`text` in at most `width` cells of the terminal, the cut marked."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - cell_len(mark))) + mark


def uptime(seconds: int) -> str:
    """A duration in its two largest units: `42s`, `5m`, `3h12m`, `3d04h`."""
    if seconds >= 86_400:
        return f"{seconds // 86_400}d{seconds % 86_400 // 3_600:02d}h"
    if seconds >= 3_600:
        return f"{seconds // 3_600}h{seconds % 3_600 // 60:02d}m"
    return span_text(seconds)


def clock(at: str | None) -> str:
    """The time of day out of an RFC 3339 time: `14:02:07`."""
    return "-" if at is None else at[11:19]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of `values` that is at least as high as `percent` of them; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def spark(values: Sequence[float], width: int, ascii_only: bool) -> str:
    """The last `width` values as a line of blocks, the highest full; blank to the left where there are fewer."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    shown = list(values)[-width:]
    highest = max(shown, default=0) or 1
    line = "".join(blocks[min(len(blocks) - 1, int(value / highest * len(blocks) * 0.999))] for value in shown)
    return line.rjust(width)


def squeeze(values: Sequence[float], width: int) -> list[float]:
    """`values` as at most `width` averages of equal runs, the last run ending at the last value."""
    if len(values) <= width or width < 1:
        return list(values)
    step = -(-len(values) // width)
    start = len(values) % step
    runs = ([values[:start]] if start else []) + [values[at : at + step] for at in range(start, len(values), step)]
    return [sum(run) / len(run) for run in runs]


def chart(values: Sequence[float], width: int, height: int, ascii_only: bool) -> list[str]:
    """A chart of `height` lines with an axis to the left: the highest value on top, zero at the bottom."""
    blocks = f" {_ASCII_BLOCKS if ascii_only else _BLOCKS}"
    bar = "|" if ascii_only else "│"
    shown = squeeze(values, max(1, width - 7))
    highest = max(shown, default=0)
    lines = []
    for row in range(height - 1, -1, -1):
        label = "0" if row == 0 else short(highest) if row == height - 1 and highest else ""
        cells = ""
        for value in shown:
            filled = (value / highest if highest else 0) * height * 8 - row * 8
            cells += blocks[min(8, max(0, round(filled)))]
        lines.append(f"{label:>5} {bar}{cells.rjust(width - 7)}")
    return lines


def axis(seconds: int, width: int, ascii_only: bool) -> list[str]:
    """The foot of a chart that is as wide: a line, and below it how long ago its ends and its middle were."""
    corner, bar = ("+", "-") if ascii_only else ("└", "─")
    inner = max(0, width - 7)
    ends = f"{'-' + span_text(seconds):<{inner // 2}}{'-' + span_text(seconds / 2)}"
    return [f"{'':>6}{corner}{bar * inner}", f"{'':>7}{ends[: inner - 4].ljust(inner - 3)}now"[:width]]


def drain_progress(pipeline: dict[str, Any]) -> str | None:
    """`42% eta 3s` for a pipeline that drains or is flushed, or None."""
    for run in pipeline["runs"]:
        if run["of"]:
            done = 100 - 100 * run["left"] // run["of"]
            rate = pipeline["out_per_s"]
            return f"{done}% eta {span_text(run['left'] / rate)}" if rate else f"{done}%"
    return None
