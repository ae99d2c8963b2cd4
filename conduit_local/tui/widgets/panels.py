"""Panels of text: the head of every screen, and what is known of the selected pipeline. Pure functions to Rich text."""

import json
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from conduit_local.core.plain import shorten
from conduit_local.tui import look


def head(
    snapshot: dict[str, Any] | None, url: str, width: int, rate: str, now: str, stale: str | None, frozen: bool
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


def trouble(snapshot: dict[str, Any] | None, lost: str | None) -> Text | None:
    """What everybody must see: no connection, refused events, broken files; or None."""
    if lost:
        return Text(f"no connection: {lost}; trying again", "bold red")
    if snapshot is None:
        return None
    if snapshot["store"]["trouble"]:
        return Text(f"EVENTS ARE REFUSED: {snapshot['store']['trouble']}", "bold red")
    problems = snapshot["configuration"]["problems"]
    if problems:
        one = problems[0]
        place = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
        field = f"{one['field']}: " if one["field"] else ""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Text(f"{place}: {field}{one['message']}{more}", "yellow")
    return None


def title_line(title: str, right: str, width: int, *, ascii_only: bool) -> Text:
    """`-- orders ---------------- last 2 min --`."""
    bar = "-" if ascii_only else "─"
    left, tail = f"{bar * 2} {title} ", f" {right} {bar * 2}" if right else ""
    line = left + bar * max(0, width - len(left) - len(tail)) + tail
    return Text(line[:width], "dim")


def flow(pipeline: dict[str, Any] | None, samples: Sequence[Sequence[float]], width: int, *, ascii_only: bool) -> Text:
    """Sparklines of in, out and queue, each with now, average and highest; and what the last object was."""
    if pipeline is None:
        return Text("")
    series = list(zip(*samples, strict=True)) if samples else [(), (), ()]
    numbers_width = 36
    spark_width = max(10, width - 8 - numbers_width)
    lines = Text()
    for name, values, now in (
        ("in/s", series[0], pipeline["in_per_s"]),
        ("out/s", series[1], pipeline["out_per_s"]),
        ("queue", series[2], pipeline["pending"]),
    ):
        drawn = look.spark(look.squeeze(values, spark_width), spark_width, ascii_only)
        lines.append(f" {name:<6} ")
        lines.append(drawn, "green" if name != "queue" else "cyan")
        average = sum(values) / len(values) if values else 0
        tail = f"avg {look.short(average)} max {look.short(max(values, default=0))}"
        lines.append(f" now {look.short(now):>6} {tail}\n")
    last = pipeline["last_object"] or "nothing written yet"
    lines.append(f" last   {last}"[: width - 1], "dim")
    return lines


def detail(
    pipeline: dict[str, Any] | None,
    samples: Sequence[Sequence[float]],
    runs: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]],
    size: tuple[int, int],
    *,
    ascii_only: bool,
) -> Text:
    """The wide terminal's right side: flow chart with axes, destinations, configuration, newest events, recent runs."""
    if pipeline is None:
        return Text("nothing selected", "dim")
    width, height = size
    lines = Text()
    values = [sample[0] for sample in samples]
    minutes = max(1, round(len(samples) / 60))
    lines.append(f"{pipeline['name']}  {pipeline['id']}\n", "bold")
    if pipeline["message"]:
        lines.append(f"{pipeline['message']}\n", "bold red")
    chart_height = max(4, min(8, height // 4))
    lines.append(f"events in a second, last {minutes} min\n", "dim")
    for row in look.chart(values, width, chart_height, ascii_only):
        lines.append(f"{row}\n", "green")
    axis = ("+" if ascii_only else "└") + ("-" if ascii_only else "─") * max(0, width - 8)
    lines.append(f"{'':>6}{axis}\n", "dim")
    for route in pipeline["destinations"]:
        ledger, settings = route["ledger"], route["settings"]
        lines.append("to     ", "dim")
        lines.append(f"{route['name']}: {route['type']} {settings.get('path', '')} ")
        style = {"ok": "green", "retrying": "yellow", "blocked": "red"}[route["health"]]
        lines.append(f"{route['health']}\n", style)
        again = f", again in {route['retry_s']:.0f}s" if route["retry_s"] is not None else ""
        lines.append(
            f"       {look.count(ledger['delivered'])} delivered, {look.count(ledger['pending'])} pending{again}\n"
        )
    batch = pipeline["batch"]
    lines.append("batch  ", "dim")
    lines.append(f"{look.count(batch['max_events'])} events, {look.size(batch['max_bytes'])}, {batch['max_age']:g}s\n")
    lines.append("from   ", "dim")
    lines.append(f"{pipeline['managed_by'] or 'API'}, made {pipeline['created_at'][:10]}\n")
    mark = "~" if ascii_only else "…"
    lines.append("newest events\n", "dim")
    for event in events:
        lines.append(f" {look.clock(event['received_at'])} ")
        lines.append(f"{event['event_type']} ", "cyan")
        payload = json.dumps(event["payload"], ensure_ascii=ascii_only)
        lines.append(shorten(payload, max(1, width - 12 - len(event["event_type"])), mark) + "\n")
    lines.append("recent runs\n", "dim")
    for run in runs:
        took = f"{run['duration_ms']}ms" if run["duration_ms"] is not None else mark
        lines.append(f" {look.clock(run['started_at'])} ")
        lines.append(f"{run['state']:<8}", look.RUN_STYLES.get(run["state"], ""))
        lines.append(f" {run['trigger']:<7}{look.count(run['rows']):>9} rows {took:>8}\n")
    return lines
