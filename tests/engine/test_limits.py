"""The rate limit's bucket: never more than it promises, never less, whatever the clock does."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.core.errors import RateLimited
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.limits import Bucket
from tests.engines import engine_at
from tests.making import numbered, spec

SECOND_US = 1_000_000
NOW_US = 1_782_050_973_000_000
DAY_US = 86_400 * SECOND_US

buckets = st.tuples(st.integers(1, 2_000_000), st.floats(0.001, 86_400))
steps = st.lists(st.integers(0, 120 * SECOND_US), min_size=1, max_size=200)


def taken(bucket: Bucket, now_us: int) -> bool:
    try:
        bucket.take(now_us)
    except RateLimited:
        return False
    return True


def test_a_full_bucket_gives_all_it_holds_at_once_and_then_one_at_a_time() -> None:
    bucket = Bucket(10, 60.0)
    assert [taken(bucket, NOW_US) for _ in range(11)] == [True] * 10 + [False]
    assert [taken(bucket, NOW_US + second * SECOND_US) for second in (5, 6, 7, 11, 12)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_what_is_not_taken_does_not_pile_up() -> None:
    bucket = Bucket(3, 60.0)
    bucket.take(NOW_US)
    assert [taken(bucket, NOW_US + DAY_US) for _ in range(5)] == [True] * 3 + [False] * 2


@given(buckets, steps)
@example((1, 60.0), [0] * 10)
def test_never_more_is_given_than_it_holds_and_gains(kind: tuple[int, float], waits: list[int]) -> None:
    requests, per_s = kind
    bucket = Bucket(requests, per_s)
    now_us, given_count = NOW_US, 0
    for wait_us in waits:
        now_us += wait_us
        given_count += taken(bucket, now_us)
    gained = (now_us - NOW_US) * requests / (per_s * SECOND_US)
    assert given_count <= requests + gained + 1e-6 * len(waits)
    assert 0 <= bucket.remaining <= requests


@given(st.integers(1, 300), st.floats(0.001, 86_400), st.integers(0, 120 * SECOND_US))
@example(3, 7.0, 0)
@example(7, 0.3, 1)
def test_whoever_waits_as_long_as_was_said_is_served(requests: int, per_s: float, wait_us: int) -> None:
    bucket = Bucket(requests, per_s)
    for now_us in (NOW_US, NOW_US + wait_us):
        while taken(bucket, now_us):
            pass
    with pytest.raises(RateLimited) as caught:
        bucket.take(now_us)
    assert caught.value.retry_after_s >= 1
    assert caught.value.limit == requests
    assert taken(bucket, now_us + caught.value.retry_after_s * SECOND_US)


def test_a_refusal_takes_nothing() -> None:
    bucket = Bucket(1, 10.0)
    bucket.take(NOW_US)
    for n in range(1, 100):
        assert not taken(bucket, NOW_US + n * SECOND_US // 10)
    assert taken(bucket, NOW_US + 10 * SECOND_US)


def test_it_says_when_it_is_full_again() -> None:
    bucket = Bucket(60, 60.0)
    for _ in range(30):
        bucket.take(NOW_US)
    assert bucket.remaining == 30
    assert 30 <= bucket.reset_at_s(NOW_US) - NOW_US // SECOND_US <= 31


@pytest.mark.parametrize("jump_us", [-2 * 3_600 * SECOND_US, DAY_US, -400 * DAY_US])
async def test_a_time_of_day_that_jumps_neither_fills_nor_locks_it(tmp_path: Path, jump_us: int) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(limits={"requests_per_minute": 2}, batch={"max_age": "1h"}))
        await asyncio.gather(*(engine.ingest.accept("orders", numbered(n, 1)) for n in range(2)))
        clock.set(clock.now_us() + jump_us)
        with pytest.raises(RateLimited) as caught:
            await engine.ingest.accept("orders", numbered(2, 1))
        assert caught.value.retry_after_s == 30
        clock.advance(30)
        await engine.ingest.accept("orders", numbered(2, 1))
        with pytest.raises(RateLimited):
            await engine.ingest.accept("orders", numbered(3, 1))


async def test_a_changed_limit_holds_from_there_on(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with engine_at(tmp_path, clock) as engine:
        await engine.manage.create(spec(limits={"requests_per_minute": 1}))
        await engine.ingest.accept("orders", numbered(0, 1))
        with pytest.raises(RateLimited):
            await engine.ingest.accept("orders", numbered(1, 1))
        await engine.manage.change("orders", lambda _: spec(limits={"requests_per_minute": None}))
        for n in range(1, 20):
            await engine.ingest.accept("orders", numbered(n, 1))
