"""
Traffic that remembers what it was told, and a judge of what came out; both outside the appliance.

An event is its number `n`; its payload follows from it. What was not answered is sent again with the same key, unless
it was sent without one: such an event may be there once or not at all.
"""

import http.client
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.appliance import KEY
from tests.engines import objects_below

PIPELINE = "pl_8f3a"


def payload(n: int) -> dict[str, Any]:
    """What event `n` carries: sizes from bytes to kilobytes, and text that wants care."""
    return {"n": n, "text": 'ä\u2028"\\ <' * (n % 37), "number": n / 7, "nested": {"of": [n, None, True]}}


@dataclass
class Said:
    """What was sent, and what the appliance acknowledged."""

    sent: int = 0
    acknowledged: dict[int, str | None] = field(default_factory=dict)  # n: event id, where the answer has it
    unkeyed: set[int] = field(default_factory=set)
    open_requests: list[tuple[int, int, bool]] = field(default_factory=list)  # first n, count, by S0
    wrong: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def numbers(self, count: int) -> int:
        """The first of `count` new numbers."""
        with self.guard:
            first = self.sent
            self.sent += count
            return first


class Traffic:
    """Connections that send until the appliance is gone, or until told to stop."""

    def __init__(self, said: Said, port: int, seed: int, connections: int = 6) -> None:
        self._said = said
        self._port = port
        self.stop = threading.Event()
        self.first_answer = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}/{place}"),)) for place in range(connections)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Until every connection has ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, chance: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        request: tuple[int, int, bool] | None = None
        try:
            while not self.stop.is_set():
                request = self._next(chance)
                self._send(connection, *request, keyed=request[0] not in self._said.unkeyed)
                request = None
        except (OSError, http.client.HTTPException):
            if request is not None and request[0] not in self._said.unkeyed:
                with self._said.guard:
                    self._said.open_requests.append(request)
        finally:
            connection.close()

    def _next(self, chance: random.Random) -> tuple[int, int, bool]:
        with self._said.guard:
            if self._said.open_requests:
                return self._said.open_requests.pop()
        if chance.random() < 0.1:
            count = chance.randint(1, 120)
            return self._said.numbers(count), count, False
        first = self._said.numbers(1)
        if chance.random() < 0.3:
            with self._said.guard:
                self._said.unkeyed.add(first)
        return first, 1, True

    def _send(
        self, connection: http.client.HTTPConnection, first: int, count: int, by_s0: bool, *, keyed: bool
    ) -> None:
        head = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        if keyed:
            head["Idempotency-Key"] = f"key-{first}"
        last = first + count - 1
        if by_s0:
            event = {"pipeline_id": PIPELINE, "event_type": "order.created", "payload": payload(first)}
            connection.request("POST", "/v1/events", json.dumps(event, ensure_ascii=False).encode(), head)
        else:
            events = [{"event_type": "order.created", "payload": payload(n)} for n in range(first, first + count)]
            connection.request("POST", f"/_local/pipelines/{PIPELINE}/events", json.dumps(events).encode(), head)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            with self._said.guard:
                self._said.wrong.append(f"event {first}: {response.status} {body[:200]!r}")
            return
        self.first_answer.set()
        found = json.loads(body)
        ids = {first: found["event_id"]} if by_s0 else {first: found["first_event_id"], last: found["last_event_id"]}
        with self._said.guard:
            self._said.acknowledged.update({n: ids.get(n) for n in range(first, first + count)})


def judge(folder: Path, said: Said) -> list[str]:
    """What is wrong with what one destination holds."""
    wrong = [f"left behind: {path}" for path in folder.rglob(".*")]
    found: Counter[int] = Counter()
    ids: list[str] = []
    ranges: dict[str, tuple[int, int]] = {}
    objects = sorted(objects_below(folder).items(), key=lambda item: Path(item[0]).name)  # whatever its partition
    for path, line in ((path, line) for path, content in objects for line in content.splitlines()):
        event = json.loads(line)
        n = event["payload"]["n"]
        found[n] += 1
        ids.append(event["event_id"])
        first, last = map(int, Path(path).name.split(".")[0].split("-"))
        ranges[path] = first, last
        if event["payload"] != payload(n) or n >= said.sent:
            wrong.append(f"event {n} is not what was sent: {line[:200]!r}")
        if said.acknowledged.get(n) not in {None, event["event_id"]}:
            wrong.append(f"event {n} was acknowledged as {said.acknowledged[n]}, and is {event['event_id']}")
    lost = sorted(said.acknowledged.keys() - found.keys())
    doubled = sorted(n for n, count in found.items() if count > 1)
    invented = sorted(found.keys() - said.acknowledged.keys() - said.unkeyed)
    wrong += [f"{what}: {which[:10]}" for what, which in [("lost", lost), ("doubled", doubled)] if which]
    wrong += [f"never acknowledged, though asked again: {invented[:10]}"] if invented else []
    if ids != sorted(set(ids)):
        wrong.append("ids out of order or doubled")
    ordered = sorted(ranges.values())
    if [first for first, _ in ordered] != [1, *(last + 1 for _, last in ordered)][: len(ordered)]:
        wrong.append("the objects' names do not abut")
    if ordered and ordered[-1][1] != len(ids):
        wrong.append(f"the names promise {ordered[-1][1]} events, the objects hold {len(ids)}")
    return wrong
