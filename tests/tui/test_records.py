"""Events, log lines and runs: live, by query, whole."""

import json

from conduit_local.tui.screens.events import EventsScreen
from conduit_local.tui.screens.logs import LogsScreen
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.screens.sheet import Sheet
from conduit_local.tui.widgets.log_view import LogView
from conduit_local.tui.widgets.rows import Rows
from tests.tui import still
from tests.tui.pilots import app, feed, names, settle, shown


async def test_events_are_shown_live_and_by_query_and_whole() -> None:
    running = app()
    async with running.run_test(size=(100, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        assert isinstance(running.screen, EventsScreen)
        assert feed(running).followed[-1] is True
        assert len(names(running)) == 5
        assert "[/red] 地震" in shown(running)
        await pilot.press("slash", *"type:order.paid", "enter")
        await settle(pilot)
        assert len(names(running)) == 3
        assert "query: type:order.paid | 3 found" in shown(running)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(running.screen, Sheet)
        text = shown(running)
        assert "delivered" in text
        assert '"orderId": "ord_4"' in text
        assert "run_00000001" in text
        await pilot.press("Y")
        url = "http://127.0.0.1:8642/_local/events/evt_abcde000100000004"
        assert running.clipboard == f"curl '{url}' -H \"Authorization: Bearer $CONDUIT_TOKEN\""
        await pilot.press("escape", "L", "1")
        await settle(pilot)
        assert feed(running).followed[-1] is False


async def test_a_copied_event_is_the_call_that_would_send_it() -> None:
    running = app()
    async with running.run_test(size=(100, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("y")
        assert json.loads(running.clipboard)["event_id"] == "evt_abcde000100000004"
        await pilot.press("Y")
        assert running.clipboard.startswith("curl 'http://127.0.0.1:8642/v1/events' ")
        body = running.clipboard.split(" -d '")[1][:-1]
        assert json.loads(body)["event_type"] == "order.paid"
        assert "Bearer k" not in running.clipboard


async def test_logs_follow_hold_and_go_from_error_to_error() -> None:
    running = app()
    many = [
        {**still.LOG[0], "number": n, "message": f"line {n}", "level": "ERROR" if n % 100 == 50 else "INFO"}
        for n in range(1, 401)
    ]
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        assert isinstance(running.screen, LogsScreen)
        running.feed.seen.log.clear()
        running.feed.seen.log.extend(many)
        running.paint()
        await settle(pilot)
        assert "line 400" in shown(running)
        assert "FOLLOW" in shown(running)
        await pilot.press("E")
        await settle(pilot)
        log = running.screen.query_one(LogView)
        assert log.marked == 350
        await pilot.press("E", "E", "e")
        assert log.marked == 250
        before = shown(running).splitlines()[4]
        running.feed.seen.log.extend({**one, "number": 400 + n} for n, one in enumerate(many, 1))
        running.paint()
        await settle(pilot)
        assert shown(running).splitlines()[4] == before
        await pilot.press("G")
        await settle(pilot)
        assert log.following
        await pilot.press("slash", *"level:error", "enter")
        await settle(pilot)
        assert len(log.lines) == 8
        assert "8 of 800 lines" in shown(running)


async def test_runs_show_outcome_attempts_and_the_whole_error() -> None:
    running = app()
    async with running.run_test(size=(100, 24)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert isinstance(running.screen, RunsScreen)
        assert len(names(running)) == 4
        await pilot.press("j", "enter")
        await settle(pilot)
        text = shown(running)
        assert "write /mnt/x: Input/output error" in text
        assert "attempt 4 \\x1b[2J" in text
        await pilot.press("escape", "slash", *"state:running", "enter")
        assert names(running) == ["archive"]


async def test_a_cursor_on_the_newest_event_stays_there_and_elsewhere_on_its_event() -> None:
    def arrive(number: int) -> None:
        running.feed.seen.events.append({**still.EVENTS[0], "event_id": f"evt_{number}"})
        running.paint()

    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        table = running.screen.query_one(Rows)
        for number in range(60):
            arrive(number)
            assert table.key == f"evt_{number}"
        await pilot.press("j")
        chosen = table.key
        for number in range(60, 100):
            arrive(number)
        await settle(pilot)
        assert table.key == chosen
        assert table.cursor - table.scroll_offset.y == 1, "it stays where it is on the screen"
        await pilot.press("g")
        arrive(100)
        assert table.key == "evt_100"


async def test_enter_on_a_line_of_the_log_shows_it_whole() -> None:
    running = app()
    async with running.run_test(size=(60, 24)) as pilot:
        await pilot.press("3", "k", "k")
        await settle(pilot)
        assert "again in 8.0s" not in shown(running)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(running.screen, Sheet)
        assert "again in 8.0s" in shown(running)
        await pilot.press("y")
        assert running.clipboard == still.LOG[2]["message"]


async def test_marking_behind_the_last_line_follows_again() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        log = running.screen.query_one(LogView)
        for key, marked in (("k", 4), ("k", 3), ("j", 4), ("g", 1), ("k", 1), ("pagedown", None)):
            await pilot.press(key)
            assert log.marked == marked
        assert log.following


async def test_times_are_ages_or_times_of_day_on_each_screen_by_itself() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert "1m ago" in shown(running)
        await pilot.press("t")
        await settle(pilot)
        assert "14:01:04" in shown(running)
        await pilot.press("3")
        await settle(pilot)
        assert "14:02:06 WARN" in shown(running)
        await pilot.press("t")
        await settle(pilot)
        assert "0s ago   WARN" in shown(running)


class QuietFeed(still.StillFeed):
    """An appliance without events."""

    def follow(self, *, events: bool) -> None:
        """It has said that there is none."""
        self.seen.events_known = events


async def test_before_there_is_an_event_the_exact_call_is_shown_and_copied() -> None:
    running = app(QuietFeed)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        example = running.example_curl()
        for line in example.splitlines():
            assert line in shown(running)
        await pilot.press("Y")
        assert running.clipboard == example
