"""A pipeline's transforms on sample events, in a real child."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from conduit_local.config.trying import RECEIVED_AT, Sample, Tried, trial, try_out
from conduit_local.core.errors import InvalidRequest, TransformUnavailable
from conduit_local.core.kinds import Kinds, parse_spec, spec_model
from conduit_local.core.transforming import Transforms
from conduit_local.destinations.files import FilesSpec
from conduit_local.transforms.kinds import TRANSFORMS

MODEL = spec_model(Kinds(sources={}, transforms=TRANSFORMS, destinations={"files": FilesSpec}))
CAST = {"type": "sql", "query": "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}


@pytest.fixture
async def transforms() -> AsyncIterator[Transforms]:
    async with trial() as found:
        yield found


async def attempt(
    transforms: Transforms,
    payloads: list[str],
    *chain: dict[str, Any],
    given: dict[str, str] | None = None,
    **more: Any,
) -> Tried:
    spec = parse_spec({"name": "orders", "transforms": list(chain), **more}, MODEL)
    return await try_out(transforms, spec, [Sample("a.b", one.encode()) for one in payloads], given)


async def test_rows_come_in_order_and_those_that_die_say_why(transforms: Transforms) -> None:
    found = await attempt(transforms, ['{"n":3}', '{"n":"x"}', '{"n":1}', '{"n":"y"}', '{"n":2}'], CAST)
    assert found.rows == [{"n": 3}, {"n": 1}, {"n": 2}]
    assert [one.place for one in found.dead] == [1, 3]
    assert "Could not convert string 'x'" in found.dead[0].error
    assert not found.are_events


async def test_the_same_sample_gives_the_same_rows_whenever_it_is_tried(transforms: Transforms) -> None:
    whole = {"type": "sql", "query": "SELECT *, strftime(received_at, '%Y-%m-%dT%H:%M:%SZ') AS at FROM events"}
    first = await attempt(transforms, ["{}", "{}"], whole)
    async with trial() as others:
        assert await attempt(others, ["{}", "{}"], whole) == first
    assert [row["at"] for row in first.rows] == [RECEIVED_AT] * 2
    assert {row["pipeline_id"] for row in first.rows} == {"pl_test"}
    assert len({row["event_id"] for row in first.rows}) == 2
    named = await attempt(transforms, ["{}"], whole, id="pl_8f3a")
    assert named.rows[0]["pipeline_id"] == "pl_8f3a"


async def test_events_stay_events_without_transforms_or_behind_a_filter(transforms: Transforms) -> None:
    for chain in ((), ({"type": "filter", "where": "true"},)):
        found = await attempt(transforms, ['{"n":1.10}'], *chain)
        assert found.are_events
        assert (found.rows[0]["event_type"], found.rows[0]["payload"]) == ("a.b", {"n": 1.1})
    assert await attempt(transforms, []) == Tried(rows=[], are_events=True, dead=[])


async def test_variables_are_those_of_a_run(transforms: Transforms) -> None:
    chain = {"type": "filter", "where": "(payload->>'n')::INTEGER >= ${LEAST}"}
    payloads = ['{"n":1}', '{"n":2}']
    assert len((await attempt(transforms, payloads, chain, variables={"LEAST": "2"})).rows) == 1
    assert len((await attempt(transforms, payloads, chain, variables={"LEAST": "2"}, given={"LEAST": "1"})).rows) == 2
    with pytest.raises(InvalidRequest, match="LEAST"):
        await attempt(transforms, payloads, chain, variables={"LEAST": None})


async def test_a_wrong_query_says_where_and_one_without_end_comes_to_one(transforms: Transforms) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await attempt(transforms, ["{}"], CAST, {"type": "sql", "query": "SELECT\n  m FROM events"})
    (problem,) = caught.value.problems
    assert problem.field == "transforms[1]"
    assert problem.message.startswith("line 2, column 3: ")
    for query, said in (
        ("SELECT error('never') AS a", "never"),
        ("SELECT repeat(range::VARCHAR, 300000000) AS a FROM range(8)", "fails without any event: took more"),
    ):
        with pytest.raises(InvalidRequest, match=said):
            await attempt(transforms, [], {"type": "sql", "query": query})
    too_much = "SELECT repeat(payload::VARCHAR, 100000000) AS a FROM events"
    with pytest.raises(TransformUnavailable):
        await attempt(transforms, ['{"n":1}'] * 4, {"type": "sql", "query": too_much})


def entries(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with trial() as transforms:
        assert entries(tmp_path)
        await attempt(transforms, ['{"n":1}'], CAST)
    assert not entries(tmp_path)
