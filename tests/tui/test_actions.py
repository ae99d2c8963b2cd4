"""The table of actions: every key does what it says, on every screen, and help names it."""

from typing import Any

import pytest
from textual.actions import parse
from textual.pilot import Pilot

from conduit_local.tui.actions import ACTIONS, MOVES, Action, actions_for, footer_for, help_text
from conduit_local.tui.app import SCREENS, ConduitApp
from conduit_local.tui.widgets.log_view import LogView
from tests.tui import still
from tests.tui.pilots import app, feed, settle, shown

NAMES = [screen.NAME for screen in SCREENS]
BEFORE = {("events", "live"): ("slash", *"type:order.paid", "enter"), ("logs", "follow"): ("k",)}
"""What has to be done first, so that a key has something to do."""
ON_THIS_SCREEN = {"open", "filter", "next_match", "previous_match", "copy", "copy_curl", "time_style"}
"""Of the actions that are for all screens, those that each screen does in its own way."""


def test_every_action_has_a_key_of_its_own_on_each_screen() -> None:
    for screen in NAMES:
        keys = [key for one in actions_for(screen) for key in one.keys.split(",")]
        assert len(keys) == len(set(keys)), screen
    assert len({one.id for one in ACTIONS}) == len(ACTIONS)


def test_the_footer_never_overflows_and_always_names_help() -> None:
    for screen in NAMES:
        for width in (50, 60, 80, 140):
            assert len(footer_for(screen, width, {})) <= width
            assert "? Help" in footer_for(screen, width, {})
        assert footer_for(screen, 80, {}, ascii_only=True).isascii()


def test_the_footer_names_no_order_that_cannot_be_sent() -> None:
    assert "Pause" in footer_for("pipelines", 80, {})
    without = footer_for("pipelines", 80, {}, may_change=False)
    assert not [one.label for one in ACTIONS if one.changes and one.label in without]


async def test_help_names_every_action_with_its_keys_and_every_move() -> None:
    for name in NAMES:
        running = app()
        async with running.run_test(size=(100, 50)) as pilot:
            await running.switch_mode(name)
            await pilot.press("question_mark")
            await settle(pilot)
            lines = [" ".join(line.split()) for line in shown(running).splitlines()]
            for keys, text in [*((one.shown, one.text) for one in actions_for(name)), *MOVES]:
                assert any(f"{keys} {text}" in line for line in lines), (name, keys, text)


def test_help_says_what_a_key_was_rebound_to() -> None:
    assert ("x", "Pause or resume the selected pipeline") in help_text("pipelines", {"pause": "x"})


def leads_to(running: ConduitApp, key: str) -> tuple[Any, str]:
    """Which widget a key is bound on now, and to which action."""
    bound = running.screen.active_bindings[key]
    assert bound.enabled
    return bound.node, bound.binding.action


@pytest.mark.parametrize("name", NAMES)
async def test_every_key_of_the_table_leads_to_its_action(name: str) -> None:
    running = app()
    async with running.run_test(size=(100, 30)) as pilot:
        await running.switch_mode(name)
        await settle(pilot)
        for one in actions_for(name):
            for key in one.keys.split(","):
                node, call = leads_to(running, key)
                if key == "ctrl+c" and call == "screen.copy_text":
                    continue  # Textual's own, where text is selected with the mouse; else the key goes on to `quit`
                assert call == one.call
                assert callable(getattr(node, f"action_{parse(call)[1]}")), (name, key)


def state(running: ConduitApp) -> tuple[object, ...]:
    """All that a key may change."""
    log = running.screen.query(LogView)
    return (
        type(running.screen),
        running.current_mode,
        shown(running),
        [one.marked for one in log],
        list(feed(running).orders),
        running.clipboard,
        running.feed.interval_ms,
    )


async def as_at_first(pilot: "Pilot[str]", running: ConduitApp, name: str, one: Action) -> None:
    """The screen, the cursor not on its first row, and what the action needs."""
    while len(running.screen_stack) > 1:
        running.pop_screen()
    running.clear_notifications()
    running.frozen = False
    running.copy_to_clipboard("")
    running.feed.set_interval(500)
    elsewhere = "logs" if name == "runs" else "runs"
    await running.switch_mode(elsewhere if one.id == name else name)
    await pilot.press("escape", "g", "j", *BEFORE.get((name, one.id), ()))
    await settle(pilot)


@pytest.mark.parametrize("name", NAMES)
async def test_no_key_of_the_table_does_nothing(name: str) -> None:
    still.StillFeed.first = still.snapshot([one for one in still.PIPELINES if one["state"] == "active"])
    running = app(owns_appliance=True)
    async with running.run_test(size=(100, 30), notifications=True) as pilot:
        for one in actions_for(name):
            if one.where or one.id in ON_THIS_SCREEN or name == NAMES[0]:
                key = one.keys.split(",")[0]
                await as_at_first(pilot, running, name, one)
                before = state(running)
                await pilot.press(key)
                await settle(pilot)
                assert state(running) != before, (name, key)
