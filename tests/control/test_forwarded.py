"""Events that another appliance forwards: each taken once, whenever a request comes again."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.appliance import Answer, Appliance, serving
from tests.control.conftest import Make
from tests.engines import payloads_below

NDJSON = "application/x-ndjson"
ORIGIN = "abcde/8e6b4f0e/centre"
DAY_S = 86_400


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """An appliance of this module's own, whose clock can be moved."""
    with serving(tmp_path_factory.mktemp("centre"), {}, "--testing") as running:
        yield running


@pytest.fixture(scope="module")
def make(appliance: Appliance) -> Make:
    """Makes a pipeline, and returns its name."""
    names = iter(range(1_000))

    def put(**configuration: object) -> str:
        name = f"made-{next(names)}"
        answer = appliance.ask("PUT", f"/_local/pipelines/{name}", {"batch": {"max_age": "50ms"}, **configuration})
        assert answer.status == 201, answer
        return name

    return put


def forward(
    appliance: Appliance, name: str, first: int, last: int, origin: str = ORIGIN, start: int = 0, **headers: Any
) -> Answer:
    """The events `first` to `last` of an origin; `start` makes them other ones."""
    rows = b"".join(b'{"event_type":"a.b","payload":{"n":%d}}\n' % (start + n) for n in range(first, last + 1))
    sent = {"Content-Type": NDJSON, "Conduit-Origin": origin, "Conduit-Range": f"{first}-{last}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return appliance.ask("POST", f"/_local/pipelines/{name}/events", rows, headers=sent)


def accepted(appliance: Appliance, name: str) -> int:
    return int(appliance.pipeline(name)["accepted"])


def landed(appliance: Appliance, name: str) -> list[int]:
    appliance.until_delivered(name)
    return [payload["n"] for payload in payloads_below(appliance.data / "out" / name)]


def test_a_repeat_gets_the_first_receipt_and_takes_nothing(appliance: Appliance, make: Make) -> None:
    name = make()
    first = forward(appliance, name, 1, 3)
    again = forward(appliance, name, 1, 3)
    assert (first.status, again.status) == (200, 200)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == {**first.json, "replayed": True}
    assert forward(appliance, name, 4, 6).json["replayed"] is False
    assert landed(appliance, name) == [1, 2, 3, 4, 5, 6]


def test_days_later_it_is_still_a_repeat(appliance: Appliance, make: Make) -> None:
    name = make()
    first = forward(appliance, name, 1, 3, Idempotency_Key="k1")
    appliance.ask("POST", "/_local/test/clock", {"advance": 30 * DAY_S})
    again = forward(appliance, name, 1, 3, Idempotency_Key="k1")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == {**first.json, "replayed": True}
    plain = {"Content-Type": NDJSON, "Idempotency-Key": "k1"}
    body = b'{"event_type":"a.b","payload":{"n":9}}'
    answer = appliance.ask("POST", f"/_local/pipelines/{name}/events", body, headers=plain)
    assert answer.json["replayed"] is False, "the key alone is forgotten by now"
    assert landed(appliance, name) == [1, 2, 3, 9]


def test_what_is_new_may_leave_gaps(appliance: Appliance, make: Make) -> None:
    name = make()
    for first, last in ((5, 6), (9, 9), (20, 30)):
        assert forward(appliance, name, first, last).json["replayed"] is False
    assert landed(appliance, name) == [5, 6, 9, *range(20, 31)]


def test_a_part_of_the_last_request_is_refused_for_it_may_be_other_events(appliance: Appliance, make: Make) -> None:
    """An edge that was set back gives its numbers out anew: to pass over fewer of them would lose them."""
    name = make()
    forward(appliance, name, 1, 10)
    for part in ((1, 5), (6, 7), (8, 10)):
        assert forward(appliance, name, *part).status == 409
    assert landed(appliance, name) == list(range(1, 11))


@pytest.mark.parametrize(("first", "last"), [(9, 12), (1, 2), (1, 30), (4, 5)])
def test_an_origin_that_was_set_back_is_refused_and_not_passed_over(
    appliance: Appliance, make: Make, first: int, last: int
) -> None:
    name = make()
    forward(appliance, name, 1, 4)
    forward(appliance, name, 5, 10)
    answer = forward(appliance, name, first, last)
    assert (answer.status, answer.code) == (409, "events_out_of_order")
    assert f"sent its events 5 to 10 last, and now other ones as {first} to {last}" in answer.json["error"]["message"]
    assert forward(appliance, name, 11, 12).status == 200
    assert landed(appliance, name) == list(range(1, 13))


def test_other_events_under_the_same_numbers_are_refused(appliance: Appliance, make: Make) -> None:
    name = make()
    forward(appliance, name, 1, 4)
    answer = forward(appliance, name, 1, 4, start=100)
    assert (answer.status, answer.code) == (409, "events_out_of_order")
    assert landed(appliance, name) == [1, 2, 3, 4]


def test_origins_and_pipelines_do_not_mix(appliance: Appliance, make: Make) -> None:
    one, other = make(), make()
    for name in (one, other):
        for place, origin in enumerate((ORIGIN, f"{ORIGIN}@run_1", "fghij/8e6b4f0e/centre")):
            assert forward(appliance, name, 1, 3, origin, start=10 * place).json["replayed"] is False
    for name in (one, other):
        assert landed(appliance, name) == [1, 2, 3, 11, 12, 13, 21, 22, 23]


def test_forty_at_once_are_one(appliance: Appliance, make: Make) -> None:
    name = make()
    answers: list[Answer] = []

    def send(place: int) -> None:
        headers: dict[str, Any] = {"Idempotency_Key": "k"} if place % 2 else {}
        answers.append(forward(appliance, name, 1, 5, ORIGIN if place < 30 else "other", **headers))

    threads = [threading.Thread(target=send, args=(place,)) for place in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    fresh = [answer.json for answer in answers if not answer.json["replayed"]]
    assert 1 <= len(fresh) <= 2, "the other origin may have come with a key that was new"
    assert accepted(appliance, name) == 5 * len(fresh)


def test_beside_events_of_others_the_numbers_of_all_stay_right(appliance: Appliance, make: Make) -> None:
    """Repeats in a group with events that are new: these get the numbers that the repeats would have had."""
    name = make()
    forward(appliance, name, 1, 3)
    answers: dict[str, Answer] = {}

    def send(which: str) -> None:
        if which.startswith("new"):
            body = {"event_type": "a.b", "payload": {"n": int(which[3:])}}
            headers = {"Idempotency-Key": which} if int(which[3:]) % 2 else {}
            answers[which] = appliance.ask("POST", f"/_local/pipelines/{name}/events", [body], headers=headers)
        else:
            answers[which] = forward(appliance, name, 1, 3)

    threads = [threading.Thread(target=send, args=(f"{('new', 'old')[n % 3 == 0]}{n}",)) for n in range(30, 70)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers.values()} == {200}
    assert {which: answer.json["replayed"] for which, answer in answers.items()} == {
        which: which.startswith("old") for which in answers
    }
    appliance.until_delivered(name)
    lines = b"".join(path.read_bytes() for path in sorted((appliance.data / "out" / name).iterdir())).splitlines()
    by_id = {json.loads(line)["event_id"]: json.loads(line)["payload"]["n"] for line in lines}
    assert len(lines) == 3 + sum(which.startswith("new") for which in answers) == len(by_id)
    for which, answer in answers.items():
        assert by_id[answer.json["first_event_id"]] == (1 if which.startswith("old") else int(which[3:]))


def test_a_full_refresh_of_sources_lets_no_repeat_in(appliance: Appliance, make: Make) -> None:
    inbox = appliance.data / "inbox"
    inbox.mkdir(exist_ok=True)
    (inbox / "a.jsonl").write_text('{"n":100}\n')
    name = make(sources=[{"type": "push"}, {"type": "files", "path": "inbox/*.jsonl", "settle": "100ms"}])
    forward(appliance, name, 1, 3)
    run = appliance.ask("POST", f"/_local/pipelines/{name}/runs", {"full_refresh": True}).json["id"]
    appliance.until(lambda _snapshot: appliance.ask("GET", f"/_local/runs/{run}").json["state"] == "success")
    assert forward(appliance, name, 1, 3).json["replayed"] is True
    assert forward(appliance, name, 4, 4).json["replayed"] is False


def test_after_a_restart_it_is_known_still(appliance: Appliance, make: Make) -> None:
    name = make()
    forward(appliance, name, 1, 3)
    appliance.kill()
    appliance.start()
    assert forward(appliance, name, 1, 3).headers["Idempotent-Replayed"] == "true"
    assert forward(appliance, name, 2, 4).status == 409
    assert landed(appliance, name) == [1, 2, 3]


def test_a_pipeline_that_is_made_again_begins_anew(appliance: Appliance, make: Make) -> None:
    name = make()
    forward(appliance, name, 1, 3)
    appliance.ask("DELETE", f"/_local/pipelines/{name}")
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", {}).status == 201
    assert forward(appliance, name, 1, 3).json["replayed"] is False


def test_what_is_added_on_the_way_in_makes_no_other_events_of_them(appliance: Appliance, make: Make) -> None:
    name = make(enrich={"timestamp_field": "at"})
    forward(appliance, name, 1, 3)
    appliance.ask("POST", "/_local/test/clock", {"advance": 60})
    assert forward(appliance, name, 1, 3).json["replayed"] is True


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"Conduit-Origin": ""}, "Conduit-Origin"),
        ({"Conduit-Origin": "a b"}, "Conduit-Origin"),
        ({"Conduit-Origin": "a" * 201}, "Conduit-Origin"),
        ({"Conduit-Range": "3-1"}, "Conduit-Range"),
        ({"Conduit-Range": "0-1"}, "Conduit-Range"),
        ({"Conduit-Range": "1"}, "Conduit-Range"),
        ({"Conduit-Range": "1-99999999999999"}, "Conduit-Range"),
        ({"Conduit-Range": "\uff11-\uff12"}, "Conduit-Range"),
    ],
)
def test_headers_that_say_nothing_are_refused(
    appliance: Appliance, make: Make, headers: dict[str, Any], field: str
) -> None:
    name = make()
    encoded = {key: value.encode().decode("latin-1") for key, value in headers.items()}
    answer = forward(appliance, name, 1, 1, **encoded)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.json["error"]["details"]) == [field]
    assert accepted(appliance, name) == 0


def test_without_a_body_the_pipeline_is_looked_for_first(appliance: Appliance, make: Make) -> None:
    headers = {"Content-Type": NDJSON}
    assert appliance.ask("POST", "/_local/pipelines/nobody/events", b"", headers=headers).code == "pipeline_not_found"
    answer = appliance.ask("POST", f"/_local/pipelines/{make()}/events", b"", headers=headers)
    assert (answer.status, answer.code) == (400, "invalid_request")
