"""Landing in S3, on servers that are not ours, read back with a client that is not ours."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.content import Envelopes
from conduit_local.core.delivering import Destination
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.destinations.s3 import bucket as s3_bucket
from conduit_local.destinations.s3.spec import S3Spec
from conduit_local.egress.addresses import Addresses
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.egress.resolver import LookUp, Resolver
from conduit_local.transforms.encoding import open_encoder
from conduit_local.transforms.settings import TransformSettings
from tests.destinations.s3_servers import Server
from tests.destinations.test_contract import content, parts
from tests.engines import means_at, until
from tests.proxy import HELD, proxied

KEY = "orders/000000000001-000000000010.jsonl"
LINES = b"".join(parts(1, 10))


@asynccontextmanager
async def landing(
    folder: Path,
    settings: dict[str, Any],
    guard: Guard | None = None,
    environment: dict[str, str] | None = None,
    look_up: LookUp | None = None,
) -> AsyncIterator[Destination]:
    """The destination, closed at the end."""
    guard = guard or Guard((), loopback=True)
    with ThreadPoolExecutor(2) as threads:
        async with (
            HttpClient(guard) as sender,
            open_encoder(TransformSettings(), scratch=folder / "encoding") as encoder,
        ):
            means = means_at(folder, threads, sender, guard, encoder)
            if environment is not None:
                means = replace(means, environment=environment)
            if look_up is not None:
                means = replace(means, addresses=Addresses(guard, Resolver(look_up)).of)
            made = DestinationMaker(means).make(S3Spec.model_validate(settings))
            try:
                yield made
            finally:
                await made.close()


async def refused(made: Destination, *, needs_person: bool) -> str:
    """What a write is answered, which fails."""
    with pytest.raises(DestinationUnavailable) as caught:
        await made.write(KEY, content(1, 10))
    assert caught.value.needs_person is needs_person, caught.value.message
    return caught.value.message


@pytest.fixture(params=["moto", "swift", "rclone"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["moto", "swift"])
def strict(request: pytest.FixtureRequest) -> Server:
    """Those that have conditional create."""
    found: Server = request.getfixturevalue(request.param)
    return found


async def test_a_trial_says_what_works_and_leaves_nothing(tmp_path: Path, server: Server) -> None:
    bucket = server.new_bucket()
    async with landing(tmp_path, server.settings(bucket, prefix="lake")) as made:
        found = await made.probe()
    steps = ["write", "read back", "overwrite", "list", "uploads", "remove"]
    assert [one.step for one in found] == steps
    heeded = None if server.name == "rclone" else True
    assert [one.ok for one in found] == [True, True, heeded, True, True, True], found
    overwriting = found[2].message
    assert ("has no conditional create" if server.name == "rclone" else "conditional_create: true") in overwriting
    assert server.objects(bucket) == {}


async def test_a_trial_ends_at_the_first_step_that_fails(tmp_path: Path, moto: Server) -> None:
    async with landing(tmp_path, moto.settings("no-such-bucket")) as made:
        (found,) = await made.probe()
    assert (found.step, found.ok) == ("write", False)
    assert "make the bucket, or correct `bucket`" in found.message


async def test_what_lies_there_is_read_and_listed_page_by_page(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_bucket, "_PAGE_KEYS", 2)
    bucket = server.new_bucket()
    async with landing(tmp_path, server.settings(bucket, prefix="a b+c=(ü)~")) as made:
        keys = [f"orders/dt=2026-06-21/{first:012d}-{first + 9:012d}.jsonl" for first in range(1, 51, 10)]
        for first, key in zip(range(1, 51, 10), keys, strict=True):
            await made.write(key, content(first, 10))
        await made.write(f"ordersmore/{KEY}", content(1, 10))
        assert sorted(server.below(bucket, "a b+c=(ü)~")) == sorted([*keys, f"ordersmore/{KEY}"])
        pages = made.objects("orders")
        assert pages is not None
        listed = [one async for page in pages for one in page]
        assert [one.key for one in listed] == keys
        for first, one in zip(range(1, 51, 10), listed, strict=True):
            found = await made.read(one.key)
            assert found is not None
            assert b"".join(found.pieces) == b"".join(parts(first, 10))
            assert found.size_bytes == one.size_bytes
        assert await made.read("orders/none") is None


async def test_an_object_that_somebody_else_put_there_is_never_written_over(tmp_path: Path, server: Server) -> None:
    bucket = server.new_bucket()
    server.client.put_object(Bucket=bucket, Key=KEY, Body=b"somebody else's")
    async with landing(tmp_path, server.settings(bucket)) as made:
        assert f"write s3://{bucket}/{KEY}: an object with other content" in await refused(made, needs_person=True)
        assert server.objects(bucket) == {KEY: b"somebody else's"}
        server.client.delete_object(Bucket=bucket, Key=KEY)
        await made.write(KEY, content(1, 10))
    assert server.objects(bucket) == {KEY: LINES}


async def test_where_the_server_is_known_to_heed_nothing_is_looked_for_first(tmp_path: Path, strict: Server) -> None:
    bucket = strict.new_bucket()
    with proxied(strict.port) as proxy:
        settings = strict.settings(bucket, conditional_create=True) | {"endpoint_url": proxy.url}
        async with landing(tmp_path, settings) as made:
            await made.write(KEY, content(1, 10))
            assert proxy.seen == 1
            assert await made.write(KEY, content(1, 10))
            strict.client.put_object(Bucket=bucket, Key=KEY, Body=b"somebody else's")
            await refused(made, needs_person=True)
    assert strict.objects(bucket) == {KEY: b"somebody else's"}


@pytest.mark.parametrize("wrong", ["access_key_id", "secret_access_key"])
async def test_a_wrong_key_is_for_a_person_and_shows_no_secret(tmp_path: Path, server: Server, wrong: str) -> None:
    bucket = server.new_bucket()
    settings = server.settings(bucket)
    async with landing(tmp_path, settings | {wrong: "wrong-key-of-somebody"}) as made:
        said = await refused(made, needs_person=True)
    assert said.startswith(f"write s3://{bucket}/{KEY}: 403 ")
    assert "wrong-key" not in said
    assert server.secret_access_key not in said
    assert server.objects(bucket) == {}


async def test_a_bucket_that_is_not_there_is_for_a_person_who_makes_it(tmp_path: Path, moto: Server) -> None:
    async with landing(tmp_path, moto.settings("made-later")) as made:
        said = await refused(made, needs_person=True)
        assert "404 NoSuchBucket" in said
        assert "make the bucket" in said
        moto.client.create_bucket(Bucket="made-later")
        await made.write(KEY, content(1, 10))
    assert moto.objects("made-later") == {KEY: LINES}


async def test_encryption_and_tags_are_asked_for_in_one_request_and_in_parts(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    more = {"server_side_encryption": "aws:kms", "kms_key_id": "alias/lake", "tags": {"team": "a b", "cost/x": "+=1"}}
    large = Envelopes([b'{"n":"%s"}\n' % (b"x" * (6 << 20))], 1)
    async with landing(tmp_path, moto.settings(bucket, part_size="5MiB", **more)) as made:
        await made.write(KEY, content(1, 10))
        await made.write("large", large)
    for key in (KEY, "large"):
        head = moto.client.head_object(Bucket=bucket, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/lake")
        tags = moto.client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "a b", "cost/x": "+=1"}
    assert moto.objects(bucket)["large"] == b"".join(large.parts)


async def test_closing_ends_what_hangs_and_leaves_no_thread(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    with proxied(moto.port) as proxy:
        proxy.plan = lambda _number, _request: HELD
        settings = moto.settings(bucket, timeout="10m") | {"endpoint_url": proxy.url}
        before = set(threading.enumerate())
        async with landing(tmp_path, settings) as made:
            hanging = [
                asyncio.ensure_future(made.write(f"orders/{number}.jsonl", content(1, 10))) for number in range(4)
            ]
            await until(lambda: proxy.seen == 4)
            async with asyncio.timeout(3):
                await made.close()
            for result in await asyncio.gather(*hanging, return_exceptions=True):
                assert isinstance(result, DestinationUnavailable), result
            with pytest.raises(DestinationUnavailable, match="closed"):
                await made.write(KEY, content(1, 10))
            await until(lambda: not [one for one in set(threading.enumerate()) - before if one.name.startswith("s3")])
