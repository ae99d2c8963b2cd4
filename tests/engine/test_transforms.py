"""Transforms on their way: rows land, culprits die alone, a crash repeats the same rows, a mended query goes on."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.dead import DeadFilter, Stage
from conduit_local.core.errors import Conflict, DeadLetterNotFound, DestinationUnavailable, InvalidRequest
from conduit_local.core.event import NewEvents
from conduit_local.core.kinds import parse_spec, patched_spec
from conduit_local.core.pipeline import Health
from conduit_local.core.run import Run, RunOptions, RunState, Trigger
from conduit_local.engine.engine import Engine
from conduit_local.engine.ledger import ledger_of
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engine.test_runs import Gate, GatedMaker
from tests.engines import engine_at, objects_below, until
from tests.making import MODEL

CAST = "SELECT event_id, CAST(payload->>'n' AS INTEGER) AS n FROM events"
ENDLESS = (
    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE (SELECT count(*) FROM events) > 0)"
    " SELECT max(i) AS i FROM r"
)
MENDED = "SELECT event_id, TRY_CAST(payload->>'n' AS INTEGER) AS n FROM events"


def spec(query: str | None = CAST, **more: Any) -> Any:
    transforms = [] if query is None else [{"type": "sql", "query": query}]
    document = {"name": "orders", "transforms": transforms, "batch": {"max_events": 100, "max_age": 0.05}} | more
    return parse_spec(document, MODEL)


def numbered(first: int, count: int, bad: frozenset[int] = frozenset()) -> NewEvents:
    payloads = [b'{"n":"x%d"}' % n if n in bad else b'{"n":%d}' % n for n in range(first, first + count)]
    return NewEvents(["a.b"] * count, payloads)


async def settled(engine: Engine, ref: str = "orders", within_s: float = 30) -> None:
    live = engine.topology.find(ref)
    await until(
        lambda: not live.asked_for() and live.pending(engine.log.head(live.pipeline).seq) == 0, within_s=within_s
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    """All rows in all files, in the order of the files' names."""
    return [json.loads(line) for content in objects_below(folder).values() for line in content.splitlines()]


def ledger(engine: Engine, ref: str = "orders") -> tuple[int, ...]:
    """Accepted, delivered, dead, pending, purged, filtered; it closes."""
    live = engine.topology.find(ref)
    found = ledger_of(live.routes["files"], engine.log.head(live.pipeline))
    assert found.closes, found
    return found.accepted, found.delivered, found.dead, found.pending, found.purged, found.filtered


async def letters(engine: Engine) -> list[Any]:
    return [letter async for letter, _ in engine.dead.each(DeadFilter())]


async def ended(engine: Engine, run: Run) -> Run:
    await settled(engine)
    return (await engine.runs.find(run.id))[0]


async def test_rows_land_in_the_place_of_events(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 250))
        await settled(engine)
        assert [row["n"] for row in rows(tmp_path / "out")] == list(range(250))
        assert set(rows(tmp_path / "out")[0]) == {"event_id", "n"}
        assert ledger(engine) == (250, 250, 0, 0, 0, 0)


async def test_what_is_filtered_out_is_counted_and_a_batch_without_rows_makes_no_object(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec("SELECT * FROM events WHERE (payload->>'n')::INTEGER >= 150"))
        await engine.ingest.accept("orders", numbered(0, 200))
        await settled(engine)
        assert list(objects_below(tmp_path / "out")) == ["orders/000000000101-000000000200.jsonl"]
        assert [row["payload"]["n"] for row in rows(tmp_path / "out")] == list(range(150, 200))
        assert ledger(engine) == (200, 200, 0, 0, 0, 150)
        first, last = reversed([run for run, _ in await engine.queries.runs("orders", before=None, limit=10)])
        assert (first.events, first.rows, first.filtered, first.object_key) == (100, 0, 100, None)
        assert (last.events, last.rows, last.filtered) == (100, 50, 50)


async def test_culprits_die_alone_and_the_rest_lands_in_order(tmp_path: Path) -> None:
    bad = frozenset({0, 7, 8, 99, 133})
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 200, bad))
        await settled(engine)
        assert [row["n"] for row in rows(tmp_path / "out")] == [n for n in range(200) if n not in bad]
        assert ledger(engine) == (200, 195, 5, 0, 0, 0)
        dead = await letters(engine)
        assert sorted(one.seq - 1 for one in dead) == sorted(bad)
        assert {one.stage for one in dead} == {Stage.TRANSFORM}
        assert all("x" in one.error and "INT" in one.error.upper() for one in dead)
        ((group, _),) = await engine.dead.groups(DeadFilter())
        assert group.count == 5


async def test_a_replay_after_the_mend_lands_the_dead_once(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 50, frozenset({3, 30})))
        await settled(engine)
        again = await engine.dead.replay("orders", DeadFilter())
        assert again.letters == 2
        failed = await ended(engine, again.run)
        assert (failed.trigger, failed.state, failed.rows, failed.dead) == (Trigger.REPLAY, RunState.SUCCESS, 0, 2)
        assert {one.attempts for one in await letters(engine)} == {2}
        await engine.manage.change("orders", lambda old: patched_spec(old, MEND, MODEL))
        done = await ended(engine, (await engine.dead.replay("orders", DeadFilter())).run)
        assert (done.state, done.rows, done.dead) == (RunState.SUCCESS, 2, 0)
        assert await letters(engine) == []
        assert len(rows(tmp_path / "out")) == 50
        assert [row["n"] for row in rows(tmp_path / "out" / "orders" / done.id)] == [None, None]
        assert ledger(engine) == (50, 50, 0, 0, 0, 0)
        with pytest.raises(DeadLetterNotFound):
            await engine.dead.replay("orders", DeadFilter())
    async with engine_at(tmp_path) as engine:
        assert ledger(engine) == (50, 50, 0, 0, 0, 0)


MEND = {"transforms": [{"type": "sql", "query": MENDED}]}


async def test_an_edited_letter_is_replayed_as_it_is_now_and_a_discarded_one_is_purged(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 10, frozenset({2, 5})))
        await settled(engine)
        second, first = await letters(engine)
        await engine.dead.edit(first.id, b'{"n": 1000,\n "note": "by hand"}')
        with pytest.raises(InvalidRequest):
            await engine.dead.edit(second.id, b"[1]")
        assert await engine.dead.discard("orders", DeadFilter(numbers=(second.number,))) == 1
        assert ledger(engine) == (10, 8, 1, 0, 1, 0)
        await ended(engine, (await engine.dead.replay("orders", DeadFilter())).run)
        assert sorted(row["n"] for row in rows(tmp_path / "out")) == [0, 1, 3, 4, 6, 7, 8, 9, 1000]
        assert ledger(engine) == (10, 9, 0, 0, 1, 0)


async def test_a_wrong_query_is_refused_when_it_is_saved_with_its_place(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        with pytest.raises(InvalidRequest, match=r"transforms\[0\].*line 2.*nope") as refused:
            await engine.manage.create(spec("SELECT event_id,\n  nope FROM events"))
        assert refused.value.problems
        assert engine.topology.live() == []
        await engine.manage.create(spec())
        wrong = {"transforms": [{"type": "sql", "query": "SELEC 1"}]}
        with pytest.raises(InvalidRequest):
            await engine.manage.change("orders", lambda old: patched_spec(old, wrong, MODEL))
        assert engine.topology.find("orders").pipeline.revision == 1


async def test_a_query_that_oversteps_blocks_its_own_route_and_goes_on_once_mended(tmp_path: Path) -> None:
    async with engine_at(tmp_path, transforms={"time_limit": 0.5}) as engine:
        await engine.manage.create(spec(ENDLESS, retry={"initial": 0.01, "max": 0.01}))
        await engine.ingest.accept("orders", numbered(0, 10))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.health is Health.BLOCKED, within_s=60)
        assert "time_limit" in (route.message or "")
        assert ledger(engine) == (10, 0, 0, 10, 0, 0)
        await engine.manage.change("orders", lambda old: patched_spec(old, MEND, MODEL))
        await settled(engine)
        assert [row["n"] for row in rows(tmp_path / "out")] == list(range(10))
        assert route.health is Health.OK


async def test_a_dry_run_says_what_would_land_and_what_would_die(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule="0 0 1 1 *"))
        await engine.ingest.accept("orders", numbered(0, 20, frozenset({4})))
        done = await ended_run(engine, await engine.runs.request("orders", RunOptions(dry_run=True)))
        assert (done.state, done.events, done.rows, done.dead) == (RunState.SUCCESS, 20, 19, 1)
        said = "\n".join(line.message for line in await engine.queries.run_lines(done, 20))
        assert "columns: event_id VARCHAR, n INTEGER" in said
        assert "event 5 of the sample would die" in said
        assert not (tmp_path / "out").exists()
        assert await letters(engine) == []


async def ended_run(engine: Engine, run: Run) -> Run:
    live = engine.topology.find("orders")
    await until(lambda: not live.asked_for(), within_s=30)
    return (await engine.runs.find(run.id))[0]


async def test_a_runs_variables_stand_in_its_query_and_are_written_down_nowhere_in_clear(tmp_path: Path) -> None:
    query = "SELECT CAST(payload->>'n' AS INTEGER) AS n, '${TAG}' AS tag FROM events"
    variables = {"TAG": "by default"}
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(query, schedule="0 0 1 1 *", variables=variables))
        await engine.ingest.accept("orders", numbered(0, 3))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        await engine.ingest.accept("orders", numbered(3, 2))
        await ended(engine, await engine.runs.request("orders", RunOptions(variables={"TAG": "it's hidden"})))
        assert [row["tag"] for row in rows(tmp_path / "out")] == ["by default"] * 3 + ["it's hidden"] * 2
        with pytest.raises(InvalidRequest, match="TAGS"):
            await engine.manage.create(spec(query.replace("TAG", "TAGS"), name="other"))
    stored = b"".join(content for name, content in objects_below(tmp_path).items() if not name.startswith("out/"))
    assert b"s hidden" not in stored


async def test_ten_thousand_with_seven_that_fail_a_cast(tmp_path: Path) -> None:
    bad = frozenset({0, 1, 1_234, 5_000, 5_001, 9_998, 9_999})
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 10_000, "max_age": 0.2}))
        await engine.ingest.accept("orders", numbered(0, 10_000, bad))
        await settled(engine)
        assert list(objects_below(tmp_path / "out")) == ["orders/000000000001-000000010000.jsonl"]
        assert [row["n"] for row in rows(tmp_path / "out")] == [n for n in range(10_000) if n not in bad]
        dead = await letters(engine)
        assert sorted(one.seq - 1 for one in dead) == sorted(bad)
        assert all(f"x{one.seq - 1}" in one.error for one in dead)
        await engine.manage.change("orders", lambda old: patched_spec(old, MEND, MODEL))
        done = await ended(engine, (await engine.dead.replay("orders", DeadFilter())).run)
        assert [row["n"] for row in rows(tmp_path / "out" / "orders" / done.id)] == [None] * 7
        assert len(rows(tmp_path / "out")) == 10_000
        assert ledger(engine) == (10_000, 10_000, 0, 0, 0, 0)


async def test_twenty_hostile_queries_leave_the_delivery_of_others_undisturbed(tmp_path: Path) -> None:
    hostile = [
        ENDLESS,
        "SELECT repeat(repeat('x', 65536), 65536) AS x FROM events",
        "SELECT list_sort(range(300000000)) AS x FROM events",
    ]
    async with engine_at(tmp_path, transforms={"time_limit": 1.0}) as engine:
        await engine.manage.create(spec(name="proven"))
        await engine.manage.create(spec(None, name="plain"))
        for name in ("proven", "plain"):
            await engine.ingest.accept(name, numbered(0, 100))
            await settled(engine, name)
        for number in range(20):
            await engine.manage.create(spec(hostile[number % 3], name=f"hostile-{number}"))
            await engine.ingest.accept(f"hostile-{number}", numbered(0, 100))
        for round_ in range(1, 11):
            for name in ("proven", "plain"):
                await engine.ingest.accept(name, numbered(100 * round_, 100))
                await settled(engine, name, within_s=5)
        assert [row["n"] for row in rows(tmp_path / "out" / "proven")] == list(range(1_100))
        assert ledger(engine, "proven") == ledger(engine, "plain") == (1_100, 1_100, 0, 0, 0, 0)
        assert {ledger(engine, f"hostile-{number}") for number in range(20)} == {(100, 0, 0, 100, 0, 0)}


async def test_the_appliance_does_not_wait_for_a_query_when_it_stops_and_blames_no_event(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with engine_at(tmp_path, transforms={"time_limit": 600}) as engine:
        await engine.manage.create(spec(ENDLESS))
        await engine.ingest.accept("orders", numbered(0, 10))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.transforming > 0)
        began = loop.time()
    assert loop.time() - began < 5
    async with engine_at(tmp_path, transforms={"time_limit": 600}) as engine:
        assert ledger(engine) == (10, 0, 0, 10, 0, 0)
        assert await letters(engine) == []
        await engine.manage.change("orders", lambda old: patched_spec(old, MEND, MODEL))


async def test_a_cancelled_replay_lands_what_it_has_in_hand_and_releases_the_rest(tmp_path: Path) -> None:
    gate = Gate()
    gate.open.set()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec(batch={"max_events": 10, "max_age": 0.05}))
        await engine.ingest.accept("orders", numbered(0, 60, frozenset(range(0, 60, 2))))
        await settled(engine)
        assert ledger(engine) == (60, 30, 30, 0, 0, 0)
        await engine.manage.change("orders", lambda old: patched_spec(old, MEND, MODEL))
        gate.open.clear()
        run = (await engine.dead.replay("orders", DeadFilter())).run
        await until(lambda: gate.waiting == 1, within_s=30)
        cancelled, _ = await engine.runs.cancel(run.id)
        assert cancelled.state is RunState.CANCELLED
        assert len([one for one in await letters(engine) if one.replay is not None]) == 10
        gate.open.set()
        live = engine.topology.find("orders")
        await until(lambda: list(live.routes) == ["files"], within_s=30)
        assert ledger(engine) == (60, 40, 20, 0, 0, 0)
        assert [one.replay for one in await letters(engine)] == [None] * 20
        await ended(engine, (await engine.dead.replay("orders", DeadFilter())).run)
        landed = [row["event_id"] for row in rows(tmp_path / "out")]
        assert (len(landed), len(set(landed))) == (60, 60)
        assert ledger(engine) == (60, 60, 0, 0, 0, 0)


async def test_a_replay_that_is_cancelled_while_it_waits_holds_nothing(tmp_path: Path) -> None:
    gate = Gate()
    gate.open.set()
    async with engine_at(tmp_path, destinations=lambda maker: GatedMaker(maker, gate)) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 10, frozenset({1, 2})))
        await settled(engine)
        gate.open.clear()
        await engine.ingest.accept("orders", numbered(10, 10))
        await engine.runs.request("orders", RunOptions())
        live = engine.topology.find("orders")
        await until(lambda: bool(live.runs))
        run = (await engine.dead.replay("orders", DeadFilter())).run
        assert live.waiting == [run]
        assert {one.replay for one in await letters(engine)} == {run.number}
        await engine.runs.cancel(run.id)
        assert {one.replay for one in await letters(engine)} == {None}
        gate.open.set()
        await settled(engine)


async def test_the_letters_of_a_full_refresh_are_not_counted_where_their_events_were(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(schedule="0 0 1 1 *"))
        await engine.ingest.accept("orders", numbered(0, 20, frozenset({3, 7})))
        await ended(engine, await engine.runs.request("orders", RunOptions()))
        await ended(engine, await engine.runs.request("orders", RunOptions(full_refresh=True)))
        assert ledger(engine) == (20, 18, 2, 0, 0, 0)
        assert {one.destination for one in await letters(engine)} == {"files"}
        assert len(await letters(engine)) == 4
        await engine.manage.change("orders", lambda old: patched_spec(old, MEND, MODEL))
        done = await ended(engine, (await engine.dead.replay("orders", DeadFilter(route="files"))).run)
        assert (done.rows, await letters(engine)) == (4, [])
        assert ledger(engine) == (20, 20, 0, 0, 0, 0)
    async with engine_at(tmp_path) as engine:
        assert ledger(engine) == (20, 20, 0, 0, 0, 0)


async def test_the_letters_of_a_destination_that_was_removed_are_not_counted_on_its_namesake(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 10, frozenset({3, 7})))
        await settled(engine)
        elsewhere = {"destinations": [{"type": "files", "name": "other", "path": "other"}]}
        await engine.manage.change("orders", lambda old: patched_spec(old, elsewhere, MODEL))
        live = engine.topology.find("orders")
        await until(lambda: list(live.routes) == ["other"])
        again = {"destinations": [{"type": "files", "name": "files", "path": "out"}]}
        await engine.manage.change("orders", lambda old: patched_spec(old, again | MEND, MODEL))
        await ended(engine, (await engine.dead.replay("orders", DeadFilter())).run)
        assert await letters(engine) == []
        assert ledger(engine) == (0, 0, 0, 0, 0, 0)
        assert len(rows(tmp_path / "out")) == 10


async def test_a_replay_does_not_wait_for_a_destination_that_is_paused(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        await engine.ingest.accept("orders", numbered(0, 10, frozenset({3})))
        await settled(engine)
        held = {"destinations": [{"type": "files", "name": "files", "path": "out", "paused": True}]}
        await engine.manage.change("orders", lambda old: patched_spec(old, held, MODEL))
        with pytest.raises(Conflict, match="files is paused"):
            await engine.dead.replay("orders", DeadFilter())
        assert [one.replay for one in await letters(engine)] == [None]


async def test_a_batch_that_has_landed_kills_no_event_when_its_repeat_takes_too_long(tmp_path: Path) -> None:
    query = "SELECT event_id, (SELECT sum(i % 7) FROM range(60000000) AS many(i)) AS n FROM events"
    async with engine_at(
        tmp_path, destinations=lambda maker: WrappedMaker(maker, lambda _, made: Losing(made))
    ) as engine:
        await engine.manage.create(spec(query, retry={"initial": 3600, "max": 3600}))
        await engine.ingest.accept("orders", numbered(0, 1))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.attempt == 1, within_s=60)
        assert len(rows(tmp_path / "out")) == 1
    async with engine_at(tmp_path, transforms={"time_limit": 0.1, "memory": 64 * 1024**2}) as engine:
        await engine.manage.change("orders", lambda old: patched_spec(old, {"retry": {"initial": 0.05}}, MODEL))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.health is Health.BLOCKED, within_s=60)
        assert route.cursor == 0
        assert await letters(engine) == []
        assert len(rows(tmp_path / "out")) == 1


class Losing(Wrapped):
    """A destination whose answers are lost behind what it wrote."""

    async def write(self, key: str, content: Content) -> Written:
        await self.real.write(key, content)
        raise DestinationUnavailable("the answer was lost")
