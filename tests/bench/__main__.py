"""
The table.

    python -m tests.bench [--quick] [--json]

Takes some four minutes; `--quick` takes seconds, and its figures say only that everything runs.
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from tests.bench.bare import loop_factory
from tests.bench.bodies import BATCH, order_arrays, quake_arrays, single_orders
from tests.bench.landing import COLUMNS, LINES, drained, rclone, sink, to_files, to_http, to_s3
from tests.bench.measures import (
    CONNECTIONS,
    QUICK,
    Compared,
    Effort,
    against_bare,
    flow_per_s,
    help_ms,
    idle,
    paused_against_bare,
    pipe_against_bare,
    share_with,
    sql_beside_plain,
    sql_per_s,
    start_ms,
    terminal,
    with_backlog,
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    found: str
    wanted: str = ""
    holds: bool | None = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; only shows that it runs")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        rows = runner.run(measure(QUICK if options.quick else Effort()))
    if options.json:
        json.dump({"machine": machine(), "rows": [asdict(row) for row in rows]}, sys.stdout, indent=2)
        print()
    else:
        print(table(rows))


async def measure(effort: Effort) -> list[Row]:
    """All figures; what is under way is told on standard error."""
    rows: list[Row] = []
    for name, step in _STEPS.items():
        print(f"… {name}", file=sys.stderr, flush=True)
        rows += await step(effort)
    return rows


async def _singles(effort: Effort) -> list[Row]:
    found = await against_bare(single_orders(), CONNECTIONS, 1, effort)
    return [
        Row(what=f"bare aiohttp handler, {CONNECTIONS} connections", found=f"{found.other_per_s:,.0f} requests/s"),
        _ratio("single events, durable, with key, limit and idempotency key", found, "of bare", 0.7),
        _cost(found),
    ]


async def _arrays(effort: Effort) -> list[Row]:
    found = await against_bare(order_arrays(), CONNECTIONS, BATCH, effort)
    alone = await paused_against_bare(order_arrays(), BATCH, effort)
    return [
        Row(
            what=f"bare handler, the same arrays, {CONNECTIONS} connections",
            found=f"{found.other_per_s:,.0f} events/s",
        ),
        _ratio(f"arrays of {BATCH} orders of 130 bytes, ingest alone", alone, "of bare", 0.4),
        _ratio(f"arrays of {BATCH} orders, while they are delivered", found, "of bare", 0.4),
        Row(
            what="· the same, absolute",
            found=f"{found.ours_per_s:,.0f} events/s",
            wanted="≥ 200,000",
            holds=found.ours_per_s >= 200_000,
        ),
        _cost(found),
    ]


async def _pipes(effort: Effort) -> list[Row]:
    single = await pipe_against_bare(batch=False, delivered=True, effort=effort)
    alone = await pipe_against_bare(batch=True, delivered=False, effort=effort)
    both = await pipe_against_bare(batch=True, delivered=True, effort=effort)
    return [
        _ratio("`/v1/ingest`: single records with every check", single, "of bare", 0.7),
        _ratio(f"`/v1/ingest`: arrays of {BATCH} records, ingest alone", alone, "of bare", 0.4),
        _ratio(f"`/v1/ingest`: arrays of {BATCH} records, while they are delivered", both, "of bare", 0.4),
    ]


async def _quakes(effort: Effort) -> list[Row]:
    found = await against_bare(quake_arrays(), CONNECTIONS, BATCH, effort)
    return [
        Row(
            what=f"arrays of {BATCH} earthquakes of 710 bytes",
            found=f"{found.ours_per_s:,.0f} events/s, {found.ratio:.2f} of bare",
        )
    ]


async def _flow(effort: Effort) -> list[Row]:
    found = await flow_per_s(effort)
    return [
        Row(
            what="end to end: HTTP to synced files",
            found=f"{found:,.0f} events/s",
            wanted="≥ 120,000",
            holds=found >= 120_000,
        )
    ]


async def _sql(effort: Effort) -> list[Row]:
    rate = await sql_per_s(effort)
    beside = await sql_beside_plain(effort)
    return [
        Row(
            what="SQL route: three columns, a filter, batches of 10,000",
            found=f"{rate:,.0f} events/s",
            wanted="≥ 50,000",
            holds=rate >= 50_000,
        ),
        Row(
            what="single events to a pipeline with SQL",
            found=f"{beside.ratio:.2f} of without, p99 {beside.p99_ms:.1f} ms, {beside.p99_ratio:.2f} of without",
            wanted="p99 ≤ 1.5",
            holds=beside.p99_ratio <= 1.5,
        ),
    ]


async def _landing(effort: Effort) -> list[Row]:
    rows = []
    with sink() as port, rclone() as (store_port, keys):
        for what, pipeline, wanted in (
            ("Parquet to files", to_files(COLUMNS), 0),
            ("jsonl.zst to a null S3 server", to_s3(port, LINES), 40_000),
            ("Parquet to a null S3 server", to_s3(port, COLUMNS), 40_000),
            ("Parquet to rclone's S3 server", to_s3(store_port, COLUMNS, keys), 40_000),
            ("NDJSON to a null HTTP receiver", to_http(port), 40_000),
        ):
            found = await drained(pipeline, effort.land_requests)
            rows.append(
                Row(
                    what=f"a backlog in batches of 10,000: {what}",
                    found=f"{found.per_s:,.0f} events/s, {found.cpu_s_per_100k:.2f} s CPU per 100,000",
                    wanted=f"≥ {wanted:,}" if wanted else "",
                    holds=found.per_s >= wanted if wanted else None,
                )
            )
        found = await drained(to_s3(port, COLUMNS), effort.drain_requests)
    grown = found.rss_mib_late / found.rss_mib_early
    rows.append(
        Row(
            what=f"RSS while {found.events / 1e6:.1f} M events drain to S3 as Parquet",
            found=f"{found.rss_mib_early:.0f} MiB early, {found.rss_mib_late:.0f} at most; {found.per_s:,.0f}/s",
            wanted="≤ 1.1 of early",
            holds=grown <= 1.1,
        )
    )
    return rows


async def _backlog(effort: Effort) -> list[Row]:
    first, last, singles, arrays = await with_backlog(effort)
    pending = f"{first / 1e6:.1f} to {last / 1e6:.1f} M pending"
    return [
        _ratio(f"single events at {pending}", singles, "of empty", 0.85),
        _ratio(f"arrays of {BATCH} at {pending}", arrays, "of empty", 0.85),
        Row(what="· RSS then", found=f"{arrays.rss_mib:.0f} MiB", wanted="< 250 MiB", holds=arrays.rss_mib < 250),
    ]


async def _start(effort: Effort) -> list[Row]:
    ours, python = await asyncio.to_thread(help_ms, effort)
    first = await asyncio.to_thread(start_ms, effort)
    return [
        Row(
            what="`--help`, above bare Python",
            found=f"{ours - python:.0f} ms",
            wanted="< 150 ms",
            holds=ours - python < 150,
        ),
        Row(what="`serve` to first accepted event", found=f"{first:.0f} ms", wanted="< 900 ms", holds=first < 900),
    ]


async def _idle(effort: Effort) -> list[Row]:
    percent, rss_mib = await idle(effort)
    return [
        Row(what="idle CPU", found=f"{percent:.1f} % of a core", wanted="< 1 %", holds=percent < 1),
        Row(what="idle RSS", found=f"{rss_mib:.0f} MiB", wanted="< 90 MiB", holds=rss_mib < 90),
    ]


async def _watched(effort: Effort) -> list[Row]:
    share = await share_with(terminal, effort)
    return [
        Row(
            what="single events with the terminal UI attached",
            found=f"{share:.2f} of without",
            wanted="> 0.95",
            holds=share > 0.95,
        )
    ]


_STEPS: dict[str, Callable[[Effort], Awaitable[list[Row]]]] = {
    "single events": _singles,
    "arrays of orders": _arrays,
    "pipes": _pipes,
    "arrays of earthquakes": _quakes,
    "end to end": _flow,
    "SQL": _sql,
    "destinations": _landing,
    "with a backlog": _backlog,
    "start": _start,
    "idle": _idle,
    "with the terminal UI": _watched,
}


def _ratio(what: str, found: Compared, of: str, wanted: float) -> Row:
    words = f"{found.ours_per_s:,.0f}/s, {found.ratio:.2f} {of}, p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms"
    return Row(what=what, found=words, wanted=f"≥ {wanted}", holds=found.ratio >= wanted)


def _cost(found: Compared) -> Row:
    return Row(what="· CPU and RSS", found=f"{found.cpu_s_per_100k:.2f} s per 100,000 events, {found.rss_mib:.0f} MiB")


def machine() -> str:
    """What this ran on, and when."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    loop = "uvloop" if find_spec("uvloop") else "asyncio"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores of {model}, shared with the sender; "
        f"Python {platform.python_version()} on {loop}, SQLite {sqlite3.sqlite_version}"
    )


def table(rows: list[Row]) -> str:
    """Markdown."""
    marks = {True: "yes", False: "**no**", None: ""}
    lines = [machine(), "", "| what | found | wanted | holds |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.found} | {row.wanted} | {marks[row.holds]} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
