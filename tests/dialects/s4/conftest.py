"""One appliance for all of S4's tests, with stand-ins for the document's connectors; each makes its own pipelines."""

from collections.abc import Iterator

import pytest

from tests.appliance import ORDERS, Appliance, serving

BLOCKED = "in-the-way"
"""A folder that cannot be made: a file has its name."""
STAND_INS = """
stand_ins:
  sources: {hubspot: {type: push}}
  destinations: {bigquery: {type: files, path: warehouse}}
"""


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    folder = tmp_path_factory.mktemp("s4")
    with serving(folder, {"orders": ORDERS}, "--testing", settings=STAND_INS) as running:
        (running.data / BLOCKED).write_text("a file")
        yield running
        assert "Traceback" not in running.log.read_text()
