"""S3 on bad days: servers that fail in every exchange in turn, behind a proxy. Nothing lost, nothing doubled."""

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from conduit_local.core.content import Envelopes
from conduit_local.core.delivering import Destination
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.pipeline import Health
from conduit_local.engine.clock import SteeredClock
from tests.destinations.s3_servers import Server
from tests.destinations.test_contract import content
from tests.destinations.test_s3 import KEY, LINES, landing
from tests.engines import engine_at, ledgers, until, until_delivered
from tests.making import numbered, spec
from tests.proxy import HALF, HELD, LOST, PASS, RESET, Fault, Proxy, proxied, refusal

SLOW_DOWN = refusal("503 Slow Down", body="<Error><Code>SlowDown</Code></Error>")
BROKEN = refusal("500 Internal Server Error")
FAULTS: dict[str, Fault] = {"reset": RESET, "lost": LOST, "half": HALF, "slow down": SLOW_DOWN, "broken": BROKEN}
LARGE = Envelopes([b'{"n":"%s"}\n' % (b"x" * 3_500_000)] * 3, 3)
"""Three parts of 5 MiB and less."""
LARGE_BYTES = b"".join(LARGE.parts)


@pytest.fixture(params=["moto", "swift"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


async def landed(made: Destination, key: str, what: Envelopes, at_most: int = 3) -> int:
    """Write as a route does, until it is done; how often that took."""
    for attempt in range(1, at_most + 1):
        try:
            await made.write(key, what)
        except DestinationUnavailable as error:
            if error.needs_person or attempt == at_most:
                raise
        else:
            return attempt
    raise AssertionError


async def whole(made: Destination, key: str) -> bytes:
    """An object's bytes."""
    found = await made.read(key)
    assert found is not None
    return await asyncio.to_thread(lambda: b"".join(found.pieces))


def spoil(proxy: Proxy, fault: Fault, *numbers: int) -> None:
    """Let these exchanges, counted from here, go wrong."""
    before = proxy.seen
    proxy.plan = lambda number, _request: fault if number - before in numbers else PASS


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_object_lands_once_whatever_becomes_of_each_exchange(
    tmp_path: Path, server: Server, fault: str
) -> None:
    bucket = server.new_bucket()
    with proxied(server.port) as proxy:
        async with landing(tmp_path, server.settings(bucket) | {"endpoint_url": proxy.url}) as made:
            for number in (1, 2):  # the look, the object
                spoil(proxy, FAULTS[fault], number)
                begin = proxy.seen
                assert await landed(made, f"{number}/{KEY}", content(1, 10)) == 2
                assert proxy.seen - begin <= 4
    assert server.objects(bucket) == {f"{number}/{KEY}": LINES for number in (1, 2)}


@pytest.mark.parametrize(
    ("fault", "exchanges"),
    [("reset", range(1, 8)), ("lost", range(1, 8)), ("half", (3, 7)), ("slow down", (2, 4, 7))],
)
async def test_a_large_object_lands_once_whatever_becomes_of_each_exchange(
    tmp_path: Path, moto: Server, fault: str, exchanges: Sequence[int]
) -> None:
    bucket = moto.new_bucket()
    with proxied(moto.port) as proxy:
        async with landing(tmp_path, moto.settings(bucket, part_size="5MiB") | {"endpoint_url": proxy.url}) as made:
            await made.write("all-well", LARGE)
            assert proxy.seen == 7  # the look, what is left of others, the begin, three parts, the end
            for number in exchanges:
                spoil(proxy, FAULTS[fault], number)
                assert await landed(made, f"{number}", LARGE) == 2
                assert moto.uploads(bucket) == [], number
    assert moto.objects(bucket) == dict.fromkeys(["all-well", *map(str, exchanges)], LARGE_BYTES)


async def test_a_large_object_lands_once_on_swift_too(tmp_path: Path, swift: Server) -> None:
    bucket = swift.new_bucket()
    with proxied(swift.port) as proxy:
        async with landing(tmp_path, swift.settings(bucket, part_size="5MiB") | {"endpoint_url": proxy.url}) as made:
            for fault, number in ((LOST, 7), (RESET, 5)):
                spoil(proxy, fault, number)
                assert await landed(made, f"{number} {fault!r:.6}", LARGE) == 2
                assert swift.uploads(bucket) == []
    found = swift.objects(bucket)
    assert len(found) == 2
    assert set(found.values()) == {LARGE_BYTES}


async def test_what_could_not_be_aborted_is_aborted_by_the_next_attempt(tmp_path: Path, server: Server) -> None:
    bucket = server.new_bucket()
    with proxied(server.port) as proxy:
        async with landing(tmp_path, server.settings(bucket, part_size="5MiB") | {"endpoint_url": proxy.url}) as made:
            spoil(proxy, RESET, 5)  # the second part: what was begun is aborted at once
            with pytest.raises(DestinationUnavailable):
                await made.write("large", LARGE)
            assert server.uploads(bucket) == []
            spoil(proxy, RESET, 5, 6)  # and the abort
            with pytest.raises(DestinationUnavailable):
                await made.write("large", LARGE)
            assert server.uploads(bucket) == ["large"]
            await made.write("large", LARGE)
    assert server.uploads(bucket) == []
    assert server.objects(bucket) == {"large": LARGE_BYTES}


async def test_what_a_process_that_was_killed_has_begun_is_aborted_by_the_next_one(
    tmp_path: Path, server: Server
) -> None:
    bucket = server.new_bucket()
    other = server.client.create_multipart_upload(Bucket=bucket, Key="large-of-others")
    with proxied(server.port) as proxy:
        settings = server.settings(bucket, part_size="5MiB")
        proxy.plan = lambda _number, request: HELD if b"partNumber=3" in request else PASS
        async with landing(tmp_path, settings | {"endpoint_url": proxy.url}) as made:
            ended = asyncio.ensure_future(made.write("large", LARGE))
            await until(lambda: proxy.seen == 6)
            await made.close()
            with pytest.raises(DestinationUnavailable):
                await ended
    assert sorted(server.uploads(bucket)) == ["large", "large-of-others"]
    async with landing(tmp_path, settings) as made:
        await made.write("large", LARGE)
    assert server.uploads(bucket) == ["large-of-others"]
    server.client.abort_multipart_upload(Bucket=bucket, Key="large-of-others", UploadId=other["UploadId"])
    assert server.objects(bucket) == {"large": LARGE_BYTES}


async def test_a_request_that_arrives_long_after_it_was_given_up_changes_nothing(
    tmp_path: Path, server: Server
) -> None:
    bucket = server.new_bucket()
    with proxied(server.port) as proxy:
        settings = server.settings(bucket, timeout="300ms") | {"endpoint_url": proxy.url}
        async with landing(tmp_path, settings) as made:
            spoil(proxy, HELD, 2)
            with pytest.raises(DestinationUnavailable, match=r"nothing came for 0\.3s"):
                await made.write(KEY, content(1, 10))
            async with landing(tmp_path, server.settings(bucket)) as patient:
                await patient.write(KEY, content(1, 10))
            proxy.release()
            assert await landed(made, KEY, content(1, 10)) == 1
    assert server.objects(bucket) == {KEY: LINES}


async def test_reading_half_an_answer_is_no_object(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    moto.client.put_object(Bucket=bucket, Key="large", Body=LARGE_BYTES)
    with proxied(moto.port) as proxy:
        async with landing(tmp_path, moto.settings(bucket) | {"endpoint_url": proxy.url}) as made:
            spoil(proxy, HALF, 1)
            with pytest.raises(DestinationUnavailable, match=f"read s3://{bucket}/large: "):
                await whole(made, "large")
            assert await whole(made, "large") == LARGE_BYTES


def payloads(server: Server, bucket: str) -> list[int]:
    """What lies there, in the order of the keys."""
    lines = b"".join(content for _, content in sorted(server.objects(bucket).items())).splitlines()
    return [json.loads(line)["payload"]["n"] for line in lines]


async def test_a_storm_of_faults_leaves_every_event_once(tmp_path: Path, server: Server) -> None:
    bucket = server.new_bucket()
    chance = random.Random(6)
    storm = [*FAULTS.values(), *[PASS] * 5]
    with proxied(server.port) as proxy:
        async with engine_at(tmp_path) as engine:
            destination = server.settings(bucket) | {"endpoint_url": proxy.url}
            retry = {"initial": "10ms", "max": "50ms"}
            proxy.plan = lambda _number, _request: chance.choice(storm)
            batch = {"max_events": 10, "max_age": "50ms"}
            await engine.manage.create(spec(batch=batch, retry=retry, destinations=[destination]))
            await engine.ingest.accept("orders", numbered(0, 200))
            await until_delivered(engine, "orders", 60)
            assert ledgers(engine, "orders") == {"s3": (200, 200, 0)}
            assert engine.topology.find("orders").health is Health.OK
    assert payloads(server, bucket) == list(range(200))
    assert len(server.objects(bucket)) == 20


async def test_an_outage_is_waited_out_without_spinning(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    clock = SteeredClock()
    clock.freeze(True)
    with proxied(moto.port) as proxy:
        async with engine_at(tmp_path, clock) as engine:
            destination = moto.settings(bucket, concurrency=1) | {"endpoint_url": proxy.url}
            retry = {"initial": "1s", "max": "60s"}
            outage: list[Fault] = [SLOW_DOWN, RESET, BROKEN]
            proxy.plan = lambda number, _request: outage[number % 3]
            await engine.manage.create(spec(batch={"max_events": 10}, retry=retry, destinations=[destination]))
            await engine.ingest.accept("orders", numbered(0, 30))
            route = engine.topology.find("orders").routes["s3"]
            for attempt in range(1, 30):
                await until(lambda attempt=attempt: route.attempt == attempt)  # type: ignore[misc]
                for _ in range(20):
                    await asyncio.sleep(0)
                assert proxy.seen == attempt
                assert engine.topology.find("orders").health is Health.RETRYING
                clock.advance(60)
            await until(lambda: route.attempt == 30)
            proxy.plan = lambda _number, _request: PASS
            clock.advance(60)
            await until_delivered(engine, "orders")
            assert ledgers(engine, "orders") == {"s3": (30, 30, 0)}
    assert payloads(moto, bucket) == list(range(30))


async def test_a_bucket_that_is_missing_blocks_and_nothing_is_lost_until_it_is_there(
    tmp_path: Path, moto: Server
) -> None:
    async with engine_at(tmp_path) as engine:
        retry = {"initial": "20ms", "max": "100ms"}
        destination = moto.settings("not-there-yet")
        await engine.manage.create(spec(batch={"max_events": 10}, retry=retry, destinations=[destination]))
        await engine.ingest.accept("orders", numbered(0, 40))
        live = engine.topology.find("orders")
        await until(lambda: live.health is Health.BLOCKED)
        assert "make the bucket, or correct `bucket`" in (live.routes["s3"].message or "")
        assert ledgers(engine, "orders") == {"s3": (40, 0, 40)}
        moto.client.create_bucket(Bucket="not-there-yet")
        await until_delivered(engine, "orders")
        assert live.health is Health.OK
    assert payloads(moto, "not-there-yet") == list(range(40))


async def test_a_wrong_key_blocks_and_nothing_is_lost_when_it_is_corrected(tmp_path: Path, server: Server) -> None:
    bucket = server.new_bucket()
    async with engine_at(tmp_path) as engine:
        retry = {"initial": "20ms", "max": "100ms"}
        wrong = server.settings(bucket) | {"secret_access_key": "wrong"}
        made = await engine.manage.create(spec(batch={"max_events": 10}, retry=retry, destinations=[wrong]))
        await engine.ingest.accept("orders", numbered(0, 40))
        live = engine.topology.find("orders")
        await until(lambda: live.health is Health.BLOCKED)
        assert "403" in (live.routes["s3"].message or "")
        right = spec(id=made.id, batch={"max_events": 10}, retry=retry, destinations=[server.settings(bucket)])
        await engine.manage.change("orders", lambda _before: right)
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"s3": (40, 40, 0)}
    assert payloads(server, bucket) == list(range(40))
