"""
A crash at the n-th effect, for every n: with the real store and real files, in a process that is really gone.

    python -m tests.crash.simulation FOLDER [--every K] [--seed S]

A process that has everything imported and no thread yet forks a child for each n. The child runs a scenario and ends
at its n-th effect (a statement, a write, an fsync, a rename, …), once just before it and once just after. A second
child recovers: it starts on what is left, repeats what was not acknowledged, and delivers. Then the folder is looked
at from outside: every event once, in order, with its payload; no gap in the objects' names; no half file.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from conduit_local.core.pipeline import State
from tests.crash.fuse import Fuse
from tests.engines import engine_at, objects_below, until, until_delivered
from tests.making import numbered, spec

CRASHED = 9
GROUPS = [("orders", 0, 7), ("orders", 7, 1), ("other", 0, 4), ("orders", 8, 9), ("other", 4, 6), ("orders", 17, 3)]
EXPECTED = {"orders": 20, "other": 10}


def count_effects(fuse: Fuse) -> None:
    """Count what changes a disk."""
    for name in ("fsync", "rename", "replace", "unlink", "mkdir", "pwrite", "ftruncate"):
        setattr(os, name, fuse.wrap(getattr(os, name)))
    fuse.wrap_sqlite()


async def scenario(folder: Path, said: int) -> None:
    """Make pipelines, accept, flush, pause, resume, drain; each acknowledgement is written to `said` at once."""

    async def send(name: str, first: int, count: int) -> None:
        receipt = await engine.ingest.accept(name, numbered(first, count), f"{name}-{first}")
        os.write(said, f"{name} {first} {count} {receipt.first_seq}\n".encode())

    async with engine_at(folder, tag="abcde") as engine:
        for name in ("orders", "other"):
            if engine.topology.get(name) is None:
                await engine.manage.create(spec(name, batch={"max_events": 5, "max_age": "50ms"}, id=f"pl_{name}"))
        await engine.manage.pause("other")
        await asyncio.gather(*(send(*group) for group in GROUPS[:3]))
        await engine.manage.flush("other")
        await until_delivered(engine, "orders")
        await asyncio.gather(*(send(*group) for group in GROUPS[3:5]))
        await engine.manage.resume("other")
        await send(*GROUPS[5])
        await engine.manage.drain("orders")
        await until(lambda: engine.topology.find("orders").pipeline.state is State.STOPPED)
        await until_delivered(engine, "other")


async def recover(folder: Path, acknowledged: list[str]) -> None:
    """Start on what is left, repeat what was not acknowledged, deliver all."""
    async with engine_at(folder, tag="abcde") as engine:
        for name in EXPECTED:
            if engine.topology.get(name) is None:
                await engine.manage.create(spec(name, batch={"max_events": 5, "max_age": "50ms"}, id=f"pl_{name}"))
            await engine.manage.resume(name)
        known = {tuple(line.split()[:2]): line.split() for line in acknowledged}
        for name, first, count in GROUPS:
            receipt = await engine.ingest.accept(name, numbered(first, count), f"{name}-{first}")
            said = known.get((name, str(first)))
            if said is not None:
                assert receipt.replayed, f"{name} {first} was acknowledged and is not known any more"
                assert receipt.first_seq == int(said[3]), f"{name} {first} has another number now"
        for name, count in EXPECTED.items():
            await until_delivered(engine, name)
            assert engine.topology.find(name).routes["files"].delivered == count


def judge(folder: Path) -> str | None:
    """What is wrong with the objects in `folder`, or None."""
    for name, count in EXPECTED.items():
        objects = objects_below(folder / "out" / name)
        hidden = [path for path in objects if Path(path).name.startswith(".")]
        if hidden:
            return f"{name}: left behind: {hidden}"
        lines = [json.loads(line) for content in objects.values() for line in content.splitlines()]
        found = sorted(line["payload"]["n"] for line in lines)
        if found != list(range(count)):
            return f"{name}: expected 0..{count - 1} once each, found {found}"
        ids = [line["event_id"] for line in lines]
        if ids != sorted(set(ids)):
            return f"{name}: ids out of order or doubled: {ids}"
        ranges = [tuple(map(int, Path(path).name.split(".")[0].split("-"))) for path in objects]
        if [first for first, _ in ranges] != [1, *(last + 1 for _, last in ranges)][: len(ranges)]:
            return f"{name}: objects do not abut: {ranges}"
    return None


def in_child(work: Callable[[int], None]) -> tuple[int, str]:
    """Run `work` in a forked process; its exit code, and what it wrote to the descriptor it was given."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            work(writing)
            code = 0
        except BaseException:  # noqa: BLE001 - the parent is told by the exit code and the text
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


def crash_at(folder: Path, number: int, *, after: bool) -> tuple[bool, str | None]:
    """One crash and recovery in a fresh folder; whether the scenario got that far, and what went wrong."""
    folder.mkdir(parents=True)

    def crash(said: int) -> None:
        count_effects(Fuse(number, after=after, end=lambda: os._exit(CRASHED)))
        asyncio.run(scenario(folder, said))

    code, said = in_child(crash)
    if code not in {0, CRASHED}:
        return True, f"the scenario failed by itself: {said}"
    acknowledged = said.splitlines()
    healed, words = in_child(lambda _said: asyncio.run(recover(folder, acknowledged)))
    if healed != 0:
        return True, f"recovery failed: {words}"
    return code == CRASHED, judge(folder)


def main() -> None:
    """Crash everywhere; one JSON line of what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="look at one effect in K, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    crashes, failures = 0, []
    number = 0
    while True:
        number += 1 if options.every == 1 else chance.randint(1, 2 * options.every - 1)
        reached = False
        for after in (False, True):
            place = options.folder / f"{number}-{'after' if after else 'before'}"
            crashed, wrong = crash_at(place, number, after=after)
            reached |= crashed
            crashes += crashed
            if wrong:
                failures.append(f"effect {number} {'after' if after else 'before'}: {wrong}")
        if not reached or len(failures) > 5:
            break
    json.dump({"effects": number - 1, "crashes": crashes, "failures": failures}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
