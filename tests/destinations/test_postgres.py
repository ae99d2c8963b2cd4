"""A PostgreSQL table takes every batch once, whatever happens on the way."""

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.tables import postgres_pool
from tests.appliance import serving
from tests.destinations.landing import Rows, columns, key, landing, listed, numbered
from tests.destinations.postgres_server import PASSWORD, USER, PostgresServer
from tests.engines import engine_at, ledgers, until, until_delivered
from tests.making import numbered as events
from tests.making import spec
from tests.proxy import HALF, LOST, PASS, RESET, Fault, proxied

AT_ONCE = {"initial": "10ms", "max": "50ms"}
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'conduit-local'"


def counted(postgres: PostgresServer, schema: str) -> tuple[int, int, int]:
    """Rows, different events among them, and rows that the ledger knows."""
    (row,) = postgres.rows(
        f"SELECT count(*), count(DISTINCT event_id), (SELECT coalesce(sum(rows), 0) FROM {schema}.conduit_batches)"
        f" FROM {schema}.events"
    )
    return int(row[0]), int(row[1]), int(row[2])


# The same batch again --------------------------------------------------------------------------------------


async def test_a_key_with_other_rows_is_for_a_person(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made:
        await made.write(key(1, 3), numbered(1, 3))
        with pytest.raises(DestinationUnavailable, match=r"has orders/.*\.rows with 3 other rows") as refused:
            await made.write(key(1, 3), numbered(1, 2))
    assert refused.value.needs_person
    assert counted(postgres, schema) == (3, 3, 3)


async def test_routes_of_different_origins_do_not_take_each_others_keys(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    for origin in ("a/pl_1/r", "b/pl_1/r"):
        async with landing(tmp_path, postgres.settings(schema), origin) as made:
            await made.write(key(1, 3), numbered(1, 3))
            assert [[one.key for one in page] for page in await listed(made)] == [[key(1, 3)]]
    assert counted(postgres, schema) == (6, 3, 6)


@pytest.mark.parametrize("commits", [True, False])
async def test_an_old_connection_that_still_commits_is_waited_for(
    tmp_path: Path, postgres: PostgresServer, commits: bool
) -> None:
    """Our connection was cut, and the server has not noticed yet; then it goes one way or the other."""
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made, postgres.connection() as old:
        await made.write(key(1, 1), numbered(1, 1))
        await old.execute(
            f"BEGIN; INSERT INTO {schema}.conduit_batches SELECT origin, '{key(2, 4)}', table_name, 2, 4, 3, 1,"
            f" '{(await made.write(key(2, 4, 'sum'), numbered(2, 3))).sha256}' FROM {schema}.conduit_batches LIMIT 1;"
            f"DELETE FROM {schema}.events"
        )
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(made.write(key(2, 4), numbered(2, 3)))
            waits = f"{OURS} AND wait_event_type = 'Lock'"
            await until(lambda: postgres.rows(waits) == [["1"]])
            assert not writing.done()
            await old.execute("COMMIT" if commits else "ROLLBACK")
    assert len(postgres.rows(f"SELECT event_id FROM {schema}.events")) == (0 if commits else 1 + 3 + 3)


async def test_many_that_begin_at_once_make_the_tables_once(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with (
        landing(tmp_path, postgres.settings(schema)) as one,
        landing(tmp_path, postgres.settings(schema)) as other,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(8):
            for made in (one, other):
                tasks.create_task(made.write(key(number * 10 + 1, number * 10 + 10), numbered(number * 10 + 1, 10)))
    assert counted(postgres, schema) == (80, 80, 80)


# The network -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RESET, LOST, HALF])
async def test_wherever_the_network_is_cut_the_repeat_lands_the_batch_once(
    tmp_path: Path, postgres: PostgresServer, fault: Fault
) -> None:
    """Each exchange in turn: connecting, making the tables, the rows, COMMIT. One schema each."""
    schema, cut, persons = postgres.new_schema(), 0, 0
    with proxied(postgres.port) as proxy:
        settings = postgres.settings(schema, dsn=postgres.dsn(proxy.port))
        while True:
            cut, begin = cut + 1, proxy.seen

            def spoil(number: int, _: bytes, at: int = begin + cut) -> Fault:
                return fault if number == at else PASS

            proxy.plan = spoil
            async with landing(tmp_path, settings) as made:
                written = 0
                while written < 2:  # the second one finds all of it
                    try:
                        await made.write(key(cut, cut), numbered(cut, 1))
                        written += 1
                    except DestinationUnavailable as error:
                        persons += error.needs_person
            if proxy.seen < begin + cut:
                break
    assert cut > 12, "there are more exchanges than that"
    assert persons == 0, "nobody can mend a network that is cut"
    assert counted(postgres, schema) == (cut, cut, cut)


async def test_a_commit_whose_answer_is_lost_is_found_in_the_ledger(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    lost: list[int] = []

    def lose_commits(number: int, request: bytes) -> Fault:
        if b"COMMIT" in request and len(lost) < 3:
            lost.append(number)
            return LOST
        return PASS

    with proxied(postgres.port) as proxy:
        proxy.plan = lose_commits
        destination = {**postgres.settings(schema, dsn=postgres.dsn(proxy.port)), "retry": AT_ONCE}
        async with engine_at(tmp_path) as engine:
            await engine.manage.create(spec(batch={"max_events": 10, "max_age": "50ms"}, destinations=[destination]))
            await engine.ingest.accept("orders", events(0, 50))
            await until_delivered(engine, "orders")
            assert ledgers(engine, "orders") == {"postgres": (50, 50, 0)}
    assert len(lost) == 3
    assert counted(postgres, schema) == (50, 50, 50)


# The server ------------------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_in_the_middle_of_a_stream_loses_and_doubles_nothing(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    destination = {**postgres.settings(schema), "retry": AT_ONCE, "concurrency": 3}
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 20, "max_age": "50ms"}, destinations=[destination]))
        for kill in range(2):
            await engine.ingest.accept("orders", events(1_000 * kill, 1_000))
            end = engine.log.head(engine.topology.find("orders").pipeline).seq
            await until(lambda end=end: engine.topology.find("orders").slowest_cursor > end - 900)  # type: ignore[misc]
            await asyncio.to_thread(postgres.kill)
            await until(lambda: engine.topology.find("orders").health != "ok")
            await asyncio.to_thread(postgres.start)
        await until_delivered(engine, "orders", within_s=30)
        assert ledgers(engine, "orders") == {"postgres": (2_000, 2_000, 0)}
        assert engine.topology.find("orders").health == "ok"
    assert counted(postgres, schema) == (2_000, 2_000, 2_000)


async def test_a_locked_table_is_waited_for_and_not_for_ever(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with (
        landing(tmp_path, postgres.settings(schema, timeout="2s")) as made,
        postgres.connection() as other,
    ):
        await made.write(key(1, 1), numbered(1, 1))
        await other.execute(f"BEGIN; LOCK TABLE {schema}.events")
        with pytest.raises(DestinationUnavailable, match="lock timeout") as refused:
            await made.write(key(2, 2), numbered(2, 1))
        assert not refused.value.needs_person
        await other.execute("ROLLBACK")
        await made.write(key(2, 2), numbered(2, 1))
    assert counted(postgres, schema) == (2, 2, 2)


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with (
        landing(tmp_path, postgres.settings(schema)) as patient,
        landing(tmp_path, postgres.settings(schema, timeout="300ms")) as made,
        postgres.connection() as other,
    ):
        await patient.write(key(1, 1), numbered(1, 1))
        postgres.run(
            f"CREATE FUNCTION {schema}.hang() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_advisory_lock(99); PERFORM pg_advisory_unlock(99); RETURN NEW; END$$;"
            f" CREATE TRIGGER hang BEFORE INSERT ON {schema}.events FOR EACH ROW EXECUTE FUNCTION {schema}.hang();"
            f" ALTER FUNCTION {schema}.hang SET lock_timeout = 0;"
            f" ALTER FUNCTION {schema}.hang SET statement_timeout = 0"
        )
        await other.execute("SELECT pg_advisory_lock(99)")
        with pytest.raises(DestinationUnavailable, match=r"timed out|statement timeout") as refused:
            await made.write(key(2, 2), numbered(2, 1))
        assert not refused.value.needs_person
        await other.execute("SELECT pg_advisory_unlock(99)")
        await until(lambda: postgres.rows(f"{OURS} AND state <> 'idle'") == [["0"]])
        postgres.run(f"DROP TRIGGER hang ON {schema}.events")
        await patient.write(key(2, 2), numbered(2, 1))
    assert counted(postgres, schema) == (2, 2, 2)


async def test_a_write_that_is_cancelled_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made, postgres.connection() as other:
        await made.write(key(1, 1), numbered(1, 1))
        await other.execute(f"BEGIN; LOCK TABLE {schema}.events")
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(made.write(key(2, 2), numbered(2, 1)))
            await until(lambda: postgres.rows(f"{OURS} AND wait_event_type = 'Lock'") == [["1"]])
            writing.cancel()
        await other.execute("ROLLBACK")
        await until(lambda: postgres.rows(f"{OURS} AND state <> 'idle'") == [["0"]])
        assert counted(postgres, schema) == (1, 1, 1)
        await made.write(key(2, 2), numbered(2, 1))
    assert counted(postgres, schema) == (2, 2, 2)


async def test_a_commit_is_on_the_servers_disk_whatever_its_settings_say(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    postgres.run(
        f"CREATE TABLE {schema}.events (payload json, sync text DEFAULT current_setting('synchronous_commit'))"
    )
    postgres.run(f"ALTER ROLE {USER} SET synchronous_commit = off")
    try:
        async with landing(tmp_path, postgres.settings(schema, record="payload")) as made:
            await made.write(key(1, 1), numbered(1, 1))
    finally:
        postgres.run(f"ALTER ROLE {USER} RESET synchronous_commit")
    assert postgres.rows(f"SELECT sync FROM {schema}.events") == [["on"]]


STREAM = """
name: orders
id: pl_8f3a
batch: {{max_events: 20, max_age: 50ms}}
destinations:
  - {{type: postgres, dsn: "{dsn}", table: {schema}.events, create: true, retry: {{initial: 10ms, max: 50ms}}}}
"""


def test_an_appliance_that_is_killed_at_any_moment_lands_each_event_once(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    accepted = 0
    with serving(tmp_path, {"orders": STREAM.format(dsn=postgres.dsn(), schema=schema)}) as appliance:
        for life in range(2):
            for _ in range(20 + 40 * life):
                assert appliance.emit({"n": accepted}).status == 200
                accepted += 1
            appliance.kill()
            appliance.start()
        appliance.until_delivered()
    found = [int(n) for (n,) in postgres.rows(f"SELECT payload->>'n' FROM {schema}.events")]
    assert sorted(found) == list(range(accepted))
    assert counted(postgres, schema) == (accepted, accepted, accepted)


# What a person must mend -----------------------------------------------------------------------------------

Change = Callable[[dict[str, Any], PostgresServer], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _, server: {"dsn": server.dsn(password="wrong")}, "password authentication failed"),
        (lambda _, server: {"dsn": server.dsn().replace("/postgres?", "/nothing?")}, '"nothing" does not exist'),
        (lambda _, server: {"dsn": server.dsn(user="stranger")}, "password authentication failed"),
        (lambda _, __: {"table": "nowhere.events"}, 'schema "nowhere" does not exist'),
        (lambda settings, _: {"table": settings["table"], "create": False}, "no table .* `create: true` makes it"),
    ],
    ids=["password", "database", "user", "schema", "table"],
)
async def test_what_waiting_does_not_mend_is_for_a_person(
    tmp_path: Path, postgres: PostgresServer, change: Change, said: str
) -> None:
    settings = postgres.settings(postgres.new_schema())
    async with landing(tmp_path, {**settings, **change(settings, postgres)}) as made:
        with pytest.raises(DestinationUnavailable, match=said) as refused:
            await made.write(key(1, 1), numbered(1, 1))
        assert refused.value.needs_person
        assert PASSWORD not in refused.value.message
        assert [one.ok for one in await made.probe()][-1] is False


async def test_the_statement_that_is_named_makes_the_table(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema, create=False)) as made:
        with pytest.raises(DestinationUnavailable) as refused:
            await made.write(key(1, 1), numbered(1, 1))
        postgres.run(refused.value.message[refused.value.message.index("CREATE TABLE") :])
        await made.write(key(1, 1), numbered(1, 1))
    assert counted(postgres, schema) == (1, 1, 1)


async def test_a_user_without_the_right_is_told_so(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    postgres.run(f"CREATE ROLE u_{schema} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA {schema} TO u_{schema}")
    settings = postgres.settings(schema, dsn=postgres.dsn(user=f"u_{schema}", password="x"))
    async with landing(tmp_path, postgres.settings(schema)) as owner:
        await owner.probe()
        async with landing(tmp_path, settings) as made:
            with pytest.raises(DestinationUnavailable, match="permission denied for schema") as refused:
                await made.write(key(1, 1), numbered(1, 1))
            assert refused.value.needs_person
            await owner.write(key(1, 1), numbered(1, 1))
            postgres.run(f"GRANT SELECT, INSERT ON {schema}.conduit_batches TO u_{schema}")
            with pytest.raises(DestinationUnavailable, match="permission denied for table events") as refused:
                await made.write(key(2, 2), numbered(2, 1))
            assert refused.value.needs_person
            assert "GRANT INSERT" in (await made.probe())[-1].message
            postgres.run(f"GRANT INSERT ON {schema}.events TO u_{schema}")
            await made.write(key(2, 2), numbered(2, 1))
    assert counted(postgres, schema) == (2, 2, 2)


async def test_a_table_that_is_dropped_is_made_again_or_asked_for(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made:
        await made.write(key(1, 1), numbered(1, 1))
        postgres.run(f"DROP TABLE {schema}.events")
        await made.write(key(2, 2), numbered(2, 1))
    async with landing(tmp_path, postgres.settings(schema, create=False)) as made:
        postgres.run(f"DROP TABLE {schema}.events")
        with pytest.raises(DestinationUnavailable, match="there is no table") as refused:
            await made.write(key(3, 3), numbered(3, 1))
        assert refused.value.needs_person
    assert postgres.rows(f"SELECT count(*) FROM {schema}.conduit_batches") == [["2"]]


async def test_without_the_driver_it_says_what_to_install(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    async with landing(tmp_path, postgres.settings("public")) as made:
        with pytest.raises(DestinationUnavailable, match=re.escape("pip install 'conduit-local[postgres]'")) as refused:
            await made.write(key(1, 1), numbered(1, 1))
    assert refused.value.needs_person


# What is left ----------------------------------------------------------------------------------------------


async def test_trying_it_out_leaves_nothing_behind(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    tables = f"SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"
    async with landing(tmp_path, postgres.settings(schema)) as made:
        findings = await made.probe()
        assert [(one.step, one.ok) for one in findings] == [
            *(("connect", True), ("ledger", True), ("table", True), ("roll back", True)),
        ]
        assert postgres.rows(tables) == [["0"]]
        await made.write(key(1, 1), Rows(columns(a="INTEGER"), b'{"a":1}\n'))
        assert "a integer" in (await made.probe())[2].message
        assert len(postgres.rows(f"SELECT key FROM {schema}.conduit_batches")) == 1


async def test_the_ledger_is_listed_in_pages(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made:
        assert await listed(made) == []
        written = await made.write(key(1, 2), numbered(1, 2))
        postgres.run(
            f"INSERT INTO {schema}.conduit_batches SELECT 't/pl_1/r', 'orders/' || 10 + n, 'x', 1, 1, 1, 7, 'abc'"
            " FROM generate_series(1, 2500) n;"
            f"INSERT INTO {schema}.conduit_batches VALUES ('t/pl_1/r', 'orders2/1', 'x', 1, 1, 1, 7, 'abc')"
        )
        pages = await listed(made)
    assert [len(page) for page in pages] == [1_000, 1_000, 501]
    found = {one.key: one for page in pages for one in page}
    assert len(found) == 2_501
    mine = found[key(1, 2)]
    assert (mine.size_bytes, mine.sha256) == (written.size_bytes, written.sha256)
    assert await made.read(key(1, 2)) is None


async def test_connections_are_kept_for_a_while_and_no_longer(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = postgres.new_schema()
    ours = f"{OURS} AND query NOT LIKE '%pg_stat_activity%'"
    await until(lambda: postgres.rows(ours) == [["0"]])
    async with landing(tmp_path, postgres.settings(schema)) as made:
        for number in range(1, 6):
            await made.write(key(number, number), numbered(number, 1))
        assert postgres.rows(ours) == [["1"]]
        monkeypatch.setattr(postgres_pool, "_IDLE_S", 0.01)
        await made.write(key(6, 6), numbered(6, 1))
        await until(lambda: postgres.rows(ours) == [["0"]])
        await made.write(key(7, 7), numbered(7, 1))
    await until(lambda: postgres.rows(ours) == [["0"]])
