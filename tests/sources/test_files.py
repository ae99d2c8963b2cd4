"""The watched inbox: appends, rotation, truncation, replacement, half lines and hostile ones (faults 1, 16, 23)."""

import asyncio
import gzip
import json
import os
import random
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from conduit_local.core.pulling import SourceFailed
from conduit_local.core.times import DAY_S
from conduit_local.engine.clock import SteeredClock
from conduit_local.sources import remembered
from conduit_local.sources.kinds import SourceMaker
from tests.sources.making import Pulls, lines, maker_at, pipeline_of, spec_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

QUAKES = Path("sample_data/events/earthquakes.jsonl").read_bytes()


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def maker(tmp_path: Path, clock: SteeredClock) -> Iterator[SourceMaker]:
    with maker_at(tmp_path, clock=clock) as made:
        yield made


def pulls(maker: SourceMaker, path: str = "inbox/*.jsonl", most: int = 1_000, **settings: Any) -> Pulls:
    return Pulls(maker.make(spec_of(type="files", path=path, **settings)), most)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


# Following ---------------------------------------------------------------------------------------------------------


async def test_real_events_in_pieces_come_once_and_in_order(inbox: Path, maker: SourceMaker) -> None:
    content = QUAKES
    source = pulls(maker, most=97)
    cuts = sorted(random.Random(4).sample(range(len(content)), 40))
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        append(inbox / "quakes.jsonl", content[start:end])
        await source.all()
    assert [payload for _, payload in source.events] == content.splitlines()
    assert {event_type for event_type, _ in source.events} == {"quakes"}


async def test_nothing_new_leaves_the_cursor_as_it_is(inbox: Path, maker: SourceMaker) -> None:
    (inbox / "a.jsonl").write_bytes(lines({"n": 1}) + b'{"n":')
    source = pulls(maker)
    await source.once()
    before = source.cursor
    assert (await source.once()).events is None
    assert source.cursor == before


async def test_half_a_line_waits_for_the_rest(inbox: Path, maker: SourceMaker) -> None:
    source = pulls(maker)
    append(inbox / "a.jsonl", b'{"n":1')
    assert await source.all() == []
    append(inbox / "a.jsonl", b"2}")
    assert await source.all() == []
    append(inbox / "a.jsonl", b"\n")
    assert await source.all() == [{"n": 12}]


async def test_a_last_line_is_taken_once_the_file_has_rested(
    inbox: Path, maker: SourceMaker, clock: SteeredClock
) -> None:
    source = pulls(maker, settle="5s")
    append(inbox / "a.jsonl", b'{"n":1}')
    assert await source.all() == []
    clock.advance(6)
    assert await source.all() == [{"n": 1}]
    append(inbox / "a.jsonl", b'\n{"n":2}\n')
    assert await source.all() == [{"n": 1}, {"n": 2}]
    assert source.poison == []


async def test_half_an_object_that_rests_is_poison_and_no_event(
    inbox: Path, maker: SourceMaker, clock: SteeredClock
) -> None:
    source = pulls(maker)
    append(inbox / "a.jsonl", lines({"n": 1}) + b'{"n":2')
    clock.advance(6)
    assert await source.all() == [{"n": 1}]
    assert [(one.origin, one.content) for one in source.poison] == [("inbox/a.jsonl:2", b'{"n":2')]


async def test_rotation_loses_nothing_and_doubles_nothing(inbox: Path, maker: SourceMaker) -> None:
    source, log = pulls(maker), inbox / "a.jsonl"
    append(log, lines({"n": 1}))
    await source.all()
    append(log, lines({"n": 2}))
    log.rename(inbox / "a.jsonl.1")
    append(inbox / "a.jsonl.1", lines({"n": 3}))  # the writer has not noticed yet
    append(log, lines({"n": 4}))
    assert await source.all() == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert {event_type for event_type, _ in source.events} == {"a"}


async def test_a_file_that_is_renamed_within_the_pattern_goes_on(inbox: Path, maker: SourceMaker) -> None:
    source = pulls(maker)
    append(inbox / "a.jsonl", lines({"n": 1}))
    await source.all()
    (inbox / "a.jsonl").rename(inbox / "b.jsonl")
    append(inbox / "b.jsonl", lines({"n": 2}))
    assert await source.all() == [{"n": 1}, {"n": 2}]


async def test_a_file_that_is_emptied_and_filled_anew_is_read_from_its_beginning(
    inbox: Path, maker: SourceMaker
) -> None:
    source, log = pulls(maker), inbox / "a.jsonl"
    log.write_bytes(lines({"n": 1}, {"n": 2}))
    await source.all()
    log.write_bytes(lines({"n": 3}))
    await source.all()
    log.write_bytes(lines({"n": 4}, {"n": 5}, {"n": 6}))  # longer than what was read
    assert [one["n"] for one in await source.all()] == [1, 2, 3, 4, 5, 6]
    assert all("read from its beginning" in note for note in source.notes)
    assert len(source.notes) == 2


async def test_one_that_changed_before_the_place_only_is_noticed(inbox: Path, maker: SourceMaker) -> None:
    source, log = pulls(maker), inbox / "a.jsonl"
    head = lines(*({"head": n} for n in range(200)))
    log.write_bytes(head + lines({"n": 1}))
    await source.all()
    overwrite(log, len(head), lines({"n": 2}) + lines({"n": 3}))  # the same up to there, 1 KiB and more
    assert (await source.all())[-2:] == [{"n": 2}, {"n": 3}]


async def test_a_replaced_file_is_another_one(inbox: Path, maker: SourceMaker, tmp_path: Path) -> None:
    source = pulls(maker)
    append(inbox / "a.jsonl", lines({"n": 1}))
    await source.all()
    (tmp_path / "new").write_bytes(lines({"n": 2}))
    (tmp_path / "new").replace(inbox / "a.jsonl")
    assert await source.all() == [{"n": 1}, {"n": 2}]


async def test_another_device_number_is_not_another_file(inbox: Path, maker: SourceMaker) -> None:
    """As after a restart of the machine."""
    source = pulls(maker)
    append(inbox / "a.jsonl", lines({"n": 1}))
    await source.all()
    assert source.cursor is not None
    found = json.loads(source.cursor)
    found["files"][0][2] += 1
    source.cursor = json.dumps(found)
    append(inbox / "a.jsonl", lines({"n": 2}))
    assert await source.all() == [{"n": 1}, {"n": 2}]


async def test_a_folder_that_is_not_there_is_said_once(tmp_path: Path, maker: SourceMaker) -> None:
    source = pulls(maker)
    await source.once()
    await source.once()
    assert source.notes == [f"the folder {tmp_path / 'inbox'} is not there yet"]
    (tmp_path / "inbox").mkdir()
    append(tmp_path / "inbox/a.jsonl", lines({"n": 1}))
    assert await source.all() == [{"n": 1}]


async def test_a_folder_that_goes_and_comes_back_is_read_once(inbox: Path, maker: SourceMaker, tmp_path: Path) -> None:
    source = pulls(maker)
    append(inbox / "a.jsonl", lines({"n": 1}))
    await source.all()
    move(inbox, tmp_path / "away")
    await source.all()
    move(tmp_path / "away", inbox)
    assert await source.all() == [{"n": 1}]


async def test_gone_files_are_forgotten_after_a_day_and_others_never(
    inbox: Path, maker: SourceMaker, clock: SteeredClock
) -> None:
    source = pulls(maker)
    for name in ("a", "b"):
        append(inbox / f"{name}.jsonl", lines({"n": name}))
    await source.all()
    (inbox / "a.jsonl").unlink()
    for _ in range(3):
        clock.advance(DAY_S - 60)
        await source.all()
    assert source.cursor is not None
    assert [one[0] for one in json.loads(source.cursor)["files"]] == ["inbox/b.jsonl"]
    assert await source.all() == [{"n": "a"}, {"n": "b"}]


async def test_more_files_than_can_be_remembered_wait_and_are_said(
    inbox: Path, maker: SourceMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "MAX_FILES", 3)
    for n in range(5):
        append(inbox / f"{n}.jsonl", lines({"n": n}))
    source = pulls(maker)
    await source.once()
    with pytest.raises(SourceFailed, match="take those away that are read") as refused:
        await source.all()
    assert refused.value.needs_person
    for n in range(3):
        (inbox / f"{n}.jsonl").unlink()
    await source.once()
    assert await source.all() == [{"n": n} for n in range(5)]


async def test_waiting_ends_when_a_file_comes(inbox: Path, maker: SourceMaker) -> None:
    source = maker.make(spec_of(type="files", path="inbox/*.jsonl", every="1h"))
    writing = threading.Event()

    def write() -> None:
        n = 0
        while not writing.wait(0.05):
            n += 1
            append(inbox / "a.jsonl", lines({"n": n}))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        async with asyncio.timeout(20):
            await source.wait()
    finally:
        writing.set()
        thread.join()


async def test_a_writer_that_never_stops_is_followed_line_by_line(inbox: Path, maker: SourceMaker) -> None:
    """Writes end anywhere, in the midst of numbers and characters; the log is rotated now and then."""
    count, chance = 3_000, random.Random(5)
    source = pulls(maker, most=50)

    def write() -> None:
        log = inbox / "a.jsonl"
        for start in range(0, count, 100):
            content = lines(*({"n": n, "x": "é" * (n % 7)} for n in range(start, start + 100)))
            while content:
                size = chance.randrange(1, 400)
                append(log, content[:size])
                content = content[size:]
            if start % 1_000 == 0:
                move(log, inbox / f"r{start}.jsonl")

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        await source.once()
    thread.join()
    assert sorted(one["n"] for one in await source.all()) == list(range(count))
    assert source.poison == []


async def test_waiting_ends_by_itself(maker: SourceMaker) -> None:
    async with asyncio.timeout(20):
        await maker.make(spec_of(type="files", path="inbox/*.jsonl", every="50ms")).wait()


# Formats -----------------------------------------------------------------------------------------------------------

POISON = {
    b"no json": "is not JSON",
    b"[1]": "must be a JSON object",
    b"7": "must be a JSON object",
    b'{"a":NaN}': "is not JSON",
    b'{"a":"\xff"}': "is not UTF-8",
    b'{"a":' * 200 + b"1" + b"}" * 200: "nested more than 100 deep",
    b'{"a":"' + b"x" * 262_144 + b'"}': "256KB",
    b'{"a":1} {"b":2}': "is not JSON",
    b"{" * 100_000: "is not JSON",
}


async def test_poison_stands_alone(inbox: Path, maker: SourceMaker) -> None:
    for content in POISON:
        append(inbox / "a.jsonl", content + b"\r\n" + lines({"good": 1}) + b"\n  \n")
    source = pulls(maker)
    assert await source.all() == [{"good": 1}] * len(POISON)
    assert source.origins == [f"inbox/a.jsonl:{4 * n + 1}" for n in range(len(POISON))]
    for one, (content, said) in zip(source.poison, POISON.items(), strict=True):
        assert said in one.error
        assert one.content.rstrip(b"\r") == content[:262_144]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
async def test_a_line_of_100_mb_is_passed_over_in_little_memory(inbox: Path, maker: SourceMaker, name: str) -> None:
    with (inbox / name).open("wb") as file:
        file.write(b"n\n" if name == "a.csv" else lines({"n": "1"}))
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n7\n" if name == "a.csv" else b"\n" + lines({"n": "7"}))
    source = pulls(maker, f"inbox/{name}")
    tracemalloc.start()
    await source.all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.payloads[-1] == {"n": "7"}
    assert [(one.origin, len(one.content)) for one in source.poison] == [(f"inbox/{name}:2", 262_144)]
    assert peak < 8_000_000


async def test_csv_has_headers_quotes_and_line_breaks(inbox: Path, maker: SourceMaker, clock: SteeredClock) -> None:
    (inbox / "a.csv").write_bytes(
        b'\xef\xbb\xbfid,"na,me"\r\n1,"An ""A""\r\nof two lines"\r\n\r\n2,\r\n3\r\n4,"x"y\r\n5,\xff\r\n'
    )
    source = pulls(maker, "inbox/*.csv")
    assert await source.all() == [{"id": "1", "na,me": 'An "A"\r\nof two lines'}, {"id": "2", "na,me": ""}]
    assert source.origins == ["inbox/a.csv:6", "inbox/a.csv:7", "inbox/a.csv:8"]
    append(inbox / "a.csv", b'6,"half')
    await source.all()
    append(inbox / "a.csv", b' and half"\n7,last')
    assert (await source.all())[-1] == {"id": "6", "na,me": "half and half"}
    clock.advance(10)
    assert (await source.all())[-1] == {"id": "7", "na,me": "last"}


async def test_a_header_that_names_a_column_twice_is_the_files_poison(inbox: Path, maker: SourceMaker) -> None:
    (inbox / "a.csv").write_bytes(b"a,a\n1,2\n3,4\n")
    source = pulls(maker, "inbox/*.csv")
    assert await source.all() == []
    assert "names 'a' twice" in source.poison[0].error
    append(inbox / "a.csv", b"5,6\n")
    await source.all()
    assert len(source.poison) == 1


async def test_a_json_document_is_read_when_it_rests(inbox: Path, maker: SourceMaker, clock: SteeredClock) -> None:
    (inbox / "a.json").write_bytes(b'[{"n":1},\n {"n":\n2} , 5, "a]", {"n":3}')
    (inbox / "b.json").write_bytes(b' {"n": 4}\n')
    source = pulls(maker, "inbox/*.json", most=2)
    assert await source.all() == []
    append(inbox / "a.json", b"]")
    clock.advance(10)
    assert await source.all() == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert source.origins == ["inbox/a.json[2]", "inbox/a.json[3]"]
    assert b"\n" not in source.events[1][1]


async def test_a_broken_json_document_gives_nothing_but_a_dead_letter_until_it_is_mended(
    inbox: Path, maker: SourceMaker, clock: SteeredClock
) -> None:
    (inbox / "a.json").write_bytes(b'[{"n":1},{"n":2},')
    source = pulls(maker, "inbox/*.json")
    clock.advance(10)
    assert await source.all() == []
    assert source.origins == ["inbox/a.json"]
    await source.all()
    assert len(source.poison) == 1
    (inbox / "a.json").write_bytes(b'[{"n":1},{"n":2}]')
    clock.advance(10)
    assert await source.all() == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
async def test_packed_files_are_unpacked_and_come_once(
    inbox: Path, maker: SourceMaker, clock: SteeredClock, name: str
) -> None:
    pack = gzip.compress if name.endswith("gz") else zstd.compress
    first = [{"n": n, "x": "y" * 50} for n in range(3_000)]
    (inbox / name).write_bytes(pack(lines(*first[:2_000])) + pack(lines(*first[2_000:])))
    clock.advance(10)
    source = pulls(maker, "inbox/*", most=700)
    assert await source.all() == first
    append(inbox / name, pack(lines({"n": -1})))
    clock.advance(10)
    source.source = maker.make(spec_of(type="files", path="inbox/*"))  # as after a restart
    assert (await source.all())[3_000:] == [{"n": -1}]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
async def test_a_packed_file_that_is_cut_short_waits_and_a_damaged_one_is_poison(
    inbox: Path, maker: SourceMaker, clock: SteeredClock, name: str
) -> None:
    values = [{"n": n, "x": random.Random(n).random()} for n in range(20_000)]
    packed = (gzip.compress if name.endswith("gz") else zstd.compress)(lines(*values))
    (inbox / name).write_bytes(packed[: len(packed) // 2])
    clock.advance(10)
    source = pulls(maker, "inbox/*", most=10_000)
    await source.all()
    await source.all()
    assert len([note for note in source.notes if "in the middle" in note]) == 1
    append(inbox / name, packed[len(packed) // 2 :])
    clock.advance(10)
    assert await source.all() == values
    (inbox / f"z{name}").write_bytes(b"this was never packed")
    clock.advance(10)
    await source.all()
    assert source.origins == [f"inbox/z{name}"]


async def test_a_bomb_costs_little_memory(inbox: Path, maker: SourceMaker, clock: SteeredClock) -> None:
    with gzip.open(inbox / "a.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(b" " * 1_000_000)
    clock.advance(10)
    source = pulls(maker, "inbox/*")
    tracemalloc.start()
    await source.all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.events == []
    assert len(source.poison) == 1
    assert peak < 16_000_000


async def test_types_come_from_a_field_the_settings_or_the_name(inbox: Path, maker: SourceMaker) -> None:
    append(inbox / "Big orders (1).2024.jsonl", lines({"kind": "a.b"}, {"kind": "no type!"}, {"kind": 7}, {}))
    for fixed, otherwise in ((None, "Big_orders_1.2024"), ("x.y", "x.y")):
        source = pulls(maker, event_type_field="kind", event_type=fixed)
        await source.all()
        assert [event_type for event_type, _ in source.events] == ["a.b", otherwise, otherwise, otherwise]


# What may be read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["*.jsonl", "conduit.db", "*/a.jsonl", "../x/a", "in/../../a", "/etc", "in/\0", "in/", "", "in/\x1b[2J"]
)
def test_a_pattern_that_is_not_below_a_named_folder_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        spec_of(type="files", path=path)


def test_an_absolute_path_is_for_files_and_for_allowed_folders(tmp_path: Path) -> None:
    sources = [spec_of(type=kind, path=path) for kind in ("files", "fixture") for path in ("/srv/in/a", "in/a")]
    with maker_at(tmp_path) as maker:
        assert [problem.path for problem in maker.refused(pipeline_of(*sources))] == [
            ("sources", 0, "path"),
            ("sources", 2, "path"),
        ]
    with maker_at(tmp_path, allowed_folders=(Path("/srv"),)) as maker:
        assert maker.refused(pipeline_of(*sources)) == []


async def test_links_pipes_and_hidden_files_are_not_followed(inbox: Path, maker: SourceMaker, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(lines({"secret": 1}))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jsonl").write_bytes(lines({"secret": 2}))
    (inbox / "link.jsonl").symlink_to(tmp_path / "secret")
    (inbox / "below").symlink_to(tmp_path / "elsewhere")
    (inbox / ".hidden.jsonl").write_bytes(lines({"secret": 3}))
    (inbox / "folder.jsonl").mkdir()
    os.mkfifo(inbox / "pipe.jsonl")
    (inbox / "good.jsonl").write_bytes(lines({"good": 1}))
    for path in ("inbox/*.jsonl", "inbox/**/*.jsonl", "inbox/below/a.jsonl"):
        source = pulls(maker, path)
        if "*" in path:
            assert await source.all() == [{"good": 1}]
            continue
        with pytest.raises(SourceFailed, match="a symbolic link or a file stands where a folder belongs") as refused:
            await source.all()
        assert refused.value.needs_person


async def test_the_appliances_own_files_are_never_read(tmp_path: Path, maker: SourceMaker) -> None:
    (tmp_path / "api-key").write_bytes(lines({"secret": 1}))
    source = pulls(maker, f"{tmp_path}/*")
    assert await source.all() == []


async def test_an_absolute_pattern_may_begin_behind_a_link(inbox: Path, maker: SourceMaker, tmp_path: Path) -> None:
    """As `/tmp` is one on some systems."""
    (inbox / "below").mkdir()
    append(inbox / "below" / "a.jsonl", lines({"n": 1}))
    (tmp_path / "link").symlink_to(inbox)
    (inbox / "other").symlink_to(inbox / "below")
    source = pulls(maker, f"{tmp_path}/link/*/a.jsonl")
    assert await source.all() == [{"n": 1}]
    assert source.cursor is not None
    assert [one[0] for one in json.loads(source.cursor)["files"]] == [f"{tmp_path}/link/below/a.jsonl"]


async def test_folders_below_are_looked_into(inbox: Path, maker: SourceMaker) -> None:
    for n, folder in enumerate(("", "a", "a/b")):
        (inbox / folder).mkdir(exist_ok=True)
        (inbox / folder / "x.jsonl").write_bytes(lines({"n": n}))
    assert await pulls(maker, "inbox/**/*.jsonl").all() == [{"n": 2}, {"n": 1}, {"n": 0}]
    assert await pulls(maker, "inbox/*/x.jsonl").all() == [{"n": 1}]


async def test_a_file_that_may_not_be_read_holds_up_no_other(
    inbox: Path, maker: SourceMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        append(inbox / f"{name}.jsonl", lines({"n": name}))
    real = os.open

    def refusing(path: Any, *args: Any, **more: Any) -> int:
        if path == "a.jsonl":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", refusing)
    source = pulls(maker)
    await source.once()
    assert source.payloads == [{"n": "b"}]
    with pytest.raises(SourceFailed, match=r"read inbox/a\.jsonl: Permission denied") as refused:
        await source.once()
    assert refused.value.needs_person
    monkeypatch.undo()
    assert await source.all() == [{"n": "b"}, {"n": "a"}]
