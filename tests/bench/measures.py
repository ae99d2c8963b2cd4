"""Each figure, by real processes: the appliance as anybody starts it, and the yardstick beside it."""

import asyncio
import fcntl
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.appliance import KEY, Appliance
from tests.bench.bodies import BATCH, Maker, order_arrays, pipe_arrays, pipe_records, single_orders
from tests.bench.load import Slice, send

CONNECTIONS = 128
_SETTLE_S = 1.5
"""After its first picture the terminal UI loads history once; what is measured is watching."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SETTINGS = (
    "rate_limit: {requests: 1000000000, per_s: 60}\nstorage: {quota: 20GiB}\n"  # counted as ever, but never reached
)
_PIPELINE = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 10000, max_age: 1s}
destinations: [{type: files, path: out}]
"""
_SQL_TRANSFORM = """
transforms:
  - type: sql
    query: >-
      SELECT event_id, payload->>'orderId' AS order_id, (payload->>'amount')::BIGINT AS amount
      FROM events WHERE payload->>'currency' = 'usd'
"""
ORIGIN = "https://app.example.com"
_PIPE = f"""{_PIPELINE}
access: {{allowed_origins: ["{ORIGIN}"]}}
limits: {{ingest_max_records_per_request: 500}}
"""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured."""

    slice_s: float = 1.5
    pairs: int = 8
    flow_requests: int = 12_000
    land_requests: int = 8_000
    drain_requests: int = 50_000
    backlog_requests: int = 20_000
    starts: int = 7
    idle_s: float = 15.0


QUICK = Effort(
    slice_s=0.2,
    pairs=2,
    flow_requests=200,
    land_requests=20,
    drain_requests=40,
    backlog_requests=200,
    starts=2,
    idle_s=1.0,
)


@contextmanager
def bare() -> Iterator[int]:
    """The yardstick; yields its port."""
    with subprocess.Popen([sys.executable, "-m", "tests.bench.bare"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def appliance(pipeline: str = _PIPELINE) -> Iterator[Appliance]:
    """An appliance with keys, limits and one route to JSON lines files, on a folder of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Appliance(Path(folder), {"orders": pipeline}, settings=_SETTINGS) as found,
    ):
        yield found


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Ours and another's in turn; medians."""

    ours_per_s: float
    other_per_s: float
    ratio: float
    p50_ms: float
    p99_ms: float
    p99_ratio: float
    """Ours to the other's."""
    cpu_s_per_100k: float
    rss_mib: float


async def compared(
    ours: Appliance, other_port: int, make: Maker, connections: int, each: int, effort: Effort
) -> Compared:
    """Alternating slices on `ours` and the other, the first of each pair in turn; `each` events a request."""
    pairs: list[tuple[Slice, Slice]] = []
    spent_s = 0.0
    for place in range(effort.pairs):
        slices: dict[bool, Slice] = {}
        for is_ours in (True, False) if place % 2 else (False, True):
            before_s = cpu_s(ours)
            port = ours.port if is_ours else other_port
            slices[is_ours] = await send(port, make, connections, seconds=effort.slice_s, warm_s=effort.slice_s / 8)
            spent_s += cpu_s(ours) - before_s if is_ours else 0.0
        pairs.append((slices[True], slices[False]))
    median = statistics.median
    events = each * sum(one.requests for one, _ in pairs) * 9 / 8  # the warm-up's, roughly, are in the CPU time too
    return Compared(
        ours_per_s=median(one.per_s for one, _ in pairs) * each,
        other_per_s=median(other.per_s for _, other in pairs) * each,
        ratio=median(one.per_s / other.per_s for one, other in pairs),
        p50_ms=median(one.percentile(0.5) for one, _ in pairs),
        p99_ms=median(one.percentile(0.99) for one, _ in pairs),
        p99_ratio=median(one.percentile(0.99) / other.percentile(0.99) for one, other in pairs),
        cpu_s_per_100k=spent_s / events * 100_000,
        rss_mib=ours.rss_mib(),
    )


async def against_bare(make: Maker, connections: int, each: int, effort: Effort) -> Compared:
    """Ours against the bare handler on the same bodies."""
    with bare() as port, appliance() as ours:
        await send(ours.port, make, connections, seconds=effort.slice_s)
        return await compared(ours, port, make, connections, each, effort)


async def paused_against_bare(make: Maker, each: int, effort: Effort) -> Compared:
    """The same with delivery paused: ingest alone."""
    with bare() as port:
        async with paused(0) as ours:
            await send(ours.port, make, CONNECTIONS, seconds=effort.slice_s)
            return await compared(ours, port, make, CONNECTIONS, each, effort)


async def pipe_against_bare(batch: bool, delivered: bool, effort: Effort) -> Compared:
    """
    A pipe of S3 against the bare handler: arrays of 100 records, or single ones with every check there is (key, allowed
    origin, limits row, idempotency key).
    """
    with bare() as port, appliance(_PIPE) as ours:
        pipe = ours.pipeline("pl_8f3a")["uuid"]
        if not delivered:
            assert ours.ask("POST", "/_local/pipelines/pl_8f3a/pause").status == 200
        make = pipe_arrays(pipe) if batch else pipe_records(pipe, ORIGIN)
        await send(ours.port, make, CONNECTIONS, seconds=effort.slice_s)
        return await compared(ours, port, make, CONNECTIONS, BATCH if batch else 1, effort)


async def flow_per_s(effort: Effort) -> float:
    """Events a second from the first request until the last event is in a file, synced and named."""
    with appliance() as ours:
        began = time.perf_counter()
        await send(ours.port, order_arrays(), CONNECTIONS, requests=effort.flow_requests)
        await asyncio.to_thread(ours.until_delivered, within_s=120)
        took = time.perf_counter() - began
        accepted: int = ours.pipeline("pl_8f3a")["destinations"][0]["ledger"]["accepted"]
        landed = sum(path.read_bytes().count(b"\n") for path in (ours.data / "out").rglob("*.jsonl"))
        if landed != accepted:
            raise RuntimeError(f"{accepted} accepted, {landed} in the files")
        return accepted / took


async def sql_per_s(effort: Effort) -> float:
    """Events a second through a SQL route, in batches of 10,000, from a backlog until all of it is in files."""
    async with paused(effort.flow_requests, _PIPELINE + _SQL_TRANSFORM) as ours:
        pending: int = ours.pipeline("pl_8f3a")["pending"]
        began = time.perf_counter()
        assert ours.ask("POST", "/_local/pipelines/pl_8f3a/resume").status == 200
        await asyncio.to_thread(ours.until_delivered, within_s=120)
        return pending / (time.perf_counter() - began)


async def sql_beside_plain(effort: Effort) -> Compared:
    """Single events to a pipeline with SQL, against one without; both deliver meanwhile."""
    with appliance() as plain, appliance(_PIPELINE + _SQL_TRANSFORM) as ours:
        await send(ours.port, single_orders(), CONNECTIONS, seconds=effort.slice_s)
        return await compared(ours, plain.port, single_orders(), CONNECTIONS, 1, effort)


@asynccontextmanager
async def paused(backlog_requests: int, pipeline: str = _PIPELINE) -> AsyncIterator[Appliance]:
    """An appliance whose pipeline is paused, with so many requests of 100 events pending."""
    with appliance(pipeline) as found:
        assert found.ask("POST", "/_local/pipelines/pl_8f3a/pause").status == 200
        if backlog_requests:
            await send(found.port, order_arrays(), CONNECTIONS, requests=backlog_requests)
        yield found


async def with_backlog(effort: Effort) -> tuple[int, int, Compared, Compared]:
    """Events pending at first and at last, and singles and arrays of 100 onto them, each against an empty appliance."""
    async with paused(effort.backlog_requests) as full, paused(0) as empty:
        first = full.pipeline("pl_8f3a")["pending"]
        singles = await compared(full, empty.port, single_orders(), CONNECTIONS, 1, effort)
        arrays = await compared(full, empty.port, order_arrays(), CONNECTIONS, BATCH, effort)
        return first, full.pipeline("pl_8f3a")["pending"], singles, arrays


def help_ms(effort: Effort) -> tuple[float, float]:
    """`conduit-local --help`, and the interpreter alone; medians."""
    return (
        _median_ms([sys.executable, "-m", "conduit_local", "--help"], effort.starts),
        _median_ms([sys.executable, "-c", "pass"], effort.starts),
    )


def start_ms(effort: Effort) -> float:
    """From starting the process on a new folder until the first event is accepted; median."""
    found = []
    for _ in range(effort.starts):
        began = time.perf_counter()
        with appliance() as ours:
            if ours.emit({"first": True}).status != 200:
                raise RuntimeError("the first event was refused")
            found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


async def idle(effort: Effort) -> tuple[float, float]:
    """Percent of a core, and RSS in MiB, of an appliance that nobody talks to."""
    with appliance() as ours:
        await asyncio.sleep(min(2.0, effort.idle_s))
        before_s, began = cpu_s(ours), time.perf_counter()
        await asyncio.sleep(effort.idle_s)
        return (cpu_s(ours) - before_s) / (time.perf_counter() - began) * 100, ours.rss_mib()


async def share_with(beside: Callable[[Appliance], AbstractContextManager[None]], effort: Effort) -> float:
    """Throughput of single events while `beside` runs, as a share of that without it; alternating."""
    shares = []
    make = single_orders()
    with appliance() as ours:
        await send(ours.port, make, CONNECTIONS, seconds=effort.slice_s)
        for place in range(effort.pairs):
            rates: dict[bool, float] = {}
            for watched in (True, False) if place % 2 else (False, True):
                if watched:
                    with beside(ours):
                        rates[True] = (await send(ours.port, make, CONNECTIONS, seconds=effort.slice_s)).per_s
                else:
                    rates[False] = (await send(ours.port, make, CONNECTIONS, seconds=effort.slice_s)).per_s
            shares.append(rates[True] / rates[False])
    return statistics.median(shares)


@contextmanager
def terminal(ours: Appliance) -> Iterator[None]:
    """The terminal UI attached, in a terminal of 140x40 that is read as fast as it is written."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "CONDUIT_TOKEN": KEY}
    command = [sys.executable, "-m", "conduit_local", "attach", ours.url]
    process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=environment, start_new_session=True)
    os.close(far)
    drawn = threading.Event()

    def read() -> None:
        seen = b""
        with suppress(OSError):  # the other end is closed
            while block := os.read(near, 65_536):
                seen = seen[-4096:] + block
                if b"orders-stream" in seen:
                    drawn.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        if not drawn.wait(20):
            raise RuntimeError("the terminal UI did not show the pipeline")
        time.sleep(_SETTLE_S)
        yield
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(near)


def cpu_s(ours: Appliance) -> float:
    """CPU seconds that the process has used."""
    assert ours.process is not None
    fields = Path(f"/proc/{ours.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _median_ms(command: list[str], times: int) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)
