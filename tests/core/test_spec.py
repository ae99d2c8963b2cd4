import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.kinds import parse_spec, patched_spec
from tests.making import MODEL, spec


def problems(document: object) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        parse_spec(document, MODEL)
    return {problem.field: problem.message for problem in caught.value.problems}


def test_a_name_alone_makes_a_whole_pipeline() -> None:
    found = spec("orders")
    assert [destination.type for destination in found.destinations] == ["files"]
    assert (found.batch.max_events, found.batch.max_age, int(found.batch.max_bytes)) == (1_000, 5.0, 8 * 1024**2)


def test_the_documented_example_is_read_but_for_what_later_versions_bring() -> None:
    found = spec(
        "orders-stream",
        id="pl_8f3a",
        version=1.0,
        schedule=None,
        timezone="UTC",
        batch={"max_events": 100, "max_bytes": "8MiB", "max_age": "5s"},
        sources=[{"type": "push"}],
        transforms=[],
        destinations=[
            {
                "type": "files",
                "path": "out",
                "format": "jsonl",
                "compression": "zstd",
                "partition": "dt=%Y-%m-%d/hour=%H",
            }
        ],
        limits={"ingest_max_records_per_request": 500, "requests_per_minute": None},
    )
    assert (found.id, found.version, found.batch.max_events) == ("pl_8f3a", "1.0", 100)


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        ({}, "name", "is required"),
        ({"name": "Orders"}, "name", "lowercase letters"),
        ({"name": "../etc"}, "name", "lowercase letters"),
        ({"name": "a\0b"}, "name", "lowercase letters"),
        ({"name": "%2e%2e"}, "name", "lowercase letters"),
        ({"name": "x" * 64}, "name", "1 to 63"),
        ({"name": "x" * 10_000}, "name", "1 to 63"),
        ({"name": "runs"}, "name", "reserved"),
        ({"name": "pl_8f3a"}, "name", "look like an id"),
        ({"name": "2f1c9d4e-0000-4000-8000-000000000000"}, "name", "look like an id"),
        ({"name": 5}, "name", "must be text, not 5; put it in quotes"),
        ({"name": "a", "id": "8f3a"}, "id", "pl_8f3a"),
        ({"name": "a", "batch": {"max_evnts": 1}}, "batch.max_evnts", "did you mean 'max_events'?"),
        ({"name": "a", "batch": {"max_events": 0}}, "batch.max_events", "at least 1, not 0"),
        ({"name": "a", "batch": {"max_events": 10**6}}, "batch.max_events", "at most 100000"),
        ({"name": "a", "batch": {"max_age": "5 sec"}}, "batch.max_age", "number with a unit"),
        ({"name": "a", "batch": {"max_bytes": "8 MB!"}}, "batch.max_bytes", "bytes with a unit"),
        ({"name": "a", "batch": []}, "batch", "must be a mapping, not a list"),
        ({"name": "a", "schedule": 5}, "schedule", "must be text, not 5"),
        ({"name": "a", "schedule": "0 0 31 2 *"}, "schedule", "no cron line"),
        ({"name": "a", "schedule": "@daily"}, "schedule", "five fields"),
        ({"name": "a", "title": " x"}, "title", "visible characters"),
        ({"name": "a", "access": {"allowed_origins": ["app.example.com"]}}, "access.allowed_origins[0]", "an origin"),
        ({"name": "a", "enrich": {"ip_field": ""}}, "enrich.ip_field", "1 to 64"),
        ({"name": "a", "timezone": "Europe/Berlim"}, "timezone", "Europe/Berlin"),
        ({"name": "a", "sources": [{"type": "kafka"}]}, "sources[0]", "no source of type 'kafka'; it has push"),
        ({"name": "a", "transforms": [{"type": "python"}]}, "transforms[0]", "no transform of type 'python'"),
        ({"name": "a", "transforms": [{"type": "sql"}]}, "transforms[0].query", "required"),
        ({"name": "a", "variables": {"a-b": "1"}}, "variables.a-b.[key]", "should match"),
        (
            {"name": "a", "destinations": [{"type": "kafka"}]},
            "destinations[0]",
            "no destination of type 'kafka'; it has files",
        ),
        ({"name": "a", "destinations": [{}]}, "destinations[0]", "needs a type"),
        ({"name": "a", "destinations": []}, "destinations", "at least one"),
        ({"name": "a", "destinations": "files"}, "destinations", "must be a list"),
        ({"name": "a", "destinations": [{"type": "files", "pth": "x"}]}, "destinations[0].pth", "did you mean 'path'?"),
        ({"name": "a", "destinations": [{"type": "files", "path": "../x"}]}, "destinations[0].path", "without `..`"),
        ({"name": "a", "destinations": [{"type": "files", "path": "a\0b"}]}, "destinations[0].path", "must"),
        ({"name": "a", "destinations": [{"type": "files", "path": ""}]}, "destinations[0].path", "must be a folder"),
        (
            {"name": "a", "destinations": [{"type": "files", "format": "avro"}]},
            "destinations[0].format",
            "must be 'jsonl'",
        ),
        (
            {"name": "a", "destinations": [{"type": "files", "partition": "../%Y"}]},
            "destinations[0].partition",
            "folders of letters",
        ),
        ({"name": "a", "destinations": [{"type": "files", "name": "A b"}]}, "destinations", "destination name 'A b'"),
        (
            {"name": "a", "destinations": [{"type": "files", "name": "x"}] * 2},
            "destinations",
            "two destinations are named 'x'",
        ),
        ([], "", "must be a mapping, not a list"),
        (None, "", "must be a mapping, not null"),
    ],
)
def test_what_is_wrong_is_said_with_its_field_and_what_would_be_right(document: Any, field: str, message: str) -> None:
    found = problems(document)
    assert field in found, found
    assert message in found[field]


def test_all_problems_are_said_at_once() -> None:
    assert set(problems({"name": "A", "batch": {"max_events": 0, "x": 1}, "y": 2})) == {
        "name",
        "batch.max_events",
        "batch.x",
        "y",
    }


def test_destinations_of_one_type_are_told_apart_by_number() -> None:
    found = spec(destinations=[{"type": "files"}, {"type": "files", "path": "b"}, {"type": "files", "name": "files-2"}])
    assert list(found.routes()) == ["files", "files-3", "files-2"]


@given(
    st.integers(1, 100_000),
    st.floats(0.05, 86_400, allow_nan=False),
    st.sampled_from(["none", "gzip", "zstd"]),
    st.sampled_from(["envelope", "payload"]),
)
def test_a_specification_is_read_back_from_what_is_stored(
    max_events: int, max_age: float, compression: str, record: str
) -> None:
    found = spec(
        batch={"max_events": max_events, "max_age": max_age},
        destinations=[{"type": "files", "compression": compression, "record": record}],
    )
    stored = found.model_dump_json(serialize_as_any=True)
    assert parse_spec(json.loads(stored), MODEL) == found


def test_a_patch_changes_what_it_names_and_keeps_the_rest() -> None:
    old = spec(batch={"max_events": 7, "max_age": "2s"})
    new = patched_spec(old, {"name": "other", "batch": {"max_events": 9}}, MODEL)
    assert (new.name, new.batch.max_events, new.batch.max_age) == ("other", 9, 2.0)
    assert new.destinations == old.destinations
    with pytest.raises(InvalidRequest, match=r"batch\.max_events"):
        patched_spec(old, {"batch": {"max_events": 0}}, MODEL)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_any_document_is_a_specification_or_refused(document: object) -> None:
    with suppress(InvalidRequest):
        parse_spec(document, MODEL)
