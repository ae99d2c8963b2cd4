"""The outbox: what is told is what was committed, every event of it exactly once, in few tellings."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conduit_local.core.errors import IdempotencyMismatch, NameTaken, StoreUnavailable
from conduit_local.core.event import fingerprint_of
from conduit_local.core.log import Keyed
from conduit_local.core.pipeline import State
from conduit_local.core.secrets import Secret
from conduit_local.core.webhook import NoticeKind, Telling, TellingState, Webhook, body_of, new_signing_secret
from conduit_local.engine.clock import SteeredClock
from conduit_local.store.store import Store
from conduit_local.store.webhooks import _SLICE
from tests.making import add, numbered, spec, store_at

SECRET = new_signing_secret(bytes(range(24)))
FAR_US = 1 << 60


def webhook(name: str = "a", *kinds: NoticeKind) -> Webhook:
    """A subscription; to what comes with the events unless told otherwise."""
    return Webhook(
        id=f"wh_{name * 16}",
        url="https://example.com/hook",
        kinds=frozenset(kinds or {NoticeKind.INGESTED}),
        secret=Secret(SECRET),
        created_at_us=1,
    )


@asynccontextmanager
async def store_with(folder: Path, *webhooks: Webhook, clock: SteeredClock | None = None) -> AsyncIterator[Store]:
    """A store with these webhooks."""
    async with store_at(folder, clock, full_sync=False) as store:
        for one in webhooks:
            await store.catalog.add_webhook(one)
        yield store


async def tellings(store: Store, of: str = "a") -> list[Telling]:
    """All of one webhook, the oldest first."""
    return (await store.catalog.tellings(f"wh_{of * 16}", None, 1_000_000))[::-1]


def ranges(found: Sequence[Telling]) -> list[tuple[int, int, int]]:
    """First, last and count of each."""
    return [(one.notice.first_seq, one.notice.last_seq, one.notice.count) for one in found]


def covered(found: Sequence[Telling]) -> int:
    """Up to which event they tell of everything once, from the first on."""
    end = 0
    for first, last, count in ranges(found):
        assert (first, count) == (end + 1, last - first + 1)
        end = last
    return end


# What is told ----------------------------------------------------------------------------------------------------


async def test_appends_at_once_are_one_telling(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook()) as store:
        pipeline = await add(store)
        groups = store.writer.groups
        await asyncio.gather(*(store.log.append(pipeline, numbered(n, 1), None) for n in range(500)))
        assert ranges(await tellings(store)) == [(1, 500, 500)]
        assert store.writer.groups - groups <= 5


async def test_a_change_and_what_is_told_of_it_are_one_commit(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook("a", NoticeKind.TRANSFORMED)) as store:
        first, second = await add(store, "first"), await add(store, "second")
        renamed = replace(second, spec=spec("first"))
        with pytest.raises(NameTaken):
            await store.catalog.change_pipeline(renamed, [], 0, tells=NoticeKind.TRANSFORMED)
        assert await tellings(store) == []
        changed = replace(first, updated_at_us=7_000_000, revision=first.revision + 1)
        await store.catalog.change_pipeline(changed, [], 0)
        assert await tellings(store) == []
        await store.catalog.change_pipeline(changed, [], 0, tells=NoticeKind.TRANSFORMED)
        (told,) = await tellings(store)
        assert (told.notice.kind, told.notice.pipeline_name, told.notice.at_us) == (
            NoticeKind.TRANSFORMED,
            "first",
            7_000_000,
        )


async def test_what_waits_takes_the_next_in_and_what_was_attempted_stays_as_it_was(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook()) as store:
        pipeline = await add(store)
        for n in range(10):
            await store.log.append(pipeline, numbered(n, 3), None)
        (taken,) = await store.catalog.take_due(webhook().id, FAR_US, 8)
        assert ranges([taken]) == [(1, 30, 30)]
        body = body_of(taken, store.log.tag)
        for n in range(10):
            await store.log.append(pipeline, numbered(n, 2), None)
        first, second = await tellings(store)
        assert body_of(first, store.log.tag) == body
        assert ranges([first, second]) == [(1, 30, 30), (31, 50, 20)]


async def test_pipelines_do_not_gather_in_each_others_tellings(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook()) as store:
        pipelines = [await add(store, name) for name in ("a", "b", "c")]
        for n in range(5):
            await asyncio.gather(*(store.log.append(one, numbered(n, 2), None) for one in pipelines))
        found = await tellings(store)
        assert {one.notice.pipeline for one in found} == {one.number for one in pipelines}
        assert ranges(found) == [(1, 10, 10)] * 3


_Step = tuple[str, int]
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 7)),
        st.tuples(st.just("together"), st.integers(1, 7)),
        st.tuples(st.just("take"), st.integers(1, 8)),
        st.tuples(st.just("fail"), st.integers(0, 9)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_the_tellings_are_the_accepted_events_each_exactly_once(
    steps: list[_Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(_told_exactly_once(tmp_path_factory.mktemp("outbox"), steps))


async def _told_exactly_once(folder: Path, steps: list[_Step]) -> None:
    async with store_with(folder, webhook(), webhook("b")) as store:
        await add(store)
    accepted = commits = 0
    taken: list[Telling] = []
    rest = iter([*steps, ("restart", 0)])
    step: _Step | None = next(rest)
    while step is not None:
        async with store_at(folder, full_sync=False) as store:
            (pipeline,) = await store.catalog.pipelines()
            while (step := next(rest, None)) is not None and step[0] != "restart":
                match step:
                    case ("append", count):
                        await store.log.append(pipeline, numbered(accepted, count), None)
                        accepted, commits = accepted + count, commits + 1
                    case ("together", count):
                        await asyncio.gather(*(store.log.append(pipeline, numbered(0, 2), None) for _ in range(count)))
                        accepted, commits = accepted + 2 * count, commits + count
                    case ("take", count):
                        taken += await store.catalog.take_due(webhook().id, FAR_US, count)
                    case ("fail", place) if taken:
                        one = taken[place % len(taken)]
                        await store.catalog.settle([replace(one, due_us=0, error="answered 500")])
            found = await tellings(store)
            assert covered(found) == accepted
            assert len(found) <= commits
            assert sum(one.attempts == 0 for one in found) <= 1
            bodies = {one.number: body_of(one, store.log.tag) for one in found}
            assert all(bodies[one.number] == body_of(one, store.log.tag) for one in taken)
            other = await tellings(store, "b")
            assert len(other) <= 1
            assert covered(other) == accepted


async def test_a_replay_and_a_refused_event_are_not_told(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook()) as store:
        pipeline = await add(store)
        keyed = Keyed(key="k", pipeline_ref="orders", fingerprint=fingerprint_of(numbered(0, 1)))
        other = Keyed(key="k", pipeline_ref="orders", fingerprint=fingerprint_of(numbered(1, 1)))
        await store.log.append(pipeline, numbered(0, 1), keyed)
        groups = await asyncio.gather(
            store.log.append(pipeline, numbered(0, 1), keyed),
            store.log.append(pipeline, numbered(1, 1), other),
            store.log.append(pipeline, numbered(2, 4), None),
            return_exceptions=True,
        )
        assert isinstance(groups[1], IdempotencyMismatch)
        assert ranges(await tellings(store)) == [(1, 5, 5)]
        await store.log.append(pipeline, numbered(0, 1), keyed)
        assert ranges(await tellings(store)) == [(1, 5, 5)]


async def test_whoever_subscribes_under_traffic_misses_nothing_from_then_on(tmp_path: Path) -> None:
    async with store_with(tmp_path) as store:
        pipeline = await add(store)
        over = False

        async def traffic() -> int:
            sent = 0
            while not over:
                await asyncio.gather(*(store.log.append(pipeline, numbered(sent, 1), None) for _ in range(3)))
                sent += 3
            return sent

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(traffic())
            for name in "abcdef":
                await store.log.settled(pipeline)
                await store.catalog.add_webhook(webhook(name))
                end = store.log.head(pipeline).seq
                while store.log.head(pipeline).seq < end + 20:
                    await store.log.settled(pipeline)
                found = await tellings(store, name)
                assert len(found) == 1
                assert found[0].notice.first_seq <= end + 1
            over = True
        for name in "abcdef":
            (one,) = await tellings(store, name)
            assert (one.notice.last_seq, one.notice.count) == (task.result(), task.result() - one.notice.first_seq + 1)


async def test_only_those_who_have_something_to_be_told_are_woken_and_after_the_commit(tmp_path: Path) -> None:
    woken: list[set[str]] = []
    seen: list[int] = []

    async with store_with(tmp_path, webhook(), webhook("b", NoticeKind.CREATED)) as store:

        def tell(webhooks: Collection[str]) -> None:
            woken.append(set(webhooks))
            seen.append(store.log.head(pipeline).seq)

        pipeline = await add(store, "first")
        store.catalog.on_notice(tell)
        await store.log.append(pipeline, numbered(0, 2), None)
        await add(store, "second")
        await store.catalog.set_state(replace(pipeline, state=State.PAUSED), tells=NoticeKind.PAUSED)
        assert woken == [{webhook().id}, {webhook("b").id}]
        assert seen[0] == 2


async def test_what_nobody_wants_costs_no_row(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook("a", NoticeKind.FAILED)) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 5), None)
        assert await tellings(store) == []


async def test_a_webhook_that_could_not_be_made_costs_nothing_later(tmp_path: Path) -> None:
    async with store_with(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "conduit.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await store.catalog.add_webhook(webhook())
        other.execute("ROLLBACK")
        other.close()
        assert store.catalog._outbox.doubts == 0
        assert not store.catalog._outbox.wants(NoticeKind.INGESTED)


# What becomes of it ----------------------------------------------------------------------------------------------


async def test_what_waits_waits_after_a_restart_and_gathers_on(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook()) as store:
        pipeline = await add(store)
        await store.log.append(pipeline, numbered(0, 2), None)
        (taken,) = await store.catalog.take_due(webhook().id, FAR_US, 8)
        await store.log.append(pipeline, numbered(0, 2), None)
    async with store_with(tmp_path) as store:
        (pipeline,) = await store.catalog.pipelines()
        await store.log.append(pipeline, numbered(0, 2), None)
        found = await tellings(store)
        assert ranges(found) == [(1, 2, 2), (3, 6, 4)]
        assert [one.attempts for one in found] == [1, 0]
        again = await store.catalog.take_due(webhook().id, FAR_US, 8)
        assert again[0].id == taken.id, "the attempt that was cut off is made again, under the same id"


async def test_deleting_ends_while_events_keep_coming_and_leaves_nothing(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook(), webhook("b")) as store:
        pipeline = await add(store)
        for n in range(_SLICE + 10):  # more than one slice: each is taken, so that nothing gathers
            await store.log.append(pipeline, numbered(n, 1), None)
            await store.catalog.take_due(webhook().id, FAR_US, 8)
        over = False

        async def traffic() -> None:
            while not over:
                await store.log.append(pipeline, numbered(0, 1), None)
                await store.catalog.take_due(webhook().id, FAR_US, 8)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic())
            async with asyncio.timeout(10):
                await store.catalog.remove_webhook(webhook().id)
            over = True
        assert [one.id for one in await store.catalog.webhooks()] == [webhook("b").id]
        assert await tellings(store) == []
        await store.log.append(pipeline, numbered(0, 1), None)
        assert await tellings(store) == []
        assert covered(await tellings(store, "b")) == store.log.head(pipeline).seq


async def test_a_telling_that_still_gathers_is_not_older_than_what_it_tells(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with store_with(tmp_path, webhook(), clock=clock) as store:
        pipeline = await add(store)
        for _ in range(3):
            await store.log.append(pipeline, numbered(0, 1), None)
            clock.advance(20 * 3_600)
        before_us = clock.steady_us() - 24 * 3_600 * 1_000_000
        assert await store.catalog.give_up(webhook().id, before_us, clock.now_us(), "too late") == 0
        clock.advance(5 * 3_600)
        before_us = clock.steady_us() - 24 * 3_600 * 1_000_000
        assert await store.catalog.give_up(webhook().id, before_us, clock.now_us(), "too late") == 1
        (one,) = await tellings(store)
        assert (one.state, one.error) == (TellingState.FAILED, "too late")
        await store.log.append(pipeline, numbered(0, 1), None)
        assert ranges(await tellings(store)) == [(1, 3, 3), (4, 4, 1)], "what ended takes nothing in"


async def test_of_what_ended_the_newest_are_kept_and_of_what_waits_all(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook(), webhook("b")) as store:
        pipeline = await add(store)
        for n in range(30):
            await store.log.append(pipeline, numbered(n, 1), None)
            (one,) = await store.catalog.take_due(webhook().id, FAR_US, 1)
            waits = n % 10 == 0
            done = replace(one, due_us=FAR_US + 1) if waits else replace(one, state=TellingState.DELIVERED)
            await store.catalog.settle([done])
        while await store.catalog.prune_tellings(webhook().id, 5):
            pass
        found = await tellings(store)
        assert [one.notice.first_seq for one in found] == [1, 11, 21, 26, 27, 28, 29, 30]
        assert len(await tellings(store, "b")) == 1


async def test_what_is_told_again_comes_first_and_is_its_own_webhooks(tmp_path: Path) -> None:
    async with store_with(tmp_path, webhook(), webhook("b")) as store:
        pipeline = await add(store)
        numbers = []
        for n in range(4):
            await store.log.append(pipeline, numbered(n, 1), None)
            (one,) = await store.catalog.take_due(webhook().id, FAR_US, 1)
            later = replace(one, due_us=FAR_US + 1)
            await store.catalog.settle([replace(one, state=TellingState.FAILED) if n == 2 else later])
            numbers.append(one.number)
        assert await store.catalog.tell_again(webhook("b").id, numbers[2], 50) is None
        assert await store.catalog.tell_again(webhook().id, 10_000, 50) is None
        again = await store.catalog.tell_again(webhook().id, numbers[2], 50)
        assert again is not None
        assert (again.state, again.made_us, again.attempts) == (TellingState.WAITING, 50, 1)
        (first,) = await store.catalog.take_due(webhook().id, FAR_US + 2, 1)
        assert first.number == numbers[2]
