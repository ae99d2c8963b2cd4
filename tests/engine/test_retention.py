"""What is delivered and old goes; what is not delivered stays, however old."""

import json
from pathlib import Path

import pytest

from conduit_local.config.settings import Settings
from conduit_local.core.errors import EventNotFound
from conduit_local.core.ids import event_id
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.engine.ledger import ledger_of
from conduit_local.engine.retention import Kept
from tests.engines import engine_at, ledgers, payloads_below, until, until_delivered
from tests.making import events, numbered, spec

DAY_S = 86_400
FAST = {"max_events": 10, "max_age": "50ms"}


def keeping(**kept: int) -> EngineSettings:
    return EngineSettings(keys_required=False, kept=Kept(**kept))


async def on_the_log(engine: Engine, ref: str = "orders") -> list[int]:
    """The events that are still kept, the oldest first."""
    page, _ = await engine.queries.events(ref, None, 1_000)
    return [event.id.seq for event in page.events][::-1]


async def deliver(engine: Engine, first: int, count: int) -> None:
    await engine.ingest.accept("orders", numbered(first, count))
    await engine.manage.flush("orders")
    await until_delivered(engine, "orders")


def steered() -> SteeredClock:
    clock = SteeredClock()
    clock.freeze(True)
    return clock


def test_seven_days_one_gib_and_a_thousand_runs_are_the_default() -> None:
    assert Kept() == Kept(age_s=7 * DAY_S, size_bytes=1_073_741_824, runs=1_000)
    settings = Settings().retention
    assert Kept(age_s=settings.age, size_bytes=settings.size, runs=settings.runs) == Kept()


async def test_what_is_delivered_goes_after_seven_days_and_no_earlier(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch=FAST))
        await deliver(engine, 0, 10)
        clock.advance(DAY_S)
        await deliver(engine, 10, 5)
        clock.advance(6 * DAY_S)
        await engine.retention.once()
        assert await on_the_log(engine) == list(range(1, 16))
        clock.advance(1)
        await engine.retention.once()
        assert await on_the_log(engine) == list(range(11, 16))
        clock.advance(DAY_S)
        await engine.retention.once()
        assert await on_the_log(engine) == []


async def test_what_is_not_delivered_stays_for_ever_and_still_lands(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock, keeping(size_bytes=0)) as engine:
        await engine.manage.create(spec(batch=FAST))
        await engine.manage.pause("orders")
        for day in range(5):
            await engine.ingest.accept("orders", numbered(day * 10, 10))
            clock.advance(100 * DAY_S)
            await engine.retention.once()
        assert await on_the_log(engine) == list(range(1, 51))
        assert ledgers(engine, "orders") == {"files": (50, 0, 50)}
        await engine.manage.resume("orders")
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(50)]
        await engine.retention.once()
        assert await on_the_log(engine) == []


async def test_the_slowest_destination_decides(tmp_path: Path) -> None:
    clock = steered()
    (tmp_path / "held").write_text("in the way")
    both = [{"type": "files"}, {"type": "files", "name": "held", "path": "held"}]
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=both))
        await engine.ingest.accept("orders", numbered(0, 10))
        live = engine.topology.find("orders")
        await until(lambda: live.routes["files"].cursor == 10)
        clock.advance(30 * DAY_S)
        await engine.retention.once()
        assert await on_the_log(engine) == list(range(1, 11))
        (tmp_path / "held").unlink()
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        await engine.retention.once()
        assert await on_the_log(engine) == []
        assert payloads_below(tmp_path / "held") == [{"n": n} for n in range(10)]


async def test_over_its_size_the_oldest_that_is_delivered_goes_however_young(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock, keeping(size_bytes=4_000)) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}))
        for n in range(12):
            await engine.ingest.accept("orders", events(json.dumps({"n": n, "x": "y" * 800})))
            await until_delivered(engine, "orders")
        await engine.retention.once()
        kept = await on_the_log(engine)
        assert kept == [8, 9, 10, 11, 12]  # some 950 bytes each; the one that the limit falls into stays
        await engine.manage.pause("orders")
        for n in range(12, 24):
            await engine.ingest.accept("orders", events(json.dumps({"n": n, "x": "y" * 800})))
        await engine.retention.once()
        assert await on_the_log(engine) == [*kept, *range(13, 25)]  # what is pending does not count


async def test_numbers_go_on_behind_what_was_dropped_also_after_a_restart(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock, keeping(size_bytes=0)) as engine:
        await engine.manage.create(spec(batch=FAST))
        await deliver(engine, 0, 25)
        await engine.retention.once()
        assert await on_the_log(engine) == []
        assert (await engine.ingest.accept("orders", numbered(25, 1))).first_seq == 26
        await until(lambda: engine.log.head(engine.topology.find("orders").pipeline).seq == 26)
        clock.advance(1)
        await until_delivered(engine, "orders")
        await engine.retention.once()
    async with engine_at(tmp_path, clock, keeping(size_bytes=0)) as engine:
        assert await on_the_log(engine) == []
        assert (await engine.ingest.accept("orders", numbered(26, 1))).first_seq == 27
        clock.advance(1)
        await until_delivered(engine, "orders")
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(27)]


async def test_the_account_of_what_was_dropped_stays_closed(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock, keeping(size_bytes=0)) as engine:
        await engine.manage.create(spec(batch=FAST))
        await deliver(engine, 0, 30)
        await engine.retention.once()
        await engine.manage.pause("orders")
        await engine.ingest.accept("orders", numbered(30, 7))
        live = engine.topology.find("orders")
        ledger = ledger_of(live.routes["files"], engine.log.head(live.pipeline))
        assert ledger.closes
        assert (ledger.accepted, ledger.delivered, ledger.pending) == (37, 30, 7)
        assert ledger.purged == 0  # purged is what went without being delivered, and nothing does
    async with engine_at(tmp_path, clock) as engine:
        assert ledgers(engine, "orders") == {"files": (37, 30, 7)}


async def test_an_event_that_was_dropped_is_said_to_be_no_longer_kept(tmp_path: Path) -> None:
    async with engine_at(tmp_path, steered(), keeping(size_bytes=0)) as engine:
        pipeline = await engine.manage.create(spec(batch=FAST))
        await deliver(engine, 0, 3)
        one = event_id(engine.log.tag, pipeline.number, 2)
        assert (await engine.queries.event(one)).event.id.seq == 2
        await engine.retention.once()
        with pytest.raises(EventNotFound, match="no longer kept"):
            await engine.queries.event(one)


async def test_it_looks_by_itself_every_fifteen_seconds(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock, keeping(size_bytes=0)) as engine:
        await engine.manage.create(spec(batch=FAST))
        await deliver(engine, 0, 3)
        assert len(await on_the_log(engine)) == 3
        clock.advance(15)
        kept = [0]
        while kept:
            kept = await on_the_log(engine)


async def test_runs_are_kept_to_their_number_with_the_newest(tmp_path: Path) -> None:
    async with engine_at(tmp_path, settings=keeping(runs=5)) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}))
        await engine.ingest.accept("orders", numbered(0, 12))
        await until_delivered(engine, "orders")
        await engine.retention.once()
        runs = [run for run, _ in await engine.queries.runs("orders", before=None, limit=100)]
        assert [run.through_seq for run in runs] == [12, 11, 10, 9, 8]


async def test_an_idempotency_key_outlives_its_event_until_its_own_time_is_over(tmp_path: Path) -> None:
    clock = steered()
    async with engine_at(tmp_path, clock, keeping(size_bytes=0)) as engine:
        await engine.manage.create(spec(batch=FAST))
        first = await engine.ingest.accept("orders", numbered(0, 3), "key")
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        await engine.retention.once()
        assert await on_the_log(engine) == []
        again = await engine.ingest.accept("orders", numbered(0, 3), "key")
        assert (again.replayed, again.first_seq) == (True, first.first_seq)
        clock.advance(DAY_S)
        await engine.retention.once()
        assert not (await engine.ingest.accept("orders", numbered(0, 3), "key")).replayed
