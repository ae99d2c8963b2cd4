"""Panels of text: the head of every screen, and how the selected pipeline flows. Pure functions to Rich text."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from conduit_local.core.plain import shorten
from conduit_local.core.units import size_text, span_text
from conduit_local.tui import look


def head(
    snapshot: dict[str, Any] | None, url: str, width: int, rate: str, now: str, *, stale: bool, frozen: bool
) -> Text:
    """
    The first line: which appliance, how long it runs, whether the ledger closes; rate and time to the right.

    On a narrow terminal the uptime goes first, then rate and time.
    """
    host = url.rsplit("//", maxsplit=1)[-1]
    if snapshot is None:
        return Text(f"conduit-local | {host}"[:width])
    appliance = snapshot["appliance"]
    parts = [
        (f"conduit-local {appliance['version']}", "bold"),
        (host, ""),
        (f"up {look.uptime(appliance['uptime_s'])}", ""),
    ]
    parts.append(("ledger ok", "") if snapshot["ledger_closes"] else ("LEDGER OPEN", "bold red"))
    if stale:
        parts.append(("STALE", "bold red"))
    if frozen:
        parts.append(("FROZEN", "bold yellow"))
    right = f"{rate} {now}"
    if sum(len(text) + 3 for text, _ in parts) + len(right) > width:
        del parts[2]
    line = Text()
    for text, style in parts:
        line.append(" | " if line else "")
        line.append(text, style)
    gap = width - line.cell_len - len(right)
    if gap > 0:
        line.append(" " * gap + right)
    line.truncate(width)
    return line


def both_ends(left: str, rights: Sequence[str], width: int) -> Text:
    """`left`, and the first of `rights` that fits at the other end."""
    right = next((one for one in rights if len(left) + len(one) + 2 <= width), "")
    return Text((left + " " * max(1, width - len(left) - len(right) - 1) + right)[:width])


def first_that_fits(lines: Sequence[str], width: int, mark: str = "…") -> Text:
    """The first of `lines` that fits; the last one is cut where none does."""
    return Text(look.cut(next((line for line in lines if len(line) <= width), lines[-1]), width, mark))


def tabs(current: str, titles: Sequence[tuple[str, str, str]], width: int) -> Text:
    """The second line: the screens by number, the current one in brackets."""
    line = Text()
    for key, name, title in titles:
        if name == current:
            line.append(f"[{key}]{title}", "bold reverse")
            line.append(" ")
        else:
            line.append(f" {key} {title} ")
    line.truncate(width)
    return line


def trouble(snapshot: dict[str, Any] | None, lost: str | None, again_s: float | None, size: int, mark: str) -> Text:
    """What everybody must see, in `size` characters: no connection, refused events, broken files; or nothing."""
    if lost:
        again = "trying now" if not again_s else f"next try in {span_text(again_s + 0.999)}"
        return Text(shorten(f"no connection, {again}: {lost}", size, mark), "bold red")
    if snapshot is None:
        return Text("")
    if snapshot["store"]["trouble"]:
        return Text(shorten(f"EVENTS ARE REFUSED: {snapshot['store']['trouble']}", size, mark), "bold red")
    problems = snapshot["configuration"]["problems"]
    if problems:
        one = problems[0]
        place = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
        field = f"{one['field']}: " if one["field"] else ""
        more = f"(1 of {len(problems)}) " if len(problems) > 1 else ""
        return Text(shorten(f"{more}{place}: {field}{one['message']}", size, mark), "yellow")
    return Text("")


def title_line(title: str, right: str, width: int, *, ascii_only: bool, chosen: bool = False) -> Text:
    """`-- orders ---------------- last 2 min --`; bold where the keys are for what is below."""
    bar = "-" if ascii_only else "─"
    left, tail = f"{bar * 2} {title} ", f" {right} {bar * 2}" if right else ""
    line = left + bar * max(0, width - len(left) - len(tail)) + tail
    return Text(line[:width], "bold" if chosen else "dim")


def flow(
    pipeline: dict[str, Any] | None,
    samples: Sequence[Sequence[float]],
    runs: Sequence[dict[str, Any]],
    width: int,
    *,
    ascii_only: bool,
) -> Text:
    """Sparklines of in, out and queue, each with now, average and highest; and what a flush takes, or what is wrong."""
    if pipeline is None:
        return Text("")
    series = list(zip(*samples, strict=True)) if samples else [(), (), ()]
    spark_width = max(8, width - 8 - len("  now 12.4k avg 12.4k max 12.4k"))
    lines = Text()
    for name, values, now in (
        ("in/s", series[0], look.short(pipeline["in_per_s"])),
        ("out/s", series[1], look.short(pipeline["out_per_s"])),
        ("queue", series[2], look.tally(pipeline["pending"], 5)),
    ):
        average = sum(values) / len(values) if values else 0
        highest = max(values, default=0)
        tail = f"avg {look.short(average):>5} max {look.tally(highest, 5):>5}"
        lines.append(f" {name:<6} ")
        drawn = look.spark(look.squeeze(values, spark_width), spark_width, ascii_only)
        lines.append(drawn, "green" if name != "queue" else "cyan")
        lines.append(f"  now {now:>5} {tail}\n")
    mark = "~" if ascii_only else "…"
    if pipeline["message"]:
        state = look.look_of(pipeline)
        lines.append(f" {state.word.lower():<6} ", state.style)
        lines.append(pipeline["message"], "bold red")
    else:
        lines.append(" flush  ")
        lines.append(look.cut(_flushes(pipeline, runs), max(1, width - 9), mark))
    return lines


def _flushes(pipeline: dict[str, Any], runs: Sequence[dict[str, Any]]) -> str:
    """`p50 38ms p99 210ms | 5,000 rows / 1.2MB per batch | out`, of the runs that are known."""
    took = [run["duration_ms"] for run in runs if run["state"] == "success"]
    batches = sum(run["batches"] for run in runs if run["state"] == "success")
    where = ", ".join(str(route["settings"].get("path", route["type"])) for route in pipeline["destinations"])
    if not batches:
        return f"nothing written yet | {where}"
    rows = round(sum(run["rows"] for run in runs if run["state"] == "success") / batches)
    size = sum(run["size_bytes"] for run in runs if run["state"] == "success") / batches
    times = f"p50 {look.took(look.percentile(took, 50))} p99 {look.took(look.percentile(took, 99))}"
    return f"{times} | {look.count(rows)} rows / {size_text(size)} per batch | {where}"
