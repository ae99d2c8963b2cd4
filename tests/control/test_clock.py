"""`/_local/test/clock`: the hand on the clock, there with `--testing` alone."""

from collections.abc import Iterator

import pytest

from conduit_local.core.times import parse_rfc3339
from tests.appliance import ORDERS, Appliance, serving
from tests.control.sse import listen

PATH = "/_local/test/clock"


@pytest.fixture
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("clock"), {"orders": ORDERS}, "--testing") as running:
        yield running


def clock(appliance: Appliance, **order: object) -> int:
    """Steer; the time of day that the answer says."""
    answer = appliance.ask("POST", PATH, order)
    assert answer.status == 200, answer
    return parse_rfc3339(answer.json["now"])


def test_it_is_not_there_without_testing(appliance: Appliance) -> None:
    answer = appliance.ask("POST", PATH, {"advance": 1})
    assert (answer.status, answer.code) == (404, "not_found")
    assert appliance.snapshot()["appliance"]["testing"] is False


def test_time_is_set_advanced_and_frozen(steered: Appliance) -> None:
    noon = parse_rfc3339("2030-01-01T12:00:00Z")
    assert steered.snapshot()["appliance"]["testing"] is True
    assert clock(steered, freeze=True, set="2030-01-01T12:00:00Z") == noon
    assert clock(steered, advance=0.25) == noon + 250_000
    assert clock(steered, set="2030-01-01T13:00:00+01:00", advance=60) == noon + 60_000_000
    assert steered.emit({}).json["received_at"] == "2030-01-01T12:01:00Z"
    assert parse_rfc3339(steered.snapshot()["time"]) == noon + 60_000_000
    later = clock(steered, freeze=False)
    assert noon + 60_000_000 <= later < noon + 90_000_000
    steered.until(lambda found: parse_rfc3339(found["time"]) > later)


def test_frozen_batches_wait_and_time_that_is_advanced_closes_them(steered: Appliance) -> None:
    clock(steered, freeze=True)
    assert steered.emit({}).status == 200
    clock(steered, advance=0.199)
    assert steered.pipeline("pl_8f3a")["pending"] == 1
    clock(steered, advance=0.001)
    steered.until_delivered()


def test_rates_are_those_of_the_steered_seconds(steered: Appliance) -> None:
    clock(steered, freeze=True)
    path = "/_local/pipelines/pl_8f3a/rates"

    def history(query: str = "") -> list[list[int]]:
        found: list[list[int]] = steered.ask("GET", f"{path}{query}").json["data"]
        return found

    def a_second_later() -> None:
        taken = len(history())
        clock(steered, advance=1)
        steered.until(lambda _: len(history()) > taken)

    steered.ask("POST", "/_local/pipelines/pl_8f3a/pause")
    for count in (3, 0, 2):
        for _ in range(count):
            steered.emit({})
        a_second_later()
    assert history("?seconds=3") == [[3, 0, 3], [0, 0, 3], [2, 0, 5]]
    steered.ask("POST", "/_local/pipelines/pl_8f3a/resume")
    steered.ask("POST", "/_local/pipelines/pl_8f3a/flush")
    steered.until_delivered()
    a_second_later()
    a_second_later()
    assert history("?seconds=2") == [[0, 5, 0], [0, 0, 0]]
    assert (steered.pipeline("pl_8f3a")["in_per_s"], steered.pipeline("pl_8f3a")["out_per_s"]) == (1.0, 1.0)
    for query in ("?seconds=0", "?seconds=601", "?seconds=x"):
        answer = steered.ask("GET", f"{path}{query}")
        assert (answer.status, list(answer.json["error"]["details"])) == (400, ["seconds"])


def test_a_frozen_clock_freezes_no_view(steered: Appliance) -> None:
    clock(steered, freeze=True)
    with listen(steered, "interval_ms=100") as stream:
        assert stream.next() is not None
        steered.emit({})
        stream.until(lambda said: said.data["pipelines"][0]["accepted"] == 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"stop": True}, "stop"),
        ({"freeze": 1}, "freeze"),
        ({"freeze": "yes"}, "freeze"),
        ({"advance": -1}, "advance"),
        ({"advance": True}, "advance"),
        ({"advance": "1s"}, "advance"),
        ({"advance": 1e12}, "advance"),
        ({"set": "tomorrow"}, "set"),
        ({"set": 5}, "set"),
        ({"set": "2030-01-01"}, "set"),
        ({"set": "0018-01-01T00:00:00Z"}, "set"),
        ({"set": "9999-12-31T00:00:00Z"}, "set"),
        ({"set": "2030-01-01T12:00:00"}, "set"),
    ],
)
def test_an_order_that_makes_no_sense_moves_nothing(filed: Appliance, body: object, field: str | None) -> None:
    before = parse_rfc3339(filed.snapshot()["time"])
    answer = filed.ask("POST", PATH, body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.json["error"].get("details", {})) == ([field] if field else [])
    assert parse_rfc3339(filed.snapshot()["time"]) == before


def test_of_several_orders_none_is_done_when_one_makes_no_sense(filed: Appliance) -> None:
    before = parse_rfc3339(filed.snapshot()["time"])
    assert filed.ask("POST", PATH, {"freeze": False, "advance": 5, "set": "tomorrow"}).status == 400
    assert parse_rfc3339(filed.snapshot()["time"]) == before


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance with a frozen clock."""
    with serving(tmp_path_factory.mktemp("frozen"), {}, "--testing") as running:
        clock(running, freeze=True)
        yield running
