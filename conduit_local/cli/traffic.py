"""
The demo's traffic: earthquakes of a real week, one after another; orders; and clicks in bursts.

    python -m conduit_local.cli.traffic URL FOLDER SPEED APPLIANCE_PID THROW_AWAY     (the key is in CONDUIT_TOKEN)

It is also the demo's guardian: when its standard input ends, whoever started it is gone; then it stops the appliance
and removes the folder that was to be thrown away.
"""

import json
import math
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path

from conduit_local.client.control import ControlClient
from conduit_local.client.errors import ClientError

_TICK_S = 0.25
_QUAKES_PER_S = 12
_ORDERS_PER_S = 6
_CLICKS_PER_S = 150
_BURST_EVERY_S = 40
_ITEMS = ("lamp", "chair", "desk", "plant", "rug", "shelf")


def main() -> None:
    """Send until the demo is gone."""
    url, folder, speed = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    threading.Thread(target=_guard, args=(int(sys.argv[4]), sys.argv[5]), daemon=True).start()
    quakes = cycle((folder / "earthquakes.jsonl").read_bytes().splitlines())
    chance = random.Random(8642)  # noqa: S311 - made-up orders
    orders = _orders(chance)
    began = time.monotonic()
    tick = 0
    with ControlClient(url, os.environ.get("CONDUIT_TOKEN")) as client:
        while True:
            tick += 1
            time.sleep(max(0.0, began + tick * _TICK_S - time.monotonic()))
            at_s = tick * _TICK_S
            wave = speed * (1 + 0.5 * math.sin(at_s / 20))
            burst = 12 if at_s % _BURST_EVERY_S < 4 else 1
            features = [_event(b"earthquake.reported", next(quakes)) for _ in _many(chance, _QUAKES_PER_S * wave)]
            _send(client, "earthquakes", features)
            _send(client, "orders-stream", [next(orders) for _ in _many(chance, _ORDERS_PER_S * wave)])
            _send(client, "clicks", [_click(chance) for _ in _many(chance, _CLICKS_PER_S * wave * burst)])


def _guard(appliance: int, throw_away: str) -> None:
    """Wait until whoever started this is gone, then tidy up."""
    sys.stdin.buffer.read()
    with suppress(ProcessLookupError):
        os.kill(appliance, signal.SIGTERM)
        for _ in range(300):
            os.kill(appliance, 0)
            time.sleep(0.1)
    if throw_away:
        shutil.rmtree(throw_away, ignore_errors=True)
    os._exit(0)


def _many(chance: random.Random, per_s: float) -> range:
    whole, rest = divmod(per_s * _TICK_S, 1)
    return range(int(whole) + (chance.random() < rest))


def _send(client: ControlClient, pipeline: str, events: list[bytes]) -> None:
    """Whatever is refused is not sent again: somebody plays with the demo, pauses, drains, fills the disk."""
    if events:
        with suppress(ClientError):
            client.send(pipeline, b"\n".join(events), "application/x-ndjson")


def _event(event_type: bytes, payload: bytes) -> bytes:
    return b'{"event_type":"%s","payload":%s}' % (event_type, payload)


def _orders(chance: random.Random) -> Iterator[bytes]:
    number = 1042
    while True:
        order = {
            "orderId": f"ord_{number}",
            "amount": chance.randrange(500, 50_000),
            "currency": chance.choice(("usd", "eur", "jpy")),
            "items": [chance.choice(_ITEMS) for _ in range(chance.randint(1, 4))],
        }
        yield _event(b"order.created", json.dumps(order).encode())
        if chance.random() < 0.7:
            yield _event(b"order.paid", json.dumps({"orderId": order["orderId"], "amount": order["amount"]}).encode())
        number += 1


def _click(chance: random.Random) -> bytes:
    click = {
        "page": f"/{chance.choice(_ITEMS)}",
        "user": f"u{chance.randrange(5_000)}",
        "ms": chance.randrange(20, 900),
    }
    return _event(b"page.viewed", json.dumps(click).encode())


if __name__ == "__main__":
    main()
