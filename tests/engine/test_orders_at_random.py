"""
Whatever is ordered, in whatever sequence: every accepted event is in exactly one object, in order, and the ledger
closes. Hypothesis drives the real engine over the real store.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from conduit_local.core.errors import Conflict, NotAccepting
from conduit_local.core.log import Receipt
from conduit_local.core.pipeline import State
from conduit_local.core.run import RunState
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.engine.retention import Kept
from tests.engines import engine_at, ledgers, until, until_delivered
from tests.making import numbered, spec

T = TypeVar("T")
HOUR_S = 3_600
PLACES = {"files": "out", "copy": "copy"}
KEYS = st.sampled_from([None, None, "a", "b", "c"])
COUNTS = st.integers(1, 20)


class Orders(RuleBasedStateMachine):
    """One pipeline with two destinations; what it accepted is remembered here."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = SteeredClock()
        self.clock.freeze(True)
        self.loop = asyncio.new_event_loop()
        self.accepted = 0
        self.told = "resume"
        self.keys: dict[str, tuple[int, int, int]] = {}
        self.engine: Engine
        self.start()

    # The engine's life: one task, which runs whenever the loop does ---------------------------------------

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    def start(self) -> None:
        self.stopping, started = asyncio.Event(), asyncio.Event()

        async def live() -> None:
            kept = EngineSettings(keys_required=False, kept=Kept(age_s=HOUR_S, size_bytes=2_000, runs=10))
            async with engine_at(self.folder, self.clock, kept) as engine:
                self.engine = engine
                started.set()
                await self.stopping.wait()

        async def up() -> None:
            starting = asyncio.ensure_future(started.wait())
            await asyncio.wait({starting, self.life}, return_when=asyncio.FIRST_COMPLETED)
            if self.life.done():
                self.life.result()

        self.life = self.loop.create_task(live())
        self.do(up())

    def stop(self) -> None:
        self.stopping.set()
        self.loop.run_until_complete(asyncio.wait_for(self.life, 10))

    @property
    def live(self) -> Any:
        return self.engine.topology.find("orders")

    @property
    def state(self) -> State:
        found: State = self.live.pipeline.state
        return found

    def tell(self, order: str) -> None:
        """Give an order. What was told last decides what is tried next, for when a drain ends is a matter of luck."""
        self.told = order
        self.do(getattr(self.engine.manage, order)("orders"))

    # Orders ------------------------------------------------------------------------------------------------

    @initialize(max_events=st.integers(1, 12))
    def make(self, max_events: int) -> None:
        self.do(self.engine.manage.create(self.spec(max_events)))

    @staticmethod
    def spec(max_events: int) -> Any:
        both = [{"type": "files", "name": name, "path": path} for name, path in PLACES.items()]
        return spec(batch={"max_events": max_events, "max_age": "1h"}, destinations=both)

    def expect(self, count: int, key: str | None, receipt: Receipt) -> None:
        """The model: a key that is known replays for 24 hours, everything else is numbered on."""
        now_us = self.clock.steady_us()
        known = self.keys.get(key) if key else None
        if known is not None and now_us < known[2]:
            assert (receipt.replayed, receipt.first_seq, receipt.count) == (True, *known[:2])
            return
        assert (receipt.replayed, receipt.first_seq, receipt.count) == (False, self.accepted + 1, count)
        self.accepted += count
        if key:
            self.keys[key] = (receipt.first_seq, count, now_us + 24 * HOUR_S * 1_000_000)

    @rule(count=COUNTS, key=KEYS)
    def accept(self, count: int, key: str | None) -> None:
        accepting = self.engine.ingest.accept("orders", numbered(self.accepted, count), key)
        if self.state.accepts:
            self.expect(count, key, self.do(accepting))
        else:
            with pytest.raises(NotAccepting):
                self.do(accepting)

    @precondition(lambda self: self.told != "drain")
    @rule(counts=st.lists(COUNTS, min_size=2, max_size=6), order=st.sampled_from(["pause", "drain", "flush", "resume"]))
    def accept_while_ordering(self, counts: list[int], order: str) -> None:
        """Several at once, and an order among them: what is refused is not kept, what is taken is numbered on."""

        async def all_at_once() -> list[Any]:
            first, calls = self.accepted, []
            for place, count in enumerate(counts):
                if place == len(counts) // 2:
                    calls.append(asyncio.ensure_future(getattr(self.engine.manage, order)("orders")))
                calls.append(asyncio.ensure_future(self.engine.ingest.accept("orders", numbered(first, count))))
                first += count
            return await asyncio.gather(*calls, return_exceptions=True)

        self.told = self.told if order == "flush" else order
        found = self.do(all_at_once())
        del found[len(counts) // 2]
        for count, receipt in zip(counts, found, strict=True):
            if isinstance(receipt, NotAccepting):
                assert order == "drain"
            else:
                self.expect(count, None, receipt)

    @rule()
    def pause(self) -> None:
        before = self.told
        try:
            self.tell("pause")
            assert self.state is State.PAUSED
        except Conflict:  # the drain has ended
            assert before == "drain"
            assert self.state is State.STOPPED
            self.told = "drain"

    @rule()
    def resume(self) -> None:
        self.tell("resume")
        assert self.state is State.ACTIVE

    @rule()
    def drain(self) -> None:
        self.tell("drain")
        assert self.state in {State.DRAINING, State.STOPPED}

    @rule(wait=st.booleans())
    def flush(self, wait: bool) -> None:
        run = self.do(self.engine.manage.flush("orders"))
        assert run.through_seq == self.accepted
        if wait:
            self.do(until(lambda: run.number not in {one.number for one in self.live.runs}))
            assert self.live.slowest_cursor >= run.through_seq
            assert self.do(self.engine.runs.find(run.id))[0].state is RunState.SUCCESS

    @precondition(lambda self: self.told == "drain")
    @rule()
    def wait_for_the_drain(self) -> None:
        self.do(until(lambda: self.state is State.STOPPED))
        assert self.live.slowest_cursor == self.accepted

    @precondition(lambda self: self.told == "resume")
    @rule()
    def wait_for_the_age(self) -> None:
        self.clock.advance(HOUR_S)
        self.do(until_delivered(self.engine, "orders"))

    @rule(max_events=st.integers(1, 12))
    def change(self, max_events: int) -> None:
        self.do(self.engine.manage.change("orders", lambda _: self.spec(max_events)))

    @rule(hours=st.sampled_from([0, 1, 23, 25]))
    def let_time_pass(self, hours: int) -> None:
        self.clock.advance(hours * HOUR_S)
        self.do(self.engine.retention.once())

    @rule()
    def restart(self) -> None:
        self.stop()
        self.start()
        states = {"resume": {State.ACTIVE}, "pause": {State.PAUSED}, "drain": {State.DRAINING, State.STOPPED}}
        assert self.state in states[self.told]

    # What holds after each ---------------------------------------------------------------------------------

    @invariant()
    def the_ledger_closes_and_objects_are_the_beginning_of_what_was_accepted(self) -> None:
        if self.engine.topology.get("orders") is None:
            return
        accounts = ledgers(self.engine, "orders")
        for name, path in PLACES.items():
            accepted, delivered, pending = accounts[name]
            assert (accepted, delivered + pending) == (self.accepted, self.accepted)
            assert self.landed(path) >= delivered

    def landed(self, path: str) -> int:
        """How many events are in the objects, which must abut and hold each event once."""
        last = 0
        for found in sorted((self.folder / path).glob("orders/[0-9]*.jsonl")):
            first, through = map(int, found.stem.split("-"))
            numbers = [json.loads(line)["payload"]["n"] for line in found.read_bytes().splitlines()]
            assert first == last + 1, f"{found.name} does not follow {last}"
            assert numbers == list(range(first - 1, through)), found.name
            last = through
        assert last <= self.accepted
        return last

    def teardown(self) -> None:
        if self.engine.topology.get("orders") is not None:
            self.do(self.engine.manage.resume("orders"))
            self.do(self.engine.manage.flush("orders"))
            self.do(until_delivered(self.engine, "orders"))
            assert {path: self.landed(path) for path in PLACES.values()} == dict.fromkeys(
                PLACES.values(), self.accepted
            )
        self.stop()
        self.loop.close()
        shutil.rmtree(self.folder)


TestOrders = Orders.TestCase
TestOrders.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # a wait that does not end takes seconds each time it is tried
)
