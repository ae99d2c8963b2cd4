import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.times import (
    duration_text,
    parse_duration,
    parse_rfc3339,
    rfc3339,
    rfc3339_ms,
)


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_time_is_read_back_to_what_was_written(at_us: int) -> None:
    assert parse_rfc3339(rfc3339(at_us)) == at_us // 1_000_000 * 1_000_000
    assert parse_rfc3339(rfc3339_ms(at_us)) == at_us // 1_000 * 1_000


def test_times_are_whole_seconds_with_z() -> None:
    assert rfc3339(1_782_050_973_999_999) == "2026-06-21T14:09:33Z"
    assert rfc3339_ms(1_782_050_973_999_999) == "2026-06-21T14:09:33.999Z"


def test_an_offset_is_taken_into_account() -> None:
    assert parse_rfc3339("2026-06-21T16:09:33+02:00") == parse_rfc3339("2026-06-21T14:09:33Z")


@pytest.mark.parametrize("text", ["", "now", "2026-06-21", "2026-06-21T14:09:33", "20260621T140933Z ", "14:09:33Z"])
def test_what_is_not_a_time_with_an_offset_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some are worded by the standard library
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5),
        ("2m", 120),
        ("1h", 3_600),
        ("1h30m", 5_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1.5s", 1.5),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 sec", "-5s", "5s later", "5S", "1e3s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="number with a unit"):
        parse_duration(text)


@given(st.integers(0, 10_000_000))
def test_a_duration_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds, rel=1e-5)
