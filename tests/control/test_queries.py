"""`/_local/events`: by pipeline, type, time and text; page by page; with payload and deliveries."""

import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from tests.appliance import ORDERS, Appliance, serving
from tests.control.conftest import Make

PATH = "/_local/events"


def send(appliance: Appliance, name: str, *rows: tuple[str, object]) -> None:
    events = [{"event_type": event_type, "payload": payload} for event_type, payload in rows]
    body = json.dumps(events, ensure_ascii=False).encode()
    assert appliance.ask("POST", f"/_local/pipelines/{name}/events", body).status == 200


def numbers(appliance: Appliance, **query: str) -> list[int]:
    answer = appliance.ask("GET", f"{PATH}?{urlencode(query)}")
    assert answer.status == 200, answer
    return [event["payload"]["n"] for event in answer.json["data"]]


def paged(appliance: Appliance, query: str) -> list[int]:
    """All pages, while events go on arriving."""
    seen: list[int] = []
    cursor = ""
    while True:
        page = appliance.ask("GET", f"{PATH}?{query}{cursor}").json
        assert list(page) == ["data", "has_more", "next_cursor"]
        seen += [event["payload"]["n"] for event in page["data"]]
        if not page["has_more"]:
            assert page["next_cursor"] is None
            return seen
        cursor = f"&cursor={page['next_cursor']}"
        send(appliance, "one", ("late", {"n": -1}))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """Two pipelines with 40 events each, ten seconds between tens, turn about, numbered over both."""
    with serving(tmp_path_factory.mktemp("queries"), {"orders": ORDERS}, "--testing") as running:
        running.ask("POST", "/_local/test/clock", {"freeze": True})
        running.ask("POST", "/_local/test/clock", {"set": "2026-06-21T14:00:00Z"})
        for name in ("one", "two"):
            assert running.ask("PUT", f"/_local/pipelines/{name}", {"batch": {"max_age": "1h"}}).status == 201
        for first in range(0, 80, 20):
            for name, start in (("one", first), ("two", first + 10)):
                send(
                    running,
                    name,
                    *(
                        (f"kind.{'even' if n % 2 == 0 else 'odd'}", {"n": n, "text": f"größe-{n:02d}"})
                        for n in range(start, start + 10)
                    ),
                )
                running.ask("POST", "/_local/test/clock", {"advance": 10})
        yield running


def test_the_newest_come_first_of_one_pipeline_or_of_all(filled: Appliance) -> None:
    of_two = [n for n in range(79, -1, -1) if n % 20 >= 10]
    assert numbers(filled, pipeline="two", limit="1000") == of_two
    assert [n for n in numbers(filled, limit="1000") if n >= 0] == list(range(79, -1, -1))
    assert len(numbers(filled, pipeline="two")) == 40
    assert numbers(filled, pipeline="two", limit="3") == of_two[:3]


@pytest.mark.parametrize("limit", [1, 7, 40])
def test_pages_neither_repeat_nor_skip_while_events_arrive(filled: Appliance, limit: int) -> None:
    assert paged(filled, f"pipeline=two&limit={limit}") == [n for n in range(79, -1, -1) if n % 20 >= 10]
    seen = paged(filled, f"limit={limit + 30}")
    assert [n for n in seen if n >= 0] == list(range(79, -1, -1))


def test_filters_by_type_time_and_text_are_all_to_be_met(filled: Appliance) -> None:
    def found(**query: str) -> list[int]:
        return numbers(filled, limit="1000", **query)

    assert found(type="kind.odd", pipeline="one") == [n for n in range(79, -1, -1) if n % 20 < 10 and n % 2]
    assert found(since="2026-06-21T14:00:10Z", until="2026-06-21T14:00:30Z") == list(range(29, 9, -1))
    assert found(since="2026-06-21T16:00:10+02:00", until="2026-06-21T14:00:20Z") == list(range(19, 9, -1))
    assert found(text="größe-1") == list(range(19, 9, -1))
    assert found(type="kind.even", text="-6", since="2026-06-21T14:00:00Z") == [68, 66, 64, 62, 60]
    assert found(type="kind") == []
    assert found(since="2026-06-21T14:00:30Z", until="2026-06-21T14:00:10Z") == []
    assert found(text="nowhere") == []


def test_a_filtered_list_is_paged_too(filled: Appliance) -> None:
    assert paged(filled, "type=kind.odd&pipeline=two&limit=6") == [
        n for n in range(79, -1, -1) if n % 20 >= 10 and n % 2
    ]
    assert paged(filled, f"text={quote('größe')}&limit=9") == list(range(79, -1, -1))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=5&limit=6", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=1", "cursor"),
        ("cursor=.", "cursor"),
        ("cursor=1.x", "cursor"),
        ("cursor=%C2%B2.%C2%B2", "cursor"),
        (f"cursor={'9' * 50}.1", "cursor"),
        ("since=yesterday", "since"),
        ("since=2026-06-21", "since"),
        ("since=2026-06-21T14:00:00", "since"),
        ("until=99999-06-21T14:00:00Z", "until"),
        ("pipeline=a&pipeline=b", "pipeline"),
    ],
)
def test_a_query_that_makes_no_sense_names_its_field(filled: Appliance, query: str, field: str) -> None:
    answer = filled.ask("GET", f"{PATH}?{query}")
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert list(answer.json["error"]["details"]) == [field]


@pytest.mark.parametrize("query", ["cursor=0.0", f"cursor={'9' * 19}.{'9' * 19}", "text=%ff%00", "text=", "type=%0a"])
def test_odd_values_are_looked_for_and_break_nothing(filled: Appliance, query: str) -> None:
    assert filled.ask("GET", f"{PATH}?{query}").status == 200


def test_a_list_of_an_unknown_pipeline_is_404(filled: Appliance) -> None:
    for path in (PATH, "/_local/runs"):
        assert filled.ask("GET", f"{path}?pipeline=nobody").code == "pipeline_not_found"


def test_an_event_shows_its_payload_and_what_became_of_it_on_each_route(appliance: Appliance, make: Make) -> None:
    (appliance.data / "obstacle").write_text("in the way")
    name = make(
        batch={"max_events": 2, "max_age": "1h"},
        destinations=[{"type": "files"}, {"type": "files", "name": "held", "path": "obstacle"}],
    )
    raw = b'[{"event_type":"a.b","payload":{"z":1.50,"a":[12345678901234567890]}},{"event_type":"a","payload":{}}]'
    sent = appliance.ask("POST", f"/_local/pipelines/{name}/events", raw).json
    path = f"{PATH}/{sent['first_event_id']}"
    appliance.until(lambda _: appliance.pipeline(name)["destinations"][0]["ledger"]["delivered"] == 2)
    answer = appliance.ask("GET", path)
    assert b'"payload":{"z":1.50,"a":[12345678901234567890]}' in answer.body
    found = answer.json
    assert (found["event_id"], found["pipeline"], found["event_type"], found["seq"]) == (
        sent["first_event_id"],
        name,
        "a.b",
        1,
    )
    files, held = found["deliveries"]
    assert (files["destination"], files["status"]) == ("files", "delivered")
    assert files["object_key"] == f"{name}/000000000001-000000000002.jsonl"
    assert files["delivered_at"] >= found["received_at"]
    assert appliance.ask("GET", f"/_local/runs/{files['run_id']}").json["object_key"] == files["object_key"]
    assert (held["destination"], held["status"], held["object_key"], held["delivered_at"]) == (
        "held",
        "pending",
        None,
        None,
    )
    (appliance.data / "obstacle").unlink()
    appliance.ask("POST", f"/_local/pipelines/{name}/flush")
    appliance.until(lambda _: {one["status"] for one in appliance.ask("GET", path).json["deliveries"]} == {"delivered"})


@pytest.mark.parametrize("event", ["x", "evt_x", "evt_5b1c9d", "evt_" + "0" * 40, "%00", "%ff"])
def test_an_event_that_never_was_is_404(appliance: Appliance, event: str) -> None:
    answer = appliance.ask("GET", f"{PATH}/{event}")
    assert (answer.status, answer.code) == (404, "event_not_found")
