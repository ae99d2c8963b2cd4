"""Whatever people call a thing, its name is a slug that is free; and an id never passes for a name."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.names import (
    MAX_NAME,
    MAX_TITLE,
    check_name,
    check_public_id,
    check_title,
    is_name,
    is_uuid,
    slug_of,
)
from conduit_local.core.plain import plain


def free(_name: str) -> bool:
    return True


@given(st.text(max_size=300), st.sets(st.sampled_from(["pipeline", "a", "orders", "pipeline-a", "a-2"])))
def test_any_title_makes_a_name_that_is_free(title: str, taken: set[str]) -> None:
    name = slug_of(title, lambda one: one not in taken)
    assert is_name(name)
    assert name not in taken
    assert len(name) <= MAX_NAME


@given(st.text("abcxyz019_-", min_size=1, max_size=MAX_NAME).filter(is_name))
def test_a_name_that_is_free_is_taken_as_it_is(name: str) -> None:
    assert slug_of(name, free) == name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("HubSpot to BigQuery", "hubspot-to-bigquery"),
        ("  Größe & Maß  ", "groe-ma"),
        ("地震", "pipeline"),
        ("", "pipeline"),
        ("runs", "pipeline-runs"),
        ("pl_8f3a", "pipeline-pl_8f3a"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\r\nX-Injected: 1", "a-x-injected-1"),
        ("\x1b[31mred", "31mred"),
        ("---", "pipeline"),
        ("A" * 300, "a" * (MAX_NAME - 8)),
    ],
)
def test_a_title_becomes_the_name_that_people_expect(title: str, name: str) -> None:
    assert slug_of(title, free) == name


def test_a_name_that_is_taken_gets_a_number() -> None:
    taken: set[str] = set()
    for expected in ("orders", "orders-2", "orders-3"):
        name = slug_of("Orders", lambda one: one not in taken)
        assert name == expected
        taken.add(name)


@given(st.integers(2, 10**6))
def test_a_long_name_with_any_number_is_still_a_name(last: int) -> None:
    tried = iter(range(last))
    name = slug_of("x" * 200, lambda _: next(tried, None) is None if last < 20 else True)
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "_a", "A", "a b", "a.b", "a/b", "ä", "a\n", "a" * 64, "runs", "pl_8f3a", str(uuid.UUID(int=7))]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"must|reserved"):
        check_name(name)
    assert not is_name(name)


@pytest.mark.parametrize("public_id", ["pl_", "pl_A", "8f3a", "pl_" + "a" * 33, "pl_a\n", "pl_a b"])
def test_what_is_no_public_id_is_refused(public_id: str) -> None:
    with pytest.raises(ValueError, match="must be pl_"):
        check_public_id(public_id)


@given(st.text(max_size=260))
def test_a_title_that_passes_is_shown_as_it_is(title: str) -> None:
    try:
        assert check_title(title) == title
    except ValueError:
        return
    assert plain(title) == title
    assert title.strip() == title
    assert 0 < len(title) <= MAX_TITLE


@pytest.mark.parametrize(
    "title", ["", " a", "a ", "a\nb", "\x1b[31m", "a\u202eb", "a\u200bb", "\x9b2J", "\ud800", "x" * (MAX_TITLE + 1)]
)
def test_a_title_that_people_could_not_read_is_refused(title: str) -> None:
    with pytest.raises(ValueError, match="visible characters"):
        check_title(title)


@given(st.uuids())
def test_a_uuid_is_known_in_its_usual_form_only(one: uuid.UUID) -> None:
    assert is_uuid(str(one))
    assert not is_uuid(one.hex)
    assert not is_uuid(f"{{{one}}}")
    assert not is_uuid(str(one) + "\n")
