"""How things look: states, numbers, ages, sparklines. Pure; with `ascii_only`, every character is under 0x80."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.:-=+*#"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A state: a glyph, a word, a colour; words alone suffice. Unhealthy sorts first."""

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
IDLE = Look(rank=5, glyph="○", ascii_glyph="o", word="IDLE", style="")
STOPPED = Look(rank=6, glyph="■", ascii_glyph="#", word="STOP", style="dim")

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
    """A number in at most five characters: `0`, `310`, `12.4k`, `1.0M`."""
    if number < 0.05:
        return "0"
    if number < 10 and number != int(number):
        return f"{number:.1f}"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size * 0.99995:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.1f}{unit}"
    return f"{number:.0f}"


def count(number: int) -> str:
    """A whole number with separators; short from ten million on."""
    return f"{number:,}" if number < 10_000_000 else short(number)


def span(seconds: float | None) -> str:
    """A duration in its largest unit: `3s`, `41m`, `2h`, `5d`."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def uptime(seconds: int) -> str:
    """A duration in its two largest units: `42s`, `5m`, `3h12m`, `3d04h`."""
    if seconds >= 86_400:
        return f"{seconds // 86_400}d{seconds % 86_400 // 3_600:02d}h"
    if seconds >= 3_600:
        return f"{seconds // 3_600}h{seconds % 3_600 // 60:02d}m"
    return span(seconds)


def size(size_bytes: float) -> str:
    """Bytes for people: `158B`, `1.2MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1_000:
            return f"{size_bytes:.0f}B" if unit == "B" else f"{size_bytes:.1f}{unit}"
        size_bytes /= 1_000
    return f"{size_bytes:.1f}TB"


def clock(at: str | None) -> str:
    """The time of day out of an RFC 3339 time: `14:02:07`."""
    return "-" if at is None else at[11:19]


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
        label = short(highest) if row == height - 1 else "0" if row == 0 else ""
        cells = ""
        for value in shown:
            filled = (value / highest if highest else 0) * height * 8 - row * 8
            cells += blocks[min(8, max(0, round(filled)))]
        lines.append(f"{label:>5} {bar}{cells.rjust(width - 7)}")
    return lines


def drain_progress(pipeline: dict[str, Any]) -> str | None:
    """`42% eta 3s` for a pipeline that drains or is flushed, or None."""
    for run in pipeline["runs"]:
        if run["of"]:
            done = 100 - 100 * run["left"] // run["of"]
            rate = pipeline["out_per_s"]
            return f"{done}% eta {span(run['left'] / rate)}" if rate else f"{done}%"
    return None
