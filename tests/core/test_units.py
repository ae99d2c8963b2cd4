"""Durations and sizes as people read them."""

import pytest

from conduit_local.core.units import size_text, span_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (-3, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m"), (3_599, "59m"), (7_200, "2h"), (200_000, "2d")],
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float | None, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1_000, "1.0kB"), (999_949, "999.9kB"), (999_950, "1.0MB"), (5e13, "50.0TB")],
)  # fmt: skip
def test_a_size_is_told_with_one_decimal_and_never_as_a_thousand_of_the_smaller_unit(size: float, text: str) -> None:
    assert size_text(size) == text
