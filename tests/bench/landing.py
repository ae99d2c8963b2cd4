"""What destinations take: a backlog in batches of 10,000, from the order to go on until the last one is there."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.appliance import Appliance
from tests.bench.bodies import order_arrays
from tests.bench.load import send
from tests.bench.measures import CONNECTIONS, appliance, cpu_s
from tests.destinations.s3_servers import rclone_at

_EVERY_S = 0.25
_HEAD = """
name: orders-stream
id: pl_8f3a
batch: {max_events: 10000, max_age: 1s}
destinations:
  - """
_S3 = (
    "{{type: s3, bucket: bench, endpoint_url: 'http://127.0.0.1:{port}', access_key_id: {key}, "
    "secret_access_key: {secret}, {form}}}"
)
LINES = "format: jsonl, compression: zstd"
COLUMNS = "format: parquet"


@dataclass(frozen=True, kw_only=True)
class Drained:
    """How a backlog went."""

    events: int
    per_s: float
    cpu_s_per_100k: float
    rss_mib_early: float
    """When a tenth of it had landed."""
    rss_mib_late: float
    """The most from then on."""


def to_files(form: str) -> str:
    """A pipeline to local files."""
    return f"{_HEAD}{{type: files, path: out, {form}}}\n"


def to_s3(port: int, form: str, keys: tuple[str, str] = ("none", "none")) -> str:
    """A pipeline to an S3 server."""
    return _HEAD + _S3.format(port=port, form=form, key=keys[0], secret=keys[1]) + "\n"


def to_http(port: int) -> str:
    """A pipeline to an HTTP receiver."""
    return f"{_HEAD}{{type: http, url: 'http://127.0.0.1:{port}/in', concurrency: 4}}\n"


@contextmanager
def sink() -> Iterator[int]:
    """The null sink; yields its port."""
    with subprocess.Popen([sys.executable, "-m", "tests.bench.sink"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def rclone() -> Iterator[tuple[int, tuple[str, str]]]:
    """A local S3 server that keeps files; yields its port and its keys."""
    with tempfile.TemporaryDirectory() as folder, rclone_at(Path(folder)) as server:
        server.client.create_bucket(Bucket="bench")
        yield server.port, (server.access_key_id, server.secret_access_key)


async def drained(pipeline: str, requests: int) -> Drained:
    """So many requests of 100 events, taken while the pipeline was paused, until all of them have landed."""
    with appliance(pipeline) as ours:
        assert ours.ask("POST", "/_local/pipelines/pl_8f3a/pause").status == 200
        await send(ours.port, order_arrays(), CONNECTIONS, requests=requests)
        pending: int = ours.pipeline("pl_8f3a")["pending"]
        before_s, began = cpu_s(ours), time.perf_counter()
        assert ours.ask("POST", "/_local/pipelines/pl_8f3a/resume").status == 200
        early, late = 0.0, 0.0
        async for left in _left(ours):
            if left < pending * 0.9:
                early = early or ours.rss_mib()
                late = max(late, ours.rss_mib())
        took = time.perf_counter() - began
        return Drained(
            events=pending,
            per_s=pending / took,
            cpu_s_per_100k=(cpu_s(ours) - before_s) / pending * 100_000,
            rss_mib_early=early,
            rss_mib_late=late,
        )


async def _left(ours: Appliance) -> AsyncIterator[int]:
    """What is pending, again and again, until nothing is."""
    while True:
        found = await asyncio.to_thread(ours.pipeline, "pl_8f3a")
        yield found["pending"]
        if found["pending"] == 0:
            return
        if found["health"] == "blocked":
            raise RuntimeError(found["destinations"][0]["message"])
        await asyncio.sleep(_EVERY_S)
