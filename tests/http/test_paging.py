"""Numbered pages of a list that grows at its front: nothing is skipped or shown twice, and little is remembered."""

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.keys import ANYBODY
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.run import Run, RunState, Trigger
from conduit_local.core.spec import PipelineSpec
from conduit_local.engine.queries import Queries
from conduit_local.http.paging import Anchors, RunPages

PIPELINE = Pipeline(
    number=PipelineNumber(1),
    id="pl_1",
    uuid="u",
    folder="paged",
    state=State.ACTIVE,
    spec=PipelineSpec(name="paged"),
    managed_by=None,
    created_at_us=0,
    updated_at_us=None,
    first_seq=1,
)


def page_of(rows: int, end: int, size: int, number: int) -> list[int]:
    """Rows are numbered 1 to `rows`; the newest come first, and none from `end` on."""
    return [row for row in range(rows, 0, -1) if row < end][(number - 1) * size : number * size]


@given(st.integers(0, 40), st.integers(1, 7), st.lists(st.integers(0, 5), min_size=50, max_size=50))
def test_while_rows_arrive_the_pages_are_those_of_the_moment_of_the_first(
    rows: int, size: int, arrive: list[int]
) -> None:
    anchors, there, shown = Anchors(), rows, list[int]()
    for number, more in enumerate(arrive, 1):
        end = anchors.end(("me", "list"), first=number == 1, newest=lambda there=there: there + 1)  # type: ignore[misc]
        page = page_of(there, end, size, number)
        shown += page
        if not page:
            break
        there += more
    assert shown == list(range(rows, 0, -1))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 9)), max_size=60))
def test_each_reader_and_each_list_has_an_end_of_its_own(steps: list[tuple[str, bool, int]]) -> None:
    anchors, ends, newest = Anchors(), dict[str, int](), 0
    for name, first, more in steps:
        newest += more
        found = anchors.end((name,), first=first, newest=lambda newest=newest: newest)  # type: ignore[misc]
        if first or name not in ends:
            ends[name] = newest
        assert found == ends[name]


def test_the_first_page_again_begins_anew() -> None:
    anchors = Anchors()
    assert anchors.end(("a",), first=True, newest=lambda: 5) == 5
    assert anchors.end(("a",), first=False, newest=lambda: 9) == 5
    assert anchors.end(("a",), first=True, newest=lambda: 9) == 9
    assert anchors.end(("a",), first=False, newest=lambda: 12) == 9


def test_a_later_page_without_a_first_one_begins_at_the_newest() -> None:
    """After a restart, or so many other lists that this one was forgotten."""
    assert Anchors().end(("a",), first=False, newest=lambda: 7) == 7


def test_a_thousand_lists_are_remembered_and_those_that_are_read_stay() -> None:
    anchors = Anchors()
    for number in range(5_000):
        anchors.end((str(number),), first=True, newest=lambda: 1)
        assert anchors.end(("read on",), first=number == 0, newest=lambda number=number: number) == 0  # type: ignore[misc]
    assert len(anchors._ends) == 1_000
    assert anchors.end(("4999",), first=False, newest=lambda: 2) == 1, "remembered"
    assert anchors.end(("7",), first=False, newest=lambda: 2) == 2, "forgotten"
    assert sys.getsizeof(anchors._ends) < 200_000


class Asked(Queries):
    """Runs 1 to `newest`; keeps what it was asked."""

    def __init__(self) -> None:
        self.newest = 5
        self.asked: list[tuple[int | None, int]] = []

    async def runs(
        self, ref: str | None, *, before: int | None, limit: int, offset: int = 0, **_: Any
    ) -> list[tuple[Run, Pipeline]]:
        self.asked.append((before, offset))
        numbers = range(min(before or self.newest + 1, self.newest + 1) - 1, 0, -1)
        return [(run(number), PIPELINE) for number in numbers[offset : offset + limit]]


def run(number: int) -> Run:
    return Run(
        number=number,
        pipeline=PIPELINE.number,
        trigger=Trigger.MANUAL,
        state=RunState.SUCCESS,
        through_seq=0,
        created_at_us=0,
        started_at_us=0,
    )


async def test_the_newest_run_is_asked_for_where_a_list_begins_only() -> None:
    asked = Asked()
    pages = RunPages(asked)
    shown = []
    for offset in (0, 2, 4):
        found, end = await pages.page(ANYBODY, PIPELINE, [], limit=2, offset=offset)
        assert end == 6
        shown += [one.number for one in found]
        asked.newest += 3
    assert shown == [5, 4, 3, 2, 1]
    assert asked.asked == [(None, 0), (6, 0), (6, 2), (6, 4)]


async def test_runs_of_one_state_are_a_list_of_their_own_and_none_are_none() -> None:
    asked = Asked()
    pages = RunPages(asked)
    await pages.page(ANYBODY, PIPELINE, [], limit=2, offset=0)
    asked.newest += 1
    assert (await pages.page(ANYBODY, PIPELINE, [RunState.SUCCESS], limit=2, offset=2))[1] == 7
    assert (await pages.page(ANYBODY, PIPELINE, [], limit=2, offset=2))[1] == 6
    asked.newest = 0
    assert await pages.page(ANYBODY, PIPELINE, [], limit=2, offset=0) == ([], 1)
