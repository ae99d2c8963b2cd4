"""What ran when, on one line of the runs screen."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from conduit_local.client.errors import Unreachable
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.widgets.timeline import timeline
from tests.tui import still
from tests.tui.pilots import app, settle, shown

UNTIL = datetime.fromisoformat(still.NOW)
SINCE = UNTIL - timedelta(hours=24)


def found(*segments: dict[str, Any], pipeline: str = "orders") -> dict[str, Any]:
    of = {"pipeline_id": "pl_orders", "pipeline": pipeline, "has_more": False, "segments": list(segments)}
    return {"since": SINCE.isoformat(), "until": still.NOW, "data": [of]}


def blocks(*segments: dict[str, Any], ascii_only: bool = False) -> str:
    """The line's 24 columns, an hour each."""
    width = len(" orders -24h ") + 24 + len(" now") + 1
    line = timeline(found(*segments), width, ascii_only=ascii_only).plain
    return line.removeprefix(" orders -24h ").removesuffix(" now")


def test_each_outcome_has_a_glyph_of_its_own_where_it_was() -> None:
    segments = (
        still.segment(23.5, 10),
        still.segment(20.5, 130, "failed"),
        still.segment(15.5, 10, dead=3),
        still.segment(10.5, 10, "cancelled"),
        still.segment(5.5, 10, "pending"),
        still.segment(2.5, 0, "running"),
    )
    assert blocks(*segments) == "■··✗✗✗··▲····‖····○··●●●"
    assert blocks(*segments, ascii_only=True) == "#..xxx..!....=....o..***"
    assert blocks() == "·" * 24


@pytest.mark.parametrize("first", [0, 1])
def test_where_several_fit_the_worst_is_shown(first: int) -> None:
    pair = [still.segment(12.4, 5), still.segment(12.2, 5, "failed")]
    assert blocks(pair[first], pair[1 - first])[11] == "✗"
    pair = [still.segment(12.4, 5, dead=1), still.segment(12.2, 5)]
    assert blocks(pair[first], pair[1 - first])[11] == "▲"


def test_what_began_before_the_window_or_ends_behind_it_stays_in_it() -> None:
    assert blocks(still.segment(30, 6.5 * 60)) == "■" + "·" * 23
    assert blocks(still.segment(48, 96 * 60)) == "■" * 24


SEGMENTS = st.builds(
    still.segment,
    st.floats(-1, 40),
    st.floats(0, 3_000),
    st.sampled_from(["success", "failed", "cancelled", "running", "pending"]),
    st.integers(0, 2),
)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


@given(st.lists(SEGMENTS, max_size=30), st.integers(60, 300), NAMES, st.booleans())
def test_it_is_one_line_that_fits(segments: list[dict[str, Any]], width: int, name: str, ascii_only: bool) -> None:
    line = timeline(found(*segments, pipeline=name), width, ascii_only=ascii_only)
    assert cell_len(line.plain) <= width
    assert "\n" not in line.plain
    if ascii_only and name.isascii():
        assert line.plain.isascii()


class ByPipeline(still.StillClient):
    """Has a timeline for each pipeline."""

    def runs(self, **query: Any) -> dict[str, Any]:
        page = super().runs(**query)
        return {**page, "data": [{**one, "pipeline_id": f"pl_{one['pipeline']}"} for one in page["data"]]}

    def timeline(self, *, pipeline: str) -> dict[str, Any]:
        if pipeline == "pl_archive":
            return found(still.segment(1, 5, "failed"), pipeline="archive \x1b[2J")
        return found(still.segment(1, 5))


class ByPipelineFeed(still.StillFeed):
    """A feed over it."""

    def client(self) -> Any:
        """What answers."""
        return ByPipeline(self.orders)


async def test_it_is_that_of_the_selected_runs_pipeline() -> None:
    running = app(ByPipelineFeed)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert isinstance(running.screen, RunsScreen)
        assert " orders -24h ·" in shown(running)
        assert "✗" not in shown(running)
        await pilot.press("j")
        await settle(pilot)
        await settle(pilot)
        assert " archive \\x1b[…" in shown(running)
        assert "✗" in shown(running)
        await pilot.press("slash", *"pipeline:nothing", "enter")
        await settle(pilot)
        assert "-24h" not in shown(running)


class WithoutTimeline(still.StillClient):
    """Knows no timeline."""

    def timeline(self, *, pipeline: str) -> dict[str, Any]:
        raise Unreachable("gone \x1b[2J")


class WithoutTimelineFeed(still.StillFeed):
    """A feed over it."""

    def client(self) -> Any:
        """What answers."""
        return WithoutTimeline(self.orders)


async def test_where_it_cannot_be_had_the_line_says_why_and_the_runs_are_there() -> None:
    running = app(WithoutTimelineFeed)
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        await settle(pilot)
        assert "asking what ran when failed: gone \\x1b[2J" in shown(running)
        assert "4 of 4 runs" in shown(running)
