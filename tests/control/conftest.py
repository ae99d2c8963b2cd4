"""One appliance for all tests of the control API; each makes pipelines of its own."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.appliance import ORDERS, Appliance, serving

Make = Callable[..., str]


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance with the pipeline `orders-stream` from a file."""
    with serving(tmp_path_factory.mktemp("control"), {"orders": ORDERS}) as running:
        yield running


@pytest.fixture(scope="session")
def make(appliance: Appliance) -> Make:
    """Makes a pipeline, and returns its name."""
    numbers = itertools.count(1)

    def put(**configuration: Any) -> str:
        name = f"made-{next(numbers)}"
        answer = appliance.ask("PUT", f"/_local/pipelines/{name}", configuration)
        assert answer.status == 201, answer
        return name

    return put
