"""What is said of a query before it runs on any event."""

import pytest

from conduit_local.core.content import Column
from conduit_local.core.transforming import QueryRefused
from conduit_local.transforms.columns import EVENTS
from conduit_local.transforms.running import SqlTransforms
from tests.transforms.making import recipe_of, sql


async def refused(transforms: SqlTransforms, query: str) -> QueryRefused:
    with pytest.raises(QueryRefused) as caught:
        await transforms.check(sql(query))
    assert "\n" not in caught.value.message
    assert "made AS" not in caught.value.message
    return caught.value


async def test_the_columns_of_a_query_are_known_without_events(transforms: SqlTransforms) -> None:
    query = "SELECT payload->>'mag' AS mag, received_at AS time, {'a': 1} AS s FROM events"
    assert await transforms.check(sql(query)) == (
        Column("mag", "VARCHAR"),
        Column("time", "TIMESTAMP WITH TIME ZONE"),
        Column("s", "STRUCT(a INTEGER)"),
    )
    assert await transforms.check(recipe_of({"type": "filter", "where": "true"})) == EVENTS


async def test_a_wrong_query_is_refused_where_it_is_wrong(transforms: SqlTransforms) -> None:
    for query, line, column, said in (
        ("SELEC", 1, 1, 'syntax error at or near "SELEC"'),
        ("SELECT event_id,\n\n   'é' || nope FROM events", 3, 11, '"nope" not found'),
        ("\n\n  SELECT 1 FROM nowhere", 3, 17, "there is no table nowhere"),
        ("SELECT nope(1)", 1, 8, "nope does not exist"),
        ("SELECT (", 1, 8, "syntax error"),
    ):
        error = await refused(transforms, query)
        assert said in error.message
        assert (error.line, error.column) == (line, column)


async def test_a_place_in_a_condition_is_one_in_what_people_wrote(transforms: SqlTransforms) -> None:
    recipe = recipe_of({"type": "filter", "where": "true"}, {"type": "filter", "where": "true AND\n nope = 1"})
    with pytest.raises(QueryRefused) as caught:
        await transforms.check(recipe)
    assert (caught.value.step, caught.value.line, caught.value.column) == (1, 2, 2)


async def test_a_name_that_is_not_there_is_told_without_a_place_in_our_own_sql(transforms: SqlTransforms) -> None:
    for transform in (
        {"type": "rename", "fields": {"nope": "x"}},
        {"type": "select", "fields": ["event_id", "nope.a"]},
        {"type": "mask", "fields": ["nope.a"]},
    ):
        with pytest.raises(QueryRefused, match="nope") as caught:
            await transforms.check(recipe_of(transform))
        assert (caught.value.line, caught.value.column) == (None, None)


async def test_two_columns_of_one_name_are_refused(transforms: SqlTransforms) -> None:
    assert "'a'" in (await refused(transforms, 'SELECT 1 AS a, 2 AS "A" FROM events')).message
    with pytest.raises(QueryRefused, match="two columns are called 'event_id'"):
        await transforms.check(recipe_of({"type": "rename", "fields": {"event_type": "event_id"}}))


@pytest.mark.parametrize(
    "call",
    [
        "random()",
        "uuid()",
        "gen_random_uuid()",
        "uuidv7()",
        "now()",
        "today()",
        "current_timestamp",
        "CURRENT_DATE",
        "current_time",
        "localtimestamp",
        "localtime",
        "get_current_timestamp()",
        "transaction_timestamp()",
        "age(received_at)",
        "ago(INTERVAL 1 DAY)",
        "nextval('s')",
        "setseed(0.5)",
        "txid_current()",
        "current_query()",
        "current_setting('memory_limit')",
        "getvariable('x')",
        "list_transform([1], lambda x: x + random())",
        "(SELECT max(random()) FROM events)",
        "sum(1) OVER (ORDER BY random())",
    ],
)
async def test_what_changes_from_call_to_call_is_refused(transforms: SqlTransforms, call: str) -> None:
    error = await refused(transforms, f"SELECT event_id,\n {call} AS it FROM events")
    assert "must come out the same" in error.message
    assert error.line == 2


async def test_for_the_time_there_is_received_at(transforms: SqlTransforms) -> None:
    assert (await refused(transforms, "SELECT now()")).message.endswith("; use received_at for the time")
    assert "received_at" not in (await refused(transforms, "SELECT random()")).message
    assert await transforms.check(
        sql("SELECT age(received_at, received_at) AS a, date_trunc('day', received_at) AS b FROM events")
    )


async def test_a_sample_is_refused(transforms: SqlTransforms) -> None:
    for query in ("SELECT * FROM events USING SAMPLE 3", "SELECT * FROM events TABLESAMPLE reservoir(10%)"):
        assert "sample" in (await refused(transforms, query)).message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO 'x'",
        "COPY events TO 'x'",
        "WITH x AS (SELECT 1) COPY x TO 'y'",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO events SELECT * FROM events",
        "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x",
        "DELETE FROM events",
        "DROP TABLE events",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '1GB'",
        "RESET memory_limit",
        "PRAGMA version",
        "CALL duckdb_settings()",
        "DESCRIBE events",
        "SHOW TABLES",
        "SUMMARIZE events",
        "FROM (DESCRIBE events)",
        "EXPLAIN SELECT 1",
        "EXPORT DATABASE 'x'",
        "USE main",
        "BEGIN",
        "CHECKPOINT",
        "PREPARE p AS SELECT 1",
        "SELECT ?",
        "SELECT $a",
        "SELECT 1) UNION ALL (SELECT 2",
        "SELECT 1 /*",
    ],
)
async def test_all_but_one_plain_select_is_refused(transforms: SqlTransforms, query: str) -> None:
    assert (await refused(transforms, query)).message
    assert await transforms.check(sql("SELECT 1 AS a FROM events"))


@pytest.mark.parametrize(
    "table",
    [
        "read_csv('/etc/passwd')",
        "read_text('/etc/passwd')",
        "read_blob('source')",
        "read_json('source')",
        "read_parquet('https://example.com/x.parquet')",
        "'/etc/passwd'",
        "'https://example.com/x.csv'",
        "glob('/*')",
        "sniff_csv('/etc/passwd')",
        "duckdb_settings()",
        "duckdb_secrets()",
        "duckdb_functions()",
        "pragma_version()",
        "pragma_table_info('events')",
        "pragma_database_list",
        "information_schema.tables",
        "pg_catalog.pg_tables",
        "sqlite_master",
        "batch.events",
        "memory.batch.events",
        "query('SELECT 1')",
        "query_table('events')",
        "json_execute_serialized_sql('{}')",
        "duckdb_logs()",
        "duckdb_memory()",
        "self",
        "os",
    ],
)
async def test_nothing_but_events_can_be_read_from(transforms: SqlTransforms, table: str) -> None:
    for query in (f"SELECT * FROM {table}", f"SELECT (SELECT count(*) FROM {table}) AS n FROM events"):
        assert "reads the table events, nothing else" in (await refused(transforms, query)).message


@pytest.mark.parametrize(
    "query",
    [
        "FROM events",
        "SELECT 1 AS a;",
        "SELECT 1 AS a; -- so",
        "SELECT 1 AS a -- so",
        "(SELECT 1 AS a)",
        "VALUES (1)",
        "WITH e AS (SELECT * FROM events) SELECT a.event_id FROM e AS a JOIN Events AS b USING (event_id)",
        "SELECT unnest(range(3)) AS n FROM events, range(2), generate_series(1, 2) AS g(x)",
        "SELECT event_type, count(*) AS n FROM events GROUP BY ALL HAVING n > 1 ORDER BY n LIMIT 5",
        "SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY event_type ORDER BY received_at) = 1",
        "SELECT key, value FROM events, json_each(payload)",
        "SELECT 1 AS a UNION ALL SELECT 2",
        "PIVOT (SELECT event_type FROM events) ON event_type IN ('a', 'b') USING count(*)",
    ],
)
async def test_a_plain_select_is_taken_as_it_comes(transforms: SqlTransforms, query: str) -> None:
    assert await transforms.check(sql(query))


async def test_a_query_nested_without_end_is_refused(transforms: SqlTransforms) -> None:
    for query in ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "SELECT " + "-" * 3 + "\n1" + "+1" * 20_000):
        await refused(transforms, query)


async def test_the_arrow_that_binds_weaker_than_is_and_equals_is_explained(transforms: SqlTransforms) -> None:
    for query in (
        "SELECT 1 AS a FROM events WHERE payload->'a'->>'n' IS NOT NULL",
        "SELECT 1 AS a FROM events WHERE payload->'a'->>'n' = 'x'",
    ):
        with pytest.raises(QueryRefused, match="chain of arrows") as refused:
            await transforms.check(sql(query))
        assert "Candidate" not in refused.value.message
