"""Verifying kinds of destinations that are no folder: a bucket, tables, a receiver."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conduit_local.core.run import RunOptions
from conduit_local.engine.evidence import Wrong
from tests.destinations.duckdb_reader import change
from tests.destinations.postgres_server import PostgresServer
from tests.destinations.s3_servers import Server
from tests.engine.test_verify import TENS, deliver, ended, verify
from tests.engine.test_verify import change as configure
from tests.engines import engine_at, until
from tests.making import numbered, spec

MISSING, ALTERED, EXTRA = Wrong.MISSING, Wrong.ALTERED, Wrong.EXTRA


def key(first: int, last: int, extension: str, folder: str = "orders") -> str:
    return f"{folder}/{first:012d}-{last:012d}.{extension}"


async def test_a_bucket_is_compared_object_by_object(tmp_path: Path, moto: Server) -> None:
    bucket = moto.new_bucket()
    settings = moto.settings(bucket, prefix="lake", compression="none")
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=[settings]))
        await deliver(engine, 0, 50)
        well = await verify(engine, "s3")
        assert (well.found, well.verified.objects, well.verified.compared) == ([], 5, 5)
        lies = moto.objects(bucket)
        names = [f"lake/{key(first, first + 9, 'jsonl')}" for first in (1, 11, 21, 31)]
        assert set(names) < set(lies)
        client = moto.client
        client.delete_object(Bucket=bucket, Key=names[0])
        client.put_object(Bucket=bucket, Key=names[1], Body=lies[names[1]][:-7])
        client.put_object(Bucket=bucket, Key=names[2], Body=lies[names[2]].replace(b"order.created", b"order.CREATED"))
        client.put_object(Bucket=bucket, Key="lake/orders/notes.txt", Body=b"mine")
        client.put_object(Bucket=bucket, Key="lake/orders-too/notes.txt", Body=b"of another pipeline")
        wrong = [(MISSING, names[0]), (ALTERED, names[1]), (ALTERED, names[2]), (EXTRA, "lake/orders/notes.txt")]
        seen = await verify(engine, "s3")
        assert seen.found == sorted((kind, name.removeprefix("lake/")) for kind, name in wrong)
        assert {one.entry.place for one in seen.deviations if one.entry} == {
            f"s3://{bucket}/{one}" for one in names[:3]
        }
        assert len((await verify(engine, "s3", quick=True)).found) == 3
        for name in moto.objects(bucket):
            client.delete_object(Bucket=bucket, Key=name)
        client.delete_bucket(Bucket=bucket)
        verified = (await verify(engine, "s3")).verified
        assert (verified.is_well, verified.wrong[MISSING]) == (False, 0)
        assert bucket in (verified.unavailable or "")


async def test_objects_are_looked_for_with_the_secrets_of_now(tmp_path: Path, moto: Server) -> None:
    """Secrets are sealed anew for each batch, and change: neither makes another place of it."""
    bucket = moto.new_bucket()
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=[moto.settings(bucket)]))
        await deliver(engine, 0, 30)
        assert (await verify(engine, "s3")).verified.compared == 3
        await configure(engine, {**moto.settings(bucket), "secret_access_key": "wrong"})
        verified = (await verify(engine, "s3")).verified
        assert (verified.compared, verified.wrong[MISSING], verified.is_well) == (0, 0, False)
        await configure(engine, {**moto.settings(bucket), "concurrency": 2})
        assert (await verify(engine, "s3")).verified.compared == 3


class Tables(NamedTuple):
    """A destination that keeps rows, and what changes its tables behind our back."""

    settings: dict[str, Any]
    change: Callable[[str], None]


@pytest.fixture(params=["duckdb", "postgres"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    if request.param == "duckdb":
        return Tables(
            {"type": "duckdb", "name": "rows", "path": "lake.duckdb"}, partial(change, tmp_path / "lake.duckdb")
        )
    server: PostgresServer = request.getfixturevalue("postgres")
    schema = server.new_schema()

    def run(statement: str) -> None:
        server.run(f"SET search_path TO {schema}; {statement}")

    return Tables({**server.settings(schema), "name": "rows"}, run)


async def test_batches_in_a_table_are_compared_by_its_ledger(tmp_path: Path, tables: Tables) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=[tables.settings]))
        assert (await verify(engine, "rows")).verified.is_well, "there are no tables yet"
        await deliver(engine, 0, 30)
        run = await ended(engine, RunOptions(full_refresh=True))
        seen = await verify(engine, "rows")
        assert (seen.found, seen.verified.objects, seen.verified.compared) == ([], 6, 6)
        first, second, *_ = await engine.runs.keys(run)
        tables.change(f"DELETE FROM conduit_batches WHERE key = '{first}'")
        ours = second.replace(f"/{run.id}/", "/")
        tables.change(f"UPDATE conduit_batches SET size_bytes = 1 WHERE key = '{ours}'")
        assert (await verify(engine, "rows")).found == sorted([(MISSING, first), (ALTERED, ours)])


async def test_what_a_receiver_got_it_keeps_to_itself(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS, destinations=[{"type": "http", "url": "http://127.0.0.1:9/"}]))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until(lambda: bool(engine.topology.find("orders").routes["http"].hands))
        verified = (await verify(engine, "http")).verified
        assert (verified.is_well, verified.is_lookable) == (True, False)
