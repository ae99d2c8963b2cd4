"""What holds on every screen: sizes, keys, help, palette, rate, quitting."""

import pytest

from conduit_local.tui.screens.dialogs import Quit
from conduit_local.tui.screens.pipelines import PipelinesScreen
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.widgets.rows import Rows
from tests.tui import still
from tests.tui.pilots import app, feed, names, settle, shown


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (60, 15), (100, 30), (40, 10), (300, 100)])
async def test_every_screen_paints_at_every_size(size: tuple[int, int]) -> None:
    running = app()
    async with running.run_test(size=size) as pilot:
        for key in "1234":
            await pilot.press(key)
            await settle(pilot)
            assert len(shown(running).splitlines()) == size[1]
        assert "BLOCK" in shown(running) or isinstance(running.screen, RunsScreen)


async def test_frozen_it_holds_what_is_shown() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("space")
        assert "FROZEN" in shown(running)
        running.feed.seen.snapshot = still.snapshot([])
        running._fed()
        assert len(names(running)) == 7
        await pilot.press("space")
        await settle(pilot)
        assert len(names(running)) == 0


async def test_the_rate_is_doubled_and_halved() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        assert "2Hz" in shown(running)
        await pilot.press("plus")
        assert "4Hz" in shown(running)
        await pilot.press("minus", "minus")
        assert "1Hz" in shown(running)
        assert running.feed.interval_ms == 1_000


async def test_help_shows_every_key_and_the_palette_finds_actions() -> None:
    running = app()
    async with running.run_test(size=(80, 40)) as pilot:
        await pilot.press("question_mark")
        assert "Drain: refuse new events" in shown(running)
        await pilot.press("escape", "j", "j", "j", "j", "ctrl+p")
        await pilot.press(*"pause or")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert feed(running).orders == [("pause", "pl_orders")]


async def test_brackets_go_round_the_screens() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        seen = []
        for _ in range(4):
            await pilot.press("right_square_bracket")
            seen.append(type(running.screen).__name__)
        assert seen == ["EventsScreen", "LogsScreen", "RunsScreen", "PipelinesScreen"]
        await pilot.press("left_square_bracket")
        assert isinstance(running.screen, RunsScreen)


async def test_keys_are_rebound_by_the_actions_id() -> None:
    running = app(keys={"pause": "x", "quit": "ctrl+x"})
    async with running.run_test(size=(80, 24)) as pilot:
        running.screen.query_one(Rows).select("pl_orders")
        await pilot.press("p")
        await settle(pilot)
        assert feed(running).orders == []
        await pilot.press("x")
        await settle(pilot)
        assert feed(running).orders == [("pause", "pl_orders")]
        assert "x Pause" in shown(running)


async def test_quitting_asks_only_where_the_appliance_would_be_left() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("q")
    assert running.return_value is None
    for keys, answer in ((("tab", "enter"), "stop"), (("tab", "tab", "enter"), "leave")):
        running = app(owns_appliance=True)
        async with running.run_test(size=(80, 24)) as pilot:
            await pilot.press("q")
            assert isinstance(running.screen, Quit)
            await pilot.press("enter")
            assert isinstance(running.screen, PipelinesScreen)
            await pilot.press("q", *keys)
        assert running.return_value == answer


async def test_in_ascii_every_character_is_under_0x80() -> None:
    still.StillFeed.first = still.snapshot([still.pipeline("地震", message="é", health="blocked")])
    running = app(ascii_only=True)
    async with running.run_test(size=(140, 40)) as pilot:
        for keys in (
            (),
            ("2",),
            ("enter",),
            ("escape", "3"),
            ("4",),
            ("question_mark",),
            ("escape", "1", "j", "D"),
            ("escape", "ctrl+p"),
            ("escape", "q"),
        ):
            await pilot.press(*keys)
            await settle(pilot)
            text = shown(running)
            assert text.isascii(), [char for char in text if ord(char) > 127][:5]


async def test_when_the_ui_fails_it_says_where_and_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        secret = "_".join(("ck", "live", "secret"))
        raise RuntimeError(f"no {len(secret)} widgets")

    async def run() -> None:
        async with running.run_test(size=(80, 24)) as pilot:
            running.call_later(fail)
            await pilot.pause()

    running = app()
    with pytest.raises(RuntimeError):
        await run()
    assert running.return_code == 1
    said = capsys.readouterr().err
    assert "no 14 widgets" in said
    assert "test_app.py" in said
    assert "ck_live_secret" not in said
