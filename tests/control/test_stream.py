"""`/_local/stream`: what it says and when, to one client and to several, to quick ones and to slow ones."""

from itertools import pairwise
from typing import Any

import pytest

from conduit_local.core.times import parse_rfc3339
from tests.appliance import Appliance
from tests.control.conftest import Make
from tests.control.sse import Said, listen

MINUTE = "interval_ms=60000"
OFTEN = "interval_ms=100"


def accepted(said: Said, name: str) -> Any:
    """How many events a snapshot knows of a pipeline; 0 while it does not know the pipeline."""
    return next((one["accepted"] for one in said.data["pipelines"] if one["name"] == name), 0)


def send(appliance: Appliance, name: str, count: int) -> None:
    events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200


def test_the_first_snapshot_comes_at_once_and_is_that_of_the_snapshot_route(appliance: Appliance) -> None:
    with listen(appliance, MINUTE) as stream:
        assert stream.status == 200
        assert b"content-type: text/event-stream" in stream.head.lower()
        said = stream.next()
    assert said is not None
    assert said.name == "snapshot"
    assert list(said.data) == list(appliance.snapshot())


def test_two_a_second_are_the_default_and_the_interval_may_be_chosen(appliance: Appliance) -> None:
    for query, least_us in (("", 450_000), ("interval_ms=200", 150_000)):
        with listen(appliance, query) as stream:
            times = [parse_rfc3339(said.data["time"]) for _ in range(4) if (said := stream.next())]
        steps = [later - earlier for earlier, later in pairwise(times)]
        assert min(steps) >= least_us
        assert sum(steps) < 6 * least_us


def test_a_stream_with_nothing_to_say_says_that_it_is_there(appliance: Appliance, make: Make) -> None:
    with listen(appliance, f"topics=log&after={appliance.snapshot()['log_number']}&{OFTEN}") as stream:
        assert stream.comment() == ": still here"
        make()
        said = stream.until(lambda said: said.name == "log")
        assert said.data["lines"][0]["message"] == "created"


def test_log_lines_come_once_each_in_order_and_go_on_where_a_client_left_off(appliance: Appliance, make: Make) -> None:
    with listen(appliance, f"topics=log&{OFTEN}") as stream:
        first = stream.next()
        assert first is not None
        seen = first.data["lines"]
        names = [make() for _ in range(5)]
        while {line["pipeline"] for line in seen if line["message"] == "created"}.isdisjoint(names[-1:]):
            seen += stream.until(lambda said: said.name == "log").data["lines"]
    numbers = [line["number"] for line in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    with listen(appliance, f"topics=log&after={numbers[-3]}&{MINUTE}") as again:
        said = again.next()
        assert said is not None
        assert said.data["lines"][:2] == seen[-2:]
        assert said.data["missed"] == 0


def test_every_accepted_event_is_counted_and_the_newest_are_shown(appliance: Appliance, make: Make) -> None:
    name = make()
    send(appliance, name, 3)
    with listen(appliance, f"topics=events&pipeline={name}&{OFTEN}") as stream:
        first = stream.next()
        assert first is not None
        assert first.data["accepted"] == 0
        assert [event["payload"]["n"] for event in first.data["events"]] == [2, 1, 0]
        for count, shown in ((1, [0]), (50, list(range(49, 29, -1)))):
            send(appliance, name, count)
            said = stream.until(lambda said: said.data["accepted"] > 0)
            assert said.data["accepted"] == count
            assert [event["payload"]["n"] for event in said.data["events"]] == shown


def test_a_pipeline_that_goes_on_numbering_from_an_old_one_counts_from_there(appliance: Appliance, make: Make) -> None:
    name = make()
    send(appliance, name, 500)
    appliance.ask("DELETE", f"/_local/pipelines/{name}")
    appliance.until(lambda found: name not in {one["name"] for one in found["departing"]})
    other = make()
    with listen(appliance, f"topics=events&{OFTEN}") as stream:
        stream.next()
        assert appliance.ask("PUT", f"/_local/pipelines/{name}", {}).status == 201
        send(appliance, other, 1)
        assert stream.until(lambda said: said.data["accepted"] > 0).data["accepted"] == 1
        send(appliance, name, 2)
        assert stream.until(lambda said: said.data["accepted"] > 0).data["accepted"] == 2


def test_several_clients_see_the_same(appliance: Appliance, make: Make) -> None:
    name = make()
    streams = [listen(appliance, OFTEN) for _ in range(20)]
    try:
        send(appliance, name, 7)
        for stream in streams:
            stream.until(lambda said: accepted(said, name) == 7)
    finally:
        for stream in streams:
            stream.__exit__()
    assert appliance.ask("GET", "/_local/health/live").status == 200


def test_a_stream_of_a_pipeline_follows_its_new_name_and_ends_with_it(appliance: Appliance, make: Make) -> None:
    name = make(batch={"max_age": "1h"})
    with listen(appliance, f"topics=events&pipeline={name}&{OFTEN}") as stream:
        assert stream.next() is not None
        assert appliance.ask("PATCH", f"/v1/pipelines/{name}", {"name": f"{name}-now"}).status == 200
        send(appliance, f"{name}-now", 2)
        assert stream.until(lambda said: said.data["accepted"] == 2).data["events"][0]["pipeline"] == f"{name}-now"
        send(appliance, f"{name}-now", 1)
        appliance.ask("DELETE", f"/_local/pipelines/{name}-now")
        assert stream.ends()


def test_a_stream_ends_when_its_key_is_revoked(appliance: Appliance) -> None:
    made = appliance.ask("POST", "/_local/keys", {"name": "onlooker", "scopes": ["read"]}).json
    with listen(appliance, OFTEN, key=made["secret"]) as stream:
        assert stream.next() is not None
        assert appliance.ask("DELETE", f"/_local/keys/{made['id']}").status == 200
        assert stream.ends()


def test_head_is_answered_with_the_head_alone(appliance: Appliance) -> None:
    with listen(appliance, OFTEN, method="HEAD") as stream:
        assert stream.status == 200
        assert stream.waits(0.5)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("topics=snapshot,weather", 400, "topics"),
        ("topics=", 200, ""),
        ("interval_ms=99", 400, "interval_ms"),
        ("interval_ms=60001", 400, "interval_ms"),
        ("interval_ms=x", 400, "interval_ms"),
        ("after=-1", 400, "after"),
        ("pipeline=nobody", 404, "no pipeline 'nobody'"),
    ],
)
def test_what_cannot_be_streamed_is_refused_before_it_begins(
    appliance: Appliance, query: str, status: int, field: str
) -> None:
    if status == 200:
        with listen(appliance, query) as stream:
            assert stream.status == 200
        return
    answer = appliance.ask("GET", f"/_local/stream?{query}")
    assert answer.status == status
    assert answer.json["error"]["message"].startswith(field)
