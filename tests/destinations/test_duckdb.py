"""A DuckDB file takes every batch once, by a process that may die; anybody may read it in between."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from conduit_local.config.settings import Settings
from conduit_local.core.delivering import Destination, Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.destinations.tables import duckdb, duckdb_process
from conduit_local.destinations.tables.duckdb import DuckdbDestination, DuckdbSpec
from conduit_local.destinations.tables.duckdb_process import Child
from tests.appliance import serving
from tests.destinations.duckdb_reader import change, held, lines_by_key, rows
from tests.destinations.landing import (
    EVERY_KIND,
    PAYLOAD,
    Rows,
    columns,
    content,
    key,
    landing,
    listed,
    nulls,
    numbered,
    queried,
)
from tests.destinations.test_postgres_rows import ODD
from tests.engines import destinations_at, engine_at, ledgers, objects_below, until, until_delivered
from tests.making import numbered as events
from tests.making import spec

DUCKDB = {"type": "duckdb"}
ADDED = "ALTER TABLE events ADD COLUMN shop VARCHAR"
AT_ONCE = {"initial": "10ms", "max": "50ms"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def child_of(made: Destination) -> Child:
    """What stands for the destination's process."""
    assert isinstance(made, DuckdbDestination)
    return made._child


def end(made: Destination) -> None:
    """`kill -9` to the destination's process."""
    pid = child_of(made).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


# What lands ------------------------------------------------------------------------------------------------


async def test_payloads_come_out_byte_for_byte(tmp_path: Path, path: Path) -> None:
    odd = [one for one in ODD if "\\ud800" not in one]
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, len(odd)), content(*odd))
    assert [row[0] for row in rows(path, "SELECT payload FROM events ORDER BY rowid")] == odd
    kinds = rows(path, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events'")
    assert [kind for _, kind in kinds] == ["VARCHAR", "VARCHAR", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "JSON"]


async def test_a_querys_columns_have_exactly_its_types_and_values(tmp_path: Path, path: Path) -> None:
    made_of = await queried(tmp_path, EVERY_KIND, PAYLOAD)
    async with landing(tmp_path, DUCKDB) as made:
        for first in (1, 3):
            lines = (*made_of.pieces(), nulls(made_of.columns))
            await made.write(key(first, first + 1), Rows(made_of.columns, *lines))
    kinds = rows(path, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events'")
    assert [tuple(one) for one in kinds] == [tuple(column) for column in made_of.columns]
    names = ", ".join('"' + column.name.replace('"', '""') + '"' for column in made_of.columns)
    again = EVERY_KIND.replace("'b'::ENUM ('a', 'b')", "'b'").replace("FROM events", "FROM source")
    source = f"(SELECT TIMESTAMPTZ '2026-02-02 02:40:00+00' AS received_at, '{PAYLOAD}'::JSON AS payload) AS source"
    same = rows(
        path,
        f"SELECT count(*) FROM (SELECT {names} FROM events WHERE a_boolean INTERSECT ALL"
        f" SELECT * FROM ({again.replace('FROM source', 'FROM ' + source)}))",
    )
    assert same == [[1]]
    empty = "SELECT count(*) FROM events WHERE NOT (COLUMNS(*) IS NOT NULL)"
    assert rows(path, empty) == [[2]]


@pytest.mark.parametrize(
    ("change_to", "said"),
    [
        ("ALTER TABLE events DROP COLUMN payload", "no column 'payload'"),
        ("ALTER TABLE events ALTER COLUMN received_at TYPE VARCHAR", "'received_at' of .* is VARCHAR, and the rows"),
        (f"{ADDED}; UPDATE events SET shop = ''; ALTER TABLE events ALTER shop SET NOT NULL", "'shop' of .* no NULL"),
    ],
)
async def test_drift_is_refused_with_the_statement_that_mends_it(
    tmp_path: Path, path: Path, change_to: str, said: str
) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), numbered(1, 1))
        change(path, change_to)
        with pytest.raises(DestinationUnavailable, match=said) as refused:
            await made.write(key(2, 2), numbered(2, 1))
        assert refused.value.needs_person
        change(path, refused.value.message[refused.value.message.index("ALTER TABLE") :])
        await made.write(key(2, 2), numbered(2, 1))
    assert rows(path, "SELECT count(*) FROM events") == [[2]]


async def test_rows_that_the_table_refuses_are_rejected_and_nothing_is_there(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), Rows(columns(a="INTEGER"), b'{"a":1}\n'))
        with pytest.raises(Rejected, match=r"""Could not convert string '"x"' to INT32$"""):
            await made.write(key(2, 3), Rows(columns(a="INTEGER"), b'{"a":1}\n{"a":"x"}\n'))
        change(path, "DROP TABLE events; CREATE TABLE events (a INTEGER NOT NULL CHECK (a < 5))")
        for bad in (b'{"a":null}\n', b'{"a":5}\n'):
            with pytest.raises(Rejected, match="constraint failed"):
                await made.write(key(4, 4), Rows(columns(a="INTEGER"), bad))
        await made.write(key(4, 4), Rows(columns(a="INTEGER"), b'{"a":4}\n'))
    assert rows(path, "SELECT a FROM events") == [[4]]
    assert len(rows(path, "SELECT key FROM conduit_batches")) == 2


async def test_a_batch_of_no_rows_is_a_batch(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 2), Rows(columns(a="INTEGER")))
        await made.write(key(3, 4), Rows(columns(a="INTEGER"), b""))
        await made.write(key(5, 6), Rows(columns(a="INTEGER"), b"", b'{"a":1}\n', b"", b'{"a":2}\n'))
    assert rows(path, "SELECT rows FROM conduit_batches ORDER BY key") == [[0], [0], [2]]
    assert rows(path, "SELECT a FROM events") == [[1], [2]]


async def test_a_key_with_other_rows_is_for_a_person(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 3), numbered(1, 3))
        with pytest.raises(DestinationUnavailable, match=r"has orders/.*\.rows with 3 other rows") as refused:
            await made.write(key(1, 3), numbered(1, 2))
    assert refused.value.needs_person
    assert rows(path, "SELECT count(*) FROM events") == [[3]]


async def test_a_table_is_made_on_request_only(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, {**DUCKDB, "create": False}) as made:
        with pytest.raises(DestinationUnavailable, match=r"there is no table main\.events") as refused:
            await made.write(key(1, 1), numbered(1, 1))
        assert refused.value.needs_person
        change(path, refused.value.message[refused.value.message.index("CREATE TABLE") :])
        await made.write(key(1, 1), numbered(1, 1))
    assert rows(path, "SELECT count(*) FROM events") == [[1]]


# Bad days --------------------------------------------------------------------------------------------------


async def test_another_process_that_reads_is_waited_for_and_not_for_ever(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), numbered(1, 1))
        monkeypatch.setattr(duckdb, "_MOST_WAIT_S", 0.1)
        with held(path):
            with pytest.raises(DestinationUnavailable, match="another process has the file open") as refused:
                await made.write(key(2, 2), numbered(2, 1))
            assert not refused.value.needs_person
        await made.write(key(2, 2), numbered(2, 1))
        monkeypatch.undo()
        with held(path):
            writing = asyncio.get_running_loop().create_task(made.write(key(3, 3), numbered(3, 1)))
            await until(child_of(made)._turn.locked)
        await writing
    assert len(lines_by_key(path)) == 3


async def test_two_routes_into_one_file_take_turns(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, DUCKDB, "a") as one, landing(tmp_path, DUCKDB, "b") as other:
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, 11):
                for made in (one, other):
                    tasks.create_task(made.write(key(number, number), numbered(number, 1)))
        assert [len(page) for page in await listed(one)] == [10]
    assert rows(path, "SELECT count(*), count(DISTINCT event_id) FROM events") == [[20, 10]]


async def test_a_process_that_is_killed_at_any_moment_leaves_each_batch_whole_or_not_there(
    tmp_path: Path, path: Path
) -> None:
    killed = 0
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), numbered(1, 1))
        for number in range(2, 8):
            batch = numbered(number * 1_000, 1_000)
            writing = asyncio.get_running_loop().create_task(made.write(key(number, number), batch))
            pid = child_of(made).pid
            asyncio.get_running_loop().call_later(0.015 * (number - 2), end, made)
            try:
                await writing
            except DestinationUnavailable as error:
                killed += "ended with status -9" in error.message
                await made.write(key(number, number), batch)
            await until(lambda pid=pid: child_of(made).pid != pid)  # type: ignore[misc]
            await made.write(key(number, number), batch)
    assert killed > 1
    assert rows(path, "SELECT count(*), count(DISTINCT event_id) FROM events") == [[6_001, 6_001]]


async def test_a_stream_whose_process_is_killed_lands_exactly_once(tmp_path: Path, path: Path) -> None:
    wrapped: list[DuckdbDestination] = []

    class Kept(DestinationMaker):
        def make(self, spec: Any, origin: str = "") -> Destination:
            made = super().make(spec, origin)
            assert isinstance(made, DuckdbDestination)
            wrapped.append(made)
            return made

    def keeping(maker: DestinationMaker) -> DestinationMaker:
        maker.__class__ = Kept
        return maker

    async with engine_at(tmp_path, destinations=keeping) as engine:
        destination = {**DUCKDB, "retry": AT_ONCE}
        await engine.manage.create(spec(batch={"max_events": 50, "max_age": "50ms"}, destinations=[destination]))
        await engine.ingest.accept("orders", events(0, 1_000))
        for wanted in (100, 400, 700):
            await until(lambda wanted=wanted: engine.topology.find("orders").slowest_cursor >= wanted)  # type: ignore[misc]
            end(wrapped[0])
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders") == {"duckdb": (1_000, 1_000, 0)}
    assert rows(path, "SELECT count(*), count(DISTINCT event_id) FROM events") == [[1_000, 1_000]]


async def test_a_write_that_is_cancelled_can_be_repeated(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        await made.write(key(1, 1), numbered(1, 1))
        with held(path):
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(made.write(key(2, 2), numbered(2, 1)))
                await until(child_of(made)._turn.locked)
                writing.cancel()
        await made.write(key(2, 2), numbered(2, 1))
    assert len(lines_by_key(path)) == 2


async def test_the_process_is_ended_when_it_is_not_needed(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_process, "_IDLE_S", 0.05)
    async with landing(tmp_path, DUCKDB) as made:
        assert child_of(made).pid is None
        await made.write(key(1, 1), numbered(1, 1))
        await until(lambda: child_of(made).pid is None)
        await made.write(key(2, 2), numbered(2, 1))
        monkeypatch.undo()
        await made.write(key(3, 3), numbered(3, 1))
        pid = child_of(made).pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert len(lines_by_key(path)) == 3


STREAM = """
name: orders
id: pl_8f3a
batch: {max_events: 10, max_age: 50ms}
destinations:
  - {type: connector, connector: bigquery}
"""


def test_a_stand_in_for_a_warehouse_and_no_process_outlives_the_appliance(tmp_path: Path) -> None:
    settings = "stand_ins: {destinations: {bigquery: {type: duckdb, path: lake/warehouse.duckdb}}}\n"
    with serving(tmp_path, {"orders": STREAM}, settings=settings) as appliance:
        for number in range(25):
            assert appliance.emit({"n": number}).status == 200
        appliance.until_delivered()
        assert appliance.process is not None
        children = Path(f"/proc/{appliance.process.pid}/task")
        pids = {int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()}
        mine = {pid for pid in pids if b"duckdb_child" in Path(f"/proc/{pid}/cmdline").read_bytes()}
        assert len(mine) == 1
        waiting = os.pidfd_open(*mine)
        appliance.kill()
        try:
            assert asyncio.run(_ends(waiting))
        finally:
            os.close(waiting)
    found = rows(appliance.data / "lake" / "warehouse.duckdb", "SELECT payload FROM events ORDER BY event_id")
    assert found == [[f'{{"n": {number}}}'] for number in range(25)]


async def _ends(descriptor: int) -> bool:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    async with asyncio.timeout(10):
        return await ended.wait()


# What a person must mend -----------------------------------------------------------------------------------


async def test_a_file_that_is_none_of_duckdbs_is_not_touched(tmp_path: Path, path: Path) -> None:
    before = b"SQLite format 3\0" + bytes(8_192)
    path.write_bytes(before)  # noqa: ASYNC240 - a small file
    async with landing(tmp_path, DUCKDB) as made:
        with pytest.raises(DestinationUnavailable, match=r"warehouse\.duckdb") as refused:
            await made.write(key(1, 1), numbered(1, 1))
        assert refused.value.needs_person, refused.value.message
        assert [one.ok for one in await made.probe()] == [False]
    assert objects_below(tmp_path) == {path.name: before}


async def test_a_link_that_leads_out_of_the_data_folder_is_not_followed(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    data.mkdir()
    outside.mkdir()
    (data / "lake").symlink_to(outside)
    (data / "warehouse.duckdb").symlink_to(outside / "x.duckdb")
    for name in ("lake/x.duckdb", "warehouse.duckdb"):
        async with landing(data, {**DUCKDB, "path": name}) as made:
            with pytest.raises(DestinationUnavailable, match="link leads out") as refused:
                await made.write(key(1, 1), numbered(1, 1))
            assert refused.value.needs_person
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["conduit.db", "secrets.key", "a.duckdb.wal", "../a.duckdb", ":memory:", "x\0.duckdb"])
def test_a_path_that_could_be_something_elses_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must"):
        DuckdbSpec(path=name)


async def test_an_api_may_not_name_a_path_outside(tmp_path: Path) -> None:
    async with destinations_at(tmp_path) as maker:
        (problem,) = maker.refused_to_apis(spec(destinations=[{**DUCKDB, "path": "/srv/a.duckdb"}]))
        assert problem.path == ("destinations", 0, "path")
        assert maker.refused_to_apis(spec(destinations=[DUCKDB])) == []


async def test_trying_it_out_leaves_nothing_behind(tmp_path: Path, path: Path) -> None:
    async with landing(tmp_path, DUCKDB) as made:
        assert await listed(made) == []
        assert [one.ok for one in await made.probe()] == [True, True]
        assert objects_below(tmp_path) == {}
        written = await made.write(key(1, 1), numbered(1, 1))
        assert "payload JSON" in (await made.probe())[0].message
        ((found,),) = await listed(made)
        assert (found.key, found.size_bytes, found.sha256) == (key(1, 1), written.size_bytes, written.sha256)
        assert await made.read(key(1, 1)) is None
    assert rows(path, "SELECT count(*) FROM conduit_batches") == [[1]]


def test_any_builtin_kind_but_a_connector_may_stand_in() -> None:
    kinds = [
        {"type": "files", "path": "out"},
        {"type": "duckdb"},
        {"type": "postgres", "dsn": "postgres://u:s3cr3t@h/d"},
        {"type": "http", "url": "https://example.com/"},
    ]
    for one in kinds:
        made = Settings.model_validate({"stand_ins": {"destinations": {"bigquery": one}}})
        assert made.stand_ins.destinations["bigquery"].type == one["type"]
        assert "s3cr3t" not in made.model_dump_json()
    with pytest.raises(ValueError, match="connector"):
        Settings.model_validate({"stand_ins": {"destinations": {"x": {"type": "connector", "connector": "y"}}}})


def test_the_appliance_itself_never_loads_duckdb() -> None:
    assert "conduit_local.destinations.tables.duckdb" in sys.modules
    assert "conduit_local.destinations.tables.duckdb_table" not in sys.modules
