"""Counts a second: what they are of, by the time that really passed."""

from pathlib import Path

import pytest

from conduit_local.core.event import NewEvents
from conduit_local.core.kinds import parse_spec
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine
from conduit_local.engine.rates import Sample
from tests.engines import engine_at, until, until_delivered
from tests.making import MODEL, numbered, spec

SECOND_US = 1_000_000
CAST = {"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}


def frozen() -> SteeredClock:
    clock = SteeredClock()
    clock.freeze(True)
    return clock


async def look(engine: Engine, clock: SteeredClock, seconds: float) -> None:
    """Let time pass, until it was looked at."""
    live = engine.topology.find("orders")
    before = len(engine.rates.history(live, 600))
    clock.advance(seconds)
    await until(lambda: len(engine.rates.history(live, 600)) > before)


async def test_a_look_counts_what_came_and_what_went_since_the_one_before(tmp_path: Path) -> None:
    clock = frozen()
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(batch={"max_events": 10, "max_age": "1h"}))
        live = engine.topology.find("orders")
        await look(engine, clock, 1)
        await engine.ingest.accept("orders", numbered(0, 25))
        await until(lambda: live.pending(25) == 5)
        await look(engine, clock, 1)
        assert engine.rates.history(live, 1) == [Sample(25, 20, 5)]
        await look(engine, clock, 3)
        found = engine.rates.window(live, 2)
        assert (found.accepted, found.delivered, found.died) == (25, 20, 0)
        assert found.took_us == 4 * SECOND_US
        assert engine.rates.now(live) == pytest.approx((25 / 5, 20 / 5)), "over five seconds, in three looks"


async def test_a_late_look_makes_the_next_no_later(tmp_path: Path) -> None:
    clock = frozen()
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec())
        live = engine.topology.find("orders")
        await look(engine, clock, 1)
        await look(engine, clock, 1.7)  # as a busy machine would
        await look(engine, clock, 0.3)
        assert [one.took_us for one in (engine.rates.window(live, 1), engine.rates.window(live, 2))] == [
            0.3 * SECOND_US,
            2.0 * SECOND_US,
        ]


async def test_what_was_there_before_the_start_is_in_no_look(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_age": 0.05}))
        await engine.ingest.accept("orders", numbered(0, 30))
        await until_delivered(engine, "orders")
    clock = frozen()
    async with engine_at(tmp_path, clock) as engine:
        live = engine.topology.find("orders")
        await look(engine, clock, 1)
        found = engine.rates.window(live, 600)
        assert (found.accepted, found.delivered, found.died) == (0, 0, 0)


async def test_the_dead_are_counted_once_and_not_again_when_they_are_replayed(tmp_path: Path) -> None:
    clock = frozen()
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(
            parse_spec({"name": "orders", "transforms": [CAST], "batch": {"max_events": 4, "max_age": "1h"}}, MODEL)
        )
        live = engine.topology.find("orders")
        await look(engine, clock, 1)
        await engine.ingest.accept(
            "orders", NewEvents(["a.b"] * 4, [b'{"n":1}', b'{"n":"x"}', b'{"n":"y"}', b'{"n":2}'])
        )
        await until(lambda: live.pending(4) == 0, within_s=20)
        await look(engine, clock, 1)
        assert engine.rates.window(live, 1).died == 2
        await look(engine, clock, 1)
        found = engine.rates.window(live, 1)
        assert (found.accepted, found.died) == (0, 0)
        assert engine.rates.window(live, 600).died == 2
