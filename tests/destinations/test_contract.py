"""The contract of `Destination`, run over every kind there is."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from conduit_local.core.content import Envelopes
from conduit_local.core.delivering import Destination
from conduit_local.core.envelope import envelopes
from conduit_local.destinations.kinds import DESTINATIONS
from tests.destinations import duckdb_reader
from tests.destinations.postgres_server import PostgresServer
from tests.destinations.s3_servers import Server
from tests.engines import destinations_at, objects_below

AT_US = 1_782_050_973_000_000

Read = Callable[[], dict[str, bytes]]
"""All objects at the destination, by key, decompressed."""


def parts(first: int, *counts: int) -> list[bytes]:
    found = []
    for count in counts:
        raw = [b'{"n":%d}' % n for n in range(first, first + count)]
        found.append(envelopes("abcde", 1, "pl_1", first, AT_US, ["a.b"] * count, raw))
        first += count
    return found


def content(first: int, *counts: int) -> Envelopes:
    return Envelopes(parts(first, *counts), sum(counts))


@pytest.fixture(params=["plain", "gzip", "zstd", "payload", "moto", "swift", "rclone", "postgres", "duckdb"])
def kind(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param in {"moto", "swift", "rclone"}:
        server: Server = request.getfixturevalue(request.param)
        return server.settings(server.new_bucket(), prefix="lake/raw", server=request.param)
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        return postgres.settings(postgres.new_schema())
    return {
        "duckdb": {"type": "duckdb"},
        "plain": {"type": "files"},
        "gzip": {"type": "files", "compression": "gzip"},
        "zstd": {"type": "files", "compression": "zstd"},
        "payload": {"type": "files", "record": "payload"},
    }[request.param]


@pytest.fixture
async def destination(
    request: pytest.FixtureRequest, tmp_path: Path, kind: dict[str, str]
) -> AsyncIterator[tuple[Destination, Read]]:
    settings = {name: value for name, value in kind.items() if name != "server"}
    async with destinations_at(tmp_path) as maker:
        made = maker.make(DESTINATIONS[kind["type"]].model_validate(settings))
        if kind["type"] == "s3":
            server: Server = request.getfixturevalue(kind["server"])
            yield made, lambda: server.below(kind["bucket"], kind["prefix"])
        elif kind["type"] == "postgres":
            postgres: PostgresServer = request.getfixturevalue("postgres")
            yield made, lambda: postgres.lines_by_key(kind["table"].partition(".")[0])
        elif kind["type"] == "duckdb":
            yield made, lambda: duckdb_reader.lines_by_key(tmp_path / "warehouse.duckdb")
        else:
            yield made, lambda: objects_below(tmp_path / "out")
        await made.close()


def expected(kind: dict[str, str], lines: Sequence[bytes]) -> bytes:
    if kind.get("record") != "payload":
        return b"".join(lines)
    return b"".join(b'{"n":%d}\n' % n for n in range(1, b"".join(lines).count(b"\n") + 1))


async def test_what_is_written_is_there_whole(destination: tuple[Destination, Read], kind: dict[str, str]) -> None:
    made, read = destination
    lines = parts(1, 3, 1, 40)
    key = f"orders/dt=2026-06-21/000000000001-000000000044.{made.extension}"
    written = await made.write(key, Envelopes(lines, 44))
    assert read() == {key: expected(kind, lines)}
    assert written.place.endswith(key)
    assert written.size_bytes > 0


async def test_the_same_key_twice_is_one_object(destination: tuple[Destination, Read], kind: dict[str, str]) -> None:
    made, read = destination
    key = f"orders/000000000001-000000000010.{made.extension}"
    first = await made.write(key, content(1, 10))
    again = await made.write(key, content(1, 3, 7))
    assert read() == {key: expected(kind, parts(1, 10))}
    assert first == again


async def test_how_lines_are_spread_over_parts_does_not_show(
    destination: tuple[Destination, Read], kind: dict[str, str]
) -> None:
    made, read = destination
    one, other = f"one/000000000001-000000000009.{made.extension}", f"other/000000000001-000000000009.{made.extension}"
    await made.write(one, content(1, 9))
    await made.write(other, content(1, 1, 1, 5, 2))
    found = read()
    assert found[one] == found[other]


async def test_different_keys_are_different_objects(destination: tuple[Destination, Read]) -> None:
    made, read = destination
    for first in (1, 11, 21):
        await made.write(f"orders/{first:012d}-{first + 9:012d}.{made.extension}", content(first, 10))
    assert len(read()) == 3


async def test_closing_leaves_the_objects(destination: tuple[Destination, Read]) -> None:
    made, read = destination
    await made.write(f"orders/000000000001-000000000001.{made.extension}", content(1, 1))
    await made.close()
    assert len(read()) == 1
