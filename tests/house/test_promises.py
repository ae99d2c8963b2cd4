"""Each numbered promise of the five documents has a test that names it, as `test_s3_7_…` does S3.7."""

import ast

import pytest

from tests.house.source import modules, tree

PROMISES = {"s0": 10, "s1": 7, "s2": 7, "s3": 11, "s4": 9}
"""How many numbers each document's promises have. S0.11 is the client, which has its own folder of tests."""


@pytest.mark.parametrize(
    ("dialect", "number"), [(dialect, number + 1) for dialect, count in PROMISES.items() for number in range(count)]
)
def test_the_promise_is_tested_by_name(dialect: str, number: int) -> None:
    named = f"test_{dialect}_{number}_"
    found = [
        node.name
        for path in modules("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(named)
    ]
    assert found, f"no test is called {named}…"


def test_every_numbered_test_names_a_promise_that_is_there() -> None:
    """A number that is none would hide one that nobody tests."""
    for path in modules("tests"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                dialect, _, rest = node.name.removeprefix("test_").partition("_")
                number = rest.partition("_")[0]
                if dialect in PROMISES and number.isdigit():
                    assert 1 <= int(number) <= PROMISES[dialect] + (dialect == "s0"), node.name
