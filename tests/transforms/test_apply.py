"""What recipes make of events: rows, bytes, columns."""

import json
from decimal import Decimal
from typing import Any

import pytest

from conduit_local.core.content import Column, Content
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.transforming import Recipe, RowsRefused
from conduit_local.transforms.columns import EVENTS
from conduit_local.transforms.running import SqlTransforms
from tests.transforms.making import bytes_of, lines_of, orders, reading, recipe_of, rows_of, sql

ONE = PipelineNumber(1)
TRUE = recipe_of({"type": "filter", "where": "true"})
STRANGE = (
    '{"a":1.10,"b":1e400,"a":2,"c":123456789012345678901234567890.100,"d":"\\u00e9é\\/\\u0000","n":null,"z":-0.0,'
    '"e":1E5,"s": [ 1 , 2 ],"x":"}\\n{","payload":{"event_type":"\\",\\"payload\\":"},"":[],"🙂":"\\u202e"}'
)


async def apply(transforms: SqlTransforms, recipe: Recipe, *payloads: str) -> Content:
    return await transforms.apply(ONE, recipe, reading(lines_of(payloads)))


async def test_rows_have_the_columns_of_the_query(transforms: SqlTransforms) -> None:
    query = "SELECT payload->>'place' AS place, (payload->>'mag')::DOUBLE AS mag, received_at AS at FROM events"
    content = await transforms.apply(ONE, sql(query + " WHERE mag >= 8"), reading(orders(20)))
    assert content.columns == (
        Column("place", "VARCHAR"),
        Column("mag", "DOUBLE"),
        Column("at", "TIMESTAMP WITH TIME ZONE"),
    )
    assert content.rows == 2
    assert rows_of(content) == [{"place": "10 km W", "mag": 8.5, "at": "2026-02-02T02:40:00Z"}] * 2


async def test_an_event_that_passes_is_the_same_byte_for_byte(transforms: SqlTransforms) -> None:
    parts = lines_of([STRANGE, "{}", '{"a":' * 99 + "1" + "}" * 99, json.dumps({"long": "é" * 100_000})])
    content = await transforms.apply(ONE, TRUE, reading(parts))
    assert (content.columns, content.rows) == (None, 4)
    assert bytes_of(content) == b"".join(parts)


async def test_envelopes_keep_their_order_of_fields_whatever_that_of_the_query(transforms: SqlTransforms) -> None:
    parts = lines_of([STRANGE])
    query = "SELECT payload, received_at, event_type, pipeline_id, event_id FROM events"
    content = await transforms.apply(ONE, sql(query), reading(parts))
    assert content.columns is None
    assert bytes_of(content) == b"".join(parts)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT *, 1 AS one FROM events",
        "SELECT * EXCLUDE pipeline_id FROM events",
        "SELECT * REPLACE (received_at::VARCHAR AS received_at) FROM events",
        "SELECT * REPLACE (payload::VARCHAR AS payload) FROM events",
    ],
)
async def test_all_that_is_not_quite_an_envelope_is_rows(transforms: SqlTransforms, query: str) -> None:
    content = await apply(transforms, sql(query), STRANGE)
    assert content.columns is not None
    assert await transforms.check(sql(query)) == content.columns
    content.close()


async def test_a_payload_among_other_columns_is_the_same_byte_for_byte(transforms: SqlTransforms) -> None:
    content = await apply(transforms, sql("SELECT 1 AS one, payload FROM events"), STRANGE)
    assert bytes_of(content) == b'{"one":1,"payload":' + STRANGE.encode() + b"}\n"


async def test_an_envelope_without_its_id_is_refused(transforms: SqlTransforms) -> None:
    query = "SELECT * REPLACE (NULL::VARCHAR AS event_id) FROM events"
    with pytest.raises(RowsRefused, match="event_id is NULL"):
        await apply(transforms, sql(query), "{}")


async def test_no_events_and_no_rows_are_an_empty_content(transforms: SqlTransforms) -> None:
    empty = await transforms.apply(ONE, TRUE, reading([]))
    assert (empty.rows, empty.columns, bytes_of(empty)) == (0, None, b"")
    none = await transforms.apply(ONE, sql("SELECT 1 AS a FROM events WHERE false"), reading(orders(3)))
    assert (none.rows, none.columns, bytes_of(none)) == (0, (Column("a", "INTEGER"),), b"")


async def test_no_recipe_leaves_the_events_and_starts_nothing(transforms: SqlTransforms) -> None:
    parts = orders(3)
    content = await transforms.apply(ONE, (), reading(parts))
    assert (content.rows, content.columns, bytes_of(content)) == (3, None, b"".join(parts))
    assert await transforms.check(()) == EVENTS


async def test_the_same_events_give_the_same_bytes_in_any_child(transforms: SqlTransforms) -> None:
    recipe = sql(
        "SELECT payload->>'place' AS place, count(*) AS n, sum((payload->>'mag')::DOUBLE) AS s FROM events GROUP BY 1"
    )
    parts = lines_of(json.dumps({"place": f"p{number % 700}", "mag": number / 7}) for number in range(5_000))
    made = {bytes_of(await transforms.apply(PipelineNumber(owner), recipe, reading(parts))) for owner in (1, 2, 1, 1)}
    assert len(made) == 1


async def test_a_chain_reads_what_the_step_before_made(transforms: SqlTransforms) -> None:
    recipe = recipe_of(
        {"type": "filter", "where": "event_type = 'order.created' AND (payload->>'total')::DOUBLE > 5 -- big ones"},
        {"type": "select", "fields": {"order": "payload.order.id", "mail": "payload.email", "at": "received_at"}},
        {"type": "rename", "fields": {"at": "time"}},
        {"type": "mask", "fields": ["mail"], "with": "it's masked"},
        {"type": "sql", "query": 'SELECT * FROM events ORDER BY "order" DESC;'},
    )
    payloads = [json.dumps({"order": {"id": n}, "total": n, "email": "a@b" if n % 2 else None}) for n in range(4, 9)]
    content = await apply(transforms, recipe, *payloads)
    at = "2026-02-02T02:40:00Z"
    assert rows_of(content) == [
        {"order": 8, "mail": "it's masked", "time": at},
        {"order": 7, "mail": "it's masked", "time": at},
        {"order": 6, "mail": "it's masked", "time": at},
    ]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("1.50::DECIMAL(38, 10)", "1.5000000000"),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("received_at + INTERVAL 1 MICROSECOND", '"2026-02-02T02:40:00.000001Z"'),
        ("'a\n\"\\'", '"a\\n\\"\\\\"'),
        ("NULL", "null"),
        ("0.1::DOUBLE", "0.1"),
        ("[1, NULL]", "[1,null]"),
        ("{'a': DATE '2026-01-02'}", '{"a":"2026-01-02"}'),
        ("MAP {'a': 1}", '{"a":1}'),
        ("'{\"a\":\n1.0}'::JSON", '{"a": 1.0}'),
        ("'x'::ENUM('x')", '"x"'),
        ("true", "true"),
        ('\'["NaN", ", }"]\'::JSON', '["NaN", ", }"]'),
    ],
)
async def test_each_type_has_its_text(transforms: SqlTransforms, expression: str, text: str) -> None:
    content = await apply(transforms, sql(f'SELECT {expression} AS "it\'s ""é""" FROM events'), "{}")
    assert bytes_of(content).decode() == f'{{"it\'s \\"é\\"":{text}}}\n'


@pytest.mark.parametrize("expression", ["'nan'::DOUBLE", "['inf'::FLOAT]", "'[1,]'::JSON", "'{\"a\": NaN}'::JSON"])
async def test_what_no_json_may_hold_is_refused_with_the_column(transforms: SqlTransforms, expression: str) -> None:
    with pytest.raises(RowsRefused, match="it holds NaN, Infinity or a comma too many"):
        await apply(transforms, sql(f"SELECT {expression} AS it FROM events"), "{}")


async def test_rows_that_fail_say_why_and_where(transforms: SqlTransforms) -> None:
    recipe = (*TRUE, *sql("SELECT (payload->>'total')::INTEGER AS total FROM events"))
    with pytest.raises(RowsRefused) as caught:
        await apply(transforms, recipe, '{"total": 1}', '{"total": "many"}')
    assert (caught.value.message, caught.value.step) == ("Could not convert string 'many' to INT32", 1)
    assert rows_of(await apply(transforms, recipe, '{"total": 1}')) == [{"total": 1}]


async def test_an_error_that_the_query_raises_refuses_the_rows(transforms: SqlTransforms) -> None:
    query = "SELECT CASE WHEN payload->>'a' = '2' THEN error('a is two') ELSE 1 END AS one FROM events"
    assert rows_of(await apply(transforms, sql(query), '{"a": 1}')) == [{"one": 1}]
    with pytest.raises(RowsRefused, match=r"^a is two$"):
        await apply(transforms, sql(query), '{"a": 1}', '{"a": 2}')


async def test_what_duckdb_cannot_read_is_refused_and_the_next_batch_goes_on(transforms: SqlTransforms) -> None:
    with pytest.raises(RowsRefused, match="surrogate"):
        await apply(transforms, TRUE, '{"a": "\\ud800"}')
    assert rows_of(await apply(transforms, TRUE, "{}"))


# select, mask, rename ---------------------------------------------------------------------------------------


def exact(text: bytes) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


async def test_select_takes_fields_with_their_numbers_as_written(transforms: SqlTransforms) -> None:
    fields = {
        "a": "payload.a.b[1]",
        "whole": "payload.a",
        "dot": 'payload."x.y"',
        "none": "payload.nope.nope",
        "id": "event_id",
    }
    payload = '{"a": {"b": [0, 123456789.12345678901234567890], "c": "1.50"}, "x.y": "it\'s"}'
    content = await apply(transforms, recipe_of({"type": "select", "fields": fields}), payload)
    assert bytes_of(content).decode() == (
        '{"a":123456789.12345678901234567890,"whole":{"b":[0,123456789.12345678901234567890],"c":"1.50"},'
        '"dot":"it\'s","none":null,"id":"evt_abcde000100000001"}\n'
    )


async def test_select_names_a_field_by_the_end_of_its_path(transforms: SqlTransforms) -> None:
    recipe = recipe_of({"type": "select", "fields": ["event_type", "payload.order.id"]})
    assert [column.name for column in await transforms.check(recipe)] == ["event_type", "id"]


async def test_mask_covers_a_field_at_any_depth_and_leaves_the_rest(transforms: SqlTransforms) -> None:
    recipe = recipe_of(
        {"type": "mask", "fields": ["payload.email", "payload.to.phone", "payload.items[*].note", "payload.tags[*]"]}
    )
    payload = (
        '{"email": null, "n": 1.10, "to": {"phone": {"a": 1}, "n": null, "zip": 0.10}, "tags": ["a", 1],'
        ' "items": [{"note": "x", "p": 2.50, "q": null}, {"p": 3}, 4]}'
    )
    content = await apply(transforms, recipe, payload)
    assert content.columns is None
    line = bytes_of(content)
    assert json.loads(line)["payload"] == {
        "email": "***",
        "n": 1.1,
        "to": {"phone": "***", "n": None, "zip": 0.1},
        "tags": ["***", "***"],
        "items": [{"note": "***", "p": 2.5, "q": None}, {"p": 3}, 4],
    }
    assert b'"n":1.10' in line
    assert b'"zip":0.10' in line
    assert b'"p":2.50' in line


@pytest.mark.parametrize(
    "payload",
    [
        STRANGE,
        '{"email": "a@b"}',
        '{"to": "email", "x": {"to": {"email": 1.10}}}',
        '{"to": [{"email": 1}]}',
        '{"to": {"Email": 1.0}, "list": {"0": {"email": 1}}}',
    ],
)
async def test_mask_leaves_an_event_without_the_field_byte_for_byte(transforms: SqlTransforms, payload: str) -> None:
    parts = lines_of([payload])
    content = await transforms.apply(
        ONE, recipe_of({"type": "mask", "fields": ["payload.to.email", "payload.list[*].email"]}), reading(parts)
    )
    assert bytes_of(content) == b"".join(parts)


async def test_mask_of_many_fields_is_no_larger_than_their_sum(transforms: SqlTransforms) -> None:
    fields = [f"payload.f{number}" for number in range(100)]
    payload = {f"f{number}": number for number in range(0, 100, 7)} | {"other": 1.5}
    content = await apply(transforms, recipe_of({"type": "mask", "fields": fields, "with": "x"}), json.dumps(payload))
    assert rows_of(content)[0]["payload"] == {name: "x" if name != "other" else 1.5 for name in payload}


async def test_a_mark_of_ours_in_a_payload_is_left_alone(transforms: SqlTransforms) -> None:
    for mark in ("\ue000", "\\ue000", "\\uE000"):
        payload = f'{{"a": "{mark}1.50", "b": 2.5, "{mark}": 1, "email": 1}}'
        content = await apply(transforms, recipe_of({"type": "mask", "fields": ["payload.email"]}), payload)
        assert rows_of(content)[0]["payload"] == {"a": "\ue0001.50", "b": 2.5, "\ue000": 1, "email": "***"}


async def test_rename_swaps_and_keeps_the_order_of_columns(transforms: SqlTransforms) -> None:
    recipe = recipe_of(
        {"type": "rename", "fields": {"event_id": "event_type", "event_type": "event_id", "payload": 'p"'}}
    )
    assert [column.name for column in await transforms.check(recipe)] == [
        *("event_type", "pipeline_id", "event_id", "received_at", 'p"')
    ]
    (row,) = rows_of(await apply(transforms, recipe, "{}"))
    assert row["event_id"] == "order.created"


async def test_names_and_texts_cannot_break_out_of_their_quotes(transforms: SqlTransforms) -> None:
    evil = "x' || error('out') || '"
    recipe = recipe_of(
        {"type": "select", "fields": {'a" FROM events; --': 'payload."k\' ) \\"', "b": "payload.b"}},
        {"type": "mask", "fields": ["b"], "with": evil},
    )
    content = await apply(transforms, recipe, '{"k\' ) \\\\": 1.5, "b": 1}')
    assert rows_of(content) == [{'a" FROM events; --': 1.5, "b": evil}]
