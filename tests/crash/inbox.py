"""
`kill -9`, again and again, while real files grow in an inbox: what lands is what an independent computation gives.

    python -m tests.crash.inbox FOLDER [--kills 50] [--seed S]

The earthquakes are dropped in pieces: appended, in the middle of a line at times, rotated once, with three lines in
between that are none. The pipeline keeps those of magnitude 4.5 and more, three columns each. Each round starts the
appliance with a fuse at a point that the seed draws (see `victim.py`), or kills it from outside. One JSON line tells
what was found; the exit code is 1 if anything is wrong.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.appliance import Appliance

QUAKES = Path(__file__).parents[2] / "sample_data" / "events" / "earthquakes.jsonl"
BAD_LINES = (b'{"properties": {"mag": 7.1,', b"[5.5]", b'{"place": "\xff\xfe"}')
_QUERY = (
    "SELECT (payload->'properties'->>'mag')::DOUBLE AS mag, payload->'properties'->>'place' AS place,"
    " (payload->'properties'->>'time')::BIGINT AS time FROM events"
    " WHERE (payload->'properties'->>'mag')::DOUBLE >= 4.5"
)
_PIPELINE = f"""
name: quakes
batch: {{max_events: 50, max_age: 50ms}}
sources:
  - {{type: files, path: "inbox/*.jsonl", every: 100ms, settle: 60s}}
transforms:
  - type: sql
    query: {json.dumps(_QUERY)}
"""
POINTS = (
    "commit",
    "committed",
    "events and cursor",
    "events and cursor kept",
    "batch open",
    "rows made",
    "file synced",
    "rename",
    "renamed",
    "batch close",
    "batch closed",
    "outside",
)
_ROUND_S = 3.0


def drop(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """`kills` rounds and the verdict."""
    chance = random.Random(seed)
    pieces = list(_pieces(chance, kills))
    points: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        point = chance.choice(POINTS)
        died = _round(folder, point, chance, piece, rotates=number == kills // 2)
        points[died] = points.get(died, 0) + 1
    with Appliance(folder, {"quakes": _PIPELINE}) as last:
        wanted = QUAKES.read_bytes().count(b"\n")
        last.until(lambda found: found["pipelines"][0]["accepted"] >= wanted, within_s=60)
        last.until_delivered("quakes", within_s=60)
        ledger = last.pipeline("quakes")["destinations"][0]["ledger"]
        letters = last.ask("GET", "/_local/dead?pipeline=quakes&limit=100").json
        landed = list(_landed(last.data / "out" / "quakes"))
    expected = sorted(_expected())
    wrong = []
    if sorted(landed) != expected:
        wrong.append(f"{len(landed)} rows landed, {len(expected)} were expected; {len(set(landed))} are distinct")
    if ledger["accepted"] != wanted or ledger["filtered"] != wanted - len(expected) or not ledger["closes"]:
        wrong.append(f"the ledger says {ledger}")
    if len(letters["data"]) != len(BAD_LINES):
        wrong.append(f"dead letters: {letters}")
    return {
        "kills": kills,
        "points": points,
        "accepted": ledger["accepted"],
        "landed": len(landed),
        "dead": len(letters["data"]),
        "wrong": wrong,
        "seed": seed,
    }


def _expected() -> Iterator[tuple[float, str, int]]:
    """By another way than the appliance's: Python's own JSON, decimals."""
    for line in QUAKES.read_text().splitlines():
        found = json.loads(line, parse_float=Decimal)["properties"]
        if found["mag"] is not None and found["mag"] >= Decimal("4.5"):
            yield float(found["mag"]), found["place"], found["time"]


def _landed(folder: Path) -> Iterator[tuple[float, str, int]]:
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            assert list(row) == ["mag", "place", "time"], row
            yield row["mag"], row["place"], row["time"]


def _pieces(chance: random.Random, count: int) -> list[bytes]:
    """The file, bad lines and all, in `count` pieces that end anywhere, also in the middle of a line or a character."""
    lines = QUAKES.read_bytes().splitlines(keepends=True)
    for line in BAD_LINES:
        lines.insert(chance.randrange(1, len(lines)), line + b"\n")
    whole = b"".join(lines)
    ends = sorted(chance.sample(range(1, len(whole)), count - 1)) if count > 1 else []
    return [whole[start:end] for start, end in zip([0, *ends], [*ends, len(whole)], strict=True)]


def _round(folder: Path, point: str, chance: random.Random, piece: bytes, *, rotates: bool) -> str:
    """
    Start, drop a piece, until the process is gone. Returns how it went.

    The file `rotates` behind the last whole line of the piece: what follows goes into a new one of its name.
    """
    program = ("conduit_local",) if point == "outside" else ("tests.crash.victim", point, str(chance.randint(1, 3)))
    appliance = Appliance(folder, {"quakes": _PIPELINE}, program=program)
    inbox = appliance.data / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    here = inbox / "quakes.jsonl"
    started = appliance.started()
    middle = piece.rfind(b"\n") + 1 or len(piece)
    with here.open("ab") as file:
        file.write(piece[:middle])
    if rotates:
        here.rename(inbox / "quakes-1.jsonl")
    with here.open("ab") as file:
        file.write(piece[middle:])
    if not started:
        assert appliance.killed, appliance.log.read_text()
        return "at start"
    assert appliance.process is not None
    if point == "outside":
        appliance.ended_within(chance.uniform(0.05, 0.8))
        appliance.process.kill()
    if appliance.ended_within(_ROUND_S):
        assert appliance.killed, appliance.log.read_text()
        return point
    appliance.kill()
    return "not reached; outside"


def main() -> None:
    """Drop, kill, judge, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    found = drop(options.folder, options.kills, options.seed)
    print(json.dumps(found))
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
