"""The database is held by another process for a while (fault 9): a running appliance, and this process holding on."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.appliance import ORDERS, Answer, Appliance, serving
from tests.engines import payloads_below

HELD_S = 3.0
LIVE, READY = "/_local/health/live", "/_local/health/ready"


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("locked"), {"orders": ORDERS}) as running:
        yield running


@contextmanager
def held(appliance: Appliance) -> Iterator[None]:
    """Hold the database as another program would: with a transaction that writes."""
    other = sqlite3.connect(appliance.data / "conduit.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


class Asking:
    """Asks again and again, on a thread of its own, until told to stop."""

    def __init__(self, ask: Callable[[int], Answer]) -> None:
        self.answers: list[Answer] = []
        self.took_s: list[float] = []
        self._ask = ask
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            self.answers.append(self._ask(len(self.answers)))
            self.took_s.append(time.monotonic() - began)

    @property
    def longest_s(self) -> float:
        """How long an answer takes at most; but for one, for the machine of the tests is busy too."""
        return sorted(self.took_s)[-2]

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end


def test_it_answers_503_stays_responsive_and_recovers_by_itself(appliance: Appliance) -> None:
    assert appliance.ask("PUT", "/_local/pipelines/busy", {"batch": {"max_age": "100ms"}}).status == 201
    assert appliance.emit({"n": -1}, "before", "busy").status == 200
    live = Asking(lambda _: appliance.ask("GET", LIVE, key=None))
    look = Asking(lambda _: appliance.ask("GET", "/_local/snapshot"))
    senders = [Asking(lambda n, s=s: appliance.emit({"n": n}, f"{s}-{n}", "busy")) for s in range(3)]  # type: ignore[misc]
    with live, look:
        with held(appliance):
            began = time.monotonic()
            with senders[0], senders[1], senders[2]:
                while time.monotonic() - began < HELD_S:
                    assert appliance.ask("GET", "/v1/events?limit=1").status == 200  # what only reads goes on
        refused = [answer for one in senders for answer in one.answers]
        assert {answer.status for answer in refused} == {503}
        assert all(answer.code == "unavailable" for answer in refused)
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert "another process holds the database" in refused[0].json["error"]["message"]
        until(lambda: appliance.emit({"n": -2}, "after", "busy").status == 200)
    assert {answer.status for answer in (*live.answers, *look.answers)} == {200}
    assert live.longest_s < 0.25
    assert look.longest_s < 0.5
    appliance.until_delivered("busy")
    assert payloads_below(appliance.data / "out" / "busy") == [{"n": -1}, {"n": -2}]
    assert "Traceback" not in appliance.log.read_text()


def test_readiness_and_the_alarm_follow_without_any_traffic(appliance: Appliance) -> None:
    with held(appliance):
        assert appliance.emit({}).status == 503
        for _ in range(20):
            answer = appliance.ask("GET", READY)
            assert (answer.status, answer.json["status"]) == (503, "not ready")
            assert "another process holds the database" in answer.json["reason"]
            assert int(answer.headers["Retry-After"]) >= 1
            assert "another process" in appliance.snapshot()["store"]["trouble"]
            assert b"conduit_store_refuses 1.0" in appliance.ask("GET", "/metrics").body
    until(lambda: appliance.ask("GET", READY).status == 200)
    assert appliance.snapshot()["store"]["trouble"] is None


@pytest.mark.parametrize("verb", ["pause", "drain", "flush", "resume"])
def test_an_order_is_refused_and_changes_nothing(appliance: Appliance, verb: str) -> None:
    path = f"/_local/pipelines/told-to-{verb}"
    assert appliance.ask("PUT", path, {}).status == 201
    if verb == "resume":
        assert appliance.ask("POST", f"{path}/pause").status == 200
    before = appliance.ask("GET", path).json
    with held(appliance):
        answer = appliance.ask("POST", f"{path}/{verb}")
        assert (answer.status, answer.code) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert appliance.ask("GET", path).json == before
    assert appliance.pipeline(f"told-to-{verb}")["runs"] == []
    until(lambda: appliance.ask("POST", f"{path}/{verb}").status in {200, 202})


def test_what_is_made_or_deleted_meanwhile_is_not(appliance: Appliance) -> None:
    made = appliance.ask("POST", "/_local/keys", {"name": "kept", "scopes": ["read"]}).json
    assert appliance.ask("PUT", "/_local/pipelines/kept", {}).status == 201
    with held(appliance):
        for method, path, body, code in (
            ("PUT", "/_local/pipelines/new", {}, "store_unavailable"),
            ("DELETE", "/_local/pipelines/kept", None, "store_unavailable"),
            ("POST", "/_local/keys", {"name": "new", "scopes": ["read"]}, "store_unavailable"),
            ("DELETE", f"/_local/keys/{made['id']}", None, "store_unavailable"),
            ("PATCH", "/v1/pipelines/kept", {"batch_size": 5}, "unavailable"),
        ):
            answer = appliance.ask(method, path, body)
            assert (answer.status, answer.code) == (503, code), path
    names = {one["name"] for one in appliance.ask("GET", "/_local/pipelines").json["data"]}
    assert "kept" in names
    assert "new" not in names
    assert appliance.ask("GET", "/_local/snapshot", key=made["secret"]).status == 200
    assert "new" not in {key["name"] for key in appliance.ask("GET", "/_local/keys").json["data"]}
    until(lambda: appliance.emit({}, pipeline="kept").status == 200)


def test_a_delivery_in_hand_lands_once_when_it_can_be_noted_again(appliance: Appliance) -> None:
    slow = {"batch": {"max_events": 5, "max_age": "1s"}}
    assert appliance.ask("PUT", "/_local/pipelines/slow", slow).status == 201
    for n in range(12):
        assert appliance.emit({"n": n}, pipeline="slow").status == 200
    with held(appliance):
        until(lambda: appliance.pipeline("slow")["health"] == "retrying")
        assert all(route["ledger"]["closes"] for route in appliance.pipeline("slow")["destinations"])
    appliance.until_delivered("slow")
    assert payloads_below(appliance.data / "out" / "slow") == [{"n": n} for n in range(12)]
    assert appliance.pipeline("slow")["health"] == "ok"
