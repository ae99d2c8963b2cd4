"""Parquet: every type comes back as it was, for readers that did not write it."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from pyarrow import parquet

from conduit_local.core.content import Column, Content, Envelopes
from conduit_local.core.delivering import Rejected
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.transforms.encoding import ParquetEncoder
from conduit_local.transforms.running import SqlTransforms
from tests.formats.making import Rows
from tests.transforms.encoders import bytes_of, encoder_in
from tests.transforms.making import lines_of, reading, sql

ONE = PipelineNumber(1)

TYPES: dict[str, tuple[str, object]] = {
    "boolean": ("true", True),
    "tinyint": ("(-128)::TINYINT", -128),
    "bigint": ("9007199254740993", 9007199254740993),
    "ubigint": ("18446744073709551615::UBIGINT", 2**64 - 1),
    "hugeint": ("99999999999999999999999999999999999999::HUGEINT", Decimal(10**38 - 1)),
    "uhugeint": ("340282366920938463463374607431768211455::UHUGEINT", str(2**128 - 1)),
    "bignum": (
        "123456789012345678901234567890123456789012345::BIGNUM",
        "123456789012345678901234567890123456789012345",
    ),
    "float": ("0.1::FLOAT", 0.10000000149011612),
    "double": ("0.1::DOUBLE + 0.2::DOUBLE", 0.30000000000000004),
    "tiny": ("5e-324::DOUBLE", 5e-324),
    "decimal": (
        "1234567890123456789012345678.0123456789::DECIMAL(38,10)",
        Decimal("1234567890123456789012345678.0123456789"),
    ),
    "small_decimal": ("1.10::DECIMAL(4,2)", Decimal("1.10")),
    "date": ("DATE '1969-02-28'", date(1969, 2, 28)),
    "time": ("TIME '23:59:59.000001'", time(23, 59, 59, 1)),
    "timestamp": ("TIMESTAMP '2026-01-01 00:00:00.000001'", datetime(2026, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001
    "timestamp_s": ("'1900-01-01 00:00:01'::TIMESTAMP_S", datetime(1900, 1, 1, 0, 0, 1)),  # noqa: DTZ001
    "timestamp_ms": ("'2026-01-01 00:00:00.125'::TIMESTAMP_MS", datetime(2026, 1, 1, 0, 0, 0, 125_000)),  # noqa: DTZ001
    "timestamptz": ("'2026-01-01 00:00:00.123456+05:30'::TIMESTAMPTZ", datetime(2025, 12, 31, 18, 30, 0, 123_456, UTC)),
    "varchar": ("'a\"b\\c' || chr(10) || chr(13) || chr(0) || chr(9) || 'é\U0001f600'", 'a"b\\c\n\r\0\té\U0001f600'),
    "empty": ("''", ""),
    "quoted": ("'\"\"'", '""'),
    "null_text": ("'null'", "null"),
    "blob": ("'\\x00\\xFF\\x5C\\x22a'::BLOB", b'\x00\xff\\"a'),
    "uuid": ("'6b0d5b9e-1111-4222-8333-444455556666'::UUID", "6b0d5b9e-1111-4222-8333-444455556666"),
    "enum": ("'it''s'::ENUM('a', 'it''s')", "it's"),
    "bit": ("'10101'::BIT", "10101"),
    "interval": ("INTERVAL '1 month 2 days 3.000004 s'", "1 month 2 days 00:00:03.000004"),
    "timetz": ("'12:34:56.5+05:30'::TIMETZ", "12:34:56.5+05:30"),
    "json": ("payload", '{"n": 1.10, "big": 12345678901234567890123.5, "s": "a\\u00e9"}'),
    "json_text": ("'\"x\"'::JSON", '"x"'),
    "union": ("union_value(num := 1)", '{"num":1}'),
    "variant": ("{'a': 1}::VARIANT", '{"a":1}'),
    "tuple": ("row(1, 'x')", '[1,"x"]'),
    "decimals": ("[1.10::DECIMAL(38,10), NULL]", [Decimal("1.1000000000"), None]),
    "array": ("[1, 2, 3]::INTEGER[3]", [1, 2, 3]),
    "no_items": ("[]::VARCHAR[]", []),
    "nested": (
        "{'a b': [{'e': 'a'::ENUM('a'), 'h': 2::HUGEINT}], 'j': '\"x\"'::JSON, 'b': encode('é')}",
        {"a b": [{"e": "a", "h": Decimal(2)}], "j": '"x"', "b": "é".encode()},
    ),
    "big_items": ("{'u': 340282366920938463463374607431768211455::UHUGEINT}", {"u": str(2**128 - 1)}),
    "times": ("[TIMESTAMP '2026-01-01 00:00:00.000001']", [datetime(2026, 1, 1, 0, 0, 0, 1)]),  # noqa: DTZ001
}
"""By the name of a column: what a query makes, and what readers get."""
PAYLOAD = str(TYPES["json"][1])


async def written(encoder: ParquetEncoder, content: Content, target: Path) -> Path:
    """The content as a Parquet file at `target`."""
    target.write_bytes(bytes_of(await encoder.parquet(content, "envelope")))
    return target


def by_duckdb(target: Path) -> list[dict[str, Any]]:
    """The rows as a DuckDB of this process reads them; a time zone would want another package."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        found = db.execute(
            "SELECT * REPLACE (timestamptz::TIMESTAMP AS timestamptz) FROM read_parquet(?)", [str(target)]
        )
        names = [name for name, *_ in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        if row["timestamptz"] is not None:
            row["timestamptz"] = row["timestamptz"].replace(tzinfo=UTC)
    return rows


async def transformed(transforms: SqlTransforms, query: str, payloads: Sequence[str]) -> Content:
    return await transforms.apply(ONE, sql(query), reading(lines_of(payloads)))


async def test_every_type_comes_back_exactly(
    transforms: SqlTransforms, encoder: ParquetEncoder, tmp_path: Path
) -> None:
    made = ", ".join(f'{expression} AS "{name}"' for name, (expression, _) in TYPES.items())
    nulls = ", ".join(f'CASE WHEN filled THEN "{name}" END AS "{name}"' for name in TYPES)
    query = f"SELECT {nulls} FROM (SELECT (payload->>'s') IS NOT NULL AS filled, {made} FROM events)"
    content = await transformed(transforms, query, [PAYLOAD, '{"n": 2}', PAYLOAD])
    target = await written(encoder, content, tmp_path / "types.parquet")
    content.close()
    expected = {name: value for name, (_, value) in TYPES.items()}
    rows = [expected, dict.fromkeys(expected), expected]
    for read in (
        parquet.read_table(target).to_pylist(),
        polars.read_parquet(target).rows(named=True),
        by_duckdb(target),
    ):
        assert {name: value for name, value in read[0].items() if value != expected[name]} == {}
        assert read == rows


async def test_envelopes_keep_their_payloads_byte_for_byte(encoder: ParquetEncoder, tmp_path: Path) -> None:
    payloads = ['{"a": 1.10, "b":1e400}', '{"a":{"b":[null]},"a":"\\ud83d\\ude00é\\u0000"}', "{}"]
    target = await written(encoder, Envelopes(lines_of(payloads), 3), tmp_path / "envelopes.parquet")
    rows = parquet.read_table(target).to_pylist()
    assert [row["payload"] for row in rows] == payloads
    assert rows[0] == {
        "event_id": "evt_abcde000100000001",
        "pipeline_id": "pl_8f3a",
        "event_type": "order.created",
        "received_at": datetime(2026, 2, 2, 2, 40, tzinfo=UTC),
        "payload": payloads[0],
    }
    assert polars.read_parquet(target).rows(named=True) == rows
    assert str(parquet.read_schema(target).field("payload").type) == "string"


async def test_payloads_alone_are_one_column_of_text(encoder: ParquetEncoder, tmp_path: Path) -> None:
    target = tmp_path / "payloads.parquet"
    target.write_bytes(bytes_of(await encoder.parquet(Envelopes(lines_of(['{"a": 1.10}', "{}"]), 2), "payload")))
    assert polars.read_parquet(target).to_dict(as_series=False) == {"payload": ['{"a": 1.10}', "{}"]}


async def test_other_processes_and_other_pieces_give_the_same_bytes(encoder: ParquetEncoder, tmp_path: Path) -> None:
    lines = [line + b"\n" for part in lines_of(f'{{"n":{n}}}' for n in range(3_000)) for line in part.splitlines()]
    one = bytes_of(await encoder.parquet(Envelopes([b"".join(lines)], 3_000), "envelope"))
    async with encoder_in(tmp_path / "other") as other:
        assert bytes_of(await other.parquet(Envelopes(lines, 3_000), "envelope")) == one
        assert bytes_of(await other.parquet(Envelopes(lines, 3_000), "envelope")) == one


async def test_a_column_of_nothing_but_nulls_has_its_type(encoder: ParquetEncoder, tmp_path: Path) -> None:
    columns = (Column("a", "STRUCT(b DECIMAL(4,2), c DATE[])"), Column("d", "HUGEINT"))
    target = await written(encoder, Rows(columns, [b'{"a":null,"d":null}'] * 3), tmp_path / "nulls.parquet")
    found = polars.read_parquet(target)
    assert found.rows() == [(None, None)] * 3
    assert found.schema == {
        "a": polars.Struct({"b": polars.Decimal(4, 2), "c": polars.List(polars.Date)}),
        "d": polars.Decimal(38, 0),
    }


async def test_names_that_sql_would_trip_over_are_names(encoder: ParquetEncoder, tmp_path: Path) -> None:
    names = ["select", 'a"b', "a.b", "Ä 'x'", "line", "c0"]
    lines = [json.dumps({name: name for name in names}, ensure_ascii=False).encode()]
    content = Rows(tuple(Column(name, "VARCHAR") for name in names), lines)
    target = await written(encoder, content, tmp_path / "names.parquet")
    assert parquet.read_table(target).to_pylist() == [{name: name for name in names}]


async def test_a_long_row_among_short_ones_is_whole(encoder: ParquetEncoder, tmp_path: Path) -> None:
    texts = ["a", "b" * 9_000_000, "c"]
    content = Rows((Column("t", "VARCHAR"),), [json.dumps({"t": text}).encode() for text in texts])
    target = await written(encoder, content, tmp_path / "long.parquet")
    assert parquet.read_table(target).column("t").to_pylist() == texts


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INTEGER", b'"x"'),
        ("TINYINT", b"300"),
        ("DATE", b'"2026-02-30"'),
        ("DATE", b'"infinity"'),
        ("TIMESTAMP WITH TIME ZONE", b'"-infinity"'),
        ("HUGEINT", b"100000000000000000000000000000000000000"),
        ("BLOB", b'"\\\\x0"'),
        ("STRUCT(a INTEGER)", b'{"a":"x"}'),
        ("INTEGER[]", b"[[1]]"),
    ],
)
async def test_a_row_without_a_place_is_rejected_and_others_land(
    encoder: ParquetEncoder, kind: str, value: bytes
) -> None:
    columns = (Column("n", "BIGINT"), Column("v", kind))
    good = [b'{"n":1,"v":null}', b'{"n":2,"v":null}']
    with pytest.raises(Rejected, match=r"make Parquet: .*\bv\b") as caught:
        await encoder.parquet(Rows(columns, [good[0], b'{"n":3,"v":%b}' % value, good[1]]), "envelope")
    if b"infinity" not in value:
        assert caught.value.message.startswith(f"make Parquet: column v, {kind}: ")
    assert bytes_of(await encoder.parquet(Rows(columns, good), "envelope"))
