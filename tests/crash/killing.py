"""
`kill -9`, again and again, under traffic: a real process, one data folder, an oracle outside.

    python -m tests.crash.killing FOLDER [--kills 200] [--seed S]

Each round starts the appliance with a fuse at a point that the seed draws (see `victim.py`), or kills it from outside
at a random moment; sends until it is gone; and goes on with what is left. At the end everything that was acknowledged
must lie in each destination exactly once. One JSON line tells what was found; the exit code is 1 if anything is wrong.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.appliance import Appliance
from tests.crash.oracle import PIPELINE, Said, Traffic, judge
from tests.crash.victim import POINTS

START_WITHIN_S = 2.0
_ROUND_S = 4.0
_PIPELINE = f"""
name: orders-stream
id: {PIPELINE}
batch: {{max_events: 150, max_age: 50ms}}
destinations:
  - {{type: files, name: plain, path: plain}}
  - {{type: files, name: packed, path: packed, compression: zstd, partition: "hour=%H"}}
"""
_MOST = {"parsed": 900, "answer": 900, "commit": 500, "committed": 500}  # how late in a round a point may lie


def kill_often(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """`kills` rounds and the verdict."""
    chance = random.Random(seed)
    said = Said()
    starts: list[float] = []
    points: dict[str, int] = {}
    wrong: list[str] = []
    for round_ in range(kills):
        point = chance.choice([*POINTS, "outside"])
        appliance = _appliance(folder, point, chance.randint(1, _MOST.get(point, 80)))
        died = _round(appliance, said, seed + round_, starts, chance.uniform(0, 0.6) if point == "outside" else None)
        points[died or point] = points.get(died or point, 0) + 1
    last = Appliance(folder, {"orders": _PIPELINE})
    with last:
        traffic = Traffic(said, last.port, seed, connections=2)
        while said.open_requests and not said.wrong:
            assert traffic.first_answer.wait(30)
        traffic.stop.set()
        traffic.join()
        last.until_delivered(within_s=600)
        ledgers = [route["ledger"] for route in last.pipeline(PIPELINE)["destinations"]]
    for name in ("plain", "packed"):
        wrong += [f"{name}: {words}" for words in judge(last.data / name, said)]
    held = sum(path.read_bytes().count(b"\n") for path in (last.data / "plain").rglob("*.jsonl"))
    wrong += [f"the ledger says {ledger}, the files {held}" for ledger in ledgers if ledger["delivered"] != held]
    wrong += [f"slow start: {took:.2f} s" for took in starts if took > START_WITHIN_S]
    return {
        "kills": kills,
        "points": points,
        "sent": said.sent,
        "acknowledged": len(said.acknowledged),
        "landed": held,
        "start_to_first_accepted_s": {"median": sorted(starts)[len(starts) // 2], "worst": max(starts)},
        "wrong": wrong + said.wrong[:10],
        "seed": seed,
    }


def _appliance(folder: Path, point: str, number: int) -> Appliance:
    program = None if point == "outside" else ("tests.crash.victim", point, str(number))
    return Appliance(folder, {"orders": _PIPELINE}, program=program or ("conduit_local",))


def _round(appliance: Appliance, said: Said, seed: int, starts: list[float], after_s: float | None) -> str | None:
    """Start, send until the process is gone. Returns another word for the point, if it was not reached as planned."""
    began = time.monotonic()
    if not appliance.started():
        assert appliance.killed, appliance.log.read_text()
        return "at start"
    assert appliance.process is not None
    traffic = Traffic(said, appliance.port, seed)
    answered = traffic.first_answer.wait(_ROUND_S)
    if answered:
        starts.append(time.monotonic() - began)
    if after_s is not None:
        traffic.stop.wait(after_s)  # nobody sets it: a pause that is part of the round
        appliance.process.kill()
    died = appliance.ended_within(_ROUND_S)
    assert not died or appliance.killed, appliance.log.read_text()
    if not died:
        appliance.process.kill()
        appliance.ended_within(_ROUND_S)
    traffic.join()
    if not answered and died:
        return "before an answer"
    return None if died else "not reached; outside"


def main() -> None:
    """Kill, judge, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    found = kill_often(options.folder, options.kills, options.seed)
    json.dump(found, sys.stdout)
    print()
    sys.exit(bool(found["wrong"]))


if __name__ == "__main__":
    main()
