"""One appliance for all of S2's tests; each makes pipelines of its own."""

from collections.abc import Iterator

import pytest

from tests.appliance import ORDERS, Appliance, serving

BLOCKED = "in-the-way"
"""A folder that cannot be made: a file has its name."""


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("s2"), {"orders": ORDERS}, "--testing") as running:
        (running.data / BLOCKED).write_text("a file")
        yield running
        assert "Traceback" not in running.log.read_text()
