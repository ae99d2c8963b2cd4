"""What is sent: orders with keys, one a request; arrays of 100 orders; arrays of 100 real earthquakes."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.appliance import KEY

QUAKES = Path("sample_data/events/earthquakes.jsonl")
Maker = Callable[[], bytes]
BATCH = 100
_ITEMS = ("lamp", "chair", "desk", "plant", "rug", "shelf")
_HEAD = (
    b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
    + KEY.encode()
    + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def request(path: bytes, body: bytes) -> bytes:
    """The bytes of one POST."""
    return _HEAD % (path, len(body)) + body


def order(chance: random.Random) -> bytes:
    """Some 130 bytes of JSON."""
    number, amount, items = chance.randrange(10**6), chance.randrange(10**5), chance.randint(1, 3)
    return json.dumps(
        {
            "orderId": f"ord_{number}",
            "amount": amount,
            "currency": chance.choice(("usd", "eur")),
            "items": [{"sku": chance.choice(_ITEMS), "quantity": chance.randint(1, 9)} for _ in range(items)],
        }
    ).encode()


def single_orders() -> Maker:
    """S0's request with an idempotency key of its own each time."""
    chance = random.Random(1)
    payloads = [order(chance) for _ in range(1000)]
    start = b"%x" % time.time_ns()
    count = 0

    def make() -> bytes:
        nonlocal count
        count += 1
        body = b'{"pipeline_id":"pl_8f3a","event_type":"order.created","idempotency_key":"%s-%d","payload":%s}' % (
            start,
            count,
            payloads[count % 1000],
        )
        return request(b"/v1/events", body)

    return make


def _arrays(event_type: bytes, payloads: list[bytes]) -> Maker:
    events = [b'{"event_type":"%s","payload":%s}' % (event_type, payload) for payload in payloads]
    requests = [
        request(b"/_local/pipelines/pl_8f3a/events", b"[" + b",".join(events[first : first + BATCH]) + b"]")
        for first in range(0, len(events) - BATCH + 1, BATCH)
    ]
    count = 0

    def make() -> bytes:
        nonlocal count
        count += 1
        return requests[count % len(requests)]

    return make


def order_arrays() -> Maker:
    """400 requests of 100 orders each, none like another; made beforehand, so that the sender costs little."""
    chance = random.Random(2)
    return _arrays(b"order.created", [order(chance) for _ in range(400 * BATCH)])


def pipe_records(pipe: str, origin: str) -> Maker:
    """One record a request to a pipe, as a page from `origin` sends it, each with an idempotency key of its own."""
    chance = random.Random(3)
    payloads = [order(chance) for _ in range(1000)]
    start = b"%x" % time.time_ns()
    count = 0

    def make() -> bytes:
        nonlocal count
        count += 1
        payload = payloads[count % 1000]
        more = b"Origin: %s\r\nIdempotency-Key: %s-%d\r\n" % (origin.encode(), start, count)
        head = _HEAD.replace(b"Content-Length", more + b"Content-Length")
        return head % (_ingest(pipe), len(payload)) + payload

    return make


def pipe_arrays(pipe: str) -> Maker:
    """400 requests of 100 records each to a pipe."""
    chance = random.Random(4)
    arrays = [b"[" + b",".join(order(chance) for _ in range(BATCH)) + b"]" for _ in range(400)]
    requests = [request(_ingest(pipe), array) for array in arrays]
    count = 0

    def make() -> bytes:
        nonlocal count
        count += 1
        return requests[count % len(requests)]

    return make


def _ingest(pipe: str) -> bytes:
    return f"/v1/ingest/{pipe}".encode()


def quake_arrays() -> Maker:
    """17 requests of 100 earthquakes each, 710 bytes of JSON an event."""
    return _arrays(b"earthquake.reported", QUAKES.read_bytes().splitlines())
