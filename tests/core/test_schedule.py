"""Cron lines: what they name in each zone, and that no line and no clock brings anything down."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.schedule import check_schedule, check_zone, next_tick
from conduit_local.core.times import SECOND_US
from tests.making import spec


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
        ("0 0 * * 7", "2026-06-21T00:00:00", "2026-06-28T00:00:00"),
        ("0 0 * * sun", "2026-06-21T00:00:00", "2026-06-28T00:00:00"),
        ("0 0 1 jan *", "2026-06-21T00:00:00", "2027-01-01T00:00:00"),
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


@pytest.mark.parametrize(
    ("line", "instead"),
    [("@daily", "write 0 0 * * *"), (" @Hourly ", "write 0 * * * *"), ("@reboot", "there is no line")],
)
def test_a_word_is_refused_with_the_line_that_it_stands_for(line: str, instead: str) -> None:
    with pytest.raises(ValueError, match=r"five fields.*" + re.escape(instead)):
        check_schedule(line)


# Zones -----------------------------------------------------------------------------------------------------

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"


def on_day(line: str, day: str, zone: str) -> list[str]:
    """All ticks of the day in that zone, as the wall shows them, with the offset."""
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    at_us: int | None = int(midnight.timestamp()) * SECOND_US - 1
    found = []
    while (at_us := next_tick(line, at_us or 0, zone)) is not None:
        wall = datetime.fromtimestamp(at_us // SECOND_US, ZoneInfo(zone))
        if wall.date() != midnight.date():
            break
        found.append(wall.strftime("%H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("line", "day", "ticks"),
    [
        ("30 2 * * *", "2026-03-28", ["02:30+0100"]),
        ("30 2 * * *", SPRING, ["03:00+0200"]),
        ("0,30 2 * * *", SPRING, ["03:00+0200"]),
        ("30 2,3 * * *", SPRING, ["03:00+0200", "03:30+0200"]),
        ("30 2 * * *", AUTUMN, ["02:30+0200"]),
        ("0 2,3 * * *", AUTUMN, ["02:00+0200", "03:00+0100"]),
        ("0 0 * * *", SPRING, ["00:00+0100"]),
        ("0 0 * * *", AUTUMN, ["00:00+0200"]),
        ("*/30 2 * * *", SPRING, []),
        ("*/30 2 * * *", AUTUMN, ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]),
        ("0 */6 * * *", SPRING, ["00:00+0100", "06:00+0200", "12:00+0200", "18:00+0200"]),
        (
            "0 */2 * * *",
            AUTUMN,
            ["00:00+0200", "02:00+0200", "02:00+0100", *(f"{h:02}:00+0100" for h in range(4, 24, 2))],
        ),
    ],
)
def test_the_ticks_of_a_day_on_which_clocks_are_changed(line: str, day: str, ticks: list[str]) -> None:
    assert on_day(check_schedule(line), day, BERLIN) == ticks


@pytest.mark.parametrize("line", ["*/1 * * * *", "0 * * * *"])
@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_each_minute_and_each_hour_that_passes_has_its_tick(line: str, day: str, hours: int) -> None:
    found = on_day(line, day, BERLIN)
    assert len(found) == hours * (1 if line.startswith("0") else 60)
    assert len(set(found)) == len(found)


CHANGING = {
    "Europe/Berlin": ("2026-03-28", "2026-10-24"),
    "America/New_York": ("2026-03-07", "2026-10-31"),
    "Australia/Lord_Howe": ("2026-10-03", "2026-04-04"),  # by half an hour
    "America/Havana": ("2026-03-07", "2026-10-31"),  # at midnight
    "Pacific/Apia": ("2011-12-29", "2011-09-24"),  # left out a whole day
    "Asia/Kolkata": ("2026-03-28", "2026-10-24"),
}
LINES = [
    "*/7 * * * *",
    "30 * * * *",
    "*/10 0-3 * * *",
    "*/15 2 * * 0",
    "0 0 * * *",
    "15,45 0-3 * * *",
    "30 2 1,25,29 * *",
]


def as_documented(line: str, zone: str, start: datetime, days: int) -> list[datetime]:
    """Minute for minute: what a wall shows, and for lines that name their times, the first time that it shows it."""
    named = not line.startswith("*") and not line.split()[1].startswith("*")
    walls = walls_of(line, start.replace(tzinfo=None) - timedelta(days=2), days + 4)
    shown: set[datetime] = set()
    found, before = [], start.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - timedelta(minutes=1)
    for minute in range(days * 1440):
        moment = start + timedelta(minutes=minute)
        wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        passed = [wall]
        if named:
            gap = max(1, (wall - before) // timedelta(minutes=1)) if wall > before else 0
            passed = [wall - timedelta(minutes=back) for back in range(gap)]
        if any(one not in shown and one in walls for one in passed):
            found.append(moment)
        shown |= set(passed) if named else set()
        before = max(before, wall) if named else wall
    return found


def walls_of(line: str, after: datetime, days: int) -> set[datetime]:
    """What the line names on a wall without zone."""
    ticks = takewhile(lambda wall: wall < after + timedelta(days=days), CronSim(line, after))
    return set(ticks)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("zone", CHANGING)
def test_the_ticks_are_those_of_a_clock_that_is_watched_minute_for_minute(line: str, zone: str) -> None:
    for day in CHANGING[zone]:
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        expected = as_documented(line, zone, start, 3)
        at_us, found = int(start.timestamp()) * SECOND_US - 1, []
        end_us = at_us + 3 * 86_400 * SECOND_US
        while (tick := next_tick(line, at_us, zone)) is not None and tick <= end_us:
            assert next_tick(line, tick - 1, zone) == tick, "whenever one looks"
            found.append(datetime.fromtimestamp(tick // SECOND_US, UTC))
            at_us = tick
        assert found == expected


@given(st.sampled_from(LINES), st.sampled_from(sorted(CHANGING)), times)
def test_a_tick_in_a_zone_lies_behind_and_does_not_depend_on_when_one_looks(line: str, zone: str, at_us: int) -> None:
    tick = next_tick(line, at_us, zone)
    if tick is not None:
        assert tick > at_us
        assert next_tick(line, (at_us + tick) // 2, zone) == tick


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_zone_of_the_database_is_taken(name: str) -> None:
    assert check_zone(name) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("utc", "did you mean 'UTC'"),
        ("europe/berlin", "did you mean 'Europe/Berlin'"),
        ("Berlin", "did you mean 'Europe/Berlin'"),
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("New York", "did you mean 'America/New_York'"),
        ("Mars/Olympus", "written like Europe/Berlin"),
        ("", "written like Europe/Berlin"),
        ("../../etc/passwd", "written like Europe/Berlin"),
        ("/etc/localtime", "no time zone"),
        ("localtime", "no time zone"),
        ("right/Europe/Berlin", "no time zone"),
        ("a\0b\x1b[31m", "no time zone"),
        ("x" * 100_000, "no time zone"),
    ],
)
def test_another_zone_is_refused_with_what_may_be_meant(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)) as refused:
        check_zone(name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


def test_the_field_is_named_where_a_pipeline_has_an_unknown_zone() -> None:
    with pytest.raises(InvalidRequest, match=r"timezone: .*did you mean 'Europe/Berlin'"):
        spec(timezone="Europe/Berln")


def test_zones_are_loaded_by_whoever_names_one_alone() -> None:
    script = (
        "import sys, json; from conduit_local.core.spec import PipelineSpec; from conduit_local.core.schedule import *;"
        "PipelineSpec(name='a', schedule='0 * * * *'); next_tick('0 * * * *', 0);"
        "print('tzdata' in sys.modules); PipelineSpec(name='a', timezone='Europe/Berlin');"
        "print('tzdata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
