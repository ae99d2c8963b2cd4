"""
How the screens look, compared with the pictures in `__snapshots__`, which a person has looked at.

After a change that is meant: `pytest tests/tui/test_snapshots.py --snapshot-update`, and look at them again.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui import still
from tests.tui.pilots import app, settle

Before = Callable[[Pilot[str]], Awaitable[None]]
Looks = Callable[..., bool]
SMALL, WIDE = (80, 24), (140, 40)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "140x40"])
PROBLEM = {"file": "pipelines/orders.yaml", "line": 3, "field": "batch.max_age", "message": "'5x' is no duration"}


class UnhurriedFeed(still.StillFeed):
    """However slow the machine paints, the rate stays."""

    def set_interval(self, interval_ms: int) -> None:
        """It stays."""


@pytest.fixture
def looks(snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Whether the application looks as it did, at a size, after these keys."""
    monkeypatch.setattr(Input, "cursor_blink", False)

    def compare(size: tuple[int, int], *keys: str, before: Before | None = None, **options: Any) -> bool:
        async def drive(pilot: "Pilot[str]") -> None:
            await settle(pilot)
            if before is not None:
                await before(pilot)
            for key in keys:
                await pilot.press(key)
                await settle(pilot)

        return snap_compare(app(UnhurriedFeed, **options), terminal_size=size, run_before=drive)

    return compare


def known(**changes: Any) -> Before:
    """The snapshot, with other values: `store__trouble` is `["store"]["trouble"]`."""

    async def change(pilot: "Pilot[str]") -> None:
        running: Any = pilot.app
        snapshot = running.feed.seen.snapshot
        for path, value in changes.items():
            *names, last = path.split("__")
            place = snapshot
            for name in names:
                place = place[name]
            place[last] = value
        running.paint()
        await settle(pilot)

    return change


async def lose_the_connection(pilot: "Pilot[str]") -> None:
    """As the feed does."""
    running: Any = pilot.app
    running.feed.seen.lost = "no appliance answers at http://127.0.0.1:8642: Connection refused"
    running.paint()
    await settle(pilot)


@SIZES
def test_pipelines_look_as_they_did(looks: Looks, size: tuple[int, int]) -> None:
    assert looks(size, "j", "j", "j", "j")


@SIZES
def test_events_look_as_they_did(looks: Looks, size: tuple[int, int]) -> None:
    assert looks(size, "2", "j")


@SIZES
def test_logs_look_as_they_did(looks: Looks, size: tuple[int, int]) -> None:
    assert looks(size, "3", "E")


@SIZES
def test_runs_look_as_they_did(looks: Looks, size: tuple[int, int]) -> None:
    assert looks(size, "4", "e")


def test_a_blocked_pipeline_says_why_on_the_first_screen(looks: Looks) -> None:
    assert looks(SMALL)


def test_all_that_is_known_of_a_pipeline(looks: Looks) -> None:
    assert looks(SMALL, "j", "enter")


def test_an_event_with_its_deliveries(looks: Looks) -> None:
    assert looks(SMALL, "2", "enter")


def test_help_is_made_of_the_actions(looks: Looks) -> None:
    assert looks(SMALL, "question_mark")


def test_the_palette_is_made_of_the_actions(looks: Looks) -> None:
    assert looks(SMALL, "ctrl+p", "p", "a", "u")


def test_a_question_says_verb_target_host_count_and_consequence(looks: Looks) -> None:
    assert looks(SMALL, "D")


def test_quitting_asks_what_becomes_of_the_appliance(looks: Looks) -> None:
    assert looks(SMALL, "q", owns_appliance=True)


def test_a_filter_while_it_is_typed(looks: Looks) -> None:
    assert looks(SMALL, "slash", *"queue:>1000")


def test_without_pipelines_it_teaches_how_to_make_one(looks: Looks) -> None:
    assert looks(SMALL, before=known(pipelines=[]))


def test_without_a_connection_what_was_known_is_dimmed(looks: Looks) -> None:
    assert looks(SMALL, before=lose_the_connection)


def test_a_full_disk_is_on_every_screen(looks: Looks) -> None:
    assert looks(SMALL, "4", before=known(store__trouble="the disk is full: 0 bytes free below /var/lib/conduit"))


def test_a_broken_file_and_an_open_ledger_are_on_every_screen(looks: Looks) -> None:
    assert looks(WIDE, before=known(configuration__problems=[PROBLEM, PROBLEM], ledger_closes=False))


def test_without_colours_words_and_weights_suffice(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert looks(SMALL)


def test_in_ascii_nothing_else_is_drawn(looks: Looks) -> None:
    assert looks(WIDE, "j", ascii_only=True)


def test_a_very_small_terminal_still_shows_what_is_unhealthy(looks: Looks) -> None:
    assert looks((60, 15))
