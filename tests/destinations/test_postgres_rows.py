"""What lands in a PostgreSQL table is what was sent: values, types, and refusals of single rows."""

import json
from pathlib import Path

import pytest

from conduit_local.core.dead import DeadFilter
from conduit_local.core.delivering import Rejected
from conduit_local.core.errors import DestinationUnavailable
from tests.destinations.landing import (
    EVERY_KIND,
    PAYLOAD,
    Rows,
    columns,
    content,
    key,
    landing,
    nulls,
    numbered,
    queried,
)
from tests.destinations.postgres_server import PostgresServer
from tests.engines import engine_at, until
from tests.making import events, spec

DEEP = '{"a":' * 60 + "[]" + "}" * 60
ODD = [
    '{"n": 1.10, "n": 1.1, "z": 1, "a": -0}',
    '{"n": 123456789012345678901234567890.000000000000001}',
    '{"n": 1e400}',
    r'{"s": "\u0000 \ud83c\udf89 \\ \" \/ \t \\. \\N"}',
    '{"s": "é 🎉 \u2028"}',
    '{"tab":\t1}',
    '"\\\\."',
    "null",
    "[]",
    r'"\ud800"',
    DEEP,
    json.dumps("x" * 262_142),
]


async def test_payloads_come_out_byte_for_byte(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made:
        await made.write(key(1, len(ODD)), content(*ODD))
    found = [row[0] for row in postgres.rows(f"SELECT payload FROM {schema}.events ORDER BY event_id")]
    assert found == ODD
    heads = postgres.rows(f"SELECT DISTINCT pipeline_id, event_type, received_at FROM {schema}.events")
    assert heads == [["pl_1", "a.b", "2026-06-21 14:09:33+00"]]


async def test_jsonb_keeps_numbers_exact_and_refuses_what_it_cannot_hold(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema, json_type="jsonb")) as made:
        for place in (0, 1, 5, 10):
            await made.write(key(place + 1, place + 1), content(ODD[place], first=place + 1))
        for place in (3, 9):
            with pytest.raises(Rejected, match="SQLSTATE 22"):
                await made.write(key(place + 1, place + 1), content(ODD[place], first=place + 1))
    found = [row[0] for row in postgres.rows(f"SELECT payload FROM {schema}.events ORDER BY event_id")]
    assert found[:2] == ['{"a": 0, "n": 1.1, "z": 1}', '{"n": 123456789012345678901234567890.000000000000001}']
    assert len(found) == 4
    assert len(postgres.rows(f"SELECT key FROM {schema}.conduit_batches")) == 4


async def test_the_payload_alone_is_one_column(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema, record="payload")) as made:
        await made.write(key(1, len(ODD)), content(*ODD))
    assert postgres.rows(f"SELECT * FROM {schema}.events ORDER BY ctid") == [[one] for one in ODD]


async def test_a_querys_columns_have_their_types_and_values(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    rows = await queried(tmp_path, EVERY_KIND, PAYLOAD)
    async with landing(tmp_path, postgres.settings(schema)) as made:
        await made.write(key(1, 2), Rows(rows.columns, *rows.pieces(), nulls(rows.columns)))
        await made.write(key(3, 4), Rows(rows.columns, *rows.pieces(), nulls(rows.columns)))  # it fits its own table
    shape = dict(
        postgres.rows(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            f" WHERE attrelid = '{schema}.events'::regclass AND attnum > 0 ORDER BY attnum"
        )
    )
    first, empty = postgres.rows(f"SELECT * FROM {schema}.events ORDER BY ctid LIMIT 2")
    assert empty == [""] * len(shape)
    assert {name: (shape[name], value) for name, value in zip(shape, first, strict=True)} == {
        "a_boolean": ("boolean", "t"),
        "a_tinyint": ("smallint", "127"),
        "a_utinyint": ("smallint", "255"),
        "a_smallint": ("smallint", "-32768"),
        "a_usmallint": ("integer", "65535"),
        "an_integer": ("integer", "-2147483648"),
        "a_uinteger": ("bigint", "4294967295"),
        "a_bigint": ("bigint", "9223372036854775807"),
        "a_ubigint": ("numeric(20,0)", "18446744073709551615"),
        "a_hugeint": ("numeric(39,0)", "-170141183460469231731687303715884105728"),
        "a_uhugeint": ("numeric(39,0)", "340282366920938463463374607431768211455"),
        "a_decimal": ("numeric(18,3)", "1.100"),
        "a wide decimal": ("numeric(38,18)", "12345678901234567890.123456789012345678"),
        "a_float": ("real", "0.1"),
        "a_double": ("double precision", "1.7976931348623157e+308"),
        'A "text"': ("text", "tab\tquote\" back\\slash '; é 🎉\n\r\\N"),
        "empty": ("text", ""),
        "an_enum": ("text", "b"),
        "a_uuid": ("uuid", "0f8fad5b-d9cb-469f-a165-70867728950e"),
        "a_date": ("date", "0044-03-15 BC"),
        "another_date": ("date", "2026-11-21"),
        "a_time": ("time without time zone", "23:59:59.999999"),
        "a_timestamp": ("timestamp without time zone", "2026-11-21 17:00:00.123456"),
        "a_timestamp_s": ("timestamp without time zone", "2026-11-21 17:00:00"),
        "a_timestamp_ms": ("timestamp without time zone", "2026-11-21 17:00:00.123"),
        "a_timestamp_ns": ("timestamp without time zone", "2026-11-21 17:00:00.123456"),
        "a_timestamptz": ("timestamp with time zone", "2026-02-02 02:40:00+00"),
        "an_interval": ("interval", "1 mon 2 days 03:04:05.5"),
        "a_blob": ("bytea", "\\x005cff6122"),
        "a_bit": ("bit varying", "01011"),
        "a_list": ("json", "[1,null,3]"),
        "texts": ("json", '["a\\"b",null]'),
        "a_struct": ("json", '{"a":1,"b c":["x"]}'),
        "a_map": ("json", '{"k":1}'),
        "a_payload": ("json", PAYLOAD),
        "a_part": ("json", PAYLOAD[PAYLOAD.index('{"big') : -1].replace(" ", "")),
    }


TABLE = "CREATE TABLE {}.events (event_id text, pipeline_id text, event_type text, received_at timestamptz, payload {})"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP COLUMN payload", "no column 'payload'"),
        ("ALTER COLUMN received_at TYPE text", "'received_at' of .* is text, and the rows bring timestamp with time"),
        ("ALTER COLUMN event_id TYPE integer USING 1", "'event_id' of .* is integer"),
        ("ADD COLUMN shop text NOT NULL", "'shop' of .* takes no NULL"),
    ],
)
async def test_drift_is_refused_with_the_statement_that_mends_it(
    tmp_path: Path, postgres: PostgresServer, change: str, said: str
) -> None:
    schema = postgres.new_schema()
    postgres.run(TABLE.format(schema, "json"))
    async with landing(tmp_path, postgres.settings(schema)) as made:
        await made.write(key(1, 1), numbered(1, 1))
        postgres.run(f"DELETE FROM {schema}.events; ALTER TABLE {schema}.events {change}")
        with pytest.raises(DestinationUnavailable, match=said) as refused:
            await made.write(key(2, 2), numbered(2, 1))
        assert refused.value.needs_person
        postgres.run(refused.value.message[refused.value.message.index("ALTER TABLE") :])
        await made.write(key(2, 2), numbered(2, 1))
    assert len(postgres.rows(f"SELECT event_id FROM {schema}.events")) == 1


async def test_a_wider_table_takes_the_rows(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    postgres.run(
        f"CREATE TYPE {schema}.color AS ENUM ('red'); CREATE DOMAIN {schema}.id AS bigint CHECK (value > 0);"
        f"CREATE TABLE {schema}.events (n bigint, d numeric, e numeric(20,4), f double precision, c {schema}.color,"
        f" i {schema}.id, v varchar(5), p jsonb, more text NOT NULL DEFAULT 'x', id serial)"
    )
    made_of = columns(
        n="INTEGER", d="DOUBLE", e="DECIMAL(18,3)", f="FLOAT", c="VARCHAR", i="BIGINT", v="VARCHAR", p="JSON"
    )
    good = b'{"n":1,"d":1.5,"e":1.125,"f":0.5,"c":"red","i":1,"v":"12345","p":{"a":1}}\n'
    async with landing(tmp_path, postgres.settings(schema)) as made:
        await made.write(key(1, 1), Rows(made_of, good))
        for bad in (good.replace(b"red", b"blue"), good.replace(b"12345", b"123456"), good.replace(b'"i":1', b'"i":0')):
            with pytest.raises(Rejected):
                await made.write(key(2, 2), Rows(made_of, bad))
        narrow = columns(e="DECIMAL(18,5)")
        with pytest.raises(DestinationUnavailable, match=r"numeric\(20,4\), and the rows bring numeric\(18,5\)"):
            await made.write(key(3, 3), Rows(narrow, b'{"e":1.00001}\n'))
    assert postgres.rows(f"SELECT * FROM {schema}.events") == [
        ["1", "1.5", "1.1250", "0.5", "red", "1", "12345", '{"a": 1}', "x", "1"]
    ]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("CHECK (payload->>'n' <> '2')", "violates check constraint"),
        ("UNIQUE (event_type)", r"Key \(event_type\)=\(a.b\) already exists"),
        ("UNIQUE (event_type) DEFERRABLE INITIALLY DEFERRED", "duplicate key"),
        ("CHECK ((payload->>'n')::integer < 0 OR 1 / ((payload->>'n')::integer - 2) < 9)", "division by zero"),
    ],
)
async def test_rows_that_the_table_refuses_are_rejected_and_nothing_is_there(
    tmp_path: Path, postgres: PostgresServer, rule: str, said: str
) -> None:
    schema = postgres.new_schema()
    postgres.run(TABLE.format(schema, "json") + f"; ALTER TABLE {schema}.events ADD {rule}")
    async with landing(tmp_path, postgres.settings(schema)) as made:
        with pytest.raises(Rejected, match=said):
            await made.write(key(1, 3), numbered(1, 3))
        assert postgres.lines_by_key(schema) == {}
        await made.write(key(1, 1), numbered(1, 1))
    assert list(postgres.lines_by_key(schema)) == [key(1, 1)]


async def test_events_that_the_table_refuses_die_alone_and_the_rest_lands(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    schema, bad = postgres.new_schema(), {3, 40, 41, 99}
    postgres.run(TABLE.format(schema, "jsonb"))
    payloads = [r'{"s": "\u0000"}' if n in bad else f'{{"n": {n}}}' for n in range(100)]
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(
            spec(batch={"max_events": 50, "max_age": "50ms"}, destinations=[postgres.settings(schema)])
        )
        await engine.ingest.accept("orders", events(*payloads))
        live = engine.topology.find("orders")
        await until(lambda: live.slowest_cursor >= 100)
        dead = [letter async for letter, _ in engine.dead.each(DeadFilter())]
        assert {letter.seq - 1 for letter in dead} == bad
        assert all("SQLSTATE 22P05" in letter.error for letter in dead)
    found = postgres.rows(f"SELECT payload->>'n' FROM {schema}.events")
    assert sorted(int(n) for (n,) in found) == sorted(set(range(100)) - bad)
    assert postgres.rows(f"SELECT sum(rows) FROM {schema}.conduit_batches") == [["96"]]


async def test_a_triggers_refusal_is_one_of_the_content(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    postgres.run(
        TABLE.format(schema, "json") + f"; CREATE FUNCTION {schema}.no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'not this one'; END$$;"
        f" CREATE TRIGGER no BEFORE INSERT ON {schema}.events FOR EACH ROW EXECUTE FUNCTION {schema}.no()"
    )
    async with landing(tmp_path, postgres.settings(schema)) as made:
        with pytest.raises(Rejected, match="not this one"):
            await made.write(key(1, 1), numbered(1, 1))


async def test_a_partition_that_is_missing_is_nothing_to_die_of(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    postgres.run(TABLE.format(schema, "json") + " PARTITION BY RANGE (received_at)")
    async with landing(tmp_path, postgres.settings(schema)) as made:
        with pytest.raises(DestinationUnavailable, match="no partition of relation") as refused:
            await made.write(key(1, 1), numbered(1, 1))
        assert refused.value.needs_person
        postgres.run(f"CREATE TABLE {schema}.rest PARTITION OF {schema}.events DEFAULT")
        await made.write(key(1, 1), numbered(1, 1))
    assert len(postgres.rows(f"SELECT event_id FROM {schema}.events")) == 1


async def test_names_are_quoted_and_overlong_ones_refused(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    made_of = columns(**{'x"; DROP TABLE y; --': "VARCHAR", "Größe": "INTEGER", "select": "JSON"})
    line = b'{"x\\"; DROP TABLE y; --":"a","Gr\xc3\xb6\xc3\x9fe":1,"select":[]}\n'
    async with landing(tmp_path, {**postgres.settings(schema), "table": f"{schema}.Order-Items $1"}) as made:
        await made.write(key(1, 1), Rows(made_of, line))
        with pytest.raises(DestinationUnavailable, match="more than 63 bytes") as refused:
            await made.write(key(2, 2), Rows(columns(**{"ö" * 32: "INTEGER"}), b"{}\n"))
        assert refused.value.needs_person
    assert postgres.rows(f'SELECT * FROM {schema}."Order-Items $1"') == [["a", "1", "[]"]]


@pytest.mark.parametrize("table", ["", "a.b.c", "a.", ".b", "a;b", 'a"b', "1a", "x" * 64, "a\nb", "a/b"])
def test_what_is_no_tables_name_is_refused(postgres: PostgresServer, table: str) -> None:
    from conduit_local.destinations.tables.postgres import PostgresSpec

    with pytest.raises(ValueError, match=r"table|letter"):
        PostgresSpec.model_validate({**postgres.settings("x"), "table": table})


async def test_a_row_that_is_no_json_of_its_columns_is_rejected(tmp_path: Path, postgres: PostgresServer) -> None:
    schema = postgres.new_schema()
    async with landing(tmp_path, postgres.settings(schema)) as made:
        with pytest.raises(Rejected, match="no JSON object of its columns"):
            await made.write(key(1, 1), Rows(columns(a="VARCHAR"), b'{"a":1}\n'))
        await made.write(key(1, 1), Rows(columns(a="VARCHAR"), b'{"a":"1"}\n'))
    assert postgres.rows(f"SELECT a FROM {schema}.events") == [["1"]]
