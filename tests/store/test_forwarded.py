"""Forwarded events in the writer: what arrives together, and what became of a commit that failed."""

import asyncio
from pathlib import Path

import pytest

from conduit_local.core.errors import OutOfOrder
from conduit_local.core.log import Along, Forwarded, Keyed, Receipt
from tests.making import add, numbered, store_at


def along(first: int, last: int, origin: str = "edge", fingerprint: bytes = b"f") -> Along:
    return Along(forwarded=Forwarded(origin=origin, first_seq=first, last_seq=last, fingerprint=fingerprint))


async def test_repeats_that_join_together_are_one(tmp_path: Path) -> None:
    """All of them join before the first group is taken."""
    async with store_at(tmp_path) as store:
        orders = await add(store)
        found = await asyncio.gather(*(store.log.append(orders, numbered(1, 3), None, along(1, 3)) for _ in range(20)))
        assert [one.replayed for one in found].count(False) == 1
        assert {(one.first_seq, one.count, one.received_at_us) for one in found} == {(1, 3, found[0].received_at_us)}
        assert store.log.head(orders).seq == 3


async def test_what_joins_with_a_repeat_gets_the_numbers_behind_what_is_there(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        orders, other = await add(store), await add(store, "other")
        await store.log.append(orders, numbered(1, 3), None, along(1, 3))
        repeat, plain, keyed, again, elsewhere = await asyncio.gather(
            store.log.append(orders, numbered(1, 3), None, along(1, 3)),
            store.log.append(orders, numbered(10, 2), None),
            store.log.append(orders, numbered(20, 2), Keyed(key="k", pipeline_ref="orders")),
            store.log.append(orders, numbered(20, 2), Keyed(key="k", pipeline_ref="orders")),
            store.log.append(other, numbered(1, 3), None, along(1, 3)),
        )
        assert (repeat.first_seq, repeat.replayed) == (1, True)
        assert (plain.first_seq, plain.replayed) == (4, False)
        assert (keyed.first_seq, keyed.replayed) == (6, False)
        assert (again.first_seq, again.replayed) == (6, True)
        assert (elsewhere.first_seq, elsewhere.replayed) == (1, False)
        assert store.log.head(orders).seq == 7
        (chunk,) = await store.log.read(orders.number, 3, 7, 100, 1 << 20)
        assert chunk.lines.count(b"\n") == 4


async def test_a_refusal_takes_nobody_along(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        orders = await add(store)
        await store.log.append(orders, numbered(1, 9), None, along(1, 9))
        refused, fine = await asyncio.gather(
            store.log.append(orders, numbered(9, 3), None, along(9, 11)),
            store.log.append(orders, numbered(50, 1), None),
            return_exceptions=True,
        )
        assert isinstance(refused, OutOfOrder)
        assert isinstance(fine, Receipt)
        assert fine.first_seq == 10
        with pytest.raises(OutOfOrder):
            await store.log.append(orders, numbered(1, 9), None, along(1, 9, fingerprint=b"other"))
        assert store.log.head(orders).seq == 10


async def test_origins_are_nothing_to_sources(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        orders = await add(store)
        await store.log.append(orders, numbered(1, 1), None, Along(source="files:a", cursor="7"))
        await store.log.append(orders, numbered(1, 1), None, along(1, 1))
        assert await store.log.source_cursors(orders.number) == {"files:a": "7"}


async def test_how_far_an_origin_came_outlives_the_process(tmp_path: Path) -> None:
    for life in range(3):
        async with store_at(tmp_path) as store:
            orders = await add(store) if life == 0 else (await store.catalog.pipelines())[0]
            receipt = await store.log.append(orders, numbered(1, 2), None, along(1, 2))
            assert receipt.replayed is (life > 0)
            assert store.log.head(orders).seq == 2
