"""
`kill -9`, again and again, while batches go to S3 through a storm: read back with boto3 and pyarrow.

    python -m tests.crash.landing FOLDER [--server moto|swift] [--events 100000] [--kills 50] [--seed S]

The server is a real one behind a proxy that spoils every sixth exchange: resets, lost and half answers, 500 and 503,
delays. Each round sends its share of the events with idempotency keys, to an appliance with a fuse at a point that the
seed draws (see `victim.py`), or one that is killed from outside; what was not answered is sent again. Two destinations
take all of it, as jsonl.zst and as Parquet. One JSON line tells what was found; the exit code is 1 if anything is
wrong.
"""

import argparse
import http.client
import io
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from conduit_local.core.batch import seqs_of
from tests.appliance import Appliance
from tests.crash.oracle import payload
from tests.destinations.s3_servers import Server, moto_at, swift_at
from tests.engines import unpacked
from tests.proxy import HALF, LOST, PASS, RESET, Fault, Late, proxied, refusal

SERVERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {"moto": moto_at, "swift": swift_at}
POINTS = (
    "commit",
    "committed",
    "batch open",
    "put",
    "put done",
    "batch close",
    "batch closed",
    "outside",
)
_FORMATS = {"lines": "jsonl", "columns": "parquet"}
_FAULTS: dict[str, Fault] = {
    "reset": RESET,
    "lost": LOST,
    "half": HALF,
    "500": refusal("500 Internal Server Error"),
    "503": refusal("503 Slow Down"),
    "late": Late(0.2),
}
_A_REQUEST = 500
_ROUND_S = 6.0
_STORM = 6
"""One exchange of so many is spoilt."""


def land(folder: Path, server: Server, events: int, kills: int, seed: int) -> dict[str, Any]:
    """`kills` rounds and the verdict; `events` is a multiple of 500."""
    chance = random.Random(seed)
    bucket = server.new_bucket()
    points: Counter[str] = Counter()
    spoilt: Counter[str] = Counter()
    with proxied(server.port) as proxy:
        proxy.plan = lambda _number, _request: _fault(chance, spoilt)
        pipelines = {"orders": _pipeline(server, proxy.port, bucket)}
        requests, done = events // _A_REQUEST, 0
        for round_ in range(kills):
            point = chance.choice(POINTS)
            until = requests * (round_ + 1) // (kills + 1)
            done, died = _round(folder, pipelines, point, chance, done, until)
            points[died] += 1
        with Appliance(folder, pipelines) as last:
            _send(last, done, requests)
            last.until_delivered("orders", within_s=900)
            ledgers = {one["name"]: one["ledger"] for one in last.pipeline("orders")["destinations"]}
    wrong = [f"the ledger of {name} says {found}" for name, found in ledgers.items() if not _closes(found, events)]
    objects = server.objects(bucket)
    for prefix in _FORMATS:
        wrong += [f"{prefix}: {words}" for words in judge(_below(objects, prefix), events)]
    wrong += [f"an upload that nobody ended: {key}" for key in server.uploads(bucket)]
    return {
        "server": server.name,
        "kills": kills,
        "points": dict(points),
        "spoilt": dict(spoilt),
        "exchanges": proxy.seen,
        "events": events,
        "objects": len(objects),
        "wrong": wrong,
        "seed": seed,
    }


def judge(objects: dict[str, bytes], events: int) -> list[str]:
    """What is wrong with what one destination holds."""
    wrong: list[str] = []
    found: Counter[int] = Counter()
    ranges: list[tuple[int, int]] = []
    for key, content in sorted(objects.items()):
        rows = list(_parquet(content) if key.endswith(".parquet") else _lines(content))
        first, last = seqs_of(key) or (0, 0)
        ranges.append((first, last))
        if len(rows) != last - first + 1:
            wrong.append(f"{key} holds {len(rows)} events")
        for event_id, one in rows:
            found[one["n"]] += 1
            if one != payload(one["n"]):
                wrong.append(f"{event_id} is not what was sent: {one}")
    lost = sorted(set(range(events)) - found.keys())
    doubled = sorted(n for n, count in found.items() if count > 1)
    invented = sorted(found.keys() - set(range(events)))
    wrong += [
        f"{len(which)} {what}: {which[:10]}"
        for what, which in (("lost", lost), ("doubled", doubled), ("invented", invented))
        if which
    ]
    ranges.sort()
    if [first for first, _ in ranges] != [1, *(last + 1 for _, last in ranges)][: len(ranges)]:
        wrong.append("the objects' names do not abut")
    return wrong[:20]


def _lines(content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in unpacked(content, ".zst").splitlines():
        event = json.loads(line)
        yield event["event_id"], event["payload"]


def _parquet(content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    for event_id, text in zip(table["event_id"].to_pylist(), table["payload"].to_pylist(), strict=True):
        yield event_id, json.loads(text)


def _below(objects: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    return {key: content for key, content in objects.items() if key.startswith(f"{prefix}/")}


def _closes(ledger: dict[str, Any], events: int) -> bool:
    return bool(ledger["closes"]) and ledger["delivered"] == ledger["accepted"] == events


def _fault(chance: random.Random, spoilt: Counter[str]) -> Fault:
    if chance.randrange(_STORM):
        return PASS
    name = chance.choice(sorted(_FAULTS))
    spoilt[name] += 1
    return _FAULTS[name]


def _pipeline(server: Server, port: int, bucket: str) -> str:
    keys = f"access_key_id: {server.access_key_id}, secret_access_key: '{server.secret_access_key}'"
    where = f"bucket: {bucket}, endpoint_url: 'http://127.0.0.1:{port}', {keys}, timeout: 5s"
    return f"""
name: orders
batch: {{max_events: 400, max_age: 200ms}}
retry: {{initial: 20ms, max: 200ms}}
destinations:
  - {{type: s3, name: lines, prefix: lines, format: jsonl, compression: zstd, {where}}}
  - {{type: s3, name: columns, prefix: columns, format: parquet, {where}}}
"""


def _round(
    folder: Path, pipelines: dict[str, str], point: str, chance: random.Random, done: int, until: int
) -> tuple[int, str]:
    """Start, send until the process is gone. Returns up to which request it has answered, and how it went."""
    program = ("conduit_local",) if point == "outside" else ("tests.crash.victim", point, str(chance.randint(1, 12)))
    appliance = Appliance(folder, pipelines, program=program)
    if not appliance.started():
        assert appliance.killed, appliance.log.read_text()
        return done, "at start"
    assert appliance.process is not None
    done = _send(appliance, done, until)
    if point == "outside":
        appliance.ended_within(chance.uniform(0.05, 1.5))
        appliance.process.kill()
    if appliance.ended_within(_ROUND_S):
        assert appliance.killed, appliance.log.read_text()
        return done, point
    appliance.kill()
    return done, "not reached; outside"


def _send(appliance: Appliance, done: int, until: int) -> int:
    """Send the requests from number `done` on, up to `until`; returns up to which one they were answered."""
    for number in range(done, until):
        numbers = range(number * _A_REQUEST, (number + 1) * _A_REQUEST)
        events = [{"event_type": "order.created", "payload": payload(n)} for n in numbers]
        headers = {"Idempotency-Key": f"request-{number}"}
        try:
            answer = appliance.ask("POST", "/_local/pipelines/orders/events", events, headers=headers)
        except (OSError, http.client.HTTPException):
            return number
        assert answer.status == 200, answer
    return until


def main() -> None:
    """Land, kill, judge, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--server", choices=sorted(SERVERS), default="moto")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    (options.folder / "server").mkdir(parents=True)
    with SERVERS[options.server](options.folder / "server") as server:
        found = land(options.folder, server, options.events, options.kills, options.seed)
    print(json.dumps(found))
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
