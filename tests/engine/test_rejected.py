"""Events that a destination refuses for good: they alone die, the rest lands, whatever happens in between."""

import asyncio
import json
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.batch import Written, seqs_of
from conduit_local.core.content import Content
from conduit_local.core.dead import DeadFilter, DeadLetter, Stage
from conduit_local.core.delivering import Rejected
from conduit_local.core.pipeline import Health
from conduit_local.core.run import RunState
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.store.batches import BatchTable
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engines import engine_at, objects_below, payloads_below, until, until_delivered
from tests.making import numbered, spec

HUNDRED = {"max_events": 100, "max_age": "50ms"}


IMPATIENT = EngineSettings(keys_required=False, grace_s=0.05)


class Crashed(Exception):
    """The engine is cut off."""


class Choosy(Wrapped):
    """Takes no batch with one of these numbers in it."""

    poison: Collection[int] = ()

    async def write(self, key: str, content: Content) -> Written:
        lines = b"".join(content.pieces()).splitlines()
        numbers = {json.loads(line).get("payload", json.loads(line))["n"] for line in lines}
        if found := sorted(numbers & set(self.poison)):
            raise Rejected(f"{found[0]} is not to my taste")
        return await self.real.write(key, content)


def choosy(*poison: int) -> Callable[[DestinationMaker], WrappedMaker]:
    def wrap(_: object, made: Any) -> Any:
        found = Choosy(made)
        found.poison = poison
        return found

    return lambda maker: WrappedMaker(maker, wrap)


async def died(engine: Engine) -> list[DeadLetter]:
    return [letter async for letter, _ in engine.dead.each(DeadFilter())]


async def letters(engine: Engine) -> dict[int, str]:
    """What died of what, by its number in the payload."""
    return {json.loads(one.content)["payload"]["n"]: one.error for one in await died(engine)}


def ledger(engine: Engine) -> tuple[int, int, int]:
    route = engine.topology.find("orders").routes["files"]
    return route.delivered, route.dead, route.pending(engine.log.head(engine.topology.find("orders").pipeline).seq)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("poison", [(0,), (99,), (41, 42), tuple(range(100)), (7, 150, 201)])
async def test_the_culprits_alone_die_and_the_rest_lands_in_order(
    tmp_path: Path, poison: tuple[int, ...], concurrency: int
) -> None:
    async with engine_at(tmp_path, destinations=choosy(*poison)) as engine:
        destinations = [{"type": "files", "concurrency": concurrency}]
        await engine.manage.create(spec(batch=HUNDRED, destinations=destinations))
        await engine.ingest.accept("orders", numbered(0, 250))
        await until_delivered(engine, "orders")
        assert await letters(engine) == {n: f"{n} is not to my taste" for n in poison}
        assert ledger(engine) == (250 - len(poison), len(poison), 0)
        assert engine.topology.find("orders").health is Health.OK
        runs = await engine.queries.runs("orders", before=None, limit=10)
        assert [run.state for run, _ in runs] == [RunState.SUCCESS] * 3
        assert sum(run.dead for run, _ in runs) == len(poison)
        assert sum(run.rows for run, _ in runs) == 250 - len(poison)
        assert {(one.stage, one.route) for one in await died(engine)} == {(Stage.LOAD, "files")}
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(250) if n not in poison]


async def test_the_cursor_is_behind_one_half_before_the_next_is_sent(tmp_path: Path) -> None:
    """A receiver that takes batches in their order must not get one again behind a later one."""
    seen: list[tuple[int, int]] = []

    class Ordered(Choosy):
        poison = (3,)

        async def write(self, key: str, content: Content) -> Written:
            first, _ = seqs_of(key) or (0, 0)
            seen.append((first, engine.topology.find("orders").routes["files"].cursor))
            return await super().write(key, content)

    async with engine_at(
        tmp_path, destinations=lambda maker: WrappedMaker(maker, lambda _, made: Ordered(made))
    ) as engine:
        await engine.manage.create(spec(batch=HUNDRED))
        await engine.ingest.accept("orders", numbered(0, 100))
        await until_delivered(engine, "orders")
    assert len(seen) > 5
    assert all(first == cursor + 1 for first, cursor in seen), seen


async def test_a_transform_makes_the_rows_of_each_half_anew(tmp_path: Path) -> None:
    query = "SELECT (payload->>'n')::INT AS n FROM events WHERE (payload->>'n')::INT % 2 = 0"
    async with engine_at(tmp_path, destinations=choosy(4, 7, 60)) as engine:
        await engine.manage.create(spec(batch=HUNDRED, transforms=[{"type": "sql", "query": query}]))
        await engine.ingest.accept("orders", numbered(0, 100))
        await until_delivered(engine, "orders", within_s=60)
        assert set(await letters(engine)) == {4, 60}
        assert ledger(engine) == (98, 2, 0)
    rows = [json.loads(line)["n"] for lines in objects_below(tmp_path / "out").values() for line in lines.splitlines()]
    assert rows == [n for n in range(0, 100, 2) if n not in {4, 60}]


@pytest.mark.parametrize("crash_at", range(1, 12))
async def test_a_crash_between_halves_doubles_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """The engine ends at the n-th commit of a batch: what was split stays split."""
    count = 0
    crashed = asyncio.Event()
    for method in ("open_batch", "close_batches", "split_batch"):
        real = getattr(BatchTable, method)

        async def counted(self: BatchTable, *values: Any, real: Any = real) -> Any:
            nonlocal count
            count += 1
            found = await real(self, *values)
            if count == crash_at:
                crashed.set()
                await asyncio.Event().wait()  # kept, and nobody hears of it any more
            return found

        monkeypatch.setattr(BatchTable, method, counted)
    with suppress(Crashed):
        async with engine_at(tmp_path, destinations=choosy(3, 77), settings=IMPATIENT) as engine:
            await engine.manage.create(spec(batch={"max_events": 50, "max_age": "50ms"}))
            await engine.ingest.accept("orders", numbered(0, 100))
            await asyncio.wait_for(crashed.wait(), 10)
            raise Crashed
    monkeypatch.undo()
    async with engine_at(tmp_path, destinations=choosy(3, 77)) as engine:
        await until_delivered(engine, "orders")
        assert set(await letters(engine)) == {3, 77}
        assert ledger(engine) == (98, 2, 0)
        runs = await engine.queries.runs("orders", before=None, limit=10)
        assert {run.state for run, _ in runs} == {RunState.SUCCESS}
    assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(100) if n not in {3, 77}]


async def test_replayed_to_a_destination_that_has_changed_its_mind_they_land_once(tmp_path: Path) -> None:
    async with engine_at(tmp_path, destinations=choosy(3, 5, 8)) as engine:
        await engine.manage.create(spec(batch=HUNDRED))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until_delivered(engine, "orders")
        assert set(await letters(engine)) == {3, 5, 8}
    async with engine_at(tmp_path, destinations=choosy(5)) as engine:
        await engine.dead.replay("orders", DeadFilter())
        live = engine.topology.find("orders")
        await until(lambda: not live.asked_for())
        assert set(await letters(engine)) == {5}
        assert ledger(engine) == (9, 1, 0)
    assert sorted(one["n"] for one in payloads_below(tmp_path / "out")) == [n for n in range(10) if n != 5]


async def test_the_record_of_a_run_tells_what_was_rejected(tmp_path: Path) -> None:
    async with engine_at(tmp_path, destinations=choosy(5)) as engine:
        await engine.manage.create(spec(batch=HUNDRED))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until_delivered(engine, "orders")
        (run, _), *rest = await engine.queries.runs("orders", before=None, limit=10)
        lines = [line.message for line in await engine.queries.run_lines(run, 100)]
    assert not rest
    assert lines[0] == "10 events were rejected together, and go in halves: 5 is not to my taste"
    assert any(line.endswith("1 dead: 5 is not to my taste") for line in lines)
