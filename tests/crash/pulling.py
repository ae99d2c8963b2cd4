"""
`kill -9` of both: one appliance reads another's events, page by page, and each lands once.

    python -m tests.crash.pulling FOLDER [--events 10000] [--kills 20] [--seed S]

The first holds the events; the second has an `http` source on its `GET /v1/events`, with pages of 100. Either of them,
as the seed draws, is killed at a random moment and started again at the same address. One JSON line tells what was
found; the exit code is 1 if anything is wrong.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.appliance import KEY, Appliance, free_port

_PAGE = 100
_AT_ONCE = 1_000
_FIRST = """
name: first
id: pl_first
batch: {max_events: 1000}
"""
_SECOND = """
name: second
batch: {{max_events: 500, max_age: 50ms}}
retry: {{initial: 50ms, max: 200ms}}
sources:
  - type: http
    url: "http://127.0.0.1:{port}/v1/events?pipeline_id=pl_first&order=oldest&include=payload&limit={page}"
    headers: {{Authorization: "Bearer {key}"}}
    records: data
    cursor: {{param: cursor, next: next_cursor}}
    every: 200ms
destinations:
  - {{type: files, record: payload}}
"""


def pull(folder: Path, events: int, kills: int, seed: int) -> dict[str, Any]:
    """Fill the first, let the second read, kill either `kills` times, and the verdict."""
    chance = random.Random(seed)
    port = free_port()
    first = Appliance(folder / "first", {"first": _FIRST}, "--port", str(port))
    second = Appliance(folder / "second", {"second": _SECOND.format(port=port, page=_PAGE, key=KEY)})
    killed: dict[str, int] = {}
    with first:
        for start in range(0, events, _AT_ONCE):
            records = [{"n": n} for n in range(start, min(start + _AT_ONCE, events))]
            body = [{"event_type": "a.b", "payload": one} for one in records]
            answer = first.ask("POST", "/_local/pipelines/first/events", body)
            assert answer.status == 200, answer
        with second:
            for _ in range(kills):
                name, victim = chance.choice([("first", first), ("second", second)])
                assert victim.process is not None
                victim.ended_within(chance.uniform(0.02, 0.4))
                victim.kill()
                killed[name] = killed.get(name, 0) + 1
                victim.start()
            second.until(lambda found: found["pipelines"][0]["accepted"] >= events, within_s=120)
            second.until_delivered("second", within_s=60)
            ledger = second.pipeline("second")["destinations"][0]["ledger"]
    landed = [
        json.loads(line)["payload"]["n"]
        for path in sorted((second.data / "out").rglob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
    wrong = []
    if landed != list(range(events)):
        wrong.append(f"{len(landed)} landed, {len(set(landed))} distinct, in order: {landed == sorted(landed)}")
    if ledger["accepted"] != events or not ledger["closes"]:
        wrong.append(f"the ledger says {ledger}")
    return {"events": events, "killed": killed, "landed": len(landed), "wrong": wrong, "seed": seed}


def main() -> None:
    """Pull, kill, judge, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    found = pull(options.folder, options.events, options.kills, options.seed)
    print(json.dumps(found))
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
