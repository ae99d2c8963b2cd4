"""The appliance started and stopped again and again in one process leaves nothing behind."""

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit_local import Conduit
from conduit_local.app import Start, run
from conduit_local.config.settings import Given, load_settings
from conduit_local.engine.journal import LOGGER
from tests.appliance import KEY, ORDERS

STARTS = 50


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """What `serve` would start with; what it sets for its process is put back."""
    (tmp_path / "config" / "pipelines").mkdir(parents=True)
    (tmp_path / "config" / "pipelines" / "orders.yaml").write_text(ORDERS)
    loaded = load_settings(tmp_path / "config", [Given(field="port", value=0, source="this test")], {})
    interval, level = sys.getswitchinterval(), LOGGER.level
    yield Start(
        loaded=loaded,
        data_folder=tmp_path / "data",
        configuration_folder=tmp_path / "config",
        environment={"CONDUIT_LOCAL_API_KEY": KEY},
    )
    sys.setswitchinterval(interval)
    LOGGER.setLevel(level)


def held() -> tuple[set[str], set[str], list[logging.Handler], object]:
    """Open descriptors by what they are, threads, log handlers, and who gets SIGTERM."""
    gc.collect()
    places = []
    for one in Path("/proc/self/fd").iterdir():
        try:
            places.append(f"{one.name} {one.readlink()}")
        except FileNotFoundError:  # the one that listed them
            continue
    threads = {one.name for one in threading.enumerate()}
    return set(places), threads, list(LOGGER.handlers), signal.getsignal(signal.SIGTERM)


def settled(threads: set[str]) -> tuple[set[str], set[str], list[logging.Handler], object]:
    """What is held once threads that were told to end have ended; those of `threads` may stay."""
    end = time.monotonic() + 10
    while (found := held())[1] != threads:
        assert time.monotonic() < end, found[1]
    return found


def once(start: Start) -> list[str]:
    """Start, take an event, stop softly; returns the URLs that were said."""
    said: list[str] = []

    def ready(url: str) -> None:
        said.append(url)
        threading.Thread(target=call, args=(url,), name="caller").start()

    def call(url: str) -> None:
        try:
            with Conduit(KEY, url) as conduit:
                said.append(conduit.emit(pipeline_id="pl_8f3a", event_type="a.b", payload={}).status)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    run(start, ready)
    for thread in threading.enumerate():
        if thread.name == "caller":
            thread.join(timeout=20)
    return said


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_descriptors_threads_handlers_and_signals_are_as_before_after_many_starts(start: Start) -> None:
    alone = {one.name for one in threading.enumerate()}
    assert once(start)[1:] == ["accepted"]
    before = settled(alone)
    for _ in range(STARTS):
        assert once(start)[1:] == ["accepted"]
    assert settled(alone) == before
    assert not (start.data_folder / "appliance.json").exists()
