"""What the table of pipelines says of each: columns, orders, fields to filter by, and what it says of none. Pure."""

from collections.abc import Callable
from typing import Any

from rich.text import Text

from conduit_local.core.units import span_text
from conduit_local.tui import look
from conduit_local.tui.widgets.rows import Column, Row

Pipeline = dict[str, Any]

COLUMNS = (
    Column(title="STATE", width=8),
    Column(title="PIPELINE", width=14, grows=True),
    Column(title="IN/s", width=5, right=True, drop=1),
    Column(title="OUT/s", width=5, right=True, drop=2),
    Column(title="QUEUE", width=7, right=True),
    Column(title="OLDEST", width=6, right=True, drop=3),
    Column(title="ERR/m", width=5, right=True, drop=5),
    Column(title="DEAD", width=4, right=True, drop=4),
    Column(title="LAST FLUSH", width=15, drop=6),
)
SORTS: tuple[tuple[str, Callable[[Pipeline], Any]], ...] = (
    ("state,name", lambda one: (look.look_of(one).rank, one["name"])),
    ("name", lambda one: one["name"]),
    ("in/s", lambda one: (-one["in_per_s"], one["name"])),
    ("out/s", lambda one: (-one["out_per_s"], one["name"])),
    ("queue", lambda one: (-one["pending"], one["name"])),
    ("oldest", lambda one: (-(one["oldest_s"] or 0), one["name"])),
)


def row(one: Pipeline, time_text: Callable[[str | None], str], *, ascii_only: bool) -> Row:
    """One pipeline of a snapshot as a row."""
    state = look.look_of(one)
    cells = (
        (f"{state.ascii_glyph if ascii_only else state.glyph} {state.word}", state.style),
        (one["name"], ""),
        (look.short(one["in_per_s"]), ""),
        (look.short(one["out_per_s"]), ""),
        (look.tally(one["pending"]), ""),
        (span_text(one["oldest_s"]), ""),
        (look.short(one["errors_per_minute"]), "red" if one["errors_per_minute"] else ""),
        (look.short(one["dead"]), "red" if one["dead"] else ""),
        (_last_flush(one, time_text, ascii_only), "red" if one["health"] != "ok" else ""),
    )
    return Row(key=one["id"], cells=cells)


def _last_flush(one: Pipeline, time_text: Callable[[str | None], str], ascii_only: bool) -> str:
    waits = [route["retry_s"] for route in one["destinations"] if route["retry_s"] is not None]
    if one["health"] != "ok" and waits:
        return f"{'x' if ascii_only else '✗'} next {span_text(min(waits))}"
    progress = look.drain_progress(one)
    if progress:
        return progress
    return f"ok {time_text(one['last_written_at'])}" if one["last_written_at"] else "--"


def fields(one: Pipeline) -> dict[str, Any]:
    """What a filter may ask for."""
    return {
        "name": one["name"],
        "id": one["id"],
        "state": f"{one['state']} {look.look_of(one).word}",
        "health": one["health"],
        "message": one["message"],
        "queue": one["pending"],
        "in": one["in_per_s"],
        "out": one["out_per_s"],
    }


def empty(snapshot: dict[str, Any]) -> Text:
    """What to do when there is no pipeline."""
    about = snapshot["appliance"]
    return Text(
        "There is no pipeline yet. Put one into a file, and it is picked up at once:\n"
        f"{about['config_dir']}/pipelines/orders.yaml\n\n"
        "  name: orders\n"
        "  batch: {max_events: 100, max_age: 5s}\n"
        "  destinations:\n"
        "    - {type: files, path: out}\n\n"
        "Then send it an event:\n\n"
        "  conduit-local events send orders order.created '{\"orderId\": 1}' \\\n"
        f"    --data-dir {about['data_dir']}\n"
    )
