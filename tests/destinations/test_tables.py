"""Both kinds of tables: what they take as it is, what a person is asked for, and what no event dies of."""

import asyncio
import importlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.content import Column
from conduit_local.core.dead import DeadFilter
from conduit_local.core.delivering import Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.pipeline import Health
from conduit_local.destinations.kinds import DESTINATIONS
from conduit_local.destinations.tables import postgres_transaction
from conduit_local.destinations.tables.duckdb_types import inexact
from tests.destinations.duckdb_reader import change, rows
from tests.destinations.landing import Rows, columns, content, key, landing, numbered, queried
from tests.destinations.postgres_server import DATABASE, PostgresServer
from tests.engines import engine_at, objects_below, until
from tests.making import events, spec

DUCKDB = {"type": "duckdb"}

EXACT = """
SELECT row(1, 'a"') AS a_tuple, [row(1, NULL)] AS tuples, union_value(k := 1)::UNION(s VARCHAR, k INTEGER) AS a_union,
    MAP {'': 1, 'a"b': 2} AS a_map, MAP {DATE '2026-01-01': {'BLOB': 1}} AS dated, {'a(b': ['x']} AS "odd",
    [12345678901234567890.123456789012345678::DECIMAL(38,18)] AS decimals, ['\\xAA'::VARCHAR] AS escapes,
    {'e': 'a,)'::ENUM ('a,)')} AS an_enum, 'NULL'::VARCHAR AS "null", [1e308, 0.1] AS doubles
"""

# Types -----------------------------------------------------------------------------------------------------


async def test_what_duckdbs_table_takes_of_nested_types_comes_back_as_it_was(tmp_path: Path) -> None:
    made_of = await queried(tmp_path, f"{EXACT} FROM events", '{"n": 1}')
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), made_of)
    found = f"SELECT count(*) FROM (SELECT * FROM events INTERSECT ({EXACT}))"
    assert rows(tmp_path / "warehouse.duckdb", found) == [[1]]
    kinds = rows(tmp_path / "warehouse.duckdb", "SELECT data_type FROM duckdb_columns() WHERE table_name = 'events'")
    assert [kind for (kind,) in kinds] == [column.kind for column in made_of.columns]


INEXACT = {
    "{'b': '\\xAA'::BLOB}": ("STRUCT(b BLOB)", "BLOB", "JSON"),
    "['\\xAA'::BLOB]": ("BLOB[]", "BLOB", "JSON"),
    "['01'::BIT]": ("BIT[]", "BIT", "JSON"),
    "MAP {{'a': 1}: 2}": ("MAP(STRUCT(a INTEGER), INTEGER)", "STRUCT(a INTEGER) as a key", "JSON"),
    "'POINT (1 2)'::GEOMETRY": ("GEOMETRY", "GEOMETRY", "VARCHAR"),
    "DATE '2026-01-01'::VARIANT": ("VARIANT", "VARIANT", "JSON"),
}


@pytest.mark.parametrize("value", INEXACT)
async def test_what_duckdbs_table_would_alter_is_for_a_person_and_the_cast_that_is_named_lands(
    tmp_path: Path, value: str
) -> None:
    kind, culprit, cast = INEXACT[value]
    async with landing(tmp_path, DUCKDB) as made:
        made_of = await queried(tmp_path, f"SELECT {value} AS v FROM events", '{"n": 1}', '{"n": 2}')
        with pytest.raises(DestinationUnavailable) as refused:
            await made.write(key(1, 2), made_of)
        assert refused.value.needs_person
        assert f"column 'v' is {kind}, and {culprit} does not land here" in refused.value.message
        said = refused.value.message[refused.value.message.index("CAST(") :]
        assert said == f'CAST("v" AS {cast})'
        query = f"SELECT {said} AS v FROM (SELECT {value} AS v FROM events)"
        await made.write(key(1, 2), await queried(tmp_path, query, '{"n": 1}', '{"n": 2}'))
    assert rows(tmp_path / "warehouse.duckdb", "SELECT count(v) FROM events") == [[2]]


@pytest.mark.parametrize(
    ("kind", "culprit"),
    [
        ("STRUCT(BLOB INTEGER, \"VARIANT (\" ENUM('BLOB, (', '''BIT'))", None),
        ('STRUCT("a"",( b" STRUCT(x BIGNUM[3]))', "BIGNUM"),
        ("UNION(k INTEGER, s VARIANT)[]", "VARIANT"),
        ("TUPLE(INTEGER, TUPLE(GEOMETRY('EPSG:4326')))", "GEOMETRY('EPSG:4326')"),
        ("MAP(DECIMAL(10,2), TIMESTAMP WITH TIME ZONE)", None),
        ("MAP(JSON, INTEGER)", "JSON as a key"),
        ("MAP(INTEGER, BLOB)", "BLOB"),
        ("SOMETHING_NEW", "SOMETHING_NEW"),
        *[(kind, None) for kind in ("BLOB", "BIT", "BIGNUM", "JSON", '"NULL"[]', "VARCHAR", "TIME_NS")],
    ],
)
def test_a_type_is_read_as_duckdb_writes_it(kind: str, culprit: str | None) -> None:
    assert inexact(kind) == culprit


async def test_a_route_whose_type_does_not_land_is_blocked_and_no_event_dies(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        query = "SELECT {'b': 'x'::BLOB} AS v FROM events"
        transform = {"type": "sql", "query": query}
        await engine.manage.create(
            spec(batch={"max_events": 4, "max_age": "50ms"}, transforms=[transform], destinations=[DUCKDB])
        )
        await engine.ingest.accept("orders", events(*(f'{{"n": {n}}}' for n in range(4))))
        live = engine.topology.find("orders")
        (route,) = live.routes.values()
        await until(lambda: route.health is Health.BLOCKED)
        assert "column 'v' is STRUCT(b BLOB)" in str(route.message)
        assert live.slowest_cursor == 0
        assert [letter async for letter, _ in engine.dead.each(DeadFilter())] == []


async def test_what_postgres_would_alter_is_for_a_person(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    tables = f"SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"
    async with landing(tmp_path, postgres.settings(schema)) as made:
        geometry = Rows(columns(v="GEOMETRY"), b'{"v":"POINT (1 2)"}\n')
        for there in ("0", "3"):  # without the tables and their index, and with them
            with pytest.raises(DestinationUnavailable, match=r"'v' is GEOMETRY.* CAST\(\"v\" AS VARCHAR\)") as refused:
                await made.write(key(1, 1), geometry)
            assert refused.value.needs_person
            assert postgres.rows(tables) == [[there]]
            await made.write(key(2, 2), Rows(columns(v="VARCHAR"), b'{"v":"POINT (1 2)"}\n'))
        await made.write(key(3, 3), Rows((Column("v", "TUPLE(INTEGER, VARCHAR)"),), b'{"v":[1,"a"]}\n'))
    assert postgres.rows(f"SELECT v FROM {schema}.events ORDER BY v") == [["POINT (1 2)"], ['[1,"a"]']]


# Mistakes of ours, memory, and files -----------------------------------------------------------------------


async def test_envelopes_that_cannot_be_read_are_for_a_person(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    line = b'{"event_id":"e","pipeline_id":"p","event_type":"%s","received_at":"2026-01-01T00:00:00Z","payload":{}}\n'
    for settings in (DUCKDB, postgres.settings(schema)):
        async with landing(tmp_path, settings) as made:
            await made.write(key(1, 1), numbered(1, 1))
            for odd in (rb"say \"hi\"", rb"tab\t"):
                given: Any = Rows((), line % b"a", line % odd)
                given.columns = None
                with pytest.raises(DestinationUnavailable, match=r"lines are rows .* please report it") as refused:
                    await made.write(key(2, 3), given)
                assert refused.value.needs_person
    assert rows(tmp_path / "warehouse.duckdb", "SELECT count(*) FROM events") == [[1]]
    assert postgres.rows(f"SELECT count(*) FROM {schema}.events") == [["1"]]


@pytest.mark.parametrize(("copied", "state"), [(b"one value\n", "22P04"), (b"\xff\t1\n", "22021")])
async def test_a_copy_that_is_none_is_for_a_person_and_no_event_dies_of_it(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, copied: bytes, state: str
) -> None:
    def broken(_: Sequence[Column], *, envelopes: bool) -> Callable[[bytes], bytes]:
        return lambda _: copied

    two = Rows(columns(a="VARCHAR", b="INTEGER"), b'{"a":"x","b":1}\n')
    async with landing(tmp_path, postgres.settings(postgres.new_schema())) as made:
        with monkeypatch.context() as patched:
            patched.setattr(postgres_transaction, "copier", broken)
            with pytest.raises(DestinationUnavailable, match=f"SQLSTATE {state}") as refused:
                await made.write(key(1, 1), two)
        assert refused.value.needs_person
        with pytest.raises(Rejected, match="0x00"):  # a character of the event's, which PostgreSQL has no place for
            await made.write(key(1, 1), Rows(two.columns, b'{"a":"\\u0000","b":1}\n'))
        await made.write(key(1, 1), two)


async def test_a_batch_that_needs_more_memory_comes_in_halves_and_one_event_asks_for_more(tmp_path: Path) -> None:
    big = content(*(f'{{"a": "{os.urandom(100_000).hex()}"}}' for _ in range(300)))
    async with landing(tmp_path, {**DUCKDB, "memory": "64MiB"}) as made:
        await made.write(key(1, 1), numbered(1, 1))
        with pytest.raises(Rejected, match="of 64MiB: raise it"):
            await made.write(key(1_000, 1_299), big)
        with pytest.raises(DestinationUnavailable, match="of 64MiB: raise it") as refused:
            await made.write(key(1_000, 1_000), big)  # what one event was made into
        assert refused.value.needs_person
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1_000, 1_299), big)
    assert rows(tmp_path / "warehouse.duckdb", "SELECT count(*) FROM events") == [[301]]


@pytest.mark.parametrize("damage", ["altered", "cut"])
async def test_a_damaged_file_is_for_a_person(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "warehouse.duckdb"
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), numbered(1, 1))
        before = path.read_bytes()
        after = before[:8_192] + (b"damaged" * 100 + before[8_892:] if damage == "altered" else b"")
        path.write_bytes(after)
        with pytest.raises(DestinationUnavailable, match=r"Corrupt|enough bytes") as refused:
            await made.write(key(2, 2), numbered(2, 1))
        assert refused.value.needs_person
        path.write_bytes(before)
        await made.write(key(2, 2), numbered(2, 1))


async def test_the_name_of_a_new_file_is_on_disk_before_its_batch_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        place = Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)
        synced.append(f"{place}{'' if (tmp_path / 'a/b/w.duckdb').exists() else ' before'}")

    monkeypatch.setattr(os, "fsync", noting)
    async with landing(tmp_path, {**DUCKDB, "path": "a/b/w.duckdb"}) as made:
        await made.write(key(1, 1), numbered(1, 1))
        assert synced == ["a before", ". before", "a/b"]
        await made.write(key(2, 2), numbered(2, 1))
        assert len(synced) == 3
        (tmp_path / "a/b/w.duckdb").rename(tmp_path / "a/b/old.duckdb")
        await made.write(key(3, 3), numbered(3, 1))
        assert synced[3:] == ["a/b"]

    def full(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", full)
    async with landing(tmp_path, DUCKDB) as made:
        with pytest.raises(DestinationUnavailable, match="Input/output error"):
            await made.write(key(1, 1), numbered(1, 1))
        monkeypatch.setattr(os, "fsync", noting)
        await made.write(key(1, 1), numbered(1, 1))
    assert synced[4:] == ["."]


# What is said beforehand -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DUCKDB, {"type": "postgres", "host": "h"}], ids=lambda kind: str(kind["type"]))
def test_the_ledger_is_another_table_than_that_of_the_rows(kind: dict[str, Any]) -> None:
    for table in ({"table": "conduit_batches"}, {"table": "a.b", "ledger": "b"}, {"table": "Rows", "ledger": "rows"}):
        with pytest.raises(ValueError, match="the ledger must be another table"):
            DESTINATIONS[kind["type"]].model_validate({**kind, **table})
    DESTINATIONS[kind["type"]].model_validate({**kind, "table": "conduit_batches.events"})


async def test_a_database_in_another_encoding_is_for_a_person(tmp_path: Path, postgres: PostgresServer) -> None:
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    dsn = postgres.dsn().replace(f"/{DATABASE}?", "/latin?")
    try:
        async with landing(tmp_path, postgres.settings("public", dsn=dsn)) as made:
            (found,) = await made.probe()
            assert (found.step, found.ok) == ("connect", False)
            assert "LATIN1" in found.message
            assert "ENCODING 'UTF8'" in found.message
            with pytest.raises(DestinationUnavailable, match="LATIN1") as refused:
                await made.write(key(1, 1), content('{"s": "5 €"}'))
            assert refused.value.needs_person
    finally:
        postgres.run("DROP DATABASE latin WITH (FORCE)")


async def test_the_driver_is_loaded_in_a_thread(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[int] = []
    load = importlib.import_module

    def noting(name: str) -> Any:
        loaded.append(threading.get_ident())
        return load(name)

    monkeypatch.setattr(importlib, "import_module", noting)
    async with landing(tmp_path, postgres.settings(postgres.new_schema())) as made:
        await made.write(key(1, 1), numbered(1, 1))
    assert loaded
    assert threading.get_ident() not in loaded


async def test_trying_it_out_says_that_columns_are_shown_and_not_compared(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    for settings in (DUCKDB, postgres.settings(schema)):
        async with landing(tmp_path, settings) as made:
            said = " ".join(one.message for one in await made.probe())
            assert "is not there yet; it is made with the first batch" in said
    await asyncio.to_thread(change, tmp_path / "warehouse.duckdb", "CREATE TABLE events (id INTEGER)")
    postgres.run(f"CREATE TABLE {schema}.events (id integer)")
    for settings in (DUCKDB, postgres.settings(schema)):
        async with landing(tmp_path, settings) as made:
            said = " ".join(one.message for one in await made.probe())
            assert "its columns are shown here, not compared with the rows to come: id integer" in said.lower()
            assert "takes rows of" not in said
    assert set(objects_below(tmp_path)) == {"warehouse.duckdb"}
