"""S2.6, S2.7: subscribing, being told of what any API caused, looking at deliveries, trying again."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard

from conduit_local.core.webhook import NoticeKind
from conduit_local.dialects.s2 import models
from tests.appliance import ORDERS, Answer, Appliance, serving
from tests.dialects.s2.asking import OURS, WHOLE_SECONDS, create, good, ingest, refused, send, told, until
from tests.dialects.s2.conftest import BLOCKED
from tests.egress.receiver import Receiver, accept, in_a_thread, status

ALL = [str(kind) for kind in NoticeKind]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with in_a_thread(Receiver()) as running:
        yield running


@pytest.fixture(autouse=True)
def none_left(appliance: Appliance) -> Iterator[None]:
    """What a test subscribed does not live on."""
    yield
    for one in listed(appliance):
        good(appliance.ask("DELETE", f"/webhooks/{one['id']}"), models.WebhookDeleted)
    assert listed(appliance) == []


def subscribe(appliance: Appliance, url: str, *events: str, **more: Any) -> Any:
    """A new webhook, with its secret."""
    answer = appliance.ask("POST", "/webhooks", {"url": url, "events": list(events) or ALL, **more})
    return good(answer, models.WebhookCreated)


def listed(appliance: Appliance) -> Any:
    """All webhooks."""
    return good(appliance.ask("GET", "/webhooks"), models.WebhookList)["webhooks"]


def page(appliance: Appliance, webhook: str, query: str = "") -> Any:
    """A page of deliveries."""
    return good(appliance.ask("GET", f"/webhooks/{webhook}/deliveries{query}"), models.DeliveryList)


def deliveries(appliance: Appliance, webhook: str) -> Any:
    """The newest deliveries."""
    return page(appliance, webhook, "?limit=100")["deliveries"]


def ended(appliance: Appliance, webhook: str, count: int = 1) -> Any:
    """The deliveries once there are so many, and none of them waits."""

    def done(found: Any) -> bool:
        return len(found) >= count and all(one["status"] != "pending" for one in found)

    return until(lambda: deliveries(appliance, webhook), done)


def told_of(receiver: Receiver, secret: str, pipeline: str) -> list[Any]:
    """What arrived about a pipeline, each checked by another implementation of the signature, in order of its id."""
    found = {one.headers["webhook-id"]: Standard(secret).verify(one.body, one.headers) for one in list(receiver.got)}
    return [found[one] for one in sorted(found) if found[one]["data"]["pipeline"]["name"] == pipeline]


def wait_for(receiver: Receiver, secret: str, pipeline: str, *kinds: str) -> Any:
    """What arrived about a pipeline once all of these kinds did."""
    return until(
        lambda: told_of(receiver, secret, pipeline), lambda found: {one["type"] for one in found} >= set(kinds)
    )


# Subscribing -------------------------------------------------------------------------------------------------


def test_s2_6_the_documents_subscription_is_made_and_its_secret_shown_once(appliance: Appliance) -> None:
    body = {"url": "https://your-app.com/webhook", "events": ALL}
    answer = appliance.ask("POST", "/webhooks", body)
    made = good(answer, models.WebhookCreated)
    assert list(made) == ["id", "url", "events", "created_at", "secret"]
    assert made["id"].startswith("wh_")
    assert (made["url"], made["events"]) == (body["url"], body["events"])
    assert made["secret"].startswith("whsec_")
    assert WHOLE_SECONDS.fullmatch(made["created_at"])
    shown = good(appliance.ask("GET", f"/webhooks/{made['id']}"), models.WebhookShown)
    assert shown == {**{name: value for name, value in made.items() if name != "secret"}, "error": None}
    assert listed(appliance) == [shown]
    for path in ("/webhooks", f"/webhooks/{made['id']}", f"/webhooks/{made['id']}/deliveries"):
        assert made["secret"][6:] not in appliance.ask("GET", path).body.decode()
    assert made["secret"][6:] not in appliance.log.read_text()
    assert made["secret"][6:].encode() not in (appliance.data / "conduit.db").read_bytes()


def test_s2_6_answers_come_in_the_envelope(appliance: Appliance, receiver: Receiver) -> None:
    webhook = subscribe(appliance, receiver.url)["id"]
    for method, path in (("GET", "/webhooks"), ("GET", f"/webhooks/{webhook}"), ("DELETE", f"/webhooks/{webhook}")):
        found = appliance.ask(method, path, headers={"X-Request-ID": "mine"}).json
        assert (list(found), found["success"]) == (["success", "data", "meta"], True)
        assert found["meta"]["requestId"] == "mine"
    assert OURS.fullmatch(appliance.ask("GET", "/webhooks").json["meta"]["requestId"])


def test_s2_6_a_secret_that_is_given_signs_and_is_kept(appliance: Appliance, receiver: Receiver) -> None:
    made = subscribe(appliance, receiver.url, "pipeline.created", secret=SECRET)
    assert made["secret"] == SECRET
    create(appliance, "signed")
    assert wait_for(receiver, SECRET, "signed", "pipeline.created")


def test_s2_6_events_come_back_once_each_in_the_documents_order(appliance: Appliance, receiver: Receiver) -> None:
    made = subscribe(appliance, receiver.url, "pipeline.failed", "pipeline.created", "pipeline.failed")
    assert made["events"] == ["pipeline.created", "pipeline.failed"]


URL = "https://your-app.com/webhook"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"url", "events"}),
        ({"url": URL}, {"events"}),
        ({"url": URL, "events": []}, {"events"}),
        ({"url": URL, "events": "pipeline.created"}, {"events"}),
        ({"url": URL, "events": ["pipeline.nonsense"]}, {"events[0]"}),
        ({"url": URL, "events": ["*"]}, {"events[0]"}),
        ({"url": URL, "events": [5]}, {"events[0]"}),
        ({"url": URL, "events": ["pipeline.created"] * 101}, {"events"}),
        ({"url": 5, "events": ALL}, {"url"}),
        ({"url": "", "events": ALL}, {"url"}),
        ({"url": "your-app.com/webhook", "events": ALL}, {"url"}),
        ({"url": "ftp://your-app.com/x", "events": ALL}, {"url"}),
        ({"url": "file:///etc/passwd", "events": ALL}, {"url"}),
        ({"url": "http://", "events": ALL}, {"url"}),
        ({"url": "https://user:hunter2@your-app.com/", "events": ALL}, {"url"}),
        ({"url": "http://10.0.0.1/", "events": ALL}, {"url"}),
        ({"url": "http://169.254.169.254/latest/meta-data", "events": ALL}, {"url"}),
        ({"url": "http://[fe80::1]/", "events": ALL}, {"url"}),
        ({"url": f"https://your-app.com/{'x' * 2_048}", "events": ALL}, {"url"}),
        ({"url": URL, "events": ALL, "secret": "short"}, {"secret"}),
        ({"url": URL, "events": ALL, "secret": ""}, {"secret"}),
        ({"url": URL, "events": ALL, "secret": "whsec_AAAA"}, {"secret"}),
        ({"url": URL, "events": ALL, "secret": 5}, {"secret"}),
        ({"url": URL, "events": ALL, "sekret": SECRET}, {"sekret"}),
        ({"url": "ftp://x", "events": ["pipeline.created"], "secret": "short"}, {"url", "secret"}),
        ([], set()),
        (b"no JSON", set()),
        (b"", set()),
    ],
    ids=lambda value: "" if isinstance(value, dict | list | bytes) else "-".join(sorted(value)) or "body",
)
def test_s2_6_what_cannot_be_subscribed_is_named(appliance: Appliance, body: object, fields: set[str]) -> None:
    error = refused(appliance.ask("POST", "/webhooks", body), "VALIDATION_ERROR", *fields)
    assert len(error["message"]) < 500
    assert "hunter2" not in json.dumps(error)
    assert listed(appliance) == []


def test_s2_6_a_hundred_webhooks_are_enough(appliance: Appliance, receiver: Receiver) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: subscribe(appliance, receiver.url, "pipeline.deleted"), range(100)))
    answer = appliance.ask("POST", "/webhooks", {"url": receiver.url, "events": ALL})
    assert "100 webhooks already" in refused(answer, "VALIDATION_ERROR")["message"]
    assert sorted(one["id"] for one in listed(appliance)) == sorted(one["id"] for one in made)


@pytest.mark.parametrize("webhook", ["wh_nobody", "x", "%00", "..", "x" * 3_000, "%ff"])
def test_s2_6_what_is_not_there_is_a_404(appliance: Appliance, webhook: str) -> None:
    for method, path in (
        ("GET", f"/webhooks/{webhook}"),
        ("DELETE", f"/webhooks/{webhook}"),
        ("GET", f"/webhooks/{webhook}/deliveries"),
        ("POST", f"/webhooks/{webhook}/deliveries/msg_x/retry"),
    ):
        assert len(refused(appliance.ask(method, path), "NOT_FOUND")["message"]) < 300


def test_s2_6_deleting_twice_is_a_404_and_what_is_deleted_is_told_nothing(
    appliance: Appliance, receiver: Receiver
) -> None:
    made, other = subscribe(appliance, receiver.url), subscribe(appliance, receiver.url)
    found = good(appliance.ask("DELETE", f"/webhooks/{made['id']}"), models.WebhookDeleted)
    assert found == {"id": made["id"], "deleted": True}
    refused(appliance.ask("DELETE", f"/webhooks/{made['id']}"), "NOT_FOUND")
    create(appliance, "not-told-of")
    ended(appliance, other["id"])
    assert {one.headers["webhook-id"] for one in receiver.got} == {
        one["id"] for one in deliveries(appliance, other["id"])
    }


# Being told --------------------------------------------------------------------------------------------------


def test_s2_7_every_kind_is_told_signed_with_the_pipeline_and_the_time(
    appliance: Appliance, receiver: Receiver
) -> None:
    """All but `transformed`, which nothing can cause before there are transforms."""
    secret = subscribe(appliance, receiver.url)["secret"]
    made = create(appliance, "watched", batch_size=2)
    ids = ingest(appliance, "watched", events=[{}, {}])["eventIds"]
    wait_for(receiver, secret, "watched", "pipeline.written")
    for order in ("pause", "resume", "stop"):
        told(appliance, order, "watched")
    wait_for(receiver, secret, "watched", "pipeline.stopped")
    told(appliance, "start", "watched")
    good(send(appliance, "delete", {"pipeline": "watched"}), models.PipelineDeleted)
    found = wait_for(receiver, secret, "watched", *set(ALL) - {"pipeline.transformed", "pipeline.failed"})
    assert [one["type"].removeprefix("pipeline.") for one in found if one["type"] != "pipeline.written"] == [
        "created",
        "ingested",
        "paused",
        "resumed",
        "stopped",
        "started",
        "deleted",
    ]
    about = {"id": made["id"], "name": "watched"}
    for one in found:
        assert list(one) == ["type", "timestamp", "data"]
        assert one["data"]["pipeline"] == about
        assert WHOLE_SECONDS.fullmatch(one["timestamp"])
    events = {"count": 2, "first_event_id": ids[0], "last_event_id": ids[1]}
    by_kind = {one["type"]: one["data"] for one in found}
    assert by_kind["pipeline.created"] == {"pipeline": about}
    assert by_kind["pipeline.ingested"] == {"pipeline": about, **events}
    written = by_kind["pipeline.written"]
    assert {name: written[name] for name in events} == events
    assert written["run_id"].startswith("run_")
    assert (appliance.data / "out" / written["object_key"]).exists()


def test_s2_7_a_failure_is_told_once_with_its_reason(appliance: Appliance, receiver: Receiver) -> None:
    secret = subscribe(appliance, receiver.url, "pipeline.failed")["secret"]
    create(appliance, "failed", batch_size=1, destinations=[{"type": "files", "path": BLOCKED}])
    ids = ingest(appliance, "failed", event={})["eventIds"]
    found = wait_for(receiver, secret, "failed", "pipeline.failed")
    data = found[0]["data"]
    assert (data["first_event_id"], data["last_event_id"], data["count"]) == (ids[0], ids[0], 1)
    assert BLOCKED in data["error"]
    assert data["run_id"].startswith("run_")
    good(send(appliance, "delete", {"pipeline": "failed"}), models.PipelineDeleted)


def test_s2_7_ingested_is_one_a_commit_group_and_never_one_an_event(appliance: Appliance, receiver: Receiver) -> None:
    made = subscribe(appliance, receiver.url, "pipeline.ingested")
    create(appliance, "grouped")
    ids = ingest(appliance, "grouped", events=[{"n": n} for n in range(500)])["eventIds"]
    found = wait_for(receiver, made["secret"], "grouped", "pipeline.ingested")
    assert len(found) == 1
    data = found[0]["data"]
    assert (data["count"], data["first_event_id"], data["last_event_id"]) == (500, ids[0], ids[-1])
    ended(appliance, made["id"])
    assert len(receiver.got) == 1


def by_s0(ask: Callable[..., Answer]) -> None:
    ask("POST", "/v1/pipelines", {"name": "by-any"})
    ask("POST", "/v1/events", {"pipeline_id": "by-any", "event_type": "a.b", "payload": {}})
    ask("PATCH", "/v1/pipelines/by-any", {"status": "paused"})
    ask("PATCH", "/v1/pipelines/by-any", {"status": "active"})
    ask("DELETE", "/v1/pipelines/by-any")


def by_s1(ask: Callable[..., Answer]) -> None:
    ask("POST", "/api/v1/pipelines", {"name": "by-any", "version": "1.0"})
    ask("POST", "/v1/events", {"pipeline_id": "by-any", "event_type": "a.b", "payload": {}})
    ask("POST", "/_local/pipelines/by-any/pause")
    ask("POST", "/_local/pipelines/by-any/resume")
    ask("DELETE", "/api/v1/pipelines/by-any")


def by_s3(ask: Callable[..., Answer]) -> None:
    pipe = ask("POST", "/v1/pipes", {"pipe_name": "by-any"}).json["pipe"]["pipe_id"]
    ask("POST", f"/v1/ingest/{pipe}", [{}, {}])
    ask("POST", "/pipeline", {"operation": "pause", "parameters": {"pipeline": pipe}})
    ask("POST", "/pipeline", {"operation": "resume", "parameters": {"pipeline": pipe}})
    ask("DELETE", f"/v1/pipes/{pipe}")


def by_s4(ask: Callable[..., Answer]) -> None:
    config = {"source": {"name": "push"}, "destination": {"name": "files", "config": {}}}
    body = {"name": "by-any", "config": config, "schedule": None, "enabled": True, "domain_id": "d"}
    pipeline = ask("POST", "/api/pipelines", body).json["id"]
    ask("POST", f"/v1/ingest/{pipeline}", {})
    ask("PUT", f"/api/pipelines/{pipeline}", {"enabled": False})
    ask("PUT", f"/api/pipelines/{pipeline}", {"enabled": True})
    ask("DELETE", f"/api/pipelines/{pipeline}")


@pytest.mark.parametrize("cause", [by_s0, by_s1, by_s3, by_s4])
def test_s2_7_it_is_told_whichever_api_caused_it(
    appliance: Appliance, receiver: Receiver, cause: Callable[[Callable[..., Answer]], None]
) -> None:
    kinds = ["pipeline.created", "pipeline.ingested", "pipeline.paused", "pipeline.resumed", "pipeline.deleted"]
    secret = subscribe(appliance, receiver.url, *kinds)["secret"]

    def ask(*request: Any) -> Answer:
        answer = appliance.ask(*request)
        assert answer.status in {200, 201, 202, 204}, (request, answer)
        return answer

    cause(ask)
    found = wait_for(receiver, secret, "by-any", *kinds)
    assert [one["type"] for one in found] == kinds


def test_s2_7_each_is_told_only_what_it_wants(appliance: Appliance, receiver: Receiver) -> None:
    with in_a_thread(Receiver()) as other:
        created = subscribe(appliance, receiver.url, "pipeline.created")
        paused = subscribe(appliance, other.url, "pipeline.paused")
        create(appliance, "choosy")
        told(appliance, "pause", "choosy")
        for webhook, kind in ((created, "pipeline.created"), (paused, "pipeline.paused")):
            assert [one["event"] for one in ended(appliance, webhook["id"])] == [kind]


# Deliveries --------------------------------------------------------------------------------------------------


def test_s2_6_a_delivery_that_arrived_is_shown_with_what_was_sent(appliance: Appliance, receiver: Receiver) -> None:
    webhook = subscribe(appliance, receiver.url, "pipeline.created")["id"]
    create(appliance, "arrived")
    one = ended(appliance, webhook)[0]
    assert list(one) == [
        "id",
        "event",
        "status",
        "attempts",
        "response_status",
        "error",
        "attempted_at",
        "next_attempt_at",
        "ended_at",
        "payload",
    ]
    assert (one["event"], one["status"], one["attempts"]) == ("pipeline.created", "delivered", 1)
    assert (one["response_status"], one["error"], one["next_attempt_at"]) == (200, None, None)
    assert one["attempted_at"] <= one["ended_at"]
    assert one["id"] == receiver.got[0].headers["webhook-id"]
    assert one["payload"] == json.loads(receiver.got[0].body)


def test_s2_6_a_delivery_that_failed_waits_and_is_sent_at_once_when_asked(
    appliance: Appliance, receiver: Receiver
) -> None:
    receiver.answer = status(500, body=b"not today")
    webhook = subscribe(appliance, receiver.url, "pipeline.created")["id"]
    create(appliance, "again")
    one = until(lambda: deliveries(appliance, webhook), lambda found: found and found[0]["error"])[0]
    assert (one["status"], one["response_status"], one["error"]) == ("pending", 500, "answered 500 not today")
    assert one["next_attempt_at"] is not None
    assert one["ended_at"] is None
    receiver.answer = accept
    answer = appliance.ask("POST", f"/webhooks/{webhook}/deliveries/{one['id']}/retry")
    assert good(answer, models.Delivery)["status"] == "pending"
    after = ended(appliance, webhook)[0]
    assert (after["id"], after["status"], after["response_status"]) == (one["id"], "delivered", 200)
    assert after["attempts"] >= 2
    assert {sent.body for sent in receiver.got} == {receiver.got[0].body}


def test_s2_6_a_delivery_that_is_over_can_be_sent_once_more(appliance: Appliance, receiver: Receiver) -> None:
    webhook = subscribe(appliance, receiver.url, "pipeline.created")["id"]
    create(appliance, "once-more")
    one = ended(appliance, webhook)[0]
    good(appliance.ask("POST", f"/webhooks/{webhook}/deliveries/{one['id']}/retry"), models.Delivery)
    until(lambda: len(receiver.got), lambda count: count == 2)
    assert receiver.got[0].headers["webhook-id"] == receiver.got[1].headers["webhook-id"]
    assert ended(appliance, webhook)[0]["attempts"] == 2


def test_s2_7_after_24_hours_it_is_shown_as_failed(tmp_path: Path, receiver: Receiver) -> None:
    """On an appliance of its own: others would find its clock a day ahead."""
    receiver.answer = status(503)
    with serving(tmp_path, {"orders": ORDERS}, "--testing") as appliance:
        webhook = subscribe(appliance, receiver.url, "pipeline.created")["id"]
        create(appliance, "hopeless")
        until(lambda: deliveries(appliance, webhook), lambda found: found and found[0]["error"])

        def a_day_later() -> Any:
            assert appliance.ask("POST", "/_local/test/clock", {"advance": 25 * 3_600}).status == 200
            return deliveries(appliance, webhook)

        one = until(a_day_later, lambda found: found[0]["status"] == "failed")[0]
        assert one["error"]
        assert one["ended_at"] is not None
        assert one["next_attempt_at"] is None
        receiver.answer = accept
        good(appliance.ask("POST", f"/webhooks/{webhook}/deliveries/{one['id']}/retry"), models.Delivery)
        assert ended(appliance, webhook)[0]["status"] == "delivered"


def test_s2_6_deliveries_come_newest_first_and_pages_neither_skip_nor_repeat(
    appliance: Appliance, receiver: Receiver
) -> None:
    webhook = subscribe(appliance, receiver.url, "pipeline.created")["id"]
    for n in range(7):
        create(appliance, f"paged-{n}")
    found = page(appliance, webhook, "?limit=3")
    names = [one["payload"]["data"]["pipeline"]["name"] for one in found["deliveries"]]
    assert names == ["paged-6", "paged-5", "paged-4"]
    while found["has_more"]:
        create(appliance, f"paged-{len(names) + 10}")
        found = page(appliance, webhook, f"?limit=3&cursor={found['next_cursor']}")
        names += [one["payload"]["data"]["pipeline"]["name"] for one in found["deliveries"]]
    assert names == [f"paged-{n}" for n in reversed(range(7))]
    assert found["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=msg_0000000000000000000000", "cursor"),
    ],
)
def test_s2_6_a_page_that_cannot_be_is_named(appliance: Appliance, receiver: Receiver, query: str, field: str) -> None:
    webhook = subscribe(appliance, receiver.url)["id"]
    refused(appliance.ask("GET", f"/webhooks/{webhook}/deliveries?{query}"), "VALIDATION_ERROR", field)


def test_s2_6_a_delivery_is_its_webhooks_own(appliance: Appliance, receiver: Receiver) -> None:
    one, other = (subscribe(appliance, receiver.url, "pipeline.created")["id"] for _ in range(2))
    create(appliance, "whose")
    found = ended(appliance, one)[0]["id"]
    for delivery in (found, found[:-1], "msg_0000000000000000", "x", "x" * 3_000):
        refused(appliance.ask("POST", f"/webhooks/{other}/deliveries/{delivery}/retry"), "NOT_FOUND")


def test_s2_7_a_receiver_that_is_gone_holds_up_nobody(appliance: Appliance, receiver: Receiver) -> None:
    with in_a_thread(Receiver()) as away:
        gone_url = away.url
    gone = subscribe(appliance, gone_url, "pipeline.created")["id"]
    here = subscribe(appliance, receiver.url, "pipeline.created")["id"]
    create(appliance, "half-heard")
    assert ended(appliance, here)[0]["status"] == "delivered"
    one = until(lambda: deliveries(appliance, gone), lambda found: found and found[0]["error"])[0]
    assert (one["status"], one["response_status"]) == ("pending", None)
