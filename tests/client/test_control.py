"""`ControlClient`: every method against a real appliance, and what it does when that goes away."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from conduit_local.client.control import ControlClient
from conduit_local.client.errors import Refusal, Unreachable
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.client.servers import Said, answering

NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("control"), {"orders": ORDERS}) as running:
        yield running


@pytest.fixture
def client(appliance: Appliance) -> Iterator[ControlClient]:
    with ControlClient(appliance.url, KEY) as made:
        yield made


def lines(count: int) -> bytes:
    return b"\n".join(b'{"event_type":"a.b","payload":{"n":%d}}' % n for n in range(count))


def test_a_pipelines_life(client: ControlClient, appliance: Appliance) -> None:
    made = client.apply("made", {"batch": {"max_age": "1h"}})
    shown = client.pipeline("made")
    assert shown == client.pipeline(made["id"]) == {**made, "columns": None, "columns_problem": None}
    assert made in client.pipelines()
    assert client.send("made", lines(3), NDJSON)["accepted"] == 3
    assert client.order("made", "pause")["state"] == "paused"
    assert client.order("made", "resume")["state"] == "active"
    run = client.order("made", "flush")
    appliance.until_delivered("made")
    appliance.until(lambda _: client.run(run["id"])["state"] == "success")
    assert client.run(run["id"])["rows"] == 3
    assert client.runs(pipeline="made", trigger="manual")["data"][0]["id"] == run["id"]
    assert client.order("made", "drain")["state"] in {"draining", "stopped"}
    assert client.delete("made") == {"id": made["id"], "name": "made", "deleted": True}
    with pytest.raises(Refusal) as caught:
        client.pipeline("made")
    assert (caught.value.status, caught.value.code) == (404, "pipeline_not_found")


def test_events_by_array_by_lines_and_repeated(client: ControlClient) -> None:
    first = client.send("pl_8f3a", lines(3), NDJSON, idempotency_key="Schlüssel")
    again = client.send("pl_8f3a", lines(3), NDJSON, idempotency_key="Schlüssel")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert {**first, "replayed": True} == again
    array = json.dumps([{"event_type": "a.b", "payload": {"n": 9}}]).encode()
    sent = client.send("orders-stream", array, "application/json")
    assert client.event(sent["last_event_id"])["payload"] == {"n": 9}
    page = client.events(pipeline="pl_8f3a", limit=1, type=None)
    assert (page["data"][0]["event_id"], page["has_more"]) == (sent["last_event_id"], True)
    with pytest.raises(Refusal) as caught:
        client.send("pl_8f3a", b'{"event_type":"a","payload":{}}\n{"payload":{}}', NDJSON)
    assert caught.value.details == {"[1].event_type": "is required"}


def test_what_is_wrong_with_a_configuration_is_said_field_by_field(client: ControlClient) -> None:
    with pytest.raises(Refusal) as caught:
        client.apply("wrong", {"colour": 1, "batch": {"max_events": 0}})
    assert (caught.value.status, caught.value.code) == (400, "invalid_request")
    assert set(caught.value.details) == {"colour", "batch.max_events"}


def test_keys_logs_rates_and_configuration(client: ControlClient, appliance: Appliance) -> None:
    key = client.create_key("mine", ["read"])
    names = [one["name"] for one in list(client.keys())]
    assert names == ["environment", "mine"]
    with ControlClient(appliance.url, key["secret"]) as reader:
        assert reader.snapshot()["appliance"]["url"] == appliance.url
        with pytest.raises(Refusal) as caught:
            reader.create_key("more", ["admin"])
        assert (caught.value.status, caught.value.code) == (403, "forbidden")
        assert client.revoke_key(key["id"])["revoked_at"] is not None
        with pytest.raises(Refusal) as caught:
            reader.snapshot()
        assert caught.value.status == 401
    assert any("mine" in line["message"] for line in client.logs(level="info", limit=1000))
    assert len(client.rates("pl_8f3a", 10)) <= 10
    assert client.configuration()["files"] == [{"file": "pipelines/orders.yaml", "pipeline": "orders-stream"}]
    assert client.reload()["problems"] == []


def test_the_stream_brings_snapshots_log_lines_and_events(client: ControlClient, appliance: Appliance) -> None:
    seen: dict[str, Any] = {}
    for name, value in client.stream("snapshot,log,events", interval_ms=100):
        seen[name] = value
        if len(seen) == 1:
            appliance.emit({"from": "the stream"})
        if {"snapshot", "log", "events"} <= set(seen):
            break
    assert seen["snapshot"]["appliance"]["url"] == appliance.url


def test_a_name_is_never_part_of_a_path(client: ControlClient) -> None:
    for ref in ("../keys", "..", "a/b", "a?b", "a%2fb", "ключ", "\udcff", " "):
        with pytest.raises(Refusal) as caught:
            client.pipeline(ref)
        assert caught.value.code == "pipeline_not_found", ref


# When it goes away -----------------------------------------------------------------------------------------


def test_a_connection_that_was_closed_meanwhile_is_opened_again_even_for_an_order(tmp_path: Any) -> None:
    with serving(tmp_path, {"orders": ORDERS}, settings="connections: {idle: 1s}") as appliance:
        with ControlClient(appliance.url, KEY) as client:
            assert client.order("pl_8f3a", "pause")["state"] == "paused"
            kept = client._wire._kept  # the connection that the appliance closes after a second of silence
            assert kept is not None
            assert kept.sock.recv(1, 2) == b""  # MSG_PEEK: waits for that
            assert client.order("pl_8f3a", "resume")["state"] == "active"
        appliance.kill()
        with ControlClient(appliance.url, KEY) as client, pytest.raises(Unreachable, match="no appliance answers"):
            client.order("pl_8f3a", "pause")


def test_a_stream_that_is_cut_off_is_unreachable(tmp_path: Any) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as appliance, ControlClient(appliance.url, KEY) as client:
        stream = client.stream("snapshot", interval_ms=100)
        assert next(stream)[0] == "snapshot"
        appliance.kill()
        with pytest.raises(Unreachable, match="was cut off"):
            list(stream)


def test_an_answer_that_is_cut_off_is_unreachable() -> None:
    short = Said(200, b"{}", {"Content-Length": "1000", "Connection": "close"})
    for said in (Said(0), short):
        with answering(said) as server, ControlClient(server.url, None) as client, pytest.raises(Unreachable):
            client.snapshot()


def test_what_answers_but_is_no_appliance_is_unreachable() -> None:
    for body in (b"<h1>It works!</h1>", b"", b"[]", b"[" * 100_000):
        with (
            answering(Said(200, body)) as server,
            ControlClient(server.url, None) as client,
            pytest.raises(Unreachable, match="is no appliance"),
        ):
            client.pipelines()


def test_a_stream_ends_where_the_appliance_ends_softly(tmp_path: Any) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as appliance, ControlClient(appliance.url, KEY) as client:
        stream = client.stream("snapshot", interval_ms=100)
        assert next(stream)[0] == "snapshot"
        assert appliance.stop() == 0
        assert {name for name, _ in stream} <= {"snapshot"}


def test_a_stream_that_is_refused_says_why(appliance: Appliance) -> None:
    with ControlClient(appliance.url, "wrong") as client, pytest.raises(Refusal) as caught:
        next(client.stream("snapshot"))
    assert caught.value.status == 401
