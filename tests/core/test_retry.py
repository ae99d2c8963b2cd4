from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.retry import Backoff


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_between_nothing_and_a_ceiling_that_doubles(attempt: int, chance: float) -> None:
    backoff = Backoff(initial_s=0.5, max_s=60.0)
    assert 0 <= backoff.delay_s(attempt, chance) <= backoff.ceiling_s(attempt) <= 60.0
    assert backoff.ceiling_s(attempt + 1) in {60.0, 2 * backoff.ceiling_s(attempt)}


def test_the_first_ceilings() -> None:
    assert [Backoff().ceiling_s(attempt) for attempt in (1, 2, 3, 8, 9)] == [0.5, 1.0, 2.0, 60.0, 60.0]
