"""What every test of the terminal UI stands on."""

from collections.abc import Iterator

import pytest

from tests.tui import still


@pytest.fixture(autouse=True)
def no_terminal_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the environment says of the terminal must not change what a test sees."""
    for name in ("NO_COLOR", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    yield
    still.StillFeed.first = None
