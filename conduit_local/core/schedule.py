"""
Cron lines: five fields, in a time zone. Which ticks they name where clocks are changed:

A line that names its times (neither minute nor hour begins with `*`: `30 2 * * *`, `0 9,17 * * 1-5`) fires once for
each time on each day. A time that spring leaves out fires at the moment of the change: in Berlin, `30 2 * * *` fires
on 2026-03-29 at 03:00 CEST (01:00Z), once, even where several of its times fell into the gap. A time that autumn has
twice fires the first time: on 2026-10-25 at 02:30 CEST (00:30Z), and not again at 02:30 CET.

A line that repeats (minute or hour begins with `*`: `*/1 * * * *`, `0 * * * *`, `*/15 2 * * *`) fires whenever a clock
on the wall shows it: what spring leaves out does not fire, what autumn has twice fires twice. So `*/1 * * * *` fires
each minute and `0 * * * *` each hour that really passes, through both changes; `0 */6 * * *` still follows the wall.

That is what cron in Debian does. cronsim reads the lines and names the times on the wall; which moments these are is
decided here: its own answer misses ticks where clocks change by half an hour, or at midnight.
The zones are data, which `zoneinfo` reads once for each zone that is named: no IO that anything could wait for.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial

from conduit_local.core.times import DAY_S, SECOND_US

_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - on the wall
"""Any will do: a line that fires at all does so within the years that are looked at from here."""

_SECOND = timedelta(seconds=1)
_DAY = timedelta(seconds=DAY_S)


def check_schedule(line: str) -> str:
    """
    The line itself.

    Raises: ValueError when it does not have five fields that cron knows, or names a day that never comes.
    """
    from cronsim import CronSimError  # 25 ms to import, and only schedules need it

    word = line.strip().lower()
    if word.startswith("@"):
        instead = f"write {_WORDS[word]}" if word in _WORDS else "there is no line"
        raise ValueError(f"a schedule has five fields: minute hour day month weekday; for {word[:20]!r}, {instead}")
    if len(line) > 200 or len(line.split()) != 5:
        raise ValueError("a schedule has five fields: minute hour day month weekday, like 0 */6 * * *")
    try:
        never = next(_on_the_wall(line, _SOME_DAY), None) is None
    except CronSimError as error:
        raise ValueError(f"is no cron line: {str(error).lower()}") from None
    if never:
        raise ValueError("never fires: there is no such day")
    return line


_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def check_zone(name: str) -> str:
    """
    The name itself.

    Raises: ValueError when the IANA database has no time zone of this name.
    """
    if name == "UTC" or name in _zone_names():
        return name
    from difflib import get_close_matches

    known = {one.lower(): one for one in _zone_names()}
    places = {one.rpartition("/")[2]: full for one, full in known.items()}
    wanted = name[:100].lower().replace(" ", "_")
    found = [known[one] for one in get_close_matches(wanted, known, 3, 0.7)]
    found += [places[one] for one in get_close_matches(wanted.rpartition("/")[2], places, 2, 0.8)]
    close = list(dict.fromkeys(found))[:3]
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "they are written like Europe/Berlin, or UTC"
    raise ValueError(f"{name[:60]!r} is no time zone of the IANA database; {hint}")


def next_tick(line: str, after_us: int, zone: str = "UTC") -> int | None:
    """The first time that the schedule names behind `after_us`; None when none comes within some decades."""
    try:
        after = datetime.fromtimestamp(after_us // SECOND_US, UTC)
        found = _next_in_zone(line, after, _zone(zone)) if zone != "UTC" else _next_on_the_wall(line, after, UTC)
    except (OverflowError, ValueError):  # the calendar ends with the year 9999
        return None
    return int(found.timestamp()) * SECOND_US if found is not None else None


def _next_in_zone(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    minute, hour = line.split()[:2]
    find = _next_repeated if minute.startswith("*") or hour.startswith("*") else _next_named
    return find(line, after, zone)


def _next_named(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    """For a line that names its times: each is the first moment at which the wall shows it, or has passed over it."""
    for wall in _on_the_wall(line, _wall(after, zone)):
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if _wall(moment, zone) != wall:  # in a gap, where the moment is counted with the offset of before
            moment = _first(partial(_is_past, wall, zone), moment - _DAY, moment)
        if moment > after:
            return moment
    return None


def _is_past(wall: datetime, zone: tzinfo, at: datetime) -> bool:
    return _wall(at, zone) > wall


def _has_left(offset: timedelta, zone: tzinfo, at: datetime) -> bool:
    return _offset(at, zone) != offset


def _next_repeated(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    """For a line that repeats: from change to change of the offset, the wall and the moments run side by side."""
    while True:
        offset = _offset(after, zone)
        found = _next_on_the_wall(line, after, zone)
        if found is None:
            return None
        change = after
        while change < found and _offset(change, zone) == offset:
            change = min(found, change + _DAY)
        if _offset(change, zone) == offset:
            return found
        change = _first(partial(_has_left, offset, zone), max(after, change - _DAY), change)
        if _shown(line, change, zone):
            return change
        after = change


def _next_on_the_wall(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    """The next tick if the offset stayed as it is at `after`."""
    wall = next(_on_the_wall(line, _wall(after, zone)), None)
    return (wall - _offset(after, zone)).replace(tzinfo=UTC) if wall is not None else None


def _shown(line: str, moment: datetime, zone: tzinfo) -> bool:
    """Whether the line fires at what the wall shows at this moment."""
    wall = _wall(moment, zone)
    return next(_on_the_wall(line, wall - _SECOND), None) == wall


def _first(holds: Callable[[datetime], bool], low: datetime, high: datetime) -> datetime:
    """The first second behind `low` at which it holds, as it does at `high` and from then on."""
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _on_the_wall(line: str, after: datetime) -> Iterator[datetime]:
    """The times that the line names behind `after`, on a wall without zone."""
    from cronsim import CronSim

    return iter(CronSim(line, after))


@lru_cache(maxsize=1_000)
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # only schedules in another zone than UTC need it

    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    """Those of `tzdata`, the same on every machine; to look through the machine's own takes 200 ms."""
    from importlib.resources import files

    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())
