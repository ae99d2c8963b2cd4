"""A real engine that sends to real receivers through a bad network: all of it, once, and the ledger agrees."""

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.dead import DeadFilter
from conduit_local.core.pipeline import Health
from conduit_local.core.run import RunOptions
from conduit_local.engine.engine import Engine
from tests.appliance import KEY, Appliance, serving
from tests.destinations.receivers import Inbox, receiving
from tests.egress.receiver import Receiver, in_a_thread
from tests.engines import engine_at, ledgers, payloads_below, until, until_delivered
from tests.making import numbered, spec
from tests.proxy import HALF, LOST, PASS, RESET, Fault, Proxy, proxied, refusal

BATCHES = {"max_events": 10, "max_age": "50ms"}
QUICK = {"initial": 0.01, "max": 0.03}
SECRET = "whsec_" + "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIGJ5dGVzIQ=="
STORM: tuple[Fault, ...] = (PASS, PASS, PASS, RESET, LOST, LOST, HALF, refusal("500 x"), refusal("503 x"))


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("centre"), {}) as running:
        yield running


def storm(proxy: Proxy, seed: int) -> None:
    """Half of all exchanges go wrong, in any way."""
    chance = random.Random(seed)
    proxy.plan = lambda _number, _request: chance.choice(STORM)


def http(url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "http", "url": url, "secret": SECRET, **settings}


def conduit(url: str, pipeline: str) -> dict[str, Any]:
    return {"type": "conduit", "url": url, "pipeline": pipeline, "key": KEY}


def pipeline_at(centre: Appliance, name: str, **settings: Any) -> str:
    """A pipeline at the centre."""
    answer = centre.ask("PUT", f"/_local/pipelines/{name}", {"batch": {"max_age": "50ms"}, **settings})
    assert answer.status == 201, answer
    return name


def landed(centre: Appliance, name: str) -> list[int]:
    centre.until_delivered(name)
    return [payload["n"] for payload in payloads_below(centre.data / "out" / name)]


async def dead(engine: Engine) -> dict[int, str]:
    """What died of what."""
    return {
        json.loads(letter.content)["payload"]["n"]: letter.error async for letter, _ in engine.dead.each(DeadFilter())
    }


async def replay(engine: Engine) -> None:
    """Deliver all dead letters once more."""
    await engine.dead.replay("orders", DeadFilter())
    live = engine.topology.find("orders")
    await until(lambda: not live.asked_for(), 30)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_through_a_storm_a_receiver_gets_every_event_once(tmp_path: Path, concurrency: int) -> None:
    inbox = Inbox(secret=SECRET)
    async with receiving(inbox) as receiver, engine_at(tmp_path) as engine:
        with proxied(receiver.port) as proxy:
            storm(proxy, concurrency)
            destination = http(f"{proxy.url}/hook", concurrency=concurrency, compression="zstd")
            await engine.manage.create(spec(batch=BATCHES, retry=QUICK, destinations=[destination]))
            for first in range(0, 300, 30):
                await engine.ingest.accept("orders", numbered(first, 30))
            await until_delivered(engine, "orders", 30)
        assert sorted(row["payload"]["n"] for row in inbox.rows) == list(range(300))
        assert len(inbox.taken) == 30
        assert inbox.wrong == []
        assert inbox.repeats > 0
        assert ledgers(engine, "orders") == {"http": (300, 300, 0)}
        assert await dead(engine) == {}


async def test_events_that_a_receiver_refuses_die_alone_and_are_taken_once_it_has_learned(tmp_path: Path) -> None:
    poison = {3, 17, 18, 44}
    inbox = Inbox(secret=SECRET, refuses=lambda rows: bool(poison & {row["payload"]["n"] for row in rows}))
    async with receiving(inbox) as receiver, engine_at(tmp_path) as engine:
        with proxied(receiver.port) as proxy:
            storm(proxy, 3)
            destination = http(f"{proxy.url}/hook")
            await engine.manage.create(spec(batch=BATCHES, retry=QUICK, destinations=[destination]))
            await engine.ingest.accept("orders", numbered(0, 60))
            await until_delivered(engine, "orders", 30)
            taken = [row["payload"]["n"] for row in inbox.rows]
            assert taken == [n for n in range(60) if n not in poison]
            found = await dead(engine)
            assert found.keys() == poison
            assert set(found.values()) == {
                f"POST {proxy.url}/hook: 422, it refuses this content: row 3: no such customer"
            }
            inbox.refuses = lambda _rows: False
            await replay(engine)
        assert sorted(row["payload"]["n"] for row in inbox.rows) == list(range(60))
        assert await dead(engine) == {}
        assert inbox.wrong == []


def test_after_a_kill_a_receiver_can_tell_what_it_has(tmp_path: Path) -> None:
    """The process ends between the answer and the commit that would say so; the same deliveries come again."""
    inbox = Inbox(secret=SECRET)
    with in_a_thread(Receiver(answer=inbox)) as receiver:
        pipeline = (
            "name: orders\nbatch: {max_events: 10, max_age: 50ms}\n"
            f'destinations: [{{type: http, url: "{receiver.url}", secret: "{SECRET}", concurrency: 4}}]\n'
        )
        for life in range(4):
            program = ("tests.crash.victim", "batch close", str(life + 1)) if life < 3 else ("conduit_local",)
            appliance = Appliance(tmp_path, {"orders": pipeline}, program=program)
            if not appliance.started():
                assert appliance.killed
                continue
            with suppress(OSError, HTTPException):
                for n in range(0 if life == 3 else 10 * life, 10 * life + 30):
                    body = [{"event_type": "a.b", "payload": {"n": n}}]
                    sent = {"Idempotency-Key": f"k{n}"}
                    assert appliance.ask("POST", "/_local/pipelines/orders/events", body, headers=sent).status == 200
            if life == 3:
                appliance.until_delivered("orders")
                appliance.stop()
            else:
                assert appliance.ended_within(20)
                assert appliance.killed
    assert sorted(row["payload"]["n"] for row in inbox.rows) == list(range(60))
    assert inbox.wrong == []
    assert inbox.repeats > 0


async def test_what_is_wrong_with_the_credentials_blocks_and_kills_nothing(tmp_path: Path) -> None:
    inbox = Inbox(secret=SECRET)
    wrong, url = "whsec_" + "A" * 40, ""
    async with receiving(inbox) as receiver, engine_at(tmp_path) as engine:
        url = receiver.url
        await engine.manage.create(spec(batch=BATCHES, retry=QUICK, destinations=[http(url, secret=wrong)]))
        await engine.ingest.accept("orders", numbered(0, 25))
        live = engine.topology.find("orders")
        await until(lambda: live.routes["http"].health is Health.BLOCKED)
        assert live.routes["http"].message == f"POST {url}: 401, it does not take these credentials"
        await engine.manage.change("orders", lambda _: spec(batch=BATCHES, retry=QUICK, destinations=[http(url)]))
        await until_delivered(engine, "orders")
        assert [row["payload"]["n"] for row in inbox.rows] == list(range(25))
        assert await dead(engine) == {}
        assert live.routes["http"].health is Health.OK


async def test_a_retry_after_is_waited_for(tmp_path: Path) -> None:
    inbox = Inbox()
    async with receiving(inbox) as receiver, engine_at(tmp_path) as engine:
        with proxied(receiver.port) as proxy:
            proxy.plan = lambda number, _: refusal("429 x", "Retry-After: 3600") if number == 1 else PASS
            await engine.manage.create(spec(batch=BATCHES, retry=QUICK, destinations=[http(f"{proxy.url}/hook")]))
            await engine.ingest.accept("orders", numbered(0, 10))
            route = engine.topology.find("orders").routes["http"]
            await until(lambda: route.retry_at_us is not None)
            assert route.retry_at_us is not None
            assert route.retry_at_us - engine.clock.steady_us() > 3_000_000_000
            assert proxy.seen == 1


async def test_through_a_storm_the_centre_has_every_event_once_and_in_order(tmp_path: Path, centre: Appliance) -> None:
    name = pipeline_at(centre, "storm")
    with proxied(centre.port) as proxy:
        storm(proxy, 5)
        for _life in range(3):
            async with engine_at(tmp_path) as engine:
                if _life == 0:
                    await engine.manage.create(
                        spec(batch=BATCHES, retry=QUICK, destinations=[conduit(proxy.url, name)])
                    )
                for first in range(100 * _life, 100 * (_life + 1), 25):
                    await engine.ingest.accept("orders", numbered(first, 25))
                if _life == 2:
                    await until_delivered(engine, "orders", 30)
                    assert ledgers(engine, "orders") == {"conduit": (300, 300, 0)}
                    assert await dead(engine) == {}
    assert landed(centre, name) == list(range(300))


async def test_what_the_centre_refuses_goes_in_halves_and_a_full_refresh_comes_anew(
    tmp_path: Path, centre: Appliance
) -> None:
    name = pipeline_at(centre, "halves", limits={"ingest_max_records_per_request": 3})
    with proxied(centre.port) as proxy:
        storm(proxy, 6)
        async with engine_at(tmp_path) as engine:
            await engine.manage.create(spec(batch=BATCHES, retry=QUICK, destinations=[conduit(proxy.url, name)]))
            await engine.ingest.accept("orders", numbered(0, 20))
            await until_delivered(engine, "orders", 30)
            assert await dead(engine) == {}
            assert landed(centre, name) == list(range(20))
            await engine.runs.request("orders", RunOptions(full_refresh=True))
            await until(lambda: centre.pipeline(name)["accepted"] == 40, 30)
    assert sorted(landed(centre, name)) == sorted([*range(20), *range(20)]), "that is what was asked for"


async def test_a_batch_is_never_larger_than_the_centre_takes(tmp_path: Path, centre: Appliance) -> None:
    name = pipeline_at(centre, "large")
    async with engine_at(tmp_path) as engine:
        batch = {"max_events": 100_000, "max_age": "50ms"}
        await engine.manage.create(spec(batch=batch, destinations=[{**conduit(centre.url, name), "paused": True}]))
        for first in range(0, 30_000, 10_000):
            await engine.ingest.accept("orders", numbered(first, 10_000))
        held = spec(batch=batch, destinations=[conduit(centre.url, name)])
        await engine.manage.change("orders", lambda _: held)
        await until_delivered(engine, "orders", 30)
        runs = await engine.queries.runs("orders", before=None, limit=10)
        assert [run.rows for run, _ in runs] == [10_000] * 3
    assert centre.pipeline(name)["accepted"] == 30_000
