"""
Random schedules of appends, rotations, truncations, renames, replacements, looks and crashes against an oracle.

The oracle writes down each line when its line feed is written. A look is certain to see what was there before it; so a
truncation or a removal takes only what the source has seen already, and then everything must come: once, and in the
order of each file.
"""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from conduit_local.engine.clock import SteeredClock
from tests.sources.making import Pulls, maker_at, spec_of

NAMES = ("a.jsonl", "b.jsonl", "c.jsonl")
STEPS = st.one_of(
    st.tuples(st.just("append"), st.sampled_from(NAMES), st.integers(1, 5)),
    st.tuples(st.just("half"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("rotate"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("truncate"), st.sampled_from(NAMES), st.integers(0, 4)),
    st.tuples(st.just("replace"), st.sampled_from(NAMES), st.integers(1, 4)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("look"), st.just(""), st.integers(1, 7)),
    st.tuples(st.just("crash"), st.just(""), st.integers(1, 7)),
)


class Writer:
    """Writes numbered lines, and knows of each file which."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[int] = []
        self.streams: list[list[int]] = []
        """The numbers of each file content, in order."""
        self.open: dict[str, tuple[list[int], bytes]] = {}
        """By name: what the content holds, and the rest of a line that is half written."""
        self.rotated = 0

    def append(self, name: str, count: int, *, half: bool = False) -> None:
        """Whole lines; behind them, or alone, half a one."""
        stream, rest = self.open.get(name) or self._new(name)
        text = rest
        if rest:
            self._note(stream, self._last)
            self.open[name] = stream, b""
        for _ in range(count):
            number = self._next()
            self._note(stream, number)
            text += b'{"n":%d}\n' % number
        if half:
            self._last = self._next()
            line = b'{"n":%d}\n' % self._last
            text += line[:4]
            self.open[name] = stream, line[4:]
        with (self.folder / name).open("ab") as file:
            file.write(text)

    def end(self, name: str) -> None:
        """Write the rest of what is half written."""
        if name in self.open and self.open[name][1]:
            self.append(name, 0)

    def end_all(self) -> None:
        """Of every file."""
        for name in list(self.open):
            self.end(name)

    def _new(self, name: str) -> tuple[list[int], bytes]:
        self.streams.append([])
        self.open[name] = self.streams[-1], b""
        return self.open[name]

    _count = 0
    _last = 0

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _note(self, stream: list[int], number: int) -> None:
        stream.append(number)
        self.written.append(number)


async def step(writer: Writer, source: Pulls, made: Any, what: tuple[str, str, int]) -> None:
    """One step of a schedule."""
    action, name, count = what
    path = writer.folder / name
    match action:
        case "append":
            writer.append(name, count)
        case "half":
            writer.end_all()  # one at a time is half written
            writer.append(name, 0, half=True)
        case "rotate" if name in writer.open:
            writer.end(name)
            if f",{path.stat().st_ino}," not in (source.cursor or ""):
                await source.all()  # never seen under its name, it would rightly be no file of ours
            writer.append(name, 1)
            writer.rotated += 1
            path.rename(writer.folder / f"{name}.{writer.rotated}")
            del writer.open[name]
        case "rename" if name in writer.open:
            writer.rotated += 1
            path.rename(writer.folder / f"z{writer.rotated}.jsonl")
            writer.open[f"z{writer.rotated}.jsonl"] = writer.open.pop(name)
        case "truncate" | "replace" | "remove" if name in writer.open:
            writer.end(name)
            await source.all()
            del writer.open[name]
            if action == "remove":
                path.unlink()
                return
            if action == "replace":
                path.rename(writer.folder.parent / f"old-{writer.rotated}-{name}")
                writer.rotated += 1
            else:
                path.write_bytes(b"")
            writer.append(name, count)
        case "look":
            source.most = count
            await source.once()
        case "crash":
            source.source = made()
            await source.source.pull(source.cursor, count)  # done, and never committed


@settings(max_examples=100)
@given(st.lists(STEPS, max_size=40))
async def test_each_line_comes_once_whatever_happens_to_the_files(schedule: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inbox").mkdir()
        clock = SteeredClock()
        with maker_at(folder, clock=clock) as maker:
            spec = spec_of(type="files", path="inbox/*.jsonl", settle="1h")
            source, writer = Pulls(maker.make(spec)), Writer(folder / "inbox")
            for what in schedule:
                await step(writer, source, lambda: maker.make(spec), what)
            writer.end_all()
            source.most = 1_000
            found = [one["n"] for one in await source.all()]
            assert sorted(found) == sorted(writer.written), "each once"
            assert not source.poison
            for stream in writer.streams:
                assert [number for number in found if number in set(stream)] == stream, "in the order of the file"
