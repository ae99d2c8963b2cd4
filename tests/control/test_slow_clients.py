"""Streams and clients that do not read, or go away."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from conduit_local.config.apply import Configuration
from conduit_local.config.settings import LoadedSettings, Settings
from conduit_local.control.routes import Control
from conduit_local.control.snapshot import Identity
from conduit_local.engine.limits import Bucket
from conduit_local.http.body import BodyReader
from conduit_local.http.boundary import Boundary
from conduit_local.http.guards import Guards
from conduit_local.http.proxies import Proxies
from conduit_local.http.router import Router
from conduit_local.http.server import Listening, ServerSettings
from conduit_local.http.server import listen as listen_on
from conduit_local.http.wording import coded_error
from tests.appliance import ORDERS, Appliance, serving
from tests.control.sse import Listener, Said, listen
from tests.engines import engine_at, until

OFTEN = "interval_ms=100"
SMALL = 4_096
"""Bytes that the system keeps for a client which does not read."""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance whose snapshot is large."""
    with serving(tmp_path_factory.mktemp("crowded"), {"orders": ORDERS}) as running:
        for n in range(60):
            assert running.ask("PUT", f"/_local/pipelines/p{n}", {}).status == 201
        yield running


def accepted(said: Said) -> int:
    return int(said.data["pipelines"][0]["accepted"])


def test_a_client_that_does_not_read_finds_the_newest_state_behind_few_old_ones(crowded: Appliance) -> None:
    before = crowded.rss_mib()
    newest = crowded.pipeline("pl_8f3a")["accepted"] + 1
    slow = [listen(crowded, OFTEN, buffer_bytes=SMALL) for _ in range(10)]
    with listen(crowded, OFTEN) as quick:
        assert all(quick.next() for _ in range(20))
        assert crowded.emit({}).status == 200
        quick.until(lambda said: accepted(said) == newest)
    assert crowded.rss_mib() - before < 16
    for stream in slow:
        old = 0
        while (said := stream.next()) is not None and accepted(said) < newest:
            old += 1
        assert said is not None
        assert old <= 5, "what a slow client reads is a queue of the past"
        stream.__exit__()


def test_a_client_that_does_not_read_does_not_slow_down_the_others(crowded: Appliance) -> None:
    slow = [listen(crowded, f"topics=snapshot,log,events&{OFTEN}", buffer_bytes=SMALL) for _ in range(30)]
    took_s = []
    with listen(crowded, OFTEN) as quick:
        for _ in range(10):
            assert quick.next() is not None
            began = time.monotonic()
            assert crowded.emit({}).status == 200
            took_s.append(time.monotonic() - began)
    for stream in slow:
        stream.__exit__()
    assert sorted(took_s)[len(took_s) // 2] < 0.25  # most of them; the machine of the tests is busy too


def test_clients_that_do_not_read_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as appliance:
        for n in range(60):
            appliance.ask("PUT", f"/_local/pipelines/p{n}", {})
        slow = [listen(appliance, OFTEN, buffer_bytes=SMALL) for _ in range(5)]
        with listen(appliance, OFTEN) as quick:
            for _ in range(10):
                assert quick.next() is not None
        began = time.monotonic()
        assert appliance.stop() == 0
        assert time.monotonic() - began < 5  # the grace for requests is 10 s
        for stream in slow:
            stream.__exit__()
    assert "Traceback" not in appliance.log.read_text()


@asynccontextmanager
async def control_in_this_process(folder: Path) -> AsyncIterator[Listening]:
    identity = Identity(version="", data_dir="", config_dir="", auth="off", testing=False, durability="full")
    async with engine_at(folder) as engine:
        files = Configuration(folder, LoadedSettings(settings=Settings(), sources={}), engine, {})
        control = Control(engine, identity, files)
        router, guards = Router([control.api()], coded_error), Guards("127.0.0.1", ())
        boundary = Boundary(router, engine.keys, guards, Bucket(1_000, 1), BodyReader(), engine.clock, Proxies())
        async with listen_on(boundary, ServerSettings(port=0)) as listening:
            yield listening
            control.streams.end()


async def test_clients_that_vanish_leave_no_task_and_no_connection(tmp_path: Path) -> None:
    async with control_in_this_process(tmp_path) as listening:
        port = int(listening.url.rsplit(":", 1)[1])
        before = asyncio.all_tasks()
        streams = [
            await asyncio.to_thread(Listener, port, f"topics={topics}&{OFTEN}")
            for topics in ("snapshot", "log", "events", "snapshot,log,events")
            for _ in range(5)
        ]
        assert len(asyncio.all_tasks() - before) >= 20
        for stream in streams:
            stream.__exit__()
        await until(lambda: not asyncio.all_tasks() - before)
        await until(lambda: not listening.connections.connections)
