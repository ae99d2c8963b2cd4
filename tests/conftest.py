"""Fixtures that many tests share."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.disks import Disk, mounted

settings.register_profile("gate", deadline=None, print_blob=True)
settings.load_profile("gate")

# A shell that starts this in the background, and nohup, have these ignored, which every process we start would inherit.
if threading.current_thread() is threading.main_thread():
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def missing(reason: str) -> None:
    """A real part is not here: skip, saying how to get it; where CI is set, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 24 MiB."""
    try:
        with mounted(tmp_path / "disk", 24) as disk:
            yield disk
    except PermissionError as error:
        missing(str(error))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says must not change what a test sees."""
    for name in list(os.environ):
        if name.startswith("CONDUIT"):
            monkeypatch.delenv(name)
