"""The UI by pilot, over a feed that stands still."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from conduit_local.tui.app import ConduitApp, Options
from conduit_local.tui.screens.dialogs import Confirm, Quit, Sheet
from conduit_local.tui.screens.events import EventsScreen
from conduit_local.tui.screens.logs import LogsScreen
from conduit_local.tui.screens.pipelines import PipelinesScreen
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.widgets.log_view import LogView
from conduit_local.tui.widgets.rows import Rows
from tests.appliance import ORDERS, Appliance, serving
from tests.tui import still

OPTIONS = Options(url="http://127.0.0.1:8642", key="k", now=lambda: datetime(2026, 6, 21, 14, 2, 7, tzinfo=UTC))


@pytest.fixture(autouse=True)
def no_terminal_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    yield
    still.StillFeed.first = None


def app(**changes: Any) -> ConduitApp:
    from dataclasses import replace

    return ConduitApp(replace(OPTIONS, **changes), make_feed=still.StillFeed)


def feed(running: ConduitApp) -> still.StillFeed:
    assert isinstance(running.feed, still.StillFeed)
    return running.feed


async def settle(pilot: "Pilot[str]") -> None:
    """Until threads have answered and all is painted."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def shown(running: ConduitApp) -> str:
    """The screen as text."""
    width, height = running.size
    lines = running.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in lines[:height])[: (width + 1) * height]


def names(running: ConduitApp) -> list[str]:
    return [row.cells[1][0] for row in running.screen.query_one(Rows).rows]


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


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (60, 15), (100, 30), (40, 10), (300, 100)])
async def test_every_screen_paints_at_every_size(size: tuple[int, int]) -> None:
    running = app()
    async with running.run_test(size=size) as pilot:
        for key in "1234":
            await pilot.press(key)
            await settle(pilot)
            assert len(shown(running).splitlines()) == size[1]
        assert "BLOCK" in shown(running) or isinstance(running.screen, RunsScreen)


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


async def test_a_lost_connection_is_shown_and_orders_are_off() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        running.feed.seen.lost = "no appliance answers [/red] \\x1b"
        running.paint()
        await settle(pilot)
        text = shown(running)
        assert "STALE" in text
        assert "no connection: no appliance answers [/red]" in text
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


async def test_enter_on_a_pipeline_goes_to_its_runs() -> None:
    running = app()
    async with running.run_test(size=(80, 24)) as pilot:
        running.screen.query_one(Rows).select("pl_archive")
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(running.screen, RunsScreen)
        assert names(running) == ["archive"]


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
    still.StillFeed.first = still.snapshot()
    running = app(ascii_only=True)
    async with running.run_test(size=(140, 40)) as pilot:
        for keys in (
            (),
            ("2",),
            ("3",),
            ("4",),
            ("question_mark",),
            ("escape", "1", "j", "D"),
            ("escape", "ctrl+p"),
            ("escape", "q"),
        ):
            await pilot.press(*keys)
            await settle(pilot)
            if isinstance(running.screen, EventsScreen):
                continue  # payloads are foreign text; they are escaped below
            text = shown(running)
            assert text.isascii(), [char for char in text if ord(char) > 127][:5]


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


async def test_five_hundred_pipelines_paint_quickly() -> None:
    import time

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


# Against a real appliance ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("tui"), {"orders": ORDERS}) as running:
        yield running


def shape(value: Any) -> Any:
    """The keys of a JSON value, all the way down."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def test_what_stands_still_has_the_shape_of_what_is_real(appliance: Appliance) -> None:
    appliance.emit({"n": 1})
    appliance.until_delivered()
    real = shape(appliance.snapshot())
    assert shape(still.snapshot([still.pipeline("x")])) == {**real, "pipelines": [{**real["pipelines"][0], "runs": []}]}
    assert shape(still.RUNS) == shape(appliance.ask("GET", "/_local/runs").json["data"])
    real_event = appliance.ask("GET", "/_local/events").json["data"][0]
    assert set(still.EVENTS[0]) == set(real_event)
    detail = appliance.ask("GET", f"/_local/events/{real_event['event_id']}").json
    still_detail = still.StillClient([]).event("evt_abcde000100000004")
    assert set(still_detail) == set(detail)
    assert shape(still_detail["deliveries"]) == shape(detail["deliveries"])
    assert set(still.LOG[0]) == set(appliance.ask("GET", "/_local/logs").json["data"][0])


async def until_shown(pilot: "Pilot[str]", running: ConduitApp, text: str, tries: int = 300) -> None:
    for _ in range(tries):
        if text in shown(running):
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{text!r} is not in\n{shown(running)}")


async def test_the_real_feed_brings_snapshots_logs_events_and_orders(appliance: Appliance, tmp_path: Path) -> None:
    from tests.appliance import KEY

    running = ConduitApp(Options(url=appliance.url, key=KEY, interval_ms=250))
    async with running.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, running, "orders-stream")
        await pilot.press("p")
        await until_shown(pilot, running, "PAUSED")
        appliance.emit({"n": 2})
        await until_shown(pilot, running, "paused; still accepting")
        await pilot.press("p")
        await until_shown(pilot, running, "IDLE")
        await pilot.press("2")
        appliance.emit({"from": "a test"})
        await until_shown(pilot, running, '{"from": "a test"}')
        await pilot.press("4")
        await until_shown(pilot, running, "success")


async def test_a_wrong_key_is_said_so(appliance: Appliance) -> None:
    running = ConduitApp(Options(url=appliance.url, key="ck_live_wrong", interval_ms=250))
    async with running.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, running, "the API key is not valid; give a key with --key")


async def test_an_appliance_that_comes_back_is_found_again(tmp_path: Path) -> None:
    from tests.appliance import KEY

    made = Appliance(tmp_path, {"orders": ORDERS})
    with made:
        port = made.port
        running = ConduitApp(Options(url=made.url, key=KEY, interval_ms=250))
        async with running.run_test(size=(100, 30)) as pilot:
            await until_shown(pilot, running, "orders-stream")
            made.kill()
            await until_shown(pilot, running, "STALE")
            again = Appliance(tmp_path, {"orders": ORDERS}, environment={"CONDUIT_LOCAL_PORT": str(port)})
            again._flags = ("--port", str(port))
            with again:
                await until_shown(pilot, running, "ledger ok  ", 600)
                for _ in range(200):
                    if "STALE" not in shown(running):
                        break
                    await pilot.pause(0.02)
                assert "STALE" not in shown(running)
