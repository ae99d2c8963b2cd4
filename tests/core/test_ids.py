import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.ids import (
    ALPHABET,
    MAX_SEQ,
    EventId,
    delivery_id,
    event_id,
    event_prefix,
    from_base32,
    parse_delivery_id,
    parse_event_id,
    parse_run_id,
    parse_run_uuid,
    part_uuid,
    run_id,
    run_uuid,
    to_base32,
)

tags = st.text(ALPHABET, min_size=5, max_size=5)


@given(tags, st.integers(0, 32**4 - 1), st.integers(0, MAX_SEQ))
def test_an_event_id_is_read_back(tag: str, pipeline: int, seq: int) -> None:
    text = event_id(tag, pipeline, seq)
    assert parse_event_id(text) == EventId(tag, pipeline, seq)
    assert str(EventId(tag, pipeline, seq)) == text == event_prefix(tag, pipeline) + to_base32(seq, 8)


@given(st.integers(0, MAX_SEQ), st.integers(0, MAX_SEQ))
def test_event_ids_of_a_pipeline_sort_as_their_events(one: int, other: int) -> None:
    assert (one < other) == (event_id("abcde", 7, one) < event_id("abcde", 7, other))


@given(st.text())
def test_any_text_is_an_event_id_or_none(text: str) -> None:
    found = parse_event_id(text)
    assert found is None or str(found) == text


@pytest.mark.parametrize(
    "text", ["", "evt_", "evt_5b1c9d", "evt_abcde00010000000u", "EVT_abcde000100000001", "run_00000001"]
)
def test_what_is_not_an_event_id_is_none(text: str) -> None:
    assert parse_event_id(text) is None


def test_ids_hold_no_letter_that_is_read_as_another() -> None:
    assert not set("ilou") & set(ALPHABET)


@given(st.integers(0, 32**8 - 1))
def test_a_run_id_is_read_back(number: int) -> None:
    assert parse_run_id(run_id(number)) == number


@given(st.text())
def test_any_text_is_a_run_id_or_none(text: str) -> None:
    found = parse_run_id(text)
    assert found is None or run_id(found) == text


def test_a_number_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        to_base32(32**4, 4)
    with pytest.raises(ValueError, match="not a base32 character"):
        from_base32("l")


@given(tags, st.integers(0, 32**8 - 1))
def test_a_run_has_one_uuid_and_is_found_by_it(tag: str, number: int) -> None:
    text = run_uuid(tag, number)
    assert parse_run_uuid(tag, text) == number
    assert parse_run_uuid(tag, text.upper()) == number
    found = uuid.UUID(text)
    assert (found.version, found.variant) == (8, uuid.RFC_4122)


@given(tags, st.integers(0, 10**9), st.integers(0, 10**9))
def test_uuids_of_runs_sort_as_the_runs_began(tag: str, one: int, other: int) -> None:
    assert (one < other) == (run_uuid(tag, one) < run_uuid(tag, other))


@given(tags, st.one_of(st.text(max_size=60), st.uuids().map(str)))
def test_any_text_is_a_uuid_of_a_run_or_none(tag: str, text: str) -> None:
    number = parse_run_uuid(tag, text)
    assert number is None or uuid.UUID(run_uuid(tag, number)) == uuid.UUID(text)


def test_a_run_of_another_store_is_not_found() -> None:
    assert parse_run_uuid("abcde", run_uuid("abcdf", 7)) is None


@given(st.uuids().map(str), st.text(max_size=20), st.text(max_size=20))
def test_a_part_has_one_uuid_below_its_owner(owner: str, one: str, other: str) -> None:
    assert part_uuid(owner, "destination", one) == part_uuid(owner, "destination", one)
    assert (part_uuid(owner, "destination", one) == part_uuid(owner, "destination", other)) == (one == other)
    assert part_uuid(owner, "destination", one) != part_uuid(owner, "source", one)
    assert uuid.UUID(part_uuid(owner, "destination", one)).version == 5


@given(st.text(ALPHABET, min_size=8, max_size=20), st.integers(0, 32**8 - 1))
def test_a_delivery_id_is_read_back(webhook: str, number: int) -> None:
    text = delivery_id(f"wh_{webhook}", number)
    assert parse_delivery_id(text) == number
    assert parse_run_id(text) is None


@given(st.text() | st.text(ALPHABET, min_size=16, max_size=16).map("msg_".__add__))
def test_any_text_is_a_delivery_id_or_none(text: str) -> None:
    number = parse_delivery_id(text)
    assert number is None or delivery_id(f"wh_{text[4:12]}", number) == text
