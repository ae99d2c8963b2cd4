"""
The OpenAPI document against the appliance itself: what it says of requests is sent, well-formed and not, and no answer
is a 500, has a status, a content type or a shape that the document does not know.
"""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.appliance import KEY, ORDERS, Appliance, serving

ENDLESS = {("GET", "/_local/stream")}
"""Not to be waited for; tests/control looks at it."""
DIALECTS = ["events", "runs", "operations", "pipes", "organisation", "control", "documentation"]
EXAMPLES = 25


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    settings = "rate_limit: {requests: 1000000, per_s: 1}\n"
    with serving(tmp_path_factory.mktemp("conformance"), {"orders": ORDERS}, "--testing", settings=settings) as running:
        for n in range(3):
            running.emit({"n": n})
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def schema(appliance: Appliance) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{appliance.url}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as documented", "not so"])
@pytest.mark.parametrize("tag", DIALECTS)
def test_no_answer_is_a_500_or_undocumented(
    appliance: Appliance, schema: BaseSchema, tag: str, mode: GenerationMode
) -> None:
    seen = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr] # an invalid operation has none, and fails here
        if tag not in (operation.tags or []) or (operation.method.upper(), operation.path) in ENDLESS:
            continue
        seen += 1
        _look(appliance, operation, mode)
    assert seen


def _look(appliance: Appliance, operation: Any, mode: GenerationMode) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:
        response = case.call(base_url=appliance.url, headers={"Authorization": f"Bearer {KEY}"})
        case.validate_response(
            response,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    try:
        conforms()
    except hypothesis.errors.Unsatisfiable:  # a route without any input cannot be asked wrongly
        assert mode is GenerationMode.NEGATIVE
