"""How the UI is driven by pilot, over a feed that stands still."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from conduit_local.tui.app import ConduitApp, Options
from conduit_local.tui.widgets.rows import Rows
from tests.tui import still

OPTIONS = Options(url="http://127.0.0.1:8642", key="k", now=lambda: datetime(2026, 6, 21, 14, 2, 7, tzinfo=UTC))


def app(make_feed: type[still.StillFeed] = still.StillFeed, **changes: Any) -> ConduitApp:
    """The application; `changes` to its options."""
    made = ConduitApp(replace(OPTIONS, **changes), make_feed=make_feed)
    if made.theme != "ansi-dark":
        made.theme = "textual-dark"  # Textual has read TEXTUAL_THEME when it was imported
    return made


def feed(running: ConduitApp) -> still.StillFeed:
    """Its feed."""
    assert isinstance(running.feed, still.StillFeed)
    return running.feed


async def settle(pilot: "Pilot[str]") -> None:
    """Until threads have answered and all is painted."""
    with suppress(WorkerCancelled):  # a newer question took its place
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def shown(running: ConduitApp) -> str:
    """The screen as text."""
    width, height = running.size
    lines = running.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in lines[:height])[: (width + 1) * height]


def names(running: ConduitApp) -> list[str]:
    """The second column of the table that is looked at."""
    return [row.cells[1][0] for row in running.screen.query_one(Rows).rows]


async def until_shown(pilot: "Pilot[str]", running: ConduitApp, text: str, tries: int = 300) -> None:
    """Until the screen has this text."""
    for _ in range(tries):
        if text in shown(running):
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{text!r} is not in\n{shown(running)}")


async def until_not_shown(pilot: "Pilot[str]", running: ConduitApp, text: str, tries: int = 300) -> None:
    """Until the screen no longer has this text."""
    for _ in range(tries):
        if text not in shown(running):
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{text!r} is in\n{shown(running)}")
