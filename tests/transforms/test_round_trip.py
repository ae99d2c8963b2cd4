"""Any payload, through a child: what was not to be touched is what it was."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.transforms.running import SqlTransforms, open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.making import bytes_of, lines_of, reading, recipe_of

NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z")
STRINGS = st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.booleans()).map(
    lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1])
)
SPACE = st.sampled_from(["", " ", "  ", "\t"])


def members(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects, keys maybe twice."""
    return st.builds(
        lambda pairs, space: "{" + f",{space}".join(f"{key}{space}:{space}{value}" for key, value in pairs) + "}",
        st.lists(st.tuples(STRINGS, values), max_size=4),
        SPACE,
    )


VALUES = st.recursive(
    NUMBERS
    | STRINGS
    | st.sampled_from(["true", "false", "null", "-0", "-0.0", '"1.50"', '"\\/"', '"\\u0000\\ud83d\\ude00"']),
    lambda inner: st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]") | members(inner),
    max_leaves=12,
)
PAYLOADS = members(VALUES)
GATE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Running:
    """Transforms, from outside of their loop."""

    def __init__(self, runner: asyncio.Runner, transforms: SqlTransforms) -> None:
        self._runner = runner
        self._transforms = transforms

    def made(self, transform: dict[str, Any], parts: list[bytes]) -> bytes:
        recipe = recipe_of(transform)
        return bytes_of(self._runner.run(self._transforms.apply(PipelineNumber(1), recipe, reading(parts))))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    scratch: Path = tmp_path_factory.mktemp("transforms") / "scratch"
    with asyncio.Runner() as runner:
        opened = open_transforms(TransformSettings(), scratch=scratch)
        transforms = runner.run(opened.__aenter__())
        yield Running(runner, transforms)
        runner.run(opened.__aexit__(None, None, None))


@GATE
@given(payloads=st.lists(PAYLOADS, min_size=1, max_size=20))
def test_any_event_that_passes_is_the_same_byte_for_byte(running: Running, payloads: list[str]) -> None:
    parts = lines_of(payloads)
    assert running.made({"type": "filter", "where": "true"}, parts) == b"".join(parts)


def shown(text: str | bytes) -> Any:
    """JSON with its numbers as they are written; of a key that stands there twice, the first."""
    return json.loads(
        text,
        parse_float=lambda number: ("number", number),
        parse_int=lambda number: ("number", number),
        object_pairs_hook=lambda pairs: dict(reversed(pairs)),
    )


@GATE
@given(values=st.lists(VALUES, min_size=1, max_size=20))
def test_any_field_that_is_selected_is_the_same(running: Running, values: list[str]) -> None:
    parts = lines_of(f'{{"a": {{"b": {value}, "c": 1}}}}' for value in values)
    lines = running.made({"type": "select", "fields": {"x": "payload.a.b"}}, parts).splitlines()
    for value, line in zip(values, lines, strict=True):
        assert shown(line)["x"] == shown(value)


@GATE
@given(values=st.lists(VALUES, min_size=1, max_size=20))
def test_what_stands_beside_a_masked_field_is_the_same(running: Running, values: list[str]) -> None:
    parts = lines_of(f'{{"a": {value}, "email": {value}, "in": {{"email": 1, "a": {value}}}}}' for value in values)
    transform = {"type": "mask", "fields": ["payload.email", "payload.in.email"]}
    lines = running.made(transform, parts).splitlines()
    for value, line in zip(values, lines, strict=True):
        assert shown(line)["payload"] == {"a": shown(value), "in": {"a": shown(value), "email": "***"}, "email": "***"}
