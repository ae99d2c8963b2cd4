"""Destinations tried out from the first screen, and the evidence in a run's sheet."""

from conduit_local.tui.screens.sheet import Sheet
from conduit_local.tui.widgets.rows import Rows
from tests.tui import still
from tests.tui.pilots import app, feed, settle, shown


async def test_destinations_are_tried_out_and_each_step_is_shown() -> None:
    running = app()
    async with running.run_test(size=(100, 24)) as pilot:
        running.screen.query_one(Rows).select("pl_orders")
        await pilot.press("T")
        await settle(pilot)
        assert feed(running).orders == [("test files", "pl_orders")]
        assert isinstance(running.screen, Sheet)
        text = shown(running)
        assert "orders: its destinations, tried out" in text
        assert "files (s3)" in text
        assert "✓ write      s3://lake takes objects" in text
        assert "· overwrite  [/red] it writes over objects \\x1b[2J" in text
        assert "✗ remove     403 Forbidden" in text
        await pilot.press("y")
        assert '"step": "remove"' in running.clipboard


async def test_only_destinations_of_the_configuration_are_tried_out() -> None:
    one = still.pipeline("orders")
    (files,) = one["destinations"]
    others = [{**files, "name": "files@run_00000001"}, {**files, "name": "old", "retiring": True}]
    still.StillFeed.first = still.snapshot([{**one, "destinations": [files, *others]}])
    running = app(ascii_only=True)
    async with running.run_test(size=(100, 24)) as pilot:
        await pilot.press("T")
        await settle(pilot)
        assert feed(running).orders == [("test files", "pl_orders")]
        assert "+ write" in shown(running)


async def test_why_destinations_cannot_be_tried_out_is_said() -> None:
    for read_only, said in ((True, "read-only"), (False, "no pipeline 'pl_old'")):
        running = app(read_only=read_only)
        async with running.run_test(size=(100, 24), notifications=True) as pilot:
            running.screen.query_one(Rows).select("pl_old")
            await pilot.press("T")
            await settle(pilot)
            assert feed(running).orders == []
            assert said in shown(running)


async def test_a_run_shows_what_it_has_delivered() -> None:
    running = app()
    async with running.run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        text = shown(running)
        assert "files: orders/dt=2026-06-21/" in text
        assert "5,000 rows, 1.2MB, SHA-256 000000000000" in text
        assert "evt_abcde000100000000 to evt_abcde000100010000" in text


async def test_of_many_objects_the_first_are_shown() -> None:
    run = next(one for one in still.RUNS if one["batches"])
    before, run["batches"] = run["batches"], 8
    try:
        running = app()
        async with running.run_test(size=(100, 50)) as pilot:
            await pilot.press("4")
            await settle(pilot)
            running.screen.query_one(Rows).select(run["id"])
            await pilot.press("enter")
            await settle(pilot)
            text = shown(running)
            assert text.count("SHA-256") == 5
            assert "and 3 more" in text
    finally:
        run["batches"] = before
