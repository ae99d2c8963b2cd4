"""What is wrong is said on every screen, and what is foreign stays text."""

import re
import time
from typing import Any

from conduit_local.client.errors import Unreachable
from tests.tui import still
from tests.tui.pilots import app, feed, settle, shown


async def test_a_lost_connection_is_shown_and_orders_are_off() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        running.feed.seen.lost = "no appliance answers [/red] \\x1b"
        running.paint()
        await settle(pilot)
        text = shown(running)
        assert "STALE" in text
        assert "no connection, trying now: no appliance answers [/red]" in text
        assert "p Pause" not in text
        assert "orders" in text
        await pilot.press("p")
        await settle(pilot)
        assert feed(running).orders == []


async def test_what_is_late_is_stale_too() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        running.feed.seen.at_s = 0
        running.paint()
        await settle(pilot)
        assert "STALE" in shown(running)


async def test_trouble_that_everybody_must_see() -> None:
    running = app()
    async with running.run_test(size=(100, 24)) as pilot:
        found = running.feed.seen.snapshot
        assert found is not None
        found["configuration"]["problems"] = [
            {"file": "pipelines/x.yaml", "line": 3, "field": "batch", "message": "[b]bad"}
        ]
        running.paint()
        await settle(pilot)
        assert "pipelines/x.yaml:3: batch: [b]bad" in shown(running)
        found["store"]["trouble"] = "the disk is full"
        running.paint()
        await settle(pilot)
        assert "EVENTS ARE REFUSED: the disk is full" in shown(running)
        found["ledger_closes"] = False
        running.paint()
        assert "LEDGER OPEN" in shown(running)


async def test_no_control_character_reaches_the_screen() -> None:
    nasty = "\x1b[31m\x1b]0;x\x07\u202e[/red][bold]\x9b2J"
    still.StillFeed.first = still.snapshot(
        [still.pipeline("nasty", health="blocked", message=nasty, last_object=nasty, managed_by=nasty)]
    )
    running = app()
    async with running.run_test(size=(140, 40)) as pilot:
        running.say(nasty)
        for key in "1234":
            await pilot.press(key)
            await settle(pilot)
            text = shown(running)
            assert not set(text) & set("\x1b\x07\x9b\u202e")


async def test_the_next_try_is_counted_down_and_a_long_reason_takes_two_lines() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        running.feed.seen.lost = "no appliance answers at http://a-very-long-name.example.com:8642: Connection refused"
        running.feed.seen.again_at_s = time.monotonic() + 30
        running.paint()
        await settle(pilot)
        found = re.search(r"next try in (\d+)s", shown(running))
        assert found
        assert 1 <= int(found[1]) <= 31
        assert "Connection refused" in shown(running)


async def test_without_an_answer_nothing_is_said_of_runs() -> None:
    class LostFeed(still.StillFeed):
        """Nothing has ever answered."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.seen.snapshot, self.seen.lost = None, "no appliance answers"

        def client(self) -> Any:
            """Nobody."""
            raise Unreachable("no appliance answers")

    running = app(LostFeed)
    async with running.run_test(size=(80, 24)) as pilot:
        for key in "1234":
            await pilot.press(key)
            await settle(pilot)
            text = shown(running)
            assert "no connection, trying now: no appliance answers" in text
            assert "yet" not in text
