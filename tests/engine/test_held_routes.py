"""A destination that is held on its own: it keeps its events, and they are given up when a person takes it away."""

import re
from pathlib import Path

import pytest

from conduit_local.core.kinds import edited_spec, patched_spec
from conduit_local.core.spec import PipelineSpec
from conduit_local.engine.engine import Engine
from tests.engines import engine_at, ledgers, objects_below, until, until_delivered
from tests.making import MODEL, numbered, spec

TWO = [{"type": "files", "name": "one", "path": "one"}, {"type": "files", "name": "two", "path": "two"}]
FAST = {"max_events": 10, "max_age": "50ms"}


async def hold(engine: Engine, name: str, paused: bool = True) -> None:
    """Pause, or let go on, one destination of `orders`."""

    def edit(document: dict[str, object]) -> dict[str, object]:
        destinations = document["destinations"]
        assert isinstance(destinations, list)
        for one in destinations:
            if one["name"] == name:
                one["paused"] = paused
        return document

    await engine.manage.change("orders", lambda old: edited_spec(old, edit, MODEL))


def without(name: str) -> list[dict[str, str]]:
    return [one for one in TWO if one["name"] != name]


async def test_a_held_destination_keeps_its_events_and_the_others_go_on(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await hold(engine, "two")
        await engine.ingest.accept("orders", numbered(0, 25))
        await engine.manage.flush("orders")
        await until(lambda: ledgers(engine, "orders")["one"] == (25, 25, 0))
        assert ledgers(engine, "orders")["two"] == (25, 0, 25)
        assert objects_below(tmp_path / "two") == {}
    async with engine_at(tmp_path) as engine:  # a restart lets nothing go
        assert ledgers(engine, "orders")["two"] == (25, 0, 25)
        await hold(engine, "two", paused=False)
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders")["two"] == (25, 25, 0)
    assert sorted(objects_below(tmp_path / "one")) == sorted(objects_below(tmp_path / "two"))


async def test_removed_while_it_is_held_it_gives_up_what_it_had_and_holds_nothing_back(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await hold(engine, "two")
        await engine.ingest.accept("orders", numbered(0, 25))
        await until(lambda: ledgers(engine, "orders")["one"] == (25, 25, 0))

        def become(old: PipelineSpec) -> PipelineSpec:
            return patched_spec(old, {"destinations": without("two")}, MODEL)

        await engine.manage.change("orders", become)
        assert set(ledgers(engine, "orders")) == {"one"}
        assert engine.topology.find("orders").slowest_cursor == 25
        assert any("given up" in line.message for line in engine.journal.after(0, 100))
    async with engine_at(tmp_path) as engine:
        assert set(ledgers(engine, "orders")) == {"one"}
        await engine.ingest.accept("orders", numbered(25, 5))
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"one": (30, 30, 0)}
    assert objects_below(tmp_path / "two") == {}


async def test_a_pipeline_that_is_deleted_with_a_held_destination_is_purged(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await hold(engine, "two")
        await engine.ingest.accept("orders", numbered(0, 25))
        await engine.manage.delete("orders")
        await until(lambda: not engine.topology.departing())
        assert sum(map(len, (content.splitlines() for content in objects_below(tmp_path / "one").values()))) == 25
        assert objects_below(tmp_path / "two") == {}
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 5))
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"one": (5, 5, 0), "two": (5, 5, 0)}


async def test_a_batch_in_hand_of_a_route_that_is_given_up_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("a file where the folder belongs: every attempt fails")
    async with engine_at(tmp_path) as engine:
        retry = {"initial": "10ms", "max": "20ms"}
        await engine.manage.create(spec(batch=FAST, retry=retry, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 25))
        route = engine.topology.find("orders").routes["two"]
        await until(lambda: route.failed > 1)
        assert route.hands
        await hold(engine, "two")
        await engine.manage.change("orders", lambda old: patched_spec(old, {"destinations": without("two")}, MODEL))
    async with engine_at(tmp_path) as engine:  # the open batch went with its route, or this start would fail
        assert set(ledgers(engine, "orders")) == {"one"}
        await until_delivered(engine, "orders")


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_was_meant_for_a_place_that_was_corrected_goes_to_the_new_one(
    tmp_path: Path, concurrency: int
) -> None:
    """Also over a restart; the key follows the format and the partition of now."""
    (tmp_path / "wrong").write_text("a file where a folder belongs")
    wrong = {"type": "files", "name": "files", "path": "wrong", "concurrency": concurrency}
    retry = {"initial": "10ms", "max": "20ms"}
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, retry=retry, destinations=[wrong]))
        await engine.ingest.accept("orders", numbered(0, 40))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.failed > 3)
    async with engine_at(tmp_path) as engine:
        right = [{**wrong, "path": "right", "compression": "gzip", "partition": "y=%Y"}]
        await engine.manage.change("orders", lambda old: patched_spec(old, {"destinations": right}, MODEL))
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"files": (40, 40, 0)}
        ((run, _), *_) = reversed(await engine.queries.runs("orders", before=None, limit=10))
        lines = [line.message for line in await engine.queries.run_lines(run, 1000)]
    assert [re.sub(r"y=\d+", "y=…", key) for key in objects_below(tmp_path / "right")] == [
        f"orders/y=…/{first:012d}-{first + 9:012d}.jsonl.gz" for first in (1, 11, 21, 31)
    ]
    assert "the destination was changed: it goes where that is now" in lines
