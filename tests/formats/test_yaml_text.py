"""YAML of strangers: what it means, and what it must not do to us. Lines and variables: tests/config."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.event import MAX_DEPTH
from conduit_local.formats.yaml_text import MAX_CHARS, MAX_NODES, YamlError, read_yaml


def refused(text: str | bytes) -> YamlError:
    with pytest.raises(YamlError) as caught:
        read_yaml(text.encode() if isinstance(text, str) else text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1, {b: c}]\nd: *x", {"a": [1, {"b": "c"}], "d": [1, {"b": "c"}]}),
        ("&k a: 1\nb: *k", {"a": 1, "b": "a"}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: !!str 5\nb: !!int '5'\nc: ! 5", {"a": "5", "b": 5, "c": "5"}),
        ("d: !!map {}\ne: !!null ''\nf: !!seq []", {"d": {}, "e": None, "f": []}),
        ("<<: 1\n5: x\ntrue: y", {"<<": 1, "5": "x", "true": "y"}),
        ("a: .inf\nb: .nan", {"a": ".inf", "b": ".nan"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("\ufeffa: 1", {"a": 1}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        (f"a: {10**30}", {"a": 10**30}),
    ],
)
def test_it_means_what_version_1_2_says(text: str, value: Any) -> None:
    assert read_yaml(text.encode()).value == value


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: *nobody", 2, "nothing before this is named &nobody"),
        ("a: &a [*a]", 1, "nothing before this is named &a"),
        ("a: 1\n*a : 2", 2, "a key must be plain text"),
        ("a: 1\n!x b: 2", 2, "the tag '!x' is not known here"),
        ("a: !!int five", 1, "'five' is no int"),
        ("a: !!float inf", 1, "'inf' is no float"),
        ("a: !!bool 1", 1, "'1' is no bool"),
        ("a: !!binary aGk=", 1, "the tag 'binary' is not known here"),
        ("a: !!python/object/apply:os.system [x]", 1, "is not known here"),
        ("a: 1\nb: 1e999", 2, "the number is out of range"),
        (f"a: {'9' * 5_000}", 1, "the number is out of range"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("# tags\n%TAG ! tag:example.com,2000:\n---\na: !x 1", 2, "tags are not known here"),
        ("é: 1\nb: \x00", 2, "control characters"),
        ('a: "\\ud800"', 1, "is not YAML"),
        (b"a: \xff", 1, "is not UTF-8"),
        ("a: 1".encode("utf-16"), 1, "is not UTF-8"),
    ],
)
def test_what_it_is_not_is_said_with_the_line(text: str | bytes, line: int, message: str) -> None:
    error = refused(text)
    assert error.line == line
    assert message in error.message


def test_depth_is_limited_as_in_json_also_behind_aliases() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(read_yaml(deepest.encode()).value) == deepest
    assert "nested more than" in refused(f"[{deepest}]").message
    half = MAX_DEPTH // 2
    text = f"a: &a {'[' * half}{']' * half}\nb: {'[' * half}*a{']' * half}"
    assert refused(text).line == 2
    assert "nested more than" in refused(text).message
    chain = "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1_000))
    assert "nested more than" in refused(chain).message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "{a: " * 200_000,
        "- " * 500_000,
        "- a\n" * 250_000,
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100)}]",
    ],
    ids=["brackets", "braces", "dashes", "items", "laughs", "long texts"],
)
def test_what_would_take_memory_or_the_stack_is_refused_soon(text: str) -> None:
    began = time.monotonic()
    assert "too large" in refused(text).message or "nested" in refused(text).message
    assert time.monotonic() - began < 5


def test_the_largest_that_passes() -> None:
    assert len(read_yaml(b"- a\n" * (MAX_NODES - 1)).value) == MAX_NODES - 1
    assert refused(b"- a\n" * MAX_NODES).line == MAX_NODES
    assert len(read_yaml(b"x" * MAX_CHARS).value) == MAX_CHARS
    assert refused(b"x" * (MAX_CHARS + 1)).line == 1


@given(st.binary(max_size=200) | st.text(alphabet="[]{}-?:&*a!|>'\"# \n\t1.", max_size=80).map(str.encode))
def test_any_bytes_are_a_value_or_an_error(content: bytes) -> None:
    with suppress(YamlError):
        json.dumps(read_yaml(content).value, allow_nan=False)
