"""Cron lines: what they name in UTC, and that no line and no clock brings anything down."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.schedule import check_schedule, next_tick
from conduit_local.core.times import SECOND_US


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_US


@pytest.mark.parametrize(
    ("line", "after", "tick"),
    [
        ("0 */6 * * *", "2026-06-21T14:09:33", "2026-06-21T18:00:00"),
        ("* * * * *", "2026-06-21T14:09:00", "2026-06-21T14:10:00"),
        ("* * * * *", "2026-06-21T14:09:59", "2026-06-21T14:10:00"),
        ("0 0 29 2 *", "2026-06-21T14:09:33", "2028-02-29T00:00:00"),
        ("0 0 * * 0", "2026-06-21T00:00:00", "2026-06-28T00:00:00"),
        ("0 9 * * MON-FRI", "2026-06-19T10:00:00", "2026-06-22T09:00:00"),
        ("30 2 * * *", "2026-03-29T00:00:00", "2026-03-29T02:30:00"),
        ("30 2 * * *", "2026-10-25T02:30:00", "2026-10-26T02:30:00"),
        ("59 23 31 12 *", "2026-12-31T23:59:00", "2027-12-31T23:59:00"),
    ],
)
def test_a_tick_is_the_first_behind_a_time_in_utc(line: str, after: str, tick: str) -> None:
    """DST of some zone moves none: half past two is there on every day, once."""
    assert next_tick(check_schedule(line), us(after)) == us(tick)


fields = st.text("0123456789*/,-LW?# MONJANUX@._é", min_size=0, max_size=12)
lines = st.lists(fields, min_size=0, max_size=7).map(" ".join) | st.text(max_size=300)
times = st.integers(0, us("2199-12-31T00:00:00"))


@given(lines, times)
def test_any_text_is_a_line_that_fires_or_is_refused(line: str, after_us: int) -> None:
    try:
        check_schedule(line)
    except ValueError:
        return
    tick = next_tick(line, after_us)
    assert tick is None or tick > after_us


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 */6 * * *", "5 4 1 * *", "0 9 * * 1-5", "0 0 L * *"]), times, times
)
def test_ticks_do_not_depend_on_when_one_looks(line: str, one_us: int, other_us: int) -> None:
    early_us, late_us = sorted((one_us, other_us))
    tick = next_tick(line, early_us)
    assert tick is not None
    assert next_tick(line, tick - 1) == tick, "a look right before it finds it"
    after = next_tick(line, tick)
    assert after is not None
    assert after > tick, "a look at the tick itself finds the one behind"
    if tick > late_us:
        assert next_tick(line, late_us) == tick


@pytest.mark.parametrize(
    "line", ["", "@daily", "* * * *", "* * * * * *", "61 * * * *", "a b c d e", "0 0 30 2 *", "0 0 31 4,6 *", "*" * 201]
)
def test_a_line_that_never_fires_is_refused_with_the_reason(line: str) -> None:
    with pytest.raises(ValueError, match=r"five fields|no cron line|never fires"):
        check_schedule(line)


@pytest.mark.parametrize("after", [us("9999-12-31T23:59:59"), 10**20, -(10**20)])
def test_at_the_ends_of_the_calendar_there_is_no_tick(after: int) -> None:
    assert next_tick("* * * * *", after) is None
