"""Full disks, locked databases, quotas: real ones (faults 3 and 9)."""

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from conduit_local.core.errors import QuotaSpent, StoreUnavailable, Unavailable
from conduit_local.core.event import NewEvents
from conduit_local.core.pipeline import Pipeline
from conduit_local.store.store import Store
from tests.disks import Disk
from tests.making import add, numbered, store_at

FILL = NewEvents(
    ["fill.up"] * 4,
    [
        b'{"x":"%s"}' % (bytes((n * 31 + k * k) % 90 + 35 for k in range(200_000)).replace(b"\\", b"b"))
        for n in range(4)
    ],
)


async def refused(store: Store, pipeline: Pipeline) -> Unavailable:
    """Append until there is no room; why there is none."""
    for _ in range(2_000):
        try:
            await store.log.append(pipeline, FILL, None)
            await store.log.give_back()
        except Unavailable as error:
            return error
    raise AssertionError("there was room for everything")


async def until_accepted(store: Store, pipeline: Pipeline, within_s: float) -> float:
    """How long it takes until an event is taken again."""
    began = time.monotonic()
    while True:
        try:
            await store.log.append(pipeline, numbered(0, 1), None)
            return time.monotonic() - began
        except Unavailable:
            assert time.monotonic() - began < within_s
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_a_full_disk_refuses_and_takes_again_by_itself_when_there_is_space(small_disk: Disk) -> None:
    async with store_at(small_disk.path, min_free_bytes=0) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 10), None)
        small_disk.fill()
        refusal = await refused(store, pipeline)
        assert isinstance(refusal, StoreUnavailable)
        assert "disk is full" in refusal.message
        assert refusal.retry_after_s > 0
        head = store.log.head(pipeline).seq
        assert len((await store.log.newest([pipeline.number], None, 10)).events) == 10  # reads go on
        assert store.log.usage().trouble
        small_disk.give_back()
        assert await until_accepted(store, pipeline, 5) < 5
        assert store.log.head(pipeline).seq == head + 1
        assert store.log.usage().trouble is None
    async with store_at(small_disk.path, min_free_bytes=0) as store:
        assert store.log.head(pipeline).seq == head + 1


async def test_before_the_disk_is_full_events_are_refused_so_that_deliveries_can_be_noted(small_disk: Disk) -> None:
    async with store_at(small_disk.path, min_free_bytes=8 * 1024**2) as store:
        pipeline = await add(store)
        small_disk.fill(leave_bytes=4 * 1024**2)
        await store.log.give_back()  # looks at the disk
        with pytest.raises(QuotaSpent, match="nearly full"):
            await store.log.append(pipeline, numbered(0, 1), None)
        await store.catalog.keys()
        await store.catalog.touch_keys({"nobody": 1})
        small_disk.give_back()
        assert await until_accepted(store, pipeline, 5) < 5


async def test_past_the_quota_events_are_refused_until_there_is_room(tmp_path: Path) -> None:
    async with store_at(tmp_path, quota_bytes=3 * 1024**2) as store:
        pipeline = await add(store)
        refusal = await refused(store, pipeline)
        assert isinstance(refusal, QuotaSpent)
        assert "quota is used up" in refusal.message
        head = store.log.head(pipeline).seq
        while await store.log.trim(pipeline.number, head, 1 << 62, 0):
            pass
    async with store_at(tmp_path, quota_bytes=3 * 1024**2) as store:
        assert await until_accepted(store, pipeline, 5) < 5


async def test_a_database_held_by_another_process_refuses_and_never_blocks_the_loop(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 3), None)
        other = sqlite3.connect(tmp_path / "conduit.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        longest = 0.0
        stop = asyncio.Event()

        async def watch_the_loop() -> None:
            nonlocal longest
            while not stop.is_set():
                before = time.monotonic()
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
                longest = max(longest, time.monotonic() - before)

        watching = asyncio.ensure_future(watch_the_loop())
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="another process holds the database"):
                await store.log.append(pipeline, numbered(3, 1), None)
        assert len((await store.log.newest([pipeline.number], None, 10)).events) == 3
        other.execute("ROLLBACK")
        other.close()
        assert await until_accepted(store, pipeline, 5) < 5
        stop.set()
        await watching
        assert longest < 0.75, "0.25 s are promised; the rest is for a machine that runs other tests beside this one"
        assert store.log.head(pipeline).seq == 4
