"""One appliance and its operator for each module here; its tests share it, each with pipelines of its own."""

from collections.abc import Iterator

import pytest

from tests.appliance import ORDERS, Appliance, serving
from tests.cli.commands import Operator


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("cli"), {"orders": ORDERS}) as running:
        yield running


@pytest.fixture(scope="module")
def conduit(appliance: Appliance) -> Operator:
    """`conduit("status")`: a command to the module's appliance."""
    return Operator(appliance)
