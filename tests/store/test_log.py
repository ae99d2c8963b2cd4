"""The contract of `Log`, run over SQLite's."""

import asyncio
import base64
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conduit_local.core.errors import IdempotencyMismatch, StoreUnavailable
from conduit_local.core.event import EventFilter, NewEvents, fingerprint_of
from conduit_local.core.log import Keyed
from conduit_local.engine.clock import SteeredClock
from conduit_local.store.append import MAX_GROUP_EVENTS
from conduit_local.store.chunks import MAX_CHUNK_EVENTS
from tests.making import add, events, lines_of, numbered, store_at


def keyed(key: str = "k", ref: str = "pl_8f3a", *, of: NewEvents | None = None) -> Keyed:
    """`of`: the events that a strict key stands for."""
    return Keyed(key=key, pipeline_ref=ref, fingerprint=fingerprint_of(of) if of is not None else None)


async def test_events_are_numbered_from_one_without_gaps(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        receipts = [await store.log.append(pipeline, numbered(0, count), None) for count in (1, 3, 2)]
        assert [(one.first_seq, one.count) for one in receipts] == [(1, 1), (2, 3), (5, 2)]
        assert store.log.head(pipeline).seq == 6


async def test_appends_at_once_are_numbered_in_the_order_of_the_calls(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        receipts = await asyncio.gather(*(store.log.append(pipeline, numbered(n, 1), None) for n in range(200)))
        assert [one.first_seq for one in receipts] == list(range(1, 201))
        chunks = await store.log.read(pipeline.number, 0, 1 << 62, 1_000, 1 << 30)
        assert [line["payload"]["n"] for line in lines_of([chunk.lines for chunk in chunks])] == list(range(200))


async def test_more_at_once_than_one_group_takes_is_numbered_on_in_the_next(tmp_path: Path) -> None:
    each, callers = 1_000, 3 * MAX_GROUP_EVENTS // 1_000
    async with store_at(tmp_path) as store:
        pipeline, other = await add(store), await add(store, "other")
        receipts = await asyncio.gather(
            *(store.log.append(pipeline, numbered(n * each, each), keyed(f"k{n}")) for n in range(callers)),
            *(store.log.append(other, numbered(n, 1), keyed(f"k{n}")) for n in range(callers)),
            store.log.append(pipeline, numbered(0, each), keyed("k0")),
        )
        assert [one.first_seq for one in receipts[:callers]] == [n * each + 1 for n in range(callers)]
        assert [one.first_seq for one in receipts[callers:-1]] == list(range(1, callers + 1))
        assert receipts[-1].replayed
        chunks = await store.log.read(pipeline.number, 0, 1 << 62, each * callers, 1 << 30)
        found = [line["payload"]["n"] for line in lines_of([chunk.lines for chunk in chunks])]
        assert found == list(range(each * callers))


async def test_what_was_acknowledged_is_there_after_a_new_start(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        tag = store.log.tag
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 5), keyed())
    async with store_at(tmp_path) as store:
        assert store.log.tag == tag
        assert store.log.head(pipeline).seq == 5
        assert (await store.log.append(pipeline, numbered(5, 1), None)).first_seq == 6
        assert (await store.log.append(pipeline, numbered(0, 5), keyed())).replayed


async def test_reading_begins_behind_the_cursor_even_within_a_chunk(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(1, 10), None)
        await store.log.append(pipeline, numbered(11, 5), None)
        for after in range(15):
            chunks = await store.log.read(pipeline.number, after, 1 << 62, 1_000, 1 << 30)
            assert chunks[0].first_seq == after + 1
            assert [line["payload"]["n"] for line in lines_of([one.lines for one in chunks])] == list(
                range(after + 1, 16)
            )
        assert await store.log.read(pipeline.number, 15, 1 << 62, 1_000, 1 << 30) == []


async def test_reading_stops_once_there_is_enough(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        for first in range(0, 100, 10):
            await store.log.append(pipeline, numbered(first, 10), None)
        by_count = await store.log.read(pipeline.number, 0, 1 << 62, 25, 1 << 30)
        assert by_count[-1].last_seq == 30
        by_bytes = await store.log.read(pipeline.number, 0, 1 << 62, 1_000, len(by_count[0].lines))
        assert by_bytes[-1].last_seq == 20
        through = await store.log.read(pipeline.number, 0, 41, 1_000, 1 << 30)
        assert through[-1].last_seq == 50


async def test_a_large_append_becomes_several_chunks_that_abut(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 2 * MAX_CHUNK_EVENTS + 1), None)
        await store.log.append(pipeline, events(*(json.dumps({"x": "y" * 200_000}) for _ in range(12))), None)
        chunks = await store.log.read(pipeline.number, 0, 1 << 62, 1 << 30, 1 << 40)
        assert [chunk.first_seq for chunk in chunks][1:] == [chunk.last_seq + 1 for chunk in chunks][:-1]
        assert max(chunk.last_seq - chunk.first_seq + 1 for chunk in chunks) == MAX_CHUNK_EVENTS
        assert max(len(chunk.lines) for chunk in chunks) < 1_400_000


async def test_pipelines_do_not_see_each_other(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        one, other = await add(store, "one"), await add(store, "other")
        await asyncio.gather(
            *(store.log.append(which, numbered(n, 1), keyed(f"k{n}")) for n in range(20) for which in (one, other))
        )
        for which in (one, other):
            chunks = await store.log.read(which.number, 0, 1 << 62, 1_000, 1 << 30)
            found = lines_of([chunk.lines for chunk in chunks])
            assert [line["payload"]["n"] for line in found] == list(range(20))
            assert {line["pipeline_id"] for line in found} == {which.id}


async def test_a_mark_knows_the_bytes_before_it_and_the_time_behind_it(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        times = []
        for first in (1, 6):
            times.append(clock.now_us())
            await store.log.append(pipeline, numbered(first, 5), None)
            clock.advance(60)
        chunks = await store.log.read(pipeline.number, 0, 1 << 62, 1_000, 1 << 30)
        rows = b"".join(chunk.lines for chunk in chunks).splitlines(keepends=True)
        for seq in range(10):
            mark = await store.log.mark(pipeline.number, seq)
            assert mark.bytes_before == sum(map(len, rows[:seq]))
            assert mark.received_at_us == times[0 if seq < 5 else 1]
        assert (await store.log.mark(pipeline.number, 10)) == (10, sum(map(len, rows)), 0)
        assert store.log.head(pipeline) == (10, sum(map(len, rows)), times[1])


# Idempotency keys ----------------------------------------------------------------------------------------


async def test_a_key_repeated_gets_the_first_receipt_and_makes_no_event(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        first = await store.log.append(pipeline, events('{"a":1}'), keyed(ref="orders"))
        again = await store.log.append(pipeline, events('{"b":2}', event_type="x"), keyed(ref="pl_8f3a"))
        assert (again.replayed, again.pipeline_ref, again.event_type) == (True, "orders", "order.created")
        assert (again.first_seq, again.count, again.received_at_us) == (first.first_seq, 1, first.received_at_us)
        assert store.log.head(pipeline).seq == 1


async def test_one_key_a_hundred_times_at_once_makes_one_event(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        receipts = await asyncio.gather(*(store.log.append(pipeline, numbered(n, 1), keyed()) for n in range(100)))
        assert {(one.first_seq, one.received_at_us) for one in receipts} == {(1, receipts[0].received_at_us)}
        assert [one.replayed for one in receipts] == [False] + [True] * 99
        assert store.log.head(pipeline).seq == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(
        st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(1, 3)), min_size=1, max_size=8),
        min_size=1,
        max_size=6,
    )
)
async def test_whatever_comes_together_each_key_counts_once_and_numbers_abut(
    groups: list[list[tuple[str | None, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with store_at(tmp_path_factory.mktemp("log")) as store:
        pipeline = await add(store)
        first_use: dict[str, tuple[int, int]] = {}
        expected = 0
        for group in groups:
            receipts = await asyncio.gather(
                *(store.log.append(pipeline, numbered(0, count), keyed(key) if key else None) for key, count in group)
            )
            for (key, count), receipt in zip(group, receipts, strict=True):
                if key in first_use:
                    assert receipt.replayed
                    assert (receipt.first_seq, receipt.count) == first_use[key]
                    continue
                assert (receipt.first_seq, receipt.count, receipt.replayed) == (expected + 1, count, False)
                expected += count
                if key:
                    first_use[key] = (receipt.first_seq, count)
        assert store.log.head(pipeline).seq == expected


async def test_a_key_expires_after_24_hours_of_steady_time(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 1), keyed())
        clock.advance(24 * 3_600 - 1)
        assert (await store.log.append(pipeline, numbered(1, 1), keyed())).replayed
        clock.advance(1)
        assert not (await store.log.append(pipeline, numbered(2, 1), keyed())).replayed
        assert (await store.log.append(pipeline, numbered(3, 1), keyed())).first_seq == 2


async def test_no_key_expires_early_when_the_time_of_day_jumps(tmp_path: Path) -> None:
    clock = SteeredClock()
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 1), keyed())
        for jump_s in (-7_200, 86_400 * 2, -86_400):
            clock.set(clock.now_us() + jump_s * 1_000_000)
            assert (await store.log.append(pipeline, numbered(1, 1), keyed())).replayed


async def test_expired_keys_are_dropped_and_live_ones_kept(tmp_path: Path) -> None:
    clock = SteeredClock()
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        await asyncio.gather(*(store.log.append(pipeline, numbered(0, 1), keyed(f"old{n}")) for n in range(1_500)))
        clock.advance(24 * 3_600)
        await store.log.append(pipeline, numbered(0, 1), keyed("new"))
        dropped = 0
        while count := await store.log.drop_expired_keys():
            dropped += count
        assert dropped == 1_500
        assert (await store.log.append(pipeline, numbered(0, 1), keyed("new"))).replayed


async def test_a_strict_key_with_another_body_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        body = events('{"a":1}')
        await store.log.append(pipeline, body, keyed(of=body))
        assert (await store.log.append(pipeline, body, keyed(of=body))).replayed
        for other in (events('{"a":2}'), events('{"a":1}', event_type="x"), events('{"a":1}', '{"a":1}')):
            with pytest.raises(IdempotencyMismatch, match="another body"):
                await store.log.append(pipeline, other, keyed(of=other))
        one, two = events('{"x":1}'), events('{"x":2}')
        together = await asyncio.gather(
            store.log.append(pipeline, one, keyed("n", of=one)),
            store.log.append(pipeline, two, keyed("n", of=two)),
            store.log.append(pipeline, one, keyed("n", of=one)),
            store.log.append(pipeline, events('{"free":1}'), None),
            return_exceptions=True,
        )
        assert [type(one).__name__ for one in together] == ["Receipt", "IdempotencyMismatch", "Receipt", "Receipt"]
        assert store.log.head(pipeline).seq == 3


# Looking -------------------------------------------------------------------------------------------------


async def test_an_event_is_found_by_its_number(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(1, 7), None)
        await store.log.append(pipeline, events('{"n": 8}', event_type="other.type"), None)
        found = await store.log.find(pipeline.number, 8)
        assert found is not None
        assert (found.id.seq, found.event_type, found.payload) == (8, "other.type", b'{"n": 8}')
        for seq in range(1, 8):
            one = await store.log.find(pipeline.number, seq)
            assert one is not None
            assert json.loads(one.payload) == {"n": seq}
        assert await store.log.find(pipeline.number, 9) is None
        assert await store.log.find(pipeline.number, 0) is None


async def test_pages_go_backwards_and_neither_repeat_nor_skip_while_events_arrive(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        one, other = await add(store, "one"), await add(store, "other")
        for n in range(60):
            await store.log.append(one if n % 3 else other, numbered(n, 1 + n % 2), None)
        for pipelines in ([one.number], [one.number, other.number]):
            expected = [event.id for event in (await store.log.newest(pipelines, None, 1_000)).events]
            seen = []
            before = None
            while True:
                page = await store.log.newest(pipelines, before, 7)
                seen += [event.id for event in page.events]
                await store.log.append(one, numbered(1_000, 2), None)
                if page.next is None:
                    break
                before = page.next
            assert seen == expected


async def test_a_filter_finds_by_type_time_and_text(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        for n in range(6):
            await store.log.append(pipeline, events(json.dumps({"n": n}), event_type="odd" if n % 2 else "even"), None)
            clock.advance(1)
        start = clock.now_us() - 6_000_000

        async def numbers(wanted: EventFilter) -> list[int]:
            page = await store.log.newest([pipeline.number], None, 100, wanted)
            return [json.loads(event.payload)["n"] for event in page.events]

        assert await numbers(EventFilter(event_type="odd")) == [5, 3, 1]
        assert await numbers(EventFilter(since_us=start + 2_000_000, until_us=start + 4_000_000)) == [3, 2]
        assert await numbers(EventFilter(text=b'"n": 4')) == [4]
        assert await numbers(EventFilter(event_type="none")) == []


async def test_a_filter_that_finds_little_says_where_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conduit_local.store.log._BACKWARDS_CHUNKS", 10)
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
        for n in range(35):
            await store.log.append(pipeline, events(json.dumps({"n": n})), None)
        found, before, pages = [], None, 0
        while True:
            page = await store.log.newest([pipeline.number], before, 100, EventFilter(text=b'"n": 3'))
            found += [json.loads(event.payload)["n"] for event in page.events]
            pages += 1
            if page.next is None:
                break
            before = page.next
        assert found == [34, 33, 32, 31, 30, 3]
        assert pages > 1


# Retention -----------------------------------------------------------------------------------------------


async def test_trimming_keeps_what_is_not_delivered_and_never_gives_a_number_twice(tmp_path: Path) -> None:
    clock = SteeredClock()
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        for first in range(0, 50, 5):
            await store.log.append(pipeline, numbered(first, 5), None)
        future_us = clock.now_us() + 1_000_000
        assert await store.log.trim(pipeline.number, 23, future_us, 0) == 20
        assert await store.log.trim(pipeline.number, 23, future_us, 0) == 0
        chunks = await store.log.read(pipeline.number, 20, 1 << 62, 1_000, 1 << 30)
        assert [line["payload"]["n"] for line in lines_of([one.lines for one in chunks])] == list(range(20, 50))
        assert await store.log.trim(pipeline.number, 50, future_us, 0) == 30
        before = store.log.head(pipeline)
    async with store_at(tmp_path) as store:
        assert store.log.head(pipeline)[:2] == before[:2]
        assert (await store.log.append(pipeline, numbered(0, 1), None)).first_seq == 51
        page = await store.log.newest([pipeline.number], None, 10)
        assert [event.position for event in page.events] == [11]


async def test_trimming_keeps_the_young_unless_there_are_too_many(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        for n in range(10):
            await store.log.append(pipeline, numbered(n, 1), None)
            clock.advance(1)
        size = store.log.head(pipeline).bytes_before // 10
        old_us = clock.now_us() - 7_000_000
        assert await store.log.trim(pipeline.number, 10, old_us, 1 << 40) == 3
        assert await store.log.trim(pipeline.number, 10, 0, 4 * size) == 3
        assert await store.log.trim(pipeline.number, 10, 0, 4 * size) == 0


async def test_forgetting_a_pipeline_leaves_the_others(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        gone, kept = await add(store, "gone"), await add(store, "kept")
        for n in range(100):
            await asyncio.gather(*(store.log.append(which, numbered(n, 1), keyed(f"k{n}")) for which in (gone, kept)))
        while await store.log.forget(gone.number):
            pass
        assert (await store.log.newest([gone.number], None, 10)).events == []
        assert len((await store.log.newest([kept.number], None, 1_000)).events) == 100
        assert (await store.log.append(kept, numbered(0, 1), keyed("k5"))).replayed


async def test_unused_space_is_given_back_to_the_disk(tmp_path: Path) -> None:
    clock = SteeredClock()
    async with store_at(tmp_path, clock) as store:
        pipeline = await add(store)
        chance = random.Random(1)
        for _ in range(500):
            noise = base64.b64encode(chance.randbytes(100_000)).decode()
            await store.log.append(pipeline, events(f'{{"x":"{noise}"}}'), None)
        while await store.log.trim(pipeline.number, 500, clock.now_us() + 1, 0):
            pass
        await store.log.give_back()
        unused = store.log.usage().file_bytes - store.log.usage().used_bytes
        assert unused > 32 * 1024**2
        for _ in range(60):
            await store.log.give_back()
        assert store.log.usage().file_bytes - store.log.usage().used_bytes <= 16 * 1024**2
    assert (tmp_path / "conduit.db").stat().st_size < 20 * 1024**2


async def test_a_closed_store_takes_nothing_more(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        pipeline = await add(store)
    with pytest.raises(StoreUnavailable):
        await store.log.append(pipeline, numbered(0, 1), None)
