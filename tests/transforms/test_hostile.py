"""FAULTS 23: queries that want more than they may have. Each costs its own pipeline; the next batch goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.transforming import Overstepped, QueryRefused, RowsRefused
from conduit_local.transforms.running import SqlTransforms, open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.making import (
    ENDLESS,
    bytes_of,
    children,
    files_in,
    lines_of,
    orders,
    reading,
    recipe_of,
    rows_of,
    sql,
)

MIB = 1024**2
HOSTILE, PLAIN = PipelineNumber(1), PipelineNumber(2)
TRUE = recipe_of({"type": "filter", "where": "true"})


@pytest.fixture
async def strict(scratch: Path) -> AsyncIterator[SqlTransforms]:
    """Little time and memory."""
    settings = TransformSettings(time_limit=1.5, memory=128 * MIB)
    async with open_transforms(settings, scratch=scratch) as running:
        yield running


async def overstepped(transforms: SqlTransforms, query: str, events: int = 10) -> str:
    with pytest.raises(Overstepped) as caught:
        await transforms.apply(HOSTILE, sql(query), reading(orders(events)))
    return caught.value.message


async def test_a_query_without_end_is_stopped_at_its_time(strict: SqlTransforms, scratch: Path) -> None:
    said = await overstepped(strict, ENDLESS)
    assert said == "took longer than 1.5s (transforms.time_limit in the settings)"
    parts = orders(10)
    assert bytes_of(await strict.apply(HOSTILE, TRUE, reading(parts))) == b"".join(parts)
    assert files_in(scratch) == []


async def test_a_check_without_end_is_stopped_too(strict: SqlTransforms) -> None:
    with pytest.raises(Overstepped, match=r"transforms\.time_limit"):
        await strict.check(sql(ENDLESS))
    assert await strict.check(TRUE)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT length(repeat('x', 4000000000)) AS n FROM events",
        "SELECT list_sort(range(300000000))[1] AS n",
        "SELECT repeat(event_id, 20000000) AS a FROM events",
        "SELECT string_agg(repeat('x', 10000000), '') AS a FROM range(1000)",
        "SELECT [repeat('x', 1000000) FOR n IN range(100000)] AS a",
    ],
)
async def test_a_query_that_expands_is_stopped_at_its_memory(strict: SqlTransforms, query: str) -> None:
    said = await overstepped(strict, query)
    assert said.endswith("(transforms.memory in the settings)") or said == (
        "took longer than 1.5s (transforms.time_limit in the settings)"
    )
    assert rows_of(await strict.apply(PLAIN, sql("SELECT 1 AS a"), reading(orders(1)))) == [{"a": 1}]


async def test_a_child_stays_within_its_memory(strict: SqlTransforms) -> None:
    said = await overstepped(strict, "SELECT length(repeat('x', 1000000000)) AS n FROM events")
    assert "transforms.memory" in said


async def test_an_output_too_large_is_stopped_and_leaves_no_file(scratch: Path) -> None:
    query = sql("SELECT repeat('x', 10000) AS a FROM events, range(100)")
    async with open_transforms(TransformSettings(max_output=4 * MIB), scratch=scratch) as transforms:
        with pytest.raises(Overstepped) as caught:
            await transforms.apply(HOSTILE, query, reading(orders(10)))
        assert caught.value.message == "its rows take more than 4 MiB (transforms.max_output in the settings)"
        assert files_in(scratch) == []
        assert len(rows_of(await transforms.apply(HOSTILE, query, reading(orders(2))))) == 200


async def test_nothing_is_read_or_written_besides_the_events(transforms: SqlTransforms, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    target = tmp_path / "target"
    for query in (
        f"SELECT * FROM read_csv('{secret}')",
        f"SELECT * FROM '{secret}'",
        "SELECT * FROM read_csv('source', columns = {'a': 'VARCHAR'})",
        "SELECT * FROM 'https://example.com/a.csv'",
        f"COPY (SELECT 1) TO '{target}'",
        f"WITH x AS (SELECT 1) COPY x TO '{target}'",
        f"ATTACH '{target}' AS a",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT 1; SELECT 2",
        "SELECT getenv('HOME')",
    ):
        with pytest.raises(QueryRefused) as caught:
            await transforms.apply(HOSTILE, sql(query), reading(orders(1)))
        assert str(tmp_path) not in caught.value.message.replace(str(secret), "")
    assert not target.exists()


async def test_a_message_never_says_where_our_files_lie(transforms: SqlTransforms, scratch: Path) -> None:
    with pytest.raises(RowsRefused) as caught:
        await transforms.apply(HOSTILE, TRUE, reading([b'{"event_id":"x"}\n']))
    assert str(scratch) not in caught.value.message
    with pytest.raises(RowsRefused) as caught:
        await transforms.apply(HOSTILE, TRUE, reading([b"\xff\xfe" + orders(1)[0]]))
    assert str(scratch) not in caught.value.message
    assert len(caught.value.message) <= 2_000


async def test_a_message_is_of_bounded_length(transforms: SqlTransforms) -> None:
    with pytest.raises(RowsRefused) as caught:
        await transforms.apply(HOSTILE, sql("SELECT error(repeat('x', 100000)) AS a FROM events"), reading(orders(1)))
    assert len(caught.value.message) == 2_000


async def test_the_culprit_can_be_found_by_halving(strict: SqlTransforms) -> None:
    """What the engine does with a batch that oversteps: the others come through."""
    long = "CASE WHEN (payload->>'n')::BIGINT = 5 THEN length(repeat('x', 4000000000)) END"
    query = f"SELECT payload->>'n' AS n, {long} AS x FROM events"
    lines = b"".join(lines_of(f'{{"n": {n}}}' for n in range(8))).splitlines(keepends=True)
    landed: list[str] = []
    dead: list[bytes] = []

    async def halve(some: list[bytes]) -> None:
        try:
            landed.extend(row["n"] for row in rows_of(await strict.apply(HOSTILE, sql(query), reading(some))))
        except Overstepped:
            if len(some) == 1:
                dead.extend(some)
                return
            await halve(some[: len(some) // 2])
            await halve(some[len(some) // 2 :])

    await halve(lines)
    assert landed == ["0", "1", "2", "3", "4", "6", "7"]
    assert dead == [lines[5]]


@pytest.mark.slow
async def test_twenty_hostile_pipelines_leave_a_proven_one_undisturbed(scratch: Path) -> None:
    recipe = sql("SELECT payload->>'mag' AS mag FROM events WHERE (payload->>'mag')::DOUBLE > 4")
    parts, proven = orders(1_000), PipelineNumber(100)
    attacks = (ENDLESS, "SELECT list_sort(range(300000000))[1] AS n, length(repeat('x', 4000000000)) AS l")
    stopped: list[Overstepped] = []

    async def attack(owner: int) -> None:
        while True:
            try:
                await transforms.apply(PipelineNumber(owner), sql(attacks[owner % 2]), reading(parts))
            except Overstepped as error:
                stopped.append(error)

    async with open_transforms(TransformSettings(), scratch=scratch) as transforms:
        for _ in range(3):
            bytes_of(await transforms.apply(proven, recipe, reading(parts)))
        alone_s = await _times(transforms, proven, recipe, parts)
        async with asyncio.TaskGroup() as tasks:
            attacking = [tasks.create_task(attack(owner)) for owner in range(20)]
            async with asyncio.timeout(30):
                while len(children()) < 3 or not stopped:
                    bytes_of(await transforms.apply(proven, recipe, reading(parts)))
            beside_s = await _times(transforms, proven, recipe, parts)
            for task in attacking:
                task.cancel()
    print(f"p95 alone {alone_s * 1000:.0f} ms, beside twenty hostile ones {beside_s * 1000:.0f} ms")
    assert beside_s < max(10 * alone_s, 0.75)


async def _times(
    transforms: SqlTransforms, owner: PipelineNumber, recipe: tuple[str, ...], parts: list[bytes]
) -> float:
    """The 95th of a hundred, of the seconds that fifty batches took."""
    clock = asyncio.get_running_loop().time
    took: list[float] = []
    for _ in range(50):
        begun_at = clock()
        bytes_of(await transforms.apply(owner, recipe, reading(parts)))
        took.append(clock() - begun_at)
    return sorted(took)[47]
