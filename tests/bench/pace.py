"""Events at a steady pace, and what their sender saw: to hold the appliance's own figures against."""

import json
import time
from http.client import HTTPConnection
from typing import NamedTuple

from tests.appliance import KEY


class Sent(NamedTuple):
    """Events that were acknowledged, when the answer was there, and how long it took."""

    at_s: float
    events: int
    took_ms: float


def paced(port: int, pipeline: str, *, seconds: float, every_s: float, events: int) -> list[Sent]:
    """Send so many events in each request, by a plan: a late request makes the next no later."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    body = json.dumps([{"event_type": "a.b", "payload": {"n": n}} for n in range(events)])
    begun_s = time.monotonic()
    sent: list[Sent] = []
    while (due_s := begun_s + len(sent) * every_s) < begun_s + seconds:
        time.sleep(max(0.0, due_s - time.monotonic()))
        asked_s = time.monotonic()
        connection.request("POST", f"/_local/pipelines/{pipeline}/events", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        at_s = time.monotonic()
        sent.append(Sent(at_s, events, (at_s - asked_s) * 1000))
    connection.close()
    return sent
