import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.batch import Chunk, Closing, Partition, cut, first_lines, object_key
from conduit_local.core.spec import BatchSpec

HOUR_US = 3_600_000_000


def bounds(max_events: int = 1_000, max_bytes: int = 8 * 1024**2) -> BatchSpec:
    return BatchSpec.model_construct(max_events=max_events, max_bytes=max_bytes, max_age=5.0)


def chunk(first: int, count: int, *, at_us: int = HOUR_US, width: int = 10) -> Chunk:
    lines = b"".join(b"%0*d\n" % (width - 1, seq) for seq in range(first, first + count))
    return Chunk(first, first + count - 1, at_us, lines)


def chunks(sizes: list[int], first: int = 1) -> list[Chunk]:
    made = []
    for size in sizes:
        made.append(chunk(first, size))
        first += size
    return made


def one_folder(_at_us: int) -> str:
    return ""


def test_nothing_makes_no_batch() -> None:
    assert cut([], bounds(), one_folder, None) is None


def test_a_batch_that_is_not_full_stays_open() -> None:
    found = cut(chunks([3, 4]), bounds(10), one_folder, None)
    assert found is not None
    assert (found.first_seq, found.last_seq, found.count, found.closing) == (1, 7, 7, None)


def test_a_batch_closes_by_count_in_the_middle_of_a_chunk() -> None:
    found = cut(chunks([3, 4, 5]), bounds(5), one_folder, None)
    assert found is not None
    assert (found.first_seq, found.last_seq, found.closing) == (1, 5, Closing.COUNT)
    assert b"".join(found.parts) == chunk(1, 5).lines


def test_a_batch_closes_by_bytes_and_holds_no_more_than_them() -> None:
    found = cut(chunks([3, 4, 5]), bounds(max_bytes=65), one_folder, None)
    assert found is not None
    assert (found.last_seq, found.size_bytes, found.closing) == (6, 60, Closing.BYTES)


def test_an_event_larger_than_a_batch_is_a_batch_of_its_own() -> None:
    found = cut([chunk(1, 3, width=5_000)], bounds(max_bytes=1_024), one_folder, None)
    assert found is not None
    assert (found.first_seq, found.last_seq, found.size_bytes, found.closing) == (1, 1, 5_000, Closing.BYTES)


def test_a_batch_closes_where_the_partition_changes() -> None:
    partition = Partition("hour=%H")
    found = cut([chunk(1, 2), chunk(3, 2, at_us=2 * HOUR_US)], bounds(), partition.of, None)
    assert found is not None
    assert (found.last_seq, found.partition, found.closing) == (2, "hour=01", Closing.PARTITION)


def test_a_batch_goes_no_further_than_it_was_asked() -> None:
    found = cut(chunks([3, 4]), bounds(), one_folder, 5)
    assert found is not None
    assert (found.last_seq, found.closing) == (5, Closing.THROUGH)
    exact = cut(chunks([3, 4]), bounds(), one_folder, 7)
    assert exact is not None
    assert (exact.last_seq, exact.closing) == (7, Closing.THROUGH)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.integers(1, 40),
    st.integers(10, 400),
)
def test_batches_follow_from_the_events_not_from_how_they_were_grouped(
    sizes: list[int], other_sizes: list[int], max_events: int, max_bytes: int
) -> None:
    total = min(sum(sizes), sum(other_sizes))

    def batches(grouping: list[int]) -> list[tuple[int, int, bytes]]:
        made: list[tuple[int, int, bytes]] = []
        everything = chunk(1, total).lines
        after = 0
        while True:
            rest, first = [], after + 1
            for size in [*grouping, total]:
                last = min(first + size - 1, total)
                if first > total:
                    break
                rest.append(Chunk(first, last, HOUR_US, everything[(first - 1) * 10 : last * 10]))
                first = last + 1
            found = cut(rest, bounds(max_events, max_bytes), one_folder, None)
            if found is None or found.closing is None:
                return made
            made.append((found.first_seq, found.last_seq, b"".join(found.parts)))
            after = found.last_seq

    one, other = batches(sizes), batches(other_sizes)
    assert one == other
    assert [first for first, _, _ in one] == [1, *(last + 1 for _, last, _ in one)][: len(one)]
    for first, last, lines in one:
        assert lines == chunk(first, last - first + 1).lines
        assert last - first + 1 <= max_events
        assert len(lines) <= max_bytes


@given(st.lists(st.binary(max_size=5).map(lambda raw: raw.replace(b"\n", b"")), max_size=10), st.integers(0, 12))
def test_the_first_lines_are_the_first_lines(rows: list[bytes], count: int) -> None:
    lines = b"".join(row + b"\n" for row in rows)
    assert first_lines(lines, count) == b"".join(row + b"\n" for row in rows[:count])


def test_an_object_is_named_by_folder_partition_and_numbers() -> None:
    assert object_key("orders", "dt=2026-06-21/hour=14", 1, 100, "jsonl.zst") == (
        "orders/dt=2026-06-21/hour=14/000000000001-000000000100.jsonl.zst"
    )
    assert object_key("orders", "", 7, 7, "jsonl") == "orders/000000000007-000000000007.jsonl"


def test_a_partition_is_the_time_of_receipt_in_utc() -> None:
    assert Partition("dt=%Y-%m-%d/hour=%H/m=%M").of(1_782_050_973_000_000) == "dt=2026-06-21/hour=14/m=09"
    assert Partition("").of(0) == ""


@pytest.mark.parametrize(
    "pattern",
    ["..", "../x", "/abs", "a//b", "a/", "a b", "%s", "%", "a\n", "a\0", "%Y/../..", "x" * 201, ".hidden", "ä"],
)
def test_a_partition_that_could_lead_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="partition"):
        Partition(pattern)


def test_lines_in_these_tests_are_what_the_log_would_keep() -> None:
    assert [json.loads(line.lstrip(b"0") or b"0") for line in chunk(1, 3).lines.splitlines()] == [1, 2, 3]
