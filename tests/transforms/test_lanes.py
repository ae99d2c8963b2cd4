"""Which lane a pipeline's batches go to, by what came of those before."""

import asyncio
from pathlib import Path

import pytest

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.transforming import Overstepped
from conduit_local.transforms import lanes, running
from conduit_local.transforms.lanes import PATIENCE_S, Standings
from conduit_local.transforms.running import open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.making import ENDLESS, bytes_of, children, orders, reading, rows_of, sql

ONE, TWO = PipelineNumber(1), PipelineNumber(2)


def test_a_pipeline_proves_itself_with_each_recipe_anew() -> None:
    standings = Standings()
    assert standings.lane(ONE, ("a",)) == "fresh"
    standings.note_done(ONE, ("a",), 0.1)
    assert standings.lane(ONE, ("a",)) == "proven"
    assert standings.lane(TWO, ("a",)) == "fresh"
    assert standings.lane(ONE, ("b",)) == "fresh"
    standings.note_done(ONE, ("b",), 0.1)
    assert standings.lane(ONE, ("b",)) == "proven"


def test_a_strike_is_taken_off_by_a_success() -> None:
    standings = Standings()
    standings.note_done(ONE, ("a",), 0.1)
    for _ in range(10):
        standings.note_overstepped(ONE, ("a",))
    assert standings.lane(ONE, ("a",)) == "slow"
    standings.note_done(ONE, ("a",), 0.1)
    standings.note_done(ONE, ("a",), 0.1)
    assert standings.lane(ONE, ("a",)) == "slow"
    standings.note_done(ONE, ("a",), 0.1)
    assert standings.lane(ONE, ("a",)) == "proven"


def test_a_new_recipe_does_not_wash_strikes_away() -> None:
    standings = Standings()
    standings.note_overstepped(ONE, ("a",))
    assert standings.lane(ONE, ("b",)) == "slow"


def test_what_takes_long_is_slow_until_it_does_not() -> None:
    standings = Standings()
    standings.note_slow(ONE, ("a",))
    assert standings.lane(ONE, ("a",)) == "slow"
    standings.note_done(ONE, ("a",), PATIENCE_S + 1)
    assert standings.lane(ONE, ("a",)) == "slow"
    standings.note_done(ONE, ("a",), 0.1)
    assert standings.lane(ONE, ("a",)) == "proven"


async def test_a_query_that_takes_long_is_moved_and_has_all_of_its_time(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PATIENCE_S", 0.3)
    monkeypatch.setattr(lanes, "PATIENCE_S", 0.3)
    long = sql("SELECT sum(sin(a.range) * cos(b.range)) AS s FROM range(9000) AS a, range(9000) AS b")
    async with open_transforms(TransformSettings(time_limit=120), scratch=scratch) as transforms:
        begun_at = asyncio.get_running_loop().time()
        (row,) = rows_of(await transforms.apply(ONE, long, reading(orders(1))))
        assert asyncio.get_running_loop().time() - begun_at > 0.6
        assert row["s"]
        assert len(children()) == 1, "the fresh lane's was killed"
        assert await transforms.check(long), "a check of it takes long as well"


async def test_waiters_come_in_turn(scratch: Path) -> None:
    order: list[int] = []
    async with open_transforms(TransformSettings(), scratch=scratch) as transforms:

        async def go(number: int) -> None:
            bytes_of(await transforms.apply(PipelineNumber(number), sql("SELECT 1 AS a"), reading(orders(1))))
            order.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(go(number))
        assert len(children()) == 1
    assert order == list(range(8))


async def test_as_many_children_as_the_settings_say_work_at_once(scratch: Path) -> None:
    async with open_transforms(TransformSettings(children=3, time_limit=0.5), scratch=scratch) as transforms:

        async def go(number: int) -> None:
            with pytest.raises(Overstepped):
                await transforms.apply(PipelineNumber(number), sql(ENDLESS), reading(orders(1)))

        most = 0
        async with asyncio.TaskGroup() as tasks:
            going = [tasks.create_task(go(number)) for number in range(5)]
            while not all(task.done() for task in going):
                most = max(most, len(children()))
                await asyncio.sleep(0)
        assert most == 3
