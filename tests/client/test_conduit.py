"""`Conduit` and `AsyncConduit` on a real appliance: the same promises for both."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest

from conduit_local import AsyncConduit, Conduit
from conduit_local.client.conduit import Accepted
from conduit_local.client.errors import ClientError, Refusal, Unreachable
from tests.appliance import KEY, ORDERS, Appliance, serving

Emit = Callable[..., Any]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("client"), {"orders": ORDERS}) as running:
        yield running


class Blocking:
    """`Conduit` behind the face of `AsyncConduit`, so that one test holds both."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.conduit = Conduit(*args, **options)

    async def emit(self, **event: Any) -> Accepted:
        return await asyncio.get_running_loop().run_in_executor(None, lambda: self.conduit.emit(**event))

    async def close(self) -> None:
        self.conduit.close()


@pytest.fixture(params=[Blocking, AsyncConduit])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Blocking | AsyncConduit]]:
    """Makes clients, and closes them."""
    made: list[Blocking | AsyncConduit] = []

    def make(*args: Any, **options: Any) -> Blocking | AsyncConduit:
        made.append(request.param(*args, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


Connect = Callable[..., Blocking | AsyncConduit]
EVENT: Mapping[str, Any] = {"pipeline_id": "pl_8f3a", "event_type": "order.created"}


async def test_an_event_is_on_disk_once_emit_returns(appliance: Appliance, connect: Connect) -> None:
    payload = {"orderId": "ord_1042", "amount": 4999, "place": "Größe 地震"}
    result = await connect(KEY, appliance.url).emit(**EVENT, payload=payload)
    assert (result.pipeline_id, result.event_type, result.status) == ("pl_8f3a", "order.created", "accepted")
    found = appliance.ask("GET", f"/v1/events/{result.event_id}").json
    assert (found["payload"], found["received_at"]) == (payload, result.received_at)


async def test_a_key_of_ones_own_makes_a_repeat_the_same_event(appliance: Appliance, connect: Connect) -> None:
    conduit = connect(KEY, appliance.url)
    key = f"{type(conduit).__name__} Schlüssel"
    first = await conduit.emit(**EVENT, payload={}, idempotency_key=key)
    assert await conduit.emit(**EVENT, payload={"other": True}, idempotency_key=key) == first
    assert (await conduit.emit(**EVENT, payload={})).event_id != (await conduit.emit(**EVENT, payload={})).event_id


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({"pipeline_id": "pl_nope"}, 404, "pipeline_not_found"),
        ({"event_type": "a..b"}, 400, "invalid_request"),
        ({"payload": []}, 400, "invalid_request"),
        ({"payload": {"x": float("nan")}}, 400, "invalid_json"),
        ({"payload": {"x": "y" * 262_144}}, 413, "payload_too_large"),
        ({"idempotency_key": "x" * 256}, 400, "invalid_request"),
    ],
)
async def test_a_refusal_has_the_status_and_the_code_of_the_api(
    appliance: Appliance, connect: Connect, event: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await connect(KEY, appliance.url).emit(**{**EVENT, "payload": {}, **event})
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.message in str(caught.value)
    assert not caught.value.repeatable
    assert isinstance(caught.value, ClientError)


@pytest.mark.parametrize("token", [None, "ck_live_wrong", "ключ"])
async def test_a_missing_or_wrong_key_is_a_refusal(appliance: Appliance, connect: Connect, token: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        await connect(token, appliance.url).emit(**EVENT, payload={})
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


async def test_a_token_with_a_line_break_is_refused_before_anything_is_sent(
    appliance: Appliance, connect: Connect
) -> None:
    with pytest.raises(Refusal, match="Authorization cannot hold a line break") as caught:
        await connect(f"{KEY}\n", appliance.url).emit(**EVENT, payload={})
    assert KEY not in str(caught.value)


async def test_token_and_url_come_from_the_environment(
    appliance: Appliance, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUIT_TOKEN", KEY)
    monkeypatch.setenv("CONDUIT_URL", appliance.url + "/")
    assert (await connect().emit(**EVENT, payload={})).status == "accepted"
    with pytest.raises(Refusal):
        await connect("ck_live_wrong").emit(**EVENT, payload={})
    with pytest.raises(Unreachable):
        await connect(base_url="http://127.0.0.1:1", retries=0).emit(**EVENT, payload={})


async def test_an_address_will_do_for_a_url(appliance: Appliance, connect: Connect) -> None:
    conduit = connect(KEY, appliance.url.removeprefix("http://"))
    assert (await conduit.emit(**EVENT, payload={})).status == "accepted"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://127.0.0.1:99999", "http://"])
async def test_what_is_no_url_is_said_at_once(connect: Connect, url: str) -> None:
    with pytest.raises(Unreachable, match="is not the URL of an appliance"):
        connect(KEY, url)


async def test_what_cannot_be_json_is_the_callers_error(appliance: Appliance, connect: Connect) -> None:
    with pytest.raises(TypeError):
        await connect(KEY, appliance.url).emit(**EVENT, payload={"x": object()})


async def test_many_at_once_are_as_many_events(appliance: Appliance) -> None:
    async with AsyncConduit(KEY, appliance.url) as conduit:
        results = await asyncio.gather(*(conduit.emit(**EVENT, payload={"n": n}) for n in range(200)))
    assert len({one.event_id for one in results}) == 200


def test_the_documents_example_runs_as_printed(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_URL", appliance.url)
    with Conduit(token=KEY) as conduit:
        result = conduit.emit(pipeline_id="pl_8f3a", event_type="order.created", payload={"orderId": "ord_1042"})
    assert json.loads(appliance.ask("GET", "/v1/events?limit=1").body)["data"][0]["event_id"] == result.event_id
