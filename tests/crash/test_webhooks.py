"""A thousand notices and a stream of events, a moody receiver, `kill -9`: all is told, at least once, and signed."""

import asyncio
import http.client
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard

from conduit_local.core.ids import parse_event_id
from tests.appliance import KEY, Appliance
from tests.egress.receiver import Receiver, Request, accept, hang, in_a_thread, reset, status

PIPELINES = ("north", "east", "south", "west")
ORDERS = 1_000
KILLS_AT = (60, 220, 450, 700, 950)
"""Arrivals at which the plug is pulled."""
SENT_AT_ONCE = 8
MOST_FAILURES = 2
"""Of one notice, so that the test ends; with the time that a hang costs, and the second and third attempt's backoff."""
SETTINGS = "delivery: {webhook_timeout: 200ms}"
GROWTH_MIB = 48.0


@dataclass(slots=True)
class Moods:
    """Answers at random, by the seed; counts what it took and when the plug is to be pulled."""

    chance: Random
    receiver: Receiver = field(default_factory=Receiver)
    failures: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    pull_at: int = 1 << 30
    pull: threading.Event = field(default_factory=threading.Event)
    news: threading.Condition = field(default_factory=threading.Condition)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """One of: 200, 500, 503 with a wish, a reset, nothing at all."""
        name = request.headers["webhook-id"]
        good = self.failures[name] >= MOST_FAILURES or self.chance.random() < 0.75
        if good:
            await accept(request, writer)
        else:
            self.failures[name] += 1
        with self.news:
            self.taken[name] += good
            self.news.notify_all()
        if len(self.receiver.got) >= self.pull_at:
            self.pull.set()
        if not good:
            answers = [status(500, body=b"no"), status(503, "Retry-After: 1"), reset, hang]
            await self.chance.choices(answers, weights=(50, 10, 35, 5))[0](request, writer)

    def wait(self, count: int, within_s: float) -> bool:
        """Until so many different notices were taken."""
        with self.news:
            return self.news.wait_for(lambda: len(+self.taken) >= count, within_s)


class Person:
    """Orders one pipeline about and sends it events, again and again, whenever somebody answers."""

    def __init__(self, pipeline: str, orders: int) -> None:
        self.pipeline = pipeline
        self.left = orders
        self.accepted = 0

    def work(self, port: int) -> None:
        """Go on until all is ordered, or nobody answers any more."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            while self.left:
                self._ask(connection, "resume" if self.left % 2 else "pause", {"pipeline": self.pipeline})
                self.left -= 1
                if self.left % 5 == 0:
                    events = [{"n": self.left}] * 3
                    done = self._ask(connection, "ingest", {"pipeline": self.pipeline, "events": events})
                    self.accepted += done["accepted"]
        except (OSError, http.client.HTTPException):
            return  # the plug was pulled: the order is repeated, and changes nothing where it was heard
        finally:
            connection.close()

    @staticmethod
    def _ask(connection: http.client.HTTPConnection, operation: str, parameters: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        body = json.dumps({"operation": operation, "parameters": parameters})
        connection.request("POST", "/pipeline", body, headers)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert answer.status == 200, document
        return document["data"]


@contextmanager
def moods(seed: int) -> Iterator[Moods]:
    """A receiver in a thread of its own."""
    found = Moods(Random(seed))
    found.receiver.answer = found.answer
    with in_a_thread(found.receiver):
        yield found


def subscribe(appliance: Appliance, url: str, *events: str) -> tuple[str, str]:
    """A new webhook's id and secret."""
    answer = appliance.ask("POST", "/webhooks", {"url": url, "events": events})
    assert answer.status == 200, answer
    return answer.json["data"]["id"], answer.json["data"]["secret"]


def deliveries(appliance: Appliance, webhook: str) -> list[Any]:
    """All that the webhook was, or is to be, told."""
    found: list[Any] = []
    cursor = ""
    while True:
        data = appliance.ask("GET", f"/webhooks/{webhook}/deliveries?limit=100{cursor}").json["data"]
        found += data["deliveries"]
        if not data["has_more"]:
            return found
        cursor = f"&cursor={data['next_cursor']}"


@pytest.mark.slow
def test_s2_7_a_thousand_notices_arrive_across_kills_signed_and_within_bounded_memory(tmp_path: Path) -> None:
    people = [Person(name, ORDERS // len(PIPELINES)) for name in PIPELINES]
    files = {name: f"name: {name}\nbatch: {{max_events: 1000, max_age: 1h}}\n" for name in PIPELINES}
    appliance = Appliance(tmp_path, files, settings=SETTINGS)
    rss_mib: list[float] = []
    with moods(20_260_726) as found, ThreadPoolExecutor(len(people)) as threads, appliance:
        notices, secret = subscribe(appliance, f"{found.receiver.url}?a", "pipeline.paused", "pipeline.resumed")
        stream, of_stream = subscribe(appliance, f"{found.receiver.url}?b", "pipeline.ingested")
        rss_mib.append(appliance.rss_mib())
        for kill_at in KILLS_AT:
            found.pull.clear()
            found.pull_at = kill_at
            working = [threads.submit(person.work, appliance.port) for person in people]
            assert found.pull.wait(20), len(found.receiver.got)
            rss_mib.append(appliance.rss_mib())
            appliance.kill()
            for one in working:
                one.result(20)
            appliance.start()
        for one in [threads.submit(person.work, appliance.port) for person in people]:
            one.result(20)
        assert found.wait(ORDERS, 20), len(found.taken)
        waiting = [one for webhook in (notices, stream) for one in _until_delivered(appliance, webhook)]
        rss_mib.append(appliance.rss_mib())
        heads = {name: appliance.pipeline(name)["pending"] for name in PIPELINES}
    assert waiting == []
    orders, events = _told(found, "?a", secret), _told(found, "?b", of_stream)
    assert len(orders) == ORDERS
    for name in PIPELINES:
        kinds = [one["type"] for one in orders if one["data"]["pipeline"]["name"] == name]
        assert kinds == ["pipeline.paused", "pipeline.resumed"] * (len(kinds) // 2)
        assert len(kinds) == ORDERS // len(PIPELINES)
    assert _covered(events) == heads
    assert all(heads[person.pipeline] >= person.accepted for person in people)
    again = sum(times - 1 for times in found.taken.values() if times > 1)
    assert again <= 2 * SENT_AT_ONCE * len(KILLS_AT), "taken twice: only what was under way when the plug was pulled"
    assert sum(found.failures.values()) > ORDERS / 5
    assert max(rss_mib) - rss_mib[0] < GROWTH_MIB, rss_mib


def _until_delivered(appliance: Appliance, webhook: str) -> list[Any]:
    """What is still not delivered after a while, which is nothing."""
    waiting: list[Any] = []
    for _ in range(300):
        waiting = [one for one in deliveries(appliance, webhook) if one["status"] != "delivered"]
        if not waiting:
            break
    return waiting


def _told(found: Moods, query: str, secret: str) -> list[Any]:
    """What one webhook was told, in the order of the ids; every single request was signed."""
    documents: dict[str, Any] = {}
    bodies: dict[str, bytes] = {}
    for request in found.receiver.got:
        if request.target.endswith(query):
            name = request.headers["webhook-id"]
            documents[name] = Standard(secret).verify(request.body, request.headers)
            assert bodies.setdefault(name, request.body) == request.body, "a repeat says the same"
    assert all(found.taken[name] for name in documents)
    return [documents[name] for name in sorted(documents)]


def _covered(events: list[Any]) -> dict[str, int]:
    """By pipeline: up to which event these tell of every event once."""
    ends: defaultdict[str, int] = defaultdict(int)
    for one in events:
        data = one["data"]
        first, last = (parse_event_id(data[name]) for name in ("first_event_id", "last_event_id"))
        assert first is not None
        assert last is not None
        name = data["pipeline"]["name"]
        assert (first.seq, last.seq - first.seq + 1) == (ends[name] + 1, data["count"])
        ends[name] = last.seq
    return dict(ends)
