"""The `tests` of pipeline files: what they may say, and what is said where it did not come true."""

from pathlib import Path
from typing import Any

import pytest

from conduit_local.config.apply import Configuration
from conduit_local.config.cases import Case, Difference, differences, shown
from conduit_local.config.files import BrokenFile, PipelineFile, read_pipeline
from conduit_local.config.schema import pipeline_schema
from conduit_local.config.settings import load_settings
from conduit_local.config.trying import Died, Sample, Tried
from conduit_local.core.kinds import document_of
from tests.engines import engine_at
from tests.making import MODEL

GOOD = """
name: orders
tests:
  - name: nothing
    events: [{a: 1}]
    rows: [{a: 1}]
"""


def read(folder: Path, text: str) -> PipelineFile:
    path = folder / "orders.yaml"
    path.write_text(text)
    return read_pipeline(path, "orders.yaml", MODEL, {})


def tried(*rows: dict[str, Any], dead: tuple[Died, ...] = (), are_events: bool = False) -> Tried:
    return Tried(rows=list(rows), are_events=are_events, dead=list(dead))


def case(*rows: dict[str, Any], events: int = 3, dead: tuple[int | str, ...] = ()) -> Case:
    return Case(name="it", events=({},) * events, rows=rows, dead=dead)


def said(found: list[Difference]) -> list[tuple[str, str]]:
    return [(one.about, one.message) for one in found]


# Read ------------------------------------------------------------------------------------------------------


def test_tests_are_read_and_are_no_part_of_the_pipeline(tmp_path: Path) -> None:
    file = read(tmp_path, GOOD)
    assert [one.name for one in file.cases] == ["nothing"]
    assert file.cases[0].samples() == [Sample("event", b'{"a": 1}')]
    assert "tests" not in document_of(file.spec)
    without = read(tmp_path, "name: orders\n")
    assert (without.spec, without.cases) == (file.spec, ())


@pytest.mark.parametrize(
    ("event", "sample"),
    [
        ({"a": 1}, Sample("event", b'{"a": 1}')),
        ({"payload": {"a": 1}}, Sample("event", b'{"a": 1}')),
        ({"type": "x.y", "payload": {"a": 1}}, Sample("x.y", b'{"a": 1}')),
        ({"type": "x.y"}, Sample("event", b'{"type": "x.y"}')),
        ({"payload": 5}, Sample("event", b'{"payload": 5}')),
        ({"payload": {}, "more": 1}, Sample("event", b'{"payload": {}, "more": 1}')),
        ({"ü": "\n\u2028"}, Sample("event", '{"ü": "\\n\u2028"}'.encode())),
        ({}, Sample("event", b"{}")),
    ],
)
def test_an_event_is_a_payload_or_has_a_type_beside_it(event: dict[str, Any], sample: Sample) -> None:
    assert Case(name="it", events=(event,), rows=()).samples() == [sample]


@pytest.mark.parametrize(
    ("tests", "problem"),
    [
        ("tests: 5", "orders.yaml:2: tests: must be a list, not 5"),
        (
            "tests: [{name: a, events: [], rows: [], ded: []}]",
            "orders.yaml:2: tests[0].ded: unknown field; did you mean",
        ),
        ("tests:\n  - name: a\n    events: []\n", "orders.yaml:3: tests[0].rows: is required"),
        ("tests: [{events: [], rows: []}]", "orders.yaml:2: tests[0].name: is required"),
        ("tests: [{name: a, events: [5], rows: []}]", "orders.yaml:2: tests[0].events[0]: must be a mapping, not 5"),
        ("tests: [{name: a, events: [], rows: [x]}]", "orders.yaml:2: tests[0].rows[0]: must be a mapping, not 'x'"),
        ("tests: [{name: a, events: [{}], rows: [], dead: [1]}]", "tests[0].dead[0]: there is no event 1"),
        ("tests: [{name: a, events: [], rows: [], variables: {x: 5}}]", "tests[0].variables.x: must be text, not 5"),
        ("tests: [{name: a, events: [], rows: [], variables: {x: y}}]", "tests[0].variables.x: is not declared"),
        ("tests: [{name: a, events: [{type: 'a b', payload: {}}], rows: []}]", "tests[0].events[0].type: "),
        ("tests: [{name: a, events: [{type: 5, payload: {}}], rows: []}]", "tests[0].events[0].type: must be text"),
        (
            "tests: [{name: a, events: [], rows: []}, {name: a, events: [], rows: []}]",
            "tests[1].name: another test is named 'a'",
        ),
        ("test: []", "orders.yaml:2: test: unknown field"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, tests: str, problem: str) -> None:
    with pytest.raises(BrokenFile) as caught:
        read(tmp_path, f"name: orders\n{tests}\n")
    (found,) = map(str, caught.value.problems)
    assert problem in found


def test_problems_of_the_pipeline_and_of_its_tests_are_said_together(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile) as caught:
        read(tmp_path, "name: orders\nbatch: {max_events: 0}\ntests:\n  - {name: a, events: [], rows: {}}\n")
    assert [(one.line, one.field) for one in caught.value.problems] == [(2, "batch.max_events"), (4, "tests[0].rows")]


async def test_the_appliance_takes_the_pipeline_and_leaves_the_tests(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    file = tmp_path / "pipelines" / "orders.yaml"
    file.write_text(GOOD)
    async with engine_at(tmp_path) as engine:
        files = Configuration(tmp_path, load_settings(tmp_path, [], {}), engine, {})
        assert (await files.reload())["created"] == ["orders"]
        before = engine.topology.find("orders").pipeline
        file.write_text(GOOD.replace("rows: [{a: 1}]", "rows: []"))
        assert await files.reload() == {"created": [], "changed": [], "deleted": [], "problems": []}
        assert engine.topology.find("orders").pipeline is before
        file.write_text(GOOD.replace("rows:", "row:"))
        assert [one["line"] for one in (await files.reload())["problems"]] == [4, 6]
        assert engine.topology.find("orders").pipeline is before, "a broken file changes nothing"


def test_the_schema_of_pipeline_files_knows_them_and_the_pipelines_does_not() -> None:
    found = pipeline_schema(MODEL)
    assert set(found["properties"]) == {*MODEL.model_fields, "tests"}
    fields = found["$defs"]["Case"]
    assert set(fields["properties"]) == {"name", "events", "rows", "dead", "variables"}
    assert set(fields["required"]) == {"name", "events", "rows"}
    assert fields["additionalProperties"] is False
    assert found["additionalProperties"] is False
    assert "tests" not in MODEL.model_json_schema()["properties"]


# Compared --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "row"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1.10}, {"a": 1.1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": [{"x": 1, "y": None}]}, {"a": [{"y": None, "x": 1}]}),
        ({"a": 10**30}, {"a": 10**30}),
        ({}, {}),
    ],
)
def test_values_are_compared_as_json_is(expected: dict[str, Any], row: dict[str, Any]) -> None:
    assert differences(case(expected), tried(row)) == []


@pytest.mark.parametrize(
    ("expected", "row", "message"),
    [
        ({"a": 1}, {"a": True}, "differs in 'a'"),
        ({"a": False}, {"a": 0}, "differs in 'a'"),
        ({"a": 1}, {"a": "1"}, "differs in 'a'"),
        ({"a": None}, {}, "lacks 'a'"),
        ({"a": 1}, {"a": 1, "b": None}, "has besides 'b'"),
        ({"a": [1, 2]}, {"a": [2, 1]}, "differs in 'a'"),
        ({"a": [1]}, {"a": [1, 1]}, "differs in 'a'"),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 1}}, "differs in 'a'"),
        ({"a": 1, "c": 3}, {"a": 2, "b": 2}, "differs in 'a'; lacks 'c'; has besides 'b'"),
        ({"a": 10**30}, {"a": 10**30 + 1}, "differs in 'a'"),
    ],
)
def test_values_that_differ_are_named(expected: dict[str, Any], row: dict[str, Any], message: str) -> None:
    (found,) = differences(case(expected), tried(row))
    assert (found.about, found.message, found.expected, found.got) == ("rows[0]", message, expected, row)


def test_the_first_row_that_differs_and_all_that_are_missing_or_too_many_are_said() -> None:
    rows = [{"n": n} for n in range(4)]
    assert said(differences(case(*rows), tried(*rows[:1], *rows[2:]))) == [
        ("rows", "4 expected, 3 came"),
        ("rows[1]", "differs in 'n'"),
        ("rows[3]", "is missing"),
    ]
    assert said(differences(case(*rows[:2]), tried(*rows))) == [
        ("rows", "2 expected, 4 came"),
        ("rows[2]", "is one too many"),
        ("rows[3]", "is one too many"),
    ]
    many = differences(case(), tried(*({"n": n} for n in range(1_000))))
    assert len(many) == 1 + 20, "nobody reads a thousand"


def test_rows_that_are_events_are_expected_as_events_are_written() -> None:
    row = {"event_id": "evt_1", "pipeline_id": "pl_1", "event_type": "a.b", "received_at": "…", "payload": {"n": 1}}
    for good in ({"n": 1}, {"payload": {"n": 1}}, {"type": "a.b", "payload": {"n": 1}}):
        assert differences(case(good), tried(row, are_events=True)) == []
    (found,) = differences(case({"type": "a.c", "payload": {"n": 1}}), tried(row, are_events=True))
    assert found.got == {"type": "a.b", "payload": {"n": 1}}
    (found,) = differences(case({"n": 2}), tried(row, are_events=True))
    assert found.got == {"n": 1}
    assert differences(case({"payload": {"n": 1}}), tried({"payload": {"n": 1}})) == [], "a column of that name"


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ((), [("events[0]", "died: bad cast"), ("events[2]", "died: Bad date")]),
        ((0, 2), []),
        (("cast", "DATE"), []),
        (("bad", 0), []),
        ((0, "bad"), []),
        (
            (1,),
            [
                ("events[1]", "was to die, and did not"),
                ("events[0]", "died: bad cast"),
                ("events[2]", "died: Bad date"),
            ],
        ),
        (("bad", "bad", "bad"), [("events", "none died of 'bad'")]),
        (("cast", "cast"), [("events", "none died of 'cast'"), ("events[2]", "died: Bad date")]),
        ((0, 0, 2), [("events[0]", "was to die, and did not")]),
    ],
)
def test_deaths_are_expected_by_place_or_reason_each_once(
    expected: tuple[int | str, ...], message: list[tuple[str, str]]
) -> None:
    died = (Died(0, "bad cast"), Died(2, "Bad date"))
    assert said(differences(case(dead=expected), tried(dead=died))) == message


def test_what_is_shown_is_one_line_and_not_endless() -> None:
    assert shown({"ü": "a\nb"}) == '{"ü": "a\\nb"}'
    assert len(shown({"a": "x" * 10_000})) == 400
