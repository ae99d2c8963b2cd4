"""Transforms as people write them: what is taken, what is refused, and what becomes of `${NAME}`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.kinds import document_of, parse_spec
from conduit_local.transforms.paths import EACH, parse_path
from conduit_local.transforms.transform import place_as_written
from tests.transforms.making import MODEL, recipe_of, spec_of

MASK = {"type": "mask", "fields": ["payload.email"], "with": "#"}


def refusal_of(transform: dict[str, Any], **variables: str) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        recipe_of({"type": "filter", "where": "true"}, transform, **variables)
    (problem,) = caught.value.problems
    return problem.field, problem.message


def test_a_query_is_taken_as_it_is() -> None:
    text = " SELECT '$1', '{}', '$' FROM events; -- done\n"
    assert recipe_of({"type": "sql", "query": text}) == (text,)
    assert recipe_of() == ()


def test_variables_take_the_place_of_their_names() -> None:
    query = {"type": "sql", "query": "SELECT '${SINCE}' AS a, '${since}' AS b, '$SINCE' AS c, ${N} AS d"}
    assert recipe_of(query, SINCE="it's", since="2", N="3") == ("SELECT 'it''s' AS a, '2' AS b, '$SINCE' AS c, 3 AS d",)
    assert "\n'it''s' = 'a'\n" in recipe_of({"type": "filter", "where": "'${A}' = 'a'"}, A="it's")[0]
    assert "\"it''s\"" in recipe_of({**MASK, "with": "${A}"}, A="it's")[0]


def test_a_value_is_not_read_again() -> None:
    assert recipe_of({"type": "sql", "query": "SELECT '${A}'"}, A="${B}") == ("SELECT '${B}'",)


def test_a_variable_that_is_missing_is_named_with_its_field() -> None:
    assert refusal_of({"type": "sql", "query": "SELECT '${SINCE}'"}) == (
        "transforms[1].query",
        "there is no variable SINCE; known here: none",
    )
    assert refusal_of({"type": "filter", "where": "'${A}'"}, B="1", C="2") == (
        "transforms[1].where",
        "there is no variable A; known here: B, C",
    )
    assert refusal_of({**MASK, "with": "${A}"})[0] == "transforms[1].with"


@pytest.mark.parametrize(
    ("transform", "field", "said"),
    [
        ({"type": "sql"}, "query", "is required"),
        ({"type": "sql", "query": " \n"}, "query", "must not be empty"),
        ({"type": "sql", "query": "x" * 65_537}, "query", "must have at most 64 KiB, not 65537 bytes"),
        ({"type": "sql", "query": "é" * 32_769}, "query", "must have at most 64 KiB"),
        ({"type": "sql", "query": "SELECT 1\0"}, "query", "NUL"),
        ({"type": "sql", "sql": "SELECT 1", "query": "SELECT 1"}, "sql", "unknown field"),
        ({"type": "filter", "where": ""}, "where", "must not be empty"),
        ({"type": "select", "fields": ["payload.id", "payload.order.id"]}, "fields", "two fields would be called 'id'"),
        ({"type": "select", "fields": {"a": "event_id", "A": "payload.a"}}, "fields", "two fields would be called 'A'"),
        ({"type": "select", "fields": ["payload.items[*].sku"]}, "fields", "[*] can only be masked"),
        ({"type": "rename", "fields": {}}, "fields", "must name at least one"),
        ({"type": "rename", "fields": {"a": "x", "b": "X"}}, "fields", "two columns would be called 'x'"),
        ({"type": "rename", "fields": {"a": ""}}, "fields.a", "1 to 255 visible characters"),
        ({"type": "mask", "fields": []}, "fields", "must name at least one"),
        ({"type": "mask", "fields": ["payload..email"]}, "fields[0]", "is not a path"),
        ({"type": "mask", "fields": ["payload.items[0].a"]}, "fields[0]", "write [*] for all of them"),
        ({"type": "mask", "fields": ["payload.a"], "with": "x" * 1_001}, "with", "at most 1000"),
        ({"type": "select", "fields": ["event_id", "payload..x"]}, "fields[1]", "is not a path"),
        ({"type": "select", "fields": {"a": "payload..x"}}, "fields.a", "is not a path"),
        ({"type": "select", "fields": []}, "fields", "must name at least one"),
        ({"type": "select", "fields": "event_id"}, "fields", "must be a list"),
    ],
)
def test_what_is_wrong_is_told_by_field(transform: dict[str, Any], field: str, said: str) -> None:
    where, message = refusal_of(transform)
    assert where.startswith(f"transforms[1].{field}")
    assert said in message


def test_rename_points_to_select_for_a_field_of_the_payload() -> None:
    assert "use select" in refusal_of({"type": "rename", "fields": {"payload.a": "a"}})[1]


def test_a_configuration_comes_back_as_it_was_written() -> None:
    written: list[dict[str, Any]] = [
        {"type": "sql", "query": "SELECT 1"},
        {"type": "filter", "where": "true"},
        {"type": "select", "fields": ["event_id"]},
        {"type": "select", "fields": {"a": "payload.b"}},
        {"type": "rename", "fields": {"a": "b"}},
        MASK,
    ]
    spec = spec_of(*written)
    document = document_of(spec)
    assert document["transforms"] == written
    assert parse_spec(json.loads(spec.model_dump_json(serialize_as_any=True)), MODEL) == spec


@pytest.mark.parametrize(
    ("text", "column", "steps"),
    [
        ("event_id", "event_id", ()),
        ("payload.order.id", "payload", ("order", "id")),
        ('payload."a.b"."c""d"', "payload", ("a.b", 'c"d')),
        ("payload.items[0].sku", "payload", ("items", 0, "sku")),
        ("payload.items[*]", "payload", ("items", EACH)),
        ("payload.0", "payload", ("0",)),
        ("payload. a é", "payload", (" a é",)),
        ("p[1][2]", "p", (1, 2)),
    ],
)
def test_paths_lead_where_they_say(text: str, column: str, steps: tuple[Any, ...]) -> None:
    path = parse_path(text)
    assert (path.column, path.steps) == (column, steps)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a[",
        "a[x]",
        "a[-1]",
        'a."',
        'a.""',
        "a.*",
        'a."*"',
        "a\0",
        "a\n",
        "a" * 1_001,
        "a]b",
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        parse_path(text)


@given(st.text())
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = parse_path(text)
    except ValueError:
        return
    assert path.column


def test_a_place_is_one_in_what_people_wrote_or_none() -> None:
    (condition,) = recipe_of({"type": "filter", "where": "nope"})
    (masked,) = recipe_of(MASK)
    assert place_as_written(condition, 2, 5) == (1, 5)
    assert place_as_written(condition, 1, 5) == (None, None)
    assert place_as_written(masked, 1, 5) == (None, None)
    assert place_as_written("SELECT 1", 1, 5) == (1, 5)
    assert place_as_written("SELECT 1", None, None) == (None, None)
