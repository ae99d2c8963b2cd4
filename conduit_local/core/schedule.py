"""Cron lines: five fields, in UTC."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from conduit_local.core.times import SECOND_US

_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Any will do: a line that fires at all does so within the years that are looked at from here."""


def check_schedule(line: str) -> str:
    """
    The line itself.

    Raises: ValueError when it does not have five fields that cron knows, or names a day that never comes.
    """
    from cronsim import CronSimError  # 25 ms to import, and only schedules need it

    if len(line) > 200 or len(line.split()) != 5:
        raise ValueError("a schedule has five fields: minute hour day month weekday, like 0 */6 * * *")
    try:
        never = next(_ticks(line, _SOME_DAY), None) is None
    except CronSimError as error:
        raise ValueError(f"is no cron line: {str(error).lower()}") from None
    if never:
        raise ValueError("never fires: there is no such day")
    return line


def next_tick(line: str, after_us: int) -> int | None:
    """The first time that the schedule names behind `after_us`; None when none comes within some decades."""
    try:
        after = datetime.fromtimestamp(after_us // SECOND_US, UTC)
        for tick in islice(_ticks(line, after), 1):
            return int(tick.timestamp()) * SECOND_US
    except (OverflowError, ValueError):  # the calendar ends with the year 9999
        return None
    return None


def _ticks(line: str, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim

    return iter(CronSim(line, after))
