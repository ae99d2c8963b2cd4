"""What the clients repeat, and what they do not; against a server that fails as it is told."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from conduit_local import AsyncConduit, Conduit
from conduit_local.client.errors import Refusal, Unreachable
from tests.appliance import KEY, ORDERS, serving
from tests.client.servers import ACCEPTED, Said, answering, refused

EVENT: dict[str, Any] = {"pipeline_id": "pl_8f3a", "event_type": "order.created", "payload": {"n": 1}}
CUT_OFF = Said(0)


async def emit(kind: type[Conduit | AsyncConduit], url: str, **options: Any) -> Any:
    """One event through a client of either kind."""
    if kind is Conduit:

        def block() -> Any:
            with Conduit(KEY, url, **options) as conduit:
                return conduit.emit(**EVENT)

        return await asyncio.get_running_loop().run_in_executor(None, block)
    async with AsyncConduit(KEY, url, **options) as conduit:
        return await conduit.emit(**EVENT)


both = pytest.mark.parametrize("kind", [Conduit, AsyncConduit])


@both
@pytest.mark.parametrize(
    "first",
    [
        refused(503, Retry_After="0"),
        refused(429, "rate_limited", Retry_After="0"),
        refused(408, "request_timeout"),
        refused(503, Retry_After="soon"),
        refused(503, Retry_After="²"),
        CUT_OFF,
        Said(200, b"<h1>It works!</h1>"),
        Said(200, {"not": "an answer of the API"}),
    ],
    ids=["503", "429", "408", "later", "nonsense", "cut off", "a page", "something else"],
)
async def test_what_may_succeed_later_is_sent_again_with_the_same_key(
    kind: type[Conduit | AsyncConduit], first: Said
) -> None:
    with answering(first, first, ACCEPTED) as server:
        result = await emit(kind, server.url)
    assert result.event_id == "evt_1"
    assert len(server.asked) == 3
    keys = {one.body["idempotency_key"] for one in server.asked}
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    assert {one.headers["Authorization"] for one in server.asked} == {f"Bearer {KEY}"}
    assert {one.path for one in server.asked} == {"/v1/events"}


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 502, 302])
async def test_what_would_fail_again_is_not_repeated(kind: type[Conduit | AsyncConduit], status: int) -> None:
    with answering(refused(status, "a_code", Location="/elsewhere")) as server:
        with pytest.raises(Refusal) as caught:
            await emit(kind, server.url)
        assert len(server.asked) == 1
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, "a_code", "the reason for a_code")


@both
@pytest.mark.parametrize("body", [b"<h1>Bad Gateway</h1>", b"", b"[]", {"error": "text"}, {"error": {"details": [1]}}])
async def test_an_error_of_somebody_in_between_is_a_refusal_too(
    kind: type[Conduit | AsyncConduit], body: object
) -> None:
    with answering(Said(502, body)) as server, pytest.raises(Refusal) as caught:
        await emit(kind, server.url)
    assert (caught.value.status, caught.value.code, caught.value.message) == (502, "error", "Bad Gateway")


@both
async def test_retries_have_an_end(kind: type[Conduit | AsyncConduit]) -> None:
    with answering(refused(503, "quota_spent", Retry_After="0")) as server:
        with pytest.raises(Refusal) as caught:
            await emit(kind, server.url, retries=2)
        assert len(server.asked) == 3
    assert (caught.value.code, caught.value.retry_after_s, caught.value.repeatable) == ("quota_spent", 0, True)
    with answering(CUT_OFF) as server:
        with pytest.raises(Unreachable, match="no appliance answers at"):
            await emit(kind, server.url, retries=1)
        assert len(server.asked) == 2


@both
async def test_retry_after_is_waited_for(kind: type[Conduit | AsyncConduit]) -> None:
    with answering(refused(503, Retry_After="1"), ACCEPTED) as server:
        began = time.monotonic()
        await emit(kind, server.url)
        assert time.monotonic() - began >= 1.0


@both
async def test_a_server_that_says_nothing_is_unreachable(kind: type[Conduit | AsyncConduit]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match="timed out"):
            await emit(kind, url, retries=0, timeout_s=0.1)


@both
async def test_over_the_rate_limit_of_a_real_appliance_every_event_is_accepted_in_the_end(
    kind: type[Conduit | AsyncConduit], tmp_path: Path
) -> None:
    settings = "rate_limit: {requests: 3, per_s: 1}"
    with serving(tmp_path, {"orders": ORDERS}, settings=settings) as appliance:
        results = [await emit(kind, appliance.url) for _ in range(5)]
        assert len({one.event_id for one in results}) == 5
        assert appliance.pipeline("pl_8f3a")["accepted"] == 5
