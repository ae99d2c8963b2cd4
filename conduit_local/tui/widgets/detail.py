"""All that is known of one pipeline: the wide terminal's right side, and what Enter opens. A pure function."""

import json
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from conduit_local.core.units import size_text
from conduit_local.tui import look

_LABEL = 8
_HEALTH_STYLES = {"ok": "green", "retrying": "bold yellow", "blocked": "bold red"}


def detail(
    pipeline: dict[str, Any] | None,
    samples: Sequence[Sequence[float]],
    runs: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]],
    size: tuple[int, int],
    *,
    ascii_only: bool,
) -> Text:
    """Flow chart with axes, destinations, configuration, newest events, and as many recent runs as fit."""
    if pipeline is None:
        return Text("nothing selected", "dim")
    width, height = size
    mark = "~" if ascii_only else "…"
    lines = Text()
    state = look.look_of(pipeline)
    lines.append(f"{pipeline['name']}  {pipeline['id']}  ", "bold")
    lines.append(f"{state.ascii_glyph if ascii_only else state.glyph} {state.word}\n", state.style)
    if pipeline["message"]:
        lines.append(f"{pipeline['message']}\n", "bold red")
    _chart(lines, [sample[0] for sample in samples], width, max(4, min(8, height // 5)), ascii_only)
    for route in pipeline["destinations"]:
        _route(lines, route)
    if pipeline.get("title"):
        _fact(lines, "called", pipeline["title"])
    _fact(lines, "batch", _batch(pipeline["batch"]))
    if pipeline.get("schedule"):
        zone = f" {pipeline['timezone']}" if pipeline.get("timezone") else ""
        held = "not while it is held"
        _fact(lines, "cron", f"{pipeline['schedule']}{zone}, next {pipeline['next_run_at'] or held}")
    if pipeline.get("runs_waiting"):
        _fact(lines, "waits", look.many(pipeline["runs_waiting"], "run"))
    _fact(lines, "from", f"{pipeline['managed_by'] or 'the API'}, made {pipeline['created_at'][:10]}")
    _fact(lines, "log", f"{look.many(pipeline['accepted'], 'event')} accepted, {look.count(pipeline['dead'])} dead")
    if events:
        lines.append("newest events\n", "dim")
    for event in events:
        lines.append(f" {look.clock(event['received_at'])} ")
        lines.append(f"{event['event_type']} ", "cyan")
        payload = json.dumps(event["payload"], ensure_ascii=ascii_only)
        lines.append(look.cut(payload, max(1, width - 11 - cell_len(event["event_type"])), mark) + "\n")
    left = max(3, height - str(lines).count("\n") - 1)
    if runs:
        lines.append("recent runs: rows, time\n", "dim")
    for run in runs[:left]:
        took = mark if run["duration_ms"] is None else look.took(run["duration_ms"])
        lines.append(f" {look.clock(run['started_at'] or run['created_at'])} ")
        lines.append(f"{run['state']:<9}", look.RUN_STYLES.get(run["state"], ""))
        lines.append(f" {run['trigger']:<8} {look.count(run['rows']):>9} {took:>8}\n")
    lines.rstrip()
    return lines


def _chart(lines: Text, values: Sequence[float], width: int, height: int, ascii_only: bool) -> None:
    lines.append("events in, a second\n", "dim")
    for row in look.chart(values, width, height, ascii_only):
        lines.append(f"{row}\n", "green")
    for row in look.axis(max(1, len(values)), width, ascii_only):
        lines.append(f"{row}\n", "dim")


def _route(lines: Text, route: dict[str, Any]) -> None:
    ledger, settings = route["ledger"], route["settings"]
    about = [str(settings[name]) for name in ("format", "compression", "record") if settings.get(name)]
    lines.append(f"{'to':<{_LABEL}}", "dim")
    kind = "" if route["name"] == route["type"] else f" ({route['type']})"
    lines.append(f"{route['name']}{kind} {_where(settings)} ")
    if route.get("paused"):
        lines.append("held ", "yellow")
    lines.append(f"{route['health']}\n", _HEALTH_STYLES[route["health"]])
    if route["retry_s"] is not None:
        _fact(lines, "", f"attempt {route['attempt']} failed, again in {route['retry_s']:.0f}s")
    if about:
        _fact(lines, "", ", ".join([*about, *filter(None, [settings.get("partition")])]))
    numbers = [f"{look.count(ledger['delivered'])} delivered", f"{look.count(ledger['pending'])} pending"]
    if route.get("in_flight", 0) > 1:
        numbers.append(f"{route['in_flight']} batches on their way")
    numbers += [f"{look.count(ledger[name])} {name}" for name in ("filtered", "dead", "purged") if ledger[name]]
    _fact(lines, "", ", ".join(numbers) + ("" if ledger["closes"] else "; THE LEDGER DOES NOT CLOSE"))


def _where(settings: dict[str, Any]) -> str:
    """Where a destination is, by what its kind has of it."""
    if settings.get("bucket"):
        return "/".join(filter(None, [f"s3://{settings['bucket']}", settings.get("prefix")]))
    return " ".join(str(settings[name]) for name in ("path", "url", "pipeline", "host", "table") if settings.get(name))


def _batch(batch: dict[str, Any]) -> str:
    return f"{look.count(batch['max_events'])} events, {size_text(batch['max_bytes'])}, {batch['max_age']:g}s"


def _fact(lines: Text, name: str, value: str) -> None:
    lines.append(f"{name:<{_LABEL}}", "dim")
    lines.append(f"{value}\n")
