"""
Two appliances in a row, and `kill -9` on either, again and again: every event once at the centre.

    python -m tests.crash.chain FOLDER [--kills 50] [--seed S]

The edge takes events and forwards them by two routes: whole envelopes, and payloads alone. Each round one of the two is
started with a fuse at a point that the seed draws (see `victim.py`), or is killed from outside; the other goes on. At
the end everything that the edge acknowledged must lie at the centre exactly once, in order, as it was sent. One JSON
line tells what was found; the exit code is 1 if anything is wrong.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.appliance import KEY, Appliance, free_port
from tests.crash.oracle import PIPELINE, Said, Traffic, judge, payload
from tests.engines import payloads_below

_CENTRE = {
    "whole": "name: whole\nbatch: {max_events: 90, max_age: 50ms}\ndestinations: [{type: files, record: payload}]\n",
    "bare": "name: bare\nbatch: {max_events: 70, max_age: 50ms}\n",
}
_EDGE = """
name: orders-stream
id: {pipeline}
batch: {{max_events: 40, max_age: 50ms}}
retry: {{initial: 50ms, max: 400ms}}
destinations:
  - {{type: conduit, name: whole, url: "http://127.0.0.1:{port}", pipeline: whole, key: {key}, record: envelope}}
  - {{type: conduit, name: bare, url: "http://127.0.0.1:{port}", pipeline: bare, key: {key}}}
"""
POINTS = {
    "edge": ("committed", "batch open", "receipt", "batch close", "batch closed", "outside"),
    "centre": ("commit", "committed", "forwarded", "forwarded kept", "rename", "batch close", "outside"),
}
_ROUND_S = 3.0


class Side:
    """One of the two: started, with a fuse at times, killed, and started again."""

    def __init__(self, folder: Path, pipelines: dict[str, str], *flags: str) -> None:
        self._folder = folder
        self._pipelines = pipelines
        self._flags = flags
        self.appliance: Appliance | None = None

    def run(self, point: str = "outside", number: int = 1) -> bool:
        """Start, unless it runs without a fuse and needs none; False when the fuse went off on the way."""
        if self.appliance is not None and point == "outside":
            return True
        self.kill()
        program = ("conduit_local",) if point == "outside" else ("tests.crash.victim", point, str(number))
        made = Appliance(self._folder, self._pipelines, *self._flags, program=program)
        if not made.started():
            assert made.killed, made.log.read_text()
            return False
        self.appliance = made
        return True

    def gone_within(self, seconds: float) -> bool:
        """Whether it ends by itself within so long."""
        if self.appliance is None or not self.appliance.ended_within(seconds):
            return False
        assert self.appliance.killed, self.appliance.log.read_text()
        self.appliance = None
        return True

    def kill(self) -> None:
        """`kill -9`, if it is there."""
        if self.appliance is not None:
            self.appliance.kill()
            self.appliance = None


def forward(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """`kills` rounds and the verdict."""
    chance = random.Random(seed)
    said = Said()
    points: Counter[str] = Counter()
    port = free_port()
    edge = Side(folder / "edge", {"orders": _EDGE.format(pipeline=PIPELINE, port=port, key=KEY)})
    centre = Side(folder / "centre", _CENTRE, "--port", str(port))
    with ExitStack() as stack:
        stack.callback(edge.kill)
        stack.callback(centre.kill)
        for round_ in range(kills):
            points[_round(edge, centre, said, chance, seed + round_)] += 1
        centre.run()
        edge.run()
        assert edge.appliance is not None
        assert centre.appliance is not None
        traffic = Traffic(said, edge.appliance.port, seed, connections=2)
        while said.open_requests and not said.wrong:
            assert traffic.first_answer.wait(30)
        traffic.stop.set()
        traffic.join()
        edge.appliance.until_delivered(within_s=120)
        routes = {route["name"]: route["ledger"] for route in edge.appliance.pipeline(PIPELINE)["destinations"]}
        for name in ("whole", "bare"):
            centre.appliance.until_delivered(name, within_s=120)
        accepted = {name: centre.appliance.pipeline(name)["accepted"] for name in ("whole", "bare")}
        out = centre.appliance.data / "out"
        wrong = [f"whole: {words}" for words in judge(out / "whole", said)]
        wrong += [f"bare: {words}" for words in _judge_bare(out / "bare", said)]
    for name, ledger in routes.items():
        if ledger["dead"] or ledger["delivered"] != accepted[name]:
            wrong.append(f"{name}: the edge says {ledger}, the centre took {accepted[name]}")
    return {
        "kills": kills,
        "points": dict(points),
        "sent": said.sent,
        "acknowledged": len(said.acknowledged),
        "landed": accepted,
        "wrong": wrong + said.wrong[:10],
        "seed": seed,
    }


def _round(edge: Side, centre: Side, said: Said, chance: random.Random, seed: int) -> str:
    """Send until one of the two is gone. Returns how it went."""
    name = chance.choice(("edge", "centre"))
    victim, other = (edge, centre) if name == "edge" else (centre, edge)
    point, number = chance.choice(POINTS[name]), chance.randint(1, 12)
    other.run()
    if not victim.run(point, number):
        return f"{name}: at start"
    assert edge.appliance is not None
    traffic = Traffic(said, edge.appliance.port, seed, connections=3)
    planned = point != "outside" and victim.gone_within(_ROUND_S)
    if not planned:
        victim.gone_within(chance.uniform(0.05, 0.8))
        victim.kill()
    traffic.stop.set()
    traffic.join()
    return f"{name}: {point}" if planned or point == "outside" else f"{name}: not reached; outside"


def _judge_bare(folder: Path, said: Said) -> Iterator[str]:
    """Payloads alone: each one as it was sent, once."""
    found = payloads_below(folder)
    numbers = Counter(one["n"] for one in found)
    changed = [one["n"] for one in found if one != payload(one["n"])]
    lost = sorted(said.acknowledged.keys() - numbers.keys())
    invented = sorted(numbers.keys() - said.acknowledged.keys() - said.unkeyed)
    doubled = sorted(n for n, count in numbers.items() if count > 1)
    for what, which in (("changed", changed), ("lost", lost), ("doubled", doubled), ("invented", invented)):
        if which:
            yield f"{what}: {which[:10]}"


def main() -> None:
    """Forward, kill, judge, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    found = forward(options.folder, options.kills, options.seed)
    print(json.dumps(found))
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
