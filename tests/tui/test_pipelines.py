"""The first screen: rows, selection, filter, orders."""

import time

import pytest

from conduit_local.tui.screens.dialogs import Confirm
from conduit_local.tui.screens.pipelines import PipelinesScreen
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.screens.sheet import LiveSheet
from conduit_local.tui.widgets.log_view import LogView
from conduit_local.tui.widgets.rows import Rows
from tests.tui import still
from tests.tui.pilots import app, feed, names, settle, shown


async def test_the_first_screen_shows_what_is_unhealthy_first() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert names(running) == ["vault", "archive", "legacy", "audit", "orders", "webhooks", "old"]
        text = shown(running)
        for word in (
            "BLOCK",
            "RETRY",
            "DRAIN",
            "PAUSED",
            "RUN",
            "IDLE",
            "STOP",
            "ledger ok",
            "18,220",
            "42% eta 3s",
            "7 of 7",
        ):
            assert word in text


async def test_the_selection_follows_the_pipeline_not_the_place() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "j")
        table = running.screen.query_one(Rows)
        assert table.key == "pl_legacy"
        await pilot.press("s")
        await settle(pilot)
        assert table.key == "pl_legacy"
        assert names(running) == sorted(names(running))
        changed = still.snapshot([still.pipeline("aaa"), *still.PIPELINES])
        running.feed.seen.snapshot = changed
        running.paint()
        assert table.key == "pl_legacy"
        running.feed.seen.snapshot = still.snapshot([still.pipeline("aaa")])
        running.paint()
        assert table.key == "pl_aaa"


async def test_keys_move_the_cursor() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        table = running.screen.query_one(Rows)
        for key, place in (
            ("G", 6),
            ("k", 5),
            ("g", 0),
            ("down", 1),
            ("up", 0),
            ("pagedown", 6),
            ("pageup", 0),
            ("up", 0),
        ):
            await pilot.press(key)
            assert table.cursor == place


async def test_a_filter_narrows_and_escape_takes_it_away() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"state:paused")
        assert names(running) == ["audit"]
        await pilot.press("enter")
        assert "1 of 7" in shown(running)
        await pilot.press("p")
        await settle(pilot)
        assert feed(running).orders == [("resume", "pl_audit")]
        await pilot.press("escape")
        assert len(names(running)) == 7


async def test_pause_and_resume_are_one_key() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        table = running.screen.query_one(Rows)
        for key, verb in (
            ("pl_orders", "pause"),
            ("pl_audit", "resume"),
            ("pl_old", "resume"),
            ("pl_legacy", "resume"),
        ):
            table.select(key)
            await pilot.press("p")
            await settle(pilot)
            assert feed(running).orders[-1] == (verb, key)


@pytest.mark.parametrize(("key", "verb"), [("D", "drain"), ("f", "flush")])
async def test_drain_and_flush_ask_first_and_cancel_has_the_focus(key: str, verb: str) -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        running.screen.query_one(Rows).select("pl_orders")
        await pilot.press(key)
        assert isinstance(running.screen, Confirm)
        text = shown(running)
        for word in (verb.capitalize(), "orders", "127.0.0.1:8642", "1,204 events pending"):
            assert word in text
        await pilot.press("enter")
        await settle(pilot)
        assert feed(running).orders == []
        await pilot.press(key, "tab", "enter")
        await settle(pilot)
        assert feed(running).orders == [(verb, "pl_orders")]
        await pilot.press(key, "escape")
        await pilot.press(key, "y")
        await settle(pilot)
        assert feed(running).orders == [(verb, "pl_orders")] * 2


async def test_pausing_all_asks_and_counts() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("P")
        assert "Pause 4 pipelines" in shown(running)
        await pilot.press("y")
        await settle(pilot)
        assert sorted(feed(running).orders) == [
            ("pause", f"pl_{name}") for name in ("archive", "orders", "vault", "webhooks")
        ]


async def test_read_only_sends_no_change() -> None:
    running = app(read_only=True)
    async with running.run_test(size=(80, 24)) as pilot:
        for key in "pDfP":
            await pilot.press(key)
            await settle(pilot)
            assert isinstance(running.screen, PipelinesScreen)
        assert feed(running).orders == []


async def test_enter_on_a_pipeline_shows_all_that_is_known_and_enter_again_its_runs() -> None:
    running = app()
    async with running.run_test(size=(80, 30)) as pilot:
        running.screen.query_one(Rows).select("pl_archive")
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(running.screen, LiveSheet)
        text = shown(running)
        for word in ("RETRY", "write /mnt/x: Input/output error", "again in 8s", "5,000 events, 8.4MB, 5s", "recent"):
            assert word in text
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(running.screen, RunsScreen)
        assert names(running) == ["archive"]


async def test_without_pipelines_it_says_how_to_make_one() -> None:
    still.StillFeed.first = still.snapshot([])
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        text = shown(running)
        assert "There is no pipeline yet" in text
        assert "name: orders" in text
        for key in ("p", "D", "f", "j", "enter", "y", "Y"):
            await pilot.press(key)
        assert feed(running).orders == []


async def test_five_hundred_pipelines_paint_quickly() -> None:

    still.StillFeed.first = still.snapshot([still.pipeline(f"p{n:03d}", pending=n) for n in range(500)])
    running = app()
    async with running.run_test(size=(140, 40)) as pilot:
        await settle(pilot)
        times = []
        for _ in range(20):
            began = time.perf_counter()
            running.paint()
            await pilot.pause()
            times.append(time.perf_counter() - began)
        assert sorted(times)[18] < 0.25
        await pilot.press("G")
        assert running.screen.query_one(Rows).cursor == 499


@pytest.mark.parametrize("width", [80, 131, 132, 140, 200])
async def test_from_80_columns_on_no_column_is_missing(width: int) -> None:
    running = app()
    async with running.run_test(size=(width, 40)) as pilot:
        await settle(pilot)
        head = shown(running).splitlines()[2]
        for title in ("STATE", "PIPELINE", "IN/s", "OUT/s", "QUEUE", "OLDEST", "ERR/m", "DEAD", "LAST FLUSH"):
            assert title in head
        assert ("events in, a second" in shown(running)) == (width >= 132)


async def test_columns_give_way_in_their_order_and_what_is_unhealthy_never() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        order, gone = ["LAST FLUSH", "ERR/m", "DEAD", "OLDEST", "OUT/s", "IN/s"], list[str]()
        for width in range(80, 35, -4):
            await pilot.resize_terminal(width, 24)
            await settle(pilot)
            head = shown(running).splitlines()[2]
            gone += [one for one in order if one not in head and one not in gone]
            assert "BLOCK  vault" in shown(running)
            assert "QUEUE" in head
        assert gone == order


async def test_what_comes_and_goes_does_not_jump_about() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        orders = []
        for busy in ("a", "b"):
            pipelines = [still.pipeline(name, in_per_s=5.0 if name == busy else 0.0) for name in "abc"]
            running.feed.seen.snapshot = still.snapshot(pipelines)
            running.paint()
            await settle(pilot)
            orders.append(names(running))
        assert orders == [["a", "b", "c"]] * 2


async def test_what_is_wrong_with_the_selected_pipeline_is_said_whole() -> None:
    message = "write /mnt/archive/" + "x" * 70 + ": No space left on device"
    still.StillFeed.first = still.snapshot([still.pipeline("archive", health="retrying", message=message)])
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "No space left on device" in shown(running)


async def test_tab_goes_to_the_log_and_back() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        log, table = running.screen.query_one(LogView), running.screen.query_one(Rows)
        await pilot.press("tab")
        await settle(pilot)
        assert log.has_focus
        await pilot.press("k", "enter")
        await settle(pilot)
        assert "the settings have changed" in shown(running)
        await pilot.press("escape", "tab")
        await settle(pilot)
        assert table.has_focus
        await pilot.resize_terminal(60, 15)
        await settle(pilot)
        assert "the settings have changed" not in shown(running)
        await pilot.press("tab")
        await settle(pilot)
        assert "the settings have changed" in shown(running)
        assert "vault" not in shown(running)
