"""The contract of `Catalog`, run over SQLite's."""

from dataclasses import replace
from pathlib import Path

import pytest

from conduit_local.core.batch import Batch, Written
from conduit_local.core.catalog import BatchEnd
from conduit_local.core.errors import Broken, NameTaken
from conduit_local.core.keys import ApiKey, Scope, digest_of
from conduit_local.core.pipeline import Pipeline, State
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.store.store import Store
from tests.making import add, numbered, pipeline, routes_of, spec, store_at

AT_US = 1_782_050_973_000_000


def batch(of: Pipeline, first: int, last: int, route: str = "files", run: int = 0) -> Batch:
    return Batch(
        number=0,
        pipeline=of.number,
        route=route,
        run=run,
        first_seq=first,
        last_seq=last,
        key=f"orders/{first:012d}-{last:012d}.jsonl",
        destination='{"type":"files","name":"files"}',
        attempt=1,
    )


def end(of: Batch, size: int = 10) -> BatchEnd:
    line = RunLine(at_us=AT_US, level="INFO", message=f"{of.count} rows")
    return BatchEnd(
        batch=of, written=Written("/out/x", size), rows=of.count, events=("evt_a", "evt_b"), at_us=AT_US, line=line
    )


async def only_route(store: Store) -> tuple[int, int]:
    (route,) = await store.catalog.routes()
    return route.cursor, route.delivered


async def test_a_pipeline_is_kept_with_its_routes(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store, destinations=[{"type": "files"}, {"type": "files", "path": "b", "compression": "gzip"}])
    async with store_at(tmp_path) as store:
        assert await store.catalog.pipelines() == [made]
        assert [(one.name, one.start_seq, one.cursor) for one in await store.catalog.routes()] == [
            ("files", 0, 0),
            ("files-2", 0, 0),
        ]


@pytest.mark.parametrize("taken", ["name", "id", "uuid"])
async def test_two_live_pipelines_share_neither_name_nor_id(tmp_path: Path, taken: str) -> None:
    async with store_at(tmp_path) as store:
        first = await add(store, "first")
        other = pipeline("first" if taken == "name" else "second")
        other = replace(
            other, id=first.id if taken == "id" else "pl_other", uuid=first.uuid if taken == "uuid" else "u"
        )
        with pytest.raises(NameTaken):
            await store.catalog.add_pipeline(other, [])
        assert await store.catalog.pipelines() == [first]
        assert len(await store.catalog.routes()) == 1


async def test_a_refused_change_leaves_the_rest_of_its_group_alone(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        first, second = await add(store, "first"), await add(store, "second")
        renamed = replace(second, spec=spec("first"))
        refused = store.catalog.change_pipeline(renamed, routes_of(renamed.spec), 0)
        accepted = store.log.append(first, numbered(0, 1), None)
        with pytest.raises(NameTaken):
            await refused
        assert (await accepted).first_seq == 1
        assert [one.name for one in await store.catalog.pipelines()] == ["first", "second"]


async def test_a_successor_in_the_same_folder_numbers_on(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        old = await add(store)
        await store.log.append(old, numbered(0, 7), None)
        await store.catalog.delete_pipeline(replace(old, updated_at_us=AT_US), 7)
        new = await add(store)
        assert (new.folder, new.first_seq) == ("orders", 8)
        assert new.number != old.number
        assert (await store.log.append(new, numbered(0, 1), None)).first_seq == 8
        assert store.log.head(old).seq == 7
    async with store_at(tmp_path) as store:
        found = {one.number: one for one in await store.catalog.pipelines()}
        assert (found[old.number].deleted, found[new.number].deleted) == (True, False)
        assert store.log.head(new).seq == 8


async def test_a_folder_belongs_to_one_live_pipeline(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        first = await add(store, "orders")
        renamed = replace(first, spec=spec("invoices"), updated_at_us=AT_US)
        await store.catalog.change_pipeline(renamed, routes_of(renamed.spec), 0)
        second = await add(store, "orders", id="pl_second")
        assert (first.folder, second.folder) == ("orders", "orders~2")


async def test_a_new_destination_begins_at_the_head_and_a_removed_one_ends_there(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(
            store, destinations=[{"type": "files", "name": "a"}, {"type": "files", "name": "b", "path": "b"}]
        )
        changed = replace(
            made, spec=spec(destinations=[{"type": "files", "name": "a"}, {"type": "files", "name": "c", "path": "c"}])
        )
        records = {one.name: one for one in await store.catalog.change_pipeline(changed, routes_of(changed.spec), 40)}
        assert {name: (one.start_seq, one.cursor, one.through_seq) for name, one in records.items()} == {
            "a": (0, 0, None),
            "b": (0, 0, 40),
            "c": (40, 40, None),
        }
        back = await store.catalog.change_pipeline(made, routes_of(made.spec), 50)
        assert {one.name: one.through_seq for one in back} == {"a": None, "b": None, "c": 50}
        await store.catalog.end_route(made.number, "c")
        assert [one.name for one in await store.catalog.routes()] == ["a", "b"]


async def test_closing_a_batch_moves_the_cursor_and_ends_its_run(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store)
        opened = await store.catalog.open_batch(batch(made, 1, 100), AT_US)
        assert await store.catalog.open_batches() == [opened]
        assert await only_route(store) == (0, 0)
        (run,) = await store.catalog.runs([made.number], before=None, limit=10)
        assert (run.trigger, run.state, run.object_key) == (Trigger.STREAM, RunState.RUNNING, opened.key)
        following = await store.catalog.open_batch(batch(made, 101, 150), AT_US, [end(opened)])
        assert await only_route(store) == (100, 100)
        await store.catalog.close_batches([end(following)])
        assert await only_route(store) == (150, 150)
        assert await store.catalog.open_batches() == []
        runs = await store.catalog.runs([made.number], before=None, limit=10)
        assert [(one.state, one.rows, one.attempts) for one in runs] == [
            (RunState.SUCCESS, 50, 1),
            (RunState.SUCCESS, 100, 1),
        ]
        assert [line.message for line in await store.catalog.run_lines(runs[0].number, 10)] == ["50 rows"]


async def test_a_batch_is_closed_once_and_only_where_the_cursor_stands(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store)
        opened = await store.catalog.open_batch(batch(made, 1, 10), AT_US)
        await store.catalog.close_batches([end(opened)])
        with pytest.raises(Broken, match="cursor"):
            await store.catalog.close_batches([end(opened)])
        ahead = await store.catalog.open_batch(batch(made, 20, 30), AT_US)
        with pytest.raises(Broken, match="cursor"):
            await store.catalog.close_batches([end(ahead)])
        assert await only_route(store) == (10, 10)


async def test_a_failed_attempt_is_kept_with_its_reason(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store)
        opened = await store.catalog.open_batch(batch(made, 1, 5), AT_US)
        line = RunLine(at_us=AT_US, level="ERROR", message="no room; again in 1s")
        await store.catalog.note_attempt(replace(opened, attempt=2), "no room", line)
        (again,) = await store.catalog.open_batches()
        assert again.attempt == 2
        run = await store.catalog.run(opened.run)
        assert run is not None
        assert (run.error, run.attempts, run.state) == ("no room", 1, RunState.RUNNING)
        await store.catalog.close_batches([end(again)])
        run = await store.catalog.run(opened.run)
        assert run is not None
        assert (run.error, run.attempts, run.state) == (None, 2, RunState.SUCCESS)


async def test_a_run_of_several_batches_adds_them_up_and_ends_when_told(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store)
        run = await store.catalog.begin_run(
            Run(
                number=0,
                pipeline=made.number,
                trigger=Trigger.MANUAL,
                state=RunState.RUNNING,
                through_seq=20,
                created_at_us=AT_US,
                started_at_us=AT_US,
            )
        )
        first = await store.catalog.open_batch(batch(made, 1, 10, run=run.number), AT_US)
        second = await store.catalog.open_batch(batch(made, 11, 20, run=run.number), AT_US, [end(first)])
        await store.catalog.close_batches([end(second, 30)])
        assert [one.number for one in await store.catalog.under_way()] == [run.number]
        await store.catalog.keep_run(replace(run, state=RunState.SUCCESS, finished_at_us=AT_US + 1))
        assert await store.catalog.under_way() == []
        found = await store.catalog.run(run.number)
        assert found is not None
        assert (found.rows, found.batches, found.size_bytes, found.finished_at_us) == (20, 2, 40, AT_US + 1)


async def test_a_state_and_its_run_are_kept_together(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store)
        drain = Run(
            number=0,
            pipeline=made.number,
            trigger=Trigger.DRAIN,
            state=RunState.RUNNING,
            through_seq=0,
            created_at_us=AT_US,
            started_at_us=AT_US,
        )
        number = await store.catalog.set_state(replace(made, state=State.DRAINING, updated_at_us=AT_US), begins=drain)
        assert number is not None
        ended = replace(drain, number=number, state=RunState.SUCCESS, finished_at_us=AT_US)
        await store.catalog.set_state(replace(made, state=State.STOPPED, updated_at_us=AT_US), ends=ended)
    async with store_at(tmp_path) as store:
        assert [one.state for one in await store.catalog.pipelines()] == [State.STOPPED]
        assert await store.catalog.under_way() == []


async def test_runs_are_paged_and_filtered(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        one, other = await add(store, "one"), await add(store, "other")
        for n in range(10):
            of = one if n % 2 else other
            opened = await store.catalog.open_batch(batch(of, n // 2 + 1, n // 2 + 1), AT_US)
            if n < 8:
                await store.catalog.close_batches([end(opened)])
        both = [one.number, other.number]
        assert [run.number for run in await store.catalog.runs(both, before=None, limit=3)] == [10, 9, 8]
        assert [run.number for run in await store.catalog.runs(both, before=8, limit=3)] == [7, 6, 5]
        assert [run.number for run in await store.catalog.runs([one.number], before=None, limit=2)] == [10, 8]
        running = await store.catalog.runs(both, before=None, limit=10, states=[RunState.RUNNING])
        assert [run.number for run in running] == [10, 9]
        assert await store.catalog.runs(both, before=None, limit=10, trigger=Trigger.DRAIN) == []
        assert await store.catalog.runs([], before=None, limit=10) == []


async def test_old_runs_are_pruned_and_the_running_stay_and_batches_outlive_them(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store, destinations=[{"type": "files"}, {"type": "files", "path": "b"}])
        stuck = await store.catalog.open_batch(batch(made, 1, 1, route="files-2"), AT_US)
        for n in range(1, 31):
            opened = await store.catalog.open_batch(batch(made, n, n), AT_US)
            await store.catalog.close_batches([end(opened)])
        assert await store.catalog.prune_runs(made.number, 10) == 20
        assert await store.catalog.prune_runs(made.number, 10) == 0
        runs = await store.catalog.runs([made.number], before=None, limit=100)
        assert [run.number for run in runs] == [*range(31, 21, -1), stuck.run]
        assert await store.catalog.prune_batches(made.number, 20) == 10
        assert await store.catalog.prune_batches(made.number, 20) == 0
        assert await store.catalog.prune_batches(made.number, 5) == 10  # the newest ten have their runs still
        assert await store.catalog.open_batches() == [stuck]
        assert await store.catalog.batch_of(made.number, "files", 5) is None
        landed = await store.catalog.landed(made.number, "files", 25, 3)
        assert [(one.first_seq, one.rows, one.first_event) for one in landed] == [(n, 1, "evt_a") for n in (26, 27, 28)]
        found = await store.catalog.batch_of(made.number, "files", 30)
        assert found is not None
        assert (found[0].first_seq, found[1]) == (30, AT_US)


async def test_the_batch_that_took_an_event_is_found(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        made = await add(store)
        first = await store.catalog.open_batch(batch(made, 1, 100), AT_US)
        second = await store.catalog.open_batch(batch(made, 101, 150), AT_US, [end(first)])
        for seq, expected in ((1, first), (100, first), (101, second), (150, second)):
            found = await store.catalog.batch_of(made.number, "files", seq)
            assert found is not None
            assert found[0].number == expected.number
        assert await store.catalog.batch_of(made.number, "files", 151) is None
        assert await store.catalog.batch_of(made.number, "other", 1) is None


async def test_purging_drops_all_of_a_pipeline_and_nothing_of_another(tmp_path: Path) -> None:
    async with store_at(tmp_path) as store:
        gone, kept = await add(store, "gone"), await add(store, "kept")
        for of in (gone, kept):
            opened = await store.catalog.open_batch(batch(of, 1, 5), AT_US)
            await store.catalog.close_batches([end(opened)])
        await store.catalog.purge_pipeline(gone.number)
        assert [one.name for one in await store.catalog.pipelines()] == ["kept"]
        assert [one.pipeline for one in await store.catalog.routes()] == [kept.number]
        both = [gone.number, kept.number]
        assert [run.pipeline for run in await store.catalog.runs(both, before=None, limit=10)] == [kept.number]


async def test_keys_are_kept_as_digests_and_revoked_for_good(tmp_path: Path) -> None:
    key = ApiKey(
        id="key_1",
        name="laptop",
        prefix="ck_live_abcd",
        digest=digest_of("ck_live_abcdefgh"),
        scopes=frozenset({Scope.READ, Scope.INGEST}),
        created_at_us=AT_US,
        last_used_at_us=None,
        revoked_at_us=None,
    )
    async with store_at(tmp_path) as store:
        await store.catalog.add_key(key)
        await store.catalog.touch_keys({"key_1": AT_US + 5, "key_unknown": 1})
        await store.catalog.revoke_key("key_1", AT_US + 9)
        await store.catalog.revoke_key("key_1", AT_US + 99)
    async with store_at(tmp_path) as store:
        assert await store.catalog.keys() == [replace(key, last_used_at_us=AT_US + 5, revoked_at_us=AT_US + 9)]
    assert b"abcdefgh" not in (tmp_path / "conduit.db").read_bytes()
