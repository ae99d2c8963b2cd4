"""The time of day jumps, and the zone changes its offset: order, batches, keys and folders hold (fault 21)."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conduit_local.core.times import parse_rfc3339
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine
from tests.appliance import serving
from tests.engines import engine_at, ledgers, objects_below, payloads_below, until_delivered
from tests.making import numbered, spec

SECOND_US = 1_000_000
HOUR_S, DAY_S = 3_600, 86_400
NOON = "2026-06-21T12:00:00Z"
JUMPS = {"two hours back": -2 * HOUR_S, "a day ahead": DAY_S, "a second back": -1, "years back": -20 * 365 * DAY_S}
HOURLY = [{"type": "files", "partition": "dt=%Y-%m-%d/hour=%H"}]
CHANGES = {"spring": "2026-03-29T00:30:00Z", "autumn": "2026-10-25T00:30:00Z"}
"""Half an hour before the clocks of Berlin are changed."""


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process lives in Berlin."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        assert time.tzname == ("CET", "CEST")
        yield
    time.tzset()


def clock_at(text: str) -> SteeredClock:
    clock = SteeredClock()
    clock.freeze(True)
    clock.set(parse_rfc3339(text))
    return clock


def jump(clock: SteeredClock, seconds: int) -> None:
    clock.set(clock.now_us() + seconds * SECOND_US)


async def kept(engine: Engine) -> list[tuple[int, int]]:
    """Number and payload of what is listed, the oldest first."""
    page, _ = await engine.queries.events("orders", None, 1_000)
    return [(event.id.seq, json.loads(event.payload)["n"]) for event in reversed(page.events)]


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
async def test_order_is_by_number_in_lists_and_in_files(tmp_path: Path, seconds: int) -> None:
    clock = clock_at(NOON)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, "max_age": "5s"}))
        for first in range(0, 30, 3):
            await engine.ingest.accept("orders", numbered(first, 3))
            jump(clock, seconds if first % 2 else -seconds)
        assert await kept(engine) == [(n + 1, n) for n in range(30)]
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(30)]
        assert ledgers(engine, "orders") == {"files": (30, 30, 0)}


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
async def test_a_batch_still_closes_by_age(tmp_path: Path, seconds: int) -> None:
    clock = clock_at(NOON)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, "max_age": "5s"}))
        await engine.ingest.accept("orders", numbered(0, 3))
        clock.advance(4)
        jump(clock, seconds)
        await engine.ingest.accept("orders", numbered(3, 3))
        clock.advance(6)  # the age, and what a jump by a second may add
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(6)]


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
async def test_a_key_lives_for_24_hours_that_really_passed(tmp_path: Path, seconds: int) -> None:
    clock = clock_at(NOON)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_age": "1h"}))
        await engine.ingest.accept("orders", numbered(0, 1), "key")
        for passed_s in (0, HOUR_S, 22 * HOUR_S, HOUR_S - 1):
            jump(clock, seconds)
            clock.advance(passed_s)
            await engine.retention.once()
            assert (await engine.ingest.accept("orders", numbered(1, 1), "key")).replayed
        clock.advance(1)
        assert not (await engine.ingest.accept("orders", numbered(1, 1), "key")).replayed


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
async def test_after_a_jump_a_restart_goes_on_as_if_there_had_been_none(tmp_path: Path, seconds: int) -> None:
    clock = clock_at(NOON)
    made = spec(batch={"max_events": 4, "max_age": "5s"}, destinations=HOURLY)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(made)
        await engine.ingest.accept("orders", numbered(0, 6), "before")
        jump(clock, seconds)
        await engine.ingest.accept("orders", numbered(6, 2))
    async with engine_at(tmp_path, clock) as engine:
        assert (await engine.ingest.accept("orders", numbered(0, 6), "before")).replayed
        assert (await engine.ingest.accept("orders", numbered(8, 3))).first_seq == 9
        assert await kept(engine) == [(n + 1, n) for n in range(11)]
        clock.advance(6)
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"files": (11, 11, 0)}
        ranges = sorted(Path(name).name for name in objects_below(tmp_path / "out"))
        assert [int(name[:12]) for name in ranges] == [1, *(int(name[13:25]) + 1 for name in ranges)][: len(ranges)]


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
async def test_a_machine_that_starts_with_another_time_of_day_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    real = time.time_ns
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 4, "max_age": "1h"}))
        await engine.ingest.accept("orders", numbered(0, 6), "before")
    monkeypatch.setattr(time, "time_ns", lambda: real() + seconds * 1_000_000_000)
    async with engine_at(tmp_path) as engine:
        if seconds < 0:
            assert (await engine.ingest.accept("orders", numbered(0, 6), "before")).replayed
        assert (await engine.ingest.accept("orders", numbered(6, 3))).first_seq == 7
        assert await kept(engine) == [(n + 1, n) for n in range(9)]
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(9)]
        assert ledgers(engine, "orders") == {"files": (9, 9, 0)}


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_folders_are_by_hour_in_utc_over_the_change_of_a_zone(tmp_path: Path, change: str) -> None:
    clock = clock_at(change)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, "max_age": "1h"}, destinations=HOURLY))
        for hour in range(5):
            await engine.ingest.accept("orders", numbered(hour * 2, 2))
            clock.advance(HOUR_S)
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        day = change[:10]
        assert list(objects_below(tmp_path / "out")) == [
            f"orders/dt={day}/hour={hour:02d}/{hour * 2 + 1:012d}-{hour * 2 + 2:012d}.jsonl" for hour in range(5)
        ]
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(10)]


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_the_change_of_a_zone_ends_no_key_and_holds_up_no_batch(tmp_path: Path, change: str) -> None:
    clock = clock_at(change)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_events": 100, "max_age": "5s"}))
        await engine.ingest.accept("orders", numbered(0, 1), "key")
        clock.advance(5)
        await until_delivered(engine, "orders")
        clock.advance(24 * HOUR_S - 6)
        assert (await engine.ingest.accept("orders", numbered(1, 1), "key")).replayed
        clock.advance(1)
        assert not (await engine.ingest.accept("orders", numbered(1, 1), "key")).replayed
        clock.advance(5)
        await until_delivered(engine, "orders")
        (second,) = (line for name, line in objects_below(tmp_path / "out").items() if "000000000002" in name)
        after = datetime.fromisoformat(change).astimezone(UTC).timestamp() + DAY_S
        assert parse_rfc3339(json.loads(second)["received_at"]) == int(after) * SECOND_US


def test_an_appliance_in_berlin_says_utc_everywhere(tmp_path: Path) -> None:
    pipeline = "name: orders\nbatch: {max_events: 1}\ndestinations: [{type: files, partition: 'dt=%Y-%m-%d/hour=%H'}]\n"
    berlin = {"TZ": "Europe/Berlin"}
    with serving(tmp_path, {"orders": pipeline}, "--testing", environment=berlin) as appliance:
        for at, folder in (
            ("2026-03-29T00:59:59Z", "dt=2026-03-29/hour=00"),
            ("2026-03-29T01:00:00Z", "dt=2026-03-29/hour=01"),
            ("2026-10-25T00:59:59Z", "dt=2026-10-25/hour=00"),
            ("2026-10-24T22:30:00Z", "dt=2026-10-24/hour=22"),
        ):
            appliance.ask("POST", "/_local/test/clock", {"freeze": True, "set": at})
            sent = appliance.emit({"at": at}, pipeline="orders").json
            assert sent["received_at"] == at
            appliance.until_delivered("orders")
            found = appliance.ask("GET", f"/_local/events/{sent['event_id']}").json
            assert found["received_at"] == at.replace("Z", ".000Z")
            assert found["deliveries"][0]["object_key"].startswith(f"orders/{folder}/")
            assert appliance.ask("GET", f"/_local/events?since={at}&pipeline=orders").json["data"][0] == {
                key: found[key]
                for key in ("event_id", "pipeline_id", "pipeline", "event_type", "received_at", "payload")
            }
        (line,) = appliance.ask("GET", "/_local/logs?limit=1").json["data"]
        assert line["at"] == "2026-10-24T22:30:00.000Z"
        assert abs(parse_rfc3339(appliance.log.read_text().split()[0]) / SECOND_US - time.time()) < 120
