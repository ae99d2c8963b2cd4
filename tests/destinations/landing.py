"""Batches to land in tables: envelopes, and rows that a query made."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from conduit_local.core.content import Column, Content, Envelopes
from conduit_local.core.delivering import Destination, Found
from conduit_local.core.envelope import envelopes
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.destinations.kinds import DESTINATIONS
from conduit_local.transforms.running import open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.engines import destinations_at
from tests.transforms.making import lines_of, reading, sql

AT_US = 1_782_050_973_000_000
ONE = '{"n": 1}'

EVERY_KIND = '''
SELECT
    true AS a_boolean, 127::TINYINT AS a_tinyint, 255::UTINYINT AS a_utinyint, (-32768)::SMALLINT AS a_smallint,
    65535::USMALLINT AS a_usmallint, (-2147483648)::INTEGER AS an_integer, 4294967295::UINTEGER AS a_uinteger,
    9223372036854775807::BIGINT AS a_bigint, 18446744073709551615::UBIGINT AS a_ubigint,
    (-170141183460469231731687303715884105728)::HUGEINT AS a_hugeint,
    340282366920938463463374607431768211455::UHUGEINT AS a_uhugeint,
    1.10::DECIMAL(18,3) AS a_decimal, '12345678901234567890.123456789012345678'::DECIMAL(38,18) AS "a wide decimal",
    0.1::FLOAT AS a_float, 1.7976931348623157e308::DOUBLE AS a_double,
    $$tab	quote" back\\slash '; é 🎉$$ || chr(10) || chr(13) || '\\N' AS "A ""text""", '' AS empty,
    'b'::ENUM ('a', 'b') AS an_enum, '0f8fad5b-d9cb-469f-a165-70867728950e'::UUID AS a_uuid,
    DATE '0044-03-15 (BC)' AS a_date, DATE '2026-11-21' AS another_date, TIME '23:59:59.999999' AS a_time,
    TIMESTAMP '2026-11-21 17:00:00.123456' AS a_timestamp, TIMESTAMP_S '2026-11-21 17:00:00' AS a_timestamp_s,
    TIMESTAMP_MS '2026-11-21 17:00:00.123' AS a_timestamp_ms,
    TIMESTAMP_NS '2026-11-21 17:00:00.123456' AS a_timestamp_ns, received_at AS a_timestamptz,
    INTERVAL '1 month 2 days 03:04:05.5' AS an_interval,
    '\\x00\\x5C\\xFFa"'::BLOB AS a_blob, '01011'::BIT AS a_bit, [1, NULL, 3] AS a_list, ['a"b', NULL] AS texts,
    {'a': 1, 'b c': ['x']} AS a_struct, MAP {'k': 1} AS a_map, payload AS a_payload,
    payload->'$.deep' AS a_part
FROM events
'''
"""A query with a column of each kind, and no NULL; `nulls` has the same columns without values."""

PAYLOAD = r'{"n": 1.10, "deep": {"big": 123456789012345678901234567890, "e": 1e400, "s": "\"\\\n\u0001é"}}'


def nulls(columns: tuple[Column, ...]) -> bytes:
    """A row of nothing but NULL."""
    parts = [f"{_quoted(column.name)}:null" for column in columns]
    return ("{" + ",".join(parts) + "}\n").encode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"'


class Rows:
    """What a query made, with rows of ours behind."""

    def __init__(self, columns: tuple[Column, ...], *lines: bytes) -> None:
        self.columns = columns
        self.rows = sum(one.count(b"\n") for one in lines)
        self._lines = lines

    def pieces(self) -> Iterator[bytes]:
        yield from self._lines

    def close(self) -> None:
        """It is in memory."""


def columns(**kinds: str) -> tuple[Column, ...]:
    """Columns by name."""
    return tuple(Column(name, kind) for name, kind in kinds.items())


def content(*payloads: str, first: int = 1) -> Envelopes:
    """Envelopes of these payloads."""
    raw = [one.encode() for one in payloads]
    return Envelopes([envelopes("abcde", 1, "pl_1", first, AT_US, ["a.b"] * len(raw), raw)], len(raw))


async def listed(made: Destination, folder: str = "orders") -> list[Sequence[Found]]:
    """The pages of what lies at a destination."""
    pages = made.objects(folder)
    assert pages is not None
    return [page async for page in pages]


def numbered(first: int, count: int) -> Envelopes:
    """Envelopes of `{"n": first}`, …"""
    return content(*(f'{{"n": {n}}}' for n in range(first, first + count)), first=first)


def key(first: int, last: int, folder: str = "orders") -> str:
    """What such a batch is called."""
    return f"{folder}/{first:012d}-{last:012d}.rows"


@asynccontextmanager
async def landing(folder: Path, settings: Mapping[str, Any], origin: str = "t/pl_1/r") -> AsyncIterator[Destination]:
    """A destination for a block."""
    async with destinations_at(folder) as maker:
        made = maker.make(DESTINATIONS[settings["type"]].model_validate(settings), origin)
        try:
            yield made
        finally:
            await made.close()


async def queried(folder: Path, query: str, *payloads: str) -> Rows:
    """The rows that a query makes of events."""
    async with open_transforms(TransformSettings(), scratch=folder / "scratch") as transforms:
        made: Content = await transforms.apply(PipelineNumber(1), sql(query), reading(lines_of(payloads)))
        try:
            assert made.columns is not None
            return Rows(made.columns, b"".join(made.pieces()))
        finally:
            made.close()
