"""Formats from an event to a file: through the engine, read by readers that did not write them."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from pyarrow import parquet

from conduit_local.core.dead import DeadFilter
from conduit_local.core.errors import InvalidRequest
from conduit_local.core.pipeline import Health
from conduit_local.engine.clock import SteeredClock
from conduit_local.formats.objects import ObjectForm
from tests.appliance import serving
from tests.engines import engine_at, until_delivered
from tests.making import events, numbered, spec
from tests.transforms.making import children

AT_US = 1_782_050_973_000_000
AT = datetime(2026, 6, 21, 14, 9, 33, tzinfo=UTC)
PARQUET = {"type": "files", "format": "parquet"}
CSV = {"type": "files", "format": "csv", "compression": "gzip"}
TYPED = """
SELECT event_id, (payload->>'n')::BIGINT AS n, (payload->>'n')::DECIMAL(10,2) / 4 AS quarter,
       nullif(payload->>'s', 'none') AS s, received_at, [(payload->>'n')::INTEGER] AS l, payload
FROM events WHERE (payload->>'n')::INTEGER % 2 = 0
"""


def payload(number: int) -> str:
    return f'{{"n": {number}, "s": "{["", "none", "a,é"][number % 3]}", "price": 1.10}}'


async def landed(folder: Path, destination: Mapping[str, Any], query: str | None = None) -> list[Path]:
    """The objects that 250 events become, a hundred in each."""
    clock = SteeredClock()
    clock.freeze(True)
    clock.set(AT_US)
    transforms = [{"type": "sql", "query": query}] if query else []
    await asyncio.to_thread(folder.mkdir)
    async with engine_at(folder, clock, tag="abcde") as engine:
        await engine.manage.create(
            spec(
                id="pl_8f3a",
                batch={"max_events": 100, "max_age": "1h"},
                destinations=[dict(destination)],
                transforms=transforms,
            )
        )
        await engine.ingest.accept("orders", events(*map(payload, range(250))))
        await engine.manage.flush("orders")
        await until_delivered(engine, "orders", within_s=60)
    return sorted(path for path in (folder / "out").rglob("*") if path.is_file())


async def test_envelopes_land_as_parquet_for_every_reader(tmp_path: Path) -> None:
    paths = await landed(tmp_path / "data", PARQUET)
    assert [path.name for path in paths] == [
        "000000000001-000000000100.parquet",
        "000000000101-000000000200.parquet",
        "000000000201-000000000250.parquet",
    ]
    rows = [row for path in paths for row in parquet.read_table(path).to_pylist()]
    assert [row["payload"] for row in rows] == [payload(number) for number in range(250)]
    assert rows[7] | {"payload": ""} == {
        "event_id": "evt_abcde000100000008",
        "pipeline_id": "pl_8f3a",
        "event_type": "order.created",
        "received_at": AT,
        "payload": "",
    }
    assert [row for path in paths for row in polars.read_parquet(path).rows(named=True)] == rows
    with duckdb.connect() as db:
        found = db.execute("SELECT payload, epoch_us(received_at) FROM read_parquet(?)", [list(map(str, paths))])
        assert found.fetchall() == [(row["payload"], AT_US) for row in rows]


async def test_rows_of_a_query_land_as_parquet_with_its_types(tmp_path: Path) -> None:
    paths = await landed(tmp_path / "data", PARQUET, TYPED)
    rows = [row for path in paths for row in parquet.read_table(path).to_pylist()]
    assert len(rows) == 125
    assert rows[1] == {
        "event_id": "evt_abcde000100000003",
        "n": 2,
        "quarter": 0.5,
        "s": "a,é",
        "received_at": AT,
        "l": [2],
        "payload": payload(2),
    }
    assert [row["s"] for row in rows[:3]] == ["", "a,é", None]
    assert polars.concat(map(polars.read_parquet, paths)).rows(named=True) == rows


async def test_csv_lands_with_a_header_in_each_object(tmp_path: Path) -> None:
    paths = await landed(tmp_path / "data", CSV)
    assert paths[0].name == "000000000001-000000000100.csv.gz"
    rows = [row for path in paths for row in csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))]
    assert [row["payload"] for row in rows] == [payload(number) for number in range(250)]
    assert [row["payload"] for path in paths for row in polars.read_csv(path).rows(named=True)] == [
        row["payload"] for row in rows
    ]


async def test_rows_of_a_query_land_as_csv(tmp_path: Path) -> None:
    paths = await landed(tmp_path / "data", CSV, TYPED)
    found = polars.concat(polars.read_csv(path, try_parse_dates=True) for path in paths)
    assert found.height == 125
    assert found.row(1) == ("evt_abcde000100000003", 2, 0.5, "a,é", AT, "[2]", payload(2))
    assert found["s"].to_list()[:3] == ["", "a,é", None]


@pytest.mark.parametrize("destination", [PARQUET, CSV], ids=["parquet", "csv"])
async def test_the_same_events_give_the_same_bytes(tmp_path: Path, destination: Mapping[str, Any]) -> None:
    one, other = [
        [(path.name, path.read_bytes()) for path in await landed(tmp_path / place, destination, TYPED)]
        for place in ("one", "other")
    ]
    assert one == other


async def test_events_whose_rows_have_no_place_die_and_the_others_land(tmp_path: Path) -> None:
    query = "SELECT ((payload->>'n') || repeat('0', 36))::HUGEINT AS n FROM events"
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(
            spec(
                batch={"max_events": 8, "max_age": "50ms"},
                destinations=[PARQUET],
                transforms=[{"type": "sql", "query": query}],
            )
        )
        await engine.ingest.accept("orders", events(*(f'{{"n": {n}}}' for n in (1, 2, 100, 3, 4, 5, 99, 101))))
        await until_delivered(engine, "orders", within_s=60)
        dead = {json.loads(one.content)["payload"]["n"]: one.error async for one, _ in engine.dead.each(DeadFilter())}
        assert set(dead) == {100, 101}
        assert all(error.startswith("make Parquet: column n, HUGEINT: ") for error in dead.values())
        assert engine.topology.find("orders").health is Health.OK
    paths = sorted((tmp_path / "out").rglob("*.parquet"))
    rows = [row["n"] for path in paths for row in parquet.read_table(path).to_pylist()]
    assert rows == [Decimal(n * 10**36) for n in (1, 2, 3, 4, 5, 99)]


async def test_text_formats_and_idle_appliances_start_no_child(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        before = children()
        await engine.manage.create(spec(destinations=[CSV], batch={"max_age": "50ms"}))
        await engine.ingest.accept("orders", numbered(0, 10))
        await until_delivered(engine, "orders")
        assert children() == before


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_parquet_beside_a_compression_is_refused(compression: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec(destinations=[{"type": "files", "format": "parquet", "compression": compression}])
    (problem,) = caught.value.problems
    assert problem.message == f"format parquet compresses with zstd by itself: leave out compression {compression}"


@pytest.mark.parametrize(
    ("form", "extension"),
    [
        (ObjectForm(), "jsonl"),
        (ObjectForm(compression="zstd"), "jsonl.zst"),
        (ObjectForm(format="csv", compression="gzip"), "csv.gz"),
        (ObjectForm(format="parquet"), "parquet"),
    ],
)
def test_names_end_with_the_format_and_the_compression(form: ObjectForm, extension: str) -> None:
    assert form.extension == extension


def test_an_appliance_that_is_killed_lands_every_event_once_as_parquet(tmp_path: Path) -> None:
    config = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 2000, max_age: 200ms}
destinations: [{type: files, path: out, format: parquet, concurrency: 2}]
"""
    settings = "rate_limit: {requests: 1000000000, per_s: 60}\n"
    records = [{"event_type": "a.b", "payload": {"n": n}} for n in range(10_000)]
    out = tmp_path / "data" / "out"
    with serving(tmp_path, {"orders": config}, settings=settings) as appliance:
        for first in range(0, len(records), 1_000):
            answer = appliance.ask("POST", "/_local/pipelines/pl_8f3a/events", records[first : first + 1_000])
            assert answer.status == 200, answer
            if first in {2_000, 5_000, 7_000}:
                appliance.until(lambda _, least=first // 2_000: len(list(out.rglob("*.parquet"))) >= least)  # type: ignore[misc]
                appliance.kill()
                appliance.start()
        appliance.until_delivered(within_s=60)
    rows = [row for path in sorted(out.rglob("*.parquet")) for row in parquet.read_table(path).to_pylist()]
    assert [json.loads(row["payload"])["n"] for row in rows] == list(range(10_000))
    assert len({row["event_id"] for row in rows}) == 10_000
    assert list((tmp_path / "data" / "encoding").iterdir()) == []
