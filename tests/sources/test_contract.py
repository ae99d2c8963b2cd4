"""The contract of `Source`, run over every kind there is."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from conduit_local.core.pulling import Source, SourceFailed
from conduit_local.core.spec import Component
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.engine.clock import SteeredClock
from conduit_local.sources.kinds import SOURCES, SourceMaker
from tests.egress.receiver import Receiver, Request, status
from tests.sources.making import Pulls, lines, maker_at, pipeline_of, spec_of

RECORDS = [{"n": str(n), "text": 'Grüße, "you"\n' * (n % 3)} for n in range(50)]
QUAKES = Path("sample_data/events/earthquakes.jsonl").read_bytes()
KINDS = ("files-jsonl", "files-csv", "files-json", "files-gzip", "http", "fixture", "connector")


@dataclass
class Case:
    """A kind of source over `RECORDS`."""

    make: Callable[[], Source]
    grow: Callable[[dict[str, Any]], None] | None
    """Add a record to what is read; None where nothing is ever added."""


def as_csv(records: list[dict[str, Any]], *, header: bool = True) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["n", "text"])
    if header:
        writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


@pytest.fixture(params=KINDS)
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    (tmp_path / "inbox").mkdir()
    clock = SteeredClock()
    records = list(RECORDS)

    async def page(asked: Request, writer: asyncio.StreamWriter) -> None:
        start = int(parse_qs(urlsplit(asked.target).query).get("after", ["0"])[0])
        document = {"data": records[start : start + 7], "next": str(start + 7) if start + 7 < len(records) else None}
        await status(200, body=json.dumps(document).encode())(asked, writer)

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(HttpClient(Guard((), loopback=True)))
        server = await stack.enter_async_context(Receiver(page))
        settings: dict[str, Any] = {"type": "files", "path": "inbox/*"}
        grow: Callable[[dict[str, Any]], None] | None = None
        inbox = tmp_path / "inbox"

        def appending(name: str, encode: Callable[[dict[str, Any]], bytes]) -> Callable[[dict[str, Any]], None]:
            def add(record: dict[str, Any]) -> None:
                with (inbox / name).open("ab") as file:
                    file.write(encode(record))
                clock.advance(10)

            return add

        match request.param:
            case "files-jsonl":
                (inbox / "a.jsonl").write_bytes(lines(*RECORDS[:20]))
                (inbox / "b.jsonl").write_bytes(lines(*RECORDS[20:]))
                grow = appending("b.jsonl", lines)
            case "files-csv":
                (inbox / "a.csv").write_bytes(as_csv(RECORDS))
                grow = appending("a.csv", lambda record: as_csv([record], header=False))
            case "files-json":
                (inbox / "a.json").write_bytes(json.dumps(RECORDS).encode())
            case "files-gzip":
                (inbox / "a.jsonl.gz").write_bytes(gzip.compress(lines(*RECORDS)))
                grow = appending("a.jsonl.gz", lambda record: gzip.compress(lines(record)))
            case "http":
                paging = {"records": "data", "cursor": {"param": "after", "next": "next"}}
                settings, grow = {"type": "http", "url": server.url, **paging}, records.append
            case "fixture" | "connector":
                (inbox / "a.jsonl").write_bytes(lines(*RECORDS))
                settings = {"type": "fixture", "path": "inbox/a.jsonl"}
        clock.advance(10)
        stand_ins = {"hubspot": spec_of(**settings)}
        maker = stack.enter_context(maker_at(tmp_path, client, clock, stand_ins=stand_ins))
        if request.param == "connector":
            settings = {"type": "connector", "connector": "hubspot", "config": {"token": "x"}}
        yield Case(lambda: maker.make(spec_of(**settings)), grow)


def test_every_kind_is_here() -> None:
    assert {kind.split("-")[0] for kind in KINDS} | {"push"} == set(SOURCES)


@pytest.mark.parametrize("most", [1, 7, 1_000])
async def test_all_comes_once_and_in_order(case: Case, most: int) -> None:
    source = Pulls(case.make(), most)
    assert await source.all() == RECORDS
    for _ in range(3):
        await source.all()
    assert source.payloads == RECORDS
    assert source.poison == []


async def test_the_same_cursor_gives_the_same_events(case: Case) -> None:
    source = Pulls(case.make(), 9)
    more = True
    while more:
        first = await source.source.pull(source.cursor, 9)
        again = await case.make().pull(source.cursor, 9)
        once_more = await source.source.pull(source.cursor, 9)
        assert first == again == once_more
        source.keep(first)
        more = first.more
    assert source.payloads == RECORDS


async def test_a_crash_before_the_commit_doubles_nothing_and_loses_nothing(case: Case) -> None:
    source = Pulls(case.make(), 9)
    for look in range(30):
        source.source = case.make()
        found = await source.source.pull(source.cursor, 9)
        if look % 3:
            source.keep(found)
        await source.source.close()
    assert source.payloads == RECORDS


async def test_what_is_added_later_comes_too(case: Case) -> None:
    source = Pulls(case.make(), 9)
    await source.all()
    later = [{"n": f"later {n}", "text": ""} for n in range(15)] if case.grow is not None else []
    for record in later:
        assert case.grow is not None
        case.grow(record)
        await source.all()
    assert source.payloads == [*RECORDS, *later]


async def test_from_no_cursor_it_starts_over(case: Case) -> None:
    source = Pulls(case.make())
    await source.all()
    source.cursor = None
    assert await source.all() == RECORDS * 2


async def test_nothing_new_leaves_the_cursor_as_it_is(case: Case) -> None:
    source = Pulls(case.make())
    await source.all()
    before = source.cursor
    found = await source.once()
    assert (found.events, list(found.poison), found.more, list(found.notes)) == (None, [], False, [])
    assert source.cursor == before


# What is not here ---------------------------------------------------------------------------------------------------


async def test_a_connector_without_a_stand_in_says_what_to_do(tmp_path: Path) -> None:
    with maker_at(tmp_path) as maker:
        source = maker.make(spec_of(type="connector", connector="hubspot"))
        with pytest.raises(SourceFailed, match=r"stand_ins: \{sources: \{hubspot: ") as failed:
            await source.pull(None, 10)
        assert failed.value.needs_person


async def test_a_fixture_that_is_not_there_says_so_and_samples_are(tmp_path: Path) -> None:
    with maker_at(tmp_path) as maker:
        with pytest.raises(SourceFailed, match=r"there is no file fixtures/none\.jsonl") as failed:
            await maker.make(spec_of(type="fixture", path="fixtures/none.jsonl")).pull(None, 10)
        assert failed.value.needs_person
        found = await Pulls(maker.make(spec_of(type="fixture", path="events/earthquakes.jsonl"))).all()
        assert found == [json.loads(line) for line in QUAKES.splitlines()]


def names(maker: SourceMaker, *sources: Component) -> list[str]:
    return list(maker.pulled(pipeline_of(*sources)))


def test_cursors_are_kept_under_names_that_say_what_is_read(tmp_path: Path) -> None:
    files = {"type": "files", "path": "in/*"}
    with maker_at(tmp_path, stand_ins={"pushed": spec_of(type="push")}) as maker:
        assert names(
            maker,
            spec_of(type="push"),
            spec_of(**files),
            spec_of(**files, every="5s"),
            spec_of(type="connector", connector="hubspot"),
            spec_of(type="connector", connector="pushed"),
            spec_of(type="fixture", path="fixtures/a.csv"),
        ) == ["files:in/*", "files:in/* #2", "connector:hubspot", "fixture:fixtures/a.csv"]
        (name,) = names(maker, spec_of(type="http", url="https://a.example/x?key=geheim"))
        assert name.startswith("http:https://a.example/x?")
        assert "geheim" not in name
