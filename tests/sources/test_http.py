"""The `http` source against real servers: paging, crashes, what goes wrong, and what it may not reach (fault 17)."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from conduit_local.core.pulling import SourceFailed
from conduit_local.core.secrets import REDACTED, opening, sealing
from conduit_local.core.spec import Component
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.engine.clock import SteeredClock
from conduit_local.sources.kinds import SOURCES, SourceMaker
from tests.egress.receiver import Receiver, Request, hang, status
from tests.sources.making import Pulls, maker_at, pipeline_of, spec_of

Query = dict[str, str]


class Server:
    """A list on a real port: what it holds may grow; `wrong` answers, if it is set, once."""

    def __init__(self, page: Callable[["Server", Query], tuple[Any, str]], *records: Any) -> None:
        self.records = list(records)
        self.page = page
        self.wrong: list[Any] = []
        self.queries: list[Query] = []
        self.receiver = Receiver(self.answer)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """A page as gzip."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        self.queries.append(query)
        if self.wrong:
            await self.wrong.pop(0)(request, writer)
            return
        document, link = self.page(self, query)
        head = ["Content-Encoding: gzip", *([f"Link: {link}"] if link else [])]
        await status(200, *head, body=gzip.compress(json.dumps(document).encode()))(request, writer)


def by_cursor(server: Server, query: Query) -> tuple[Any, str]:
    start = int(query.get("after", "0"))
    end = start + 3
    following = str(end) if end < len(server.records) else None
    return {"data": server.records[start:end], "meta": {"next": following}}, ""


def by_cursor_without_end(server: Server, query: Query) -> tuple[Any, str]:
    start = int(query.get("after", "0"))
    found = server.records[start : start + 3]
    return {"data": found, "meta": {"next": str(start + len(found))}}, ""


def by_number(server: Server, query: Query) -> tuple[Any, str]:
    start = (int(query["p"]) - 1) * 3
    return {"data": server.records[start : start + 3]}, ""


def by_link(server: Server, query: Query) -> tuple[Any, str]:
    start = int(query.get("at", "0"))
    link = f'<http://127.0.0.1:{server.receiver.port}/hook?at={start + 3}&key=k1>; rel="next"'
    return {"data": server.records[start : start + 3]}, link if start + 3 < len(server.records) else ""


def whole(server: Server, _query: Query) -> tuple[Any, str]:
    return {"data": server.records}, ""


def since(server: Server, query: Query) -> tuple[Any, str]:
    """At or after a time, by pages, the newest first."""
    found = [one for one in server.records if one["at"] >= int(query.get("from", "0"))]
    found.sort(key=lambda one: (-one["at"], one["id"]))
    start = int(query.get("after", "0"))
    return {"data": found[start : start + 3], "meta": {"next": str(start + 3) if start + 3 < len(found) else None}}, ""


CURSOR = {"cursor": {"param": "after", "next": "meta.next"}}
PAGINGS: dict[str, tuple[Callable[[Server, Query], tuple[Any, str]], dict[str, Any]]] = {
    "cursor": (by_cursor, CURSOR),
    "cursor-ids": (by_cursor, {**CURSOR, "id_field": "n"}),
    "cursor-without-end": (by_cursor_without_end, CURSOR),
    "page": (by_number, {"page": {"param": "p"}}),
    "page-size": (by_number, {"page": {"param": "p", "size_param": "size", "size": 3}}),
    "link": (by_link, {"link": True, "params": {"key": "k1"}}),
    "document": (whole, {}),
}


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@asynccontextmanager
async def making(
    folder: Path, clock: SteeredClock | None = None, allowed: tuple[str, ...] = (), *, loopback: bool = True
) -> AsyncIterator[SourceMaker]:
    """What makes sources that may reach loopback."""
    async with HttpClient(Guard(allowed, loopback=loopback)) as client:
        with maker_at(folder, client, clock) as maker:
            yield maker


def http(server: Server | Receiver, **settings: Any) -> Component:
    receiver = server.receiver if isinstance(server, Server) else server
    return spec_of(type="http", url=receiver.url, **{"records": "data", **settings})


# Paging ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", PAGINGS)
@pytest.mark.parametrize("most", [1, 2, 100])
async def test_a_list_that_grows_is_read_once(tmp_path: Path, paging: str, most: int) -> None:
    page, settings = PAGINGS[paging]
    server = Server(page)
    async with server.receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(server, **settings)), most)
        for more in (0, 1, 1, 1, 4, 2, 7, 0, 3):
            server.records += [{"n": len(server.records) + n} for n in range(more)]
            await source.all()
            source.source = maker.make(http(server, **settings))  # as after a restart
            assert source.payloads == server.records
        before = source.cursor
        await source.once()
        assert source.cursor == before, "nothing new leaves the cursor as it is"


@pytest.mark.parametrize("paging", PAGINGS)
async def test_a_crash_before_the_commit_and_a_server_that_fails_double_nothing(tmp_path: Path, paging: str) -> None:
    page, settings = PAGINGS[paging]
    server = Server(page, *({"n": n} for n in range(20)))
    async with server.receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(server, **settings)), 4)
        for _ in range(40):
            await source.source.pull(source.cursor, 4)  # done, and never committed
            server.wrong = [status(503, body=b"busy")]
            with pytest.raises(SourceFailed, match="answered 503: busy"):
                await source.source.pull(source.cursor, 4)
            await source.once()
        assert source.payloads == server.records


async def test_records_that_are_alike_are_several(tmp_path: Path) -> None:
    server = Server(by_cursor, *[{"n": 1}] * 8)
    async with server.receiver, making(tmp_path) as maker:
        assert await Pulls(maker.make(http(server, **CURSOR)), 3).all() == server.records


async def test_a_window_that_moves_gives_what_is_new(tmp_path: Path) -> None:
    server = Server(whole, {"n": 1}, {"n": 2}, {"n": 3})
    async with server.receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(server)))
        await source.all()
        server.records[:] = [{"n": 2}, {"n": 3}, {"n": 4}]
        assert await source.all() == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]


async def test_pages_that_overlap_are_told_apart_by_ids(tmp_path: Path) -> None:
    def overlapping(server: Server, query: Query) -> tuple[Any, str]:
        start = max(0, int(query.get("after", "0")) - 1)
        return {"data": server.records[start : start + 4], "meta": {"next": str(start + 4) if start < 9 else None}}, ""

    server = Server(overlapping, *({"n": n} for n in range(12)))
    async with server.receiver, making(tmp_path) as maker:
        assert await Pulls(maker.make(http(server, **CURSOR, id_field="n")), 5).all() == server.records


@pytest.mark.parametrize("settings", [{"id_field": "id"}, {}])
@pytest.mark.parametrize("param", [{"param": "from"}, {"newest_first": True}])
async def test_since_reads_what_is_new_and_the_boundary_once(
    tmp_path: Path, settings: dict[str, Any], param: dict[str, Any]
) -> None:
    server = Server(since)
    async with server.receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(server, **CURSOR, since={"field": "at", **param}, **settings)), 2)
        for at in (5, 5, 7, 7, 7, 7, 7, 9):
            for _ in range(2):
                server.records.append({"id": len(server.records), "at": at})
            await source.all()
            await source.all()
            assert sorted(one["id"] for one in source.payloads) == list(range(len(server.records)))
        if "param" in param:
            assert server.queries[-1]["from"] == "9"
        else:
            server.queries.clear()
            await source.all()
            assert len(server.queries) <= 2


async def test_a_record_without_the_field_is_poison_once(tmp_path: Path) -> None:
    server = Server(whole, {"at": 1}, {"other": 1}, {"at": 2})
    async with server.receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(server, since={"field": "at"})))
        for _ in range(3):
            await source.all()
        assert source.payloads == [{"at": 1}, {"at": 2}]
        assert [(one.origin, one.error) for one in source.poison] == [(f"{server.receiver.url}[1]", "it has no at")]


async def test_what_is_no_object_is_poison_and_numbers_stay_as_they_are(tmp_path: Path) -> None:
    body = b'{"data": [{"n": 1.10, "b":\n 12345678901234567890}, 7, "x]", null, {"kind": "a.b"}]}'
    async with Receiver(status(200, body=body)) as receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(receiver, event_type_field="kind")), 2)
        await source.all()
        assert source.events == [("hook", b'{"n": 1.10, "b":  12345678901234567890}'), ("a.b", b'{"kind": "a.b"}')]
        assert [one.content for one in source.poison] == [b"7", b'"x]"', b"null"]


# What goes wrong ---------------------------------------------------------------------------------------------------

JSON = "Content-Type: application/json"
ANSWERS: dict[str, tuple[Any, str, bool]] = {
    "unauthorized": (status(401), "answered 401", True),
    "forbidden": (status(403), "answered 403", True),
    "not found": (status(404), "answered 404", True),
    "busy": (status(429, "Retry-After: 7"), "answered 429", False),
    "unavailable": (status(503, "Retry-After: 7"), "answered 503", False),
    "metadata": (
        status(302, "Location: http://169.254.169.254/latest?token=x"),
        r"answered 302 and points to http://169\.254\.169\.254/latest; redirects are not followed",
        True,
    ),
    "html": (status(200, body=b"<html>"), "is not JSON", False),
    "nan": (status(200, body=b'{"data":[NaN]}'), "is not JSON", False),
    "not utf-8": (status(200, body=b'{"data":["\xff"]}'), "is not UTF-8", False),
    "empty": (status(200), "it is empty", False),
    "elsewhere": (status(200, body=b'{"items":[]}'), "no 'data' where the records should be", True),
    "text": (status(200, body=b'{"data":"x"}'), "neither a list nor an object", True),
    "too many": (status(200, body=b'{"data":[' + b"1," * 10_000 + b"1]}"), "more than 10,000 records", True),
    "too large": (status(200, body=b" " * (17 * 1024**2)), r"more than 16,777,216 bytes", False),
    "bomb": (
        status(200, "Content-Encoding: gzip", body=gzip.compress(b" " * 50_000_000)),
        r"more than 16,777,216 bytes",
        False,
    ),
    "half": (status(200, "Content-Encoding: gzip", body=gzip.compress(b"{}" * 99)[:-9]), "is cut short", False),
    "no gzip": (status(200, "Content-Encoding: gzip", body=b"{}"), "is not whole gzip", False),
    "brotli": (status(200, "Content-Encoding: br", body=b"{}"), "packed as 'br'", False),
    "hanging": (hang, "no answer within 0.3s", False),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_goes_wrong_is_said_and_moves_nothing(tmp_path: Path, name: str) -> None:
    answer, said, needs_person = ANSWERS[name]
    timeout = "300ms" if name == "hanging" else "30s"
    async with Receiver(answer) as receiver, making(tmp_path) as maker:
        with pytest.raises(SourceFailed, match=said) as failed:
            await maker.make(http(receiver, timeout=timeout, params={"token": "geheim"})).pull(None, 10)
        assert failed.value.needs_person == needs_person
        assert failed.value.retry_after_s == (7.0 if name in {"busy", "unavailable"} else None)
        assert "geheim" not in failed.value.message
        assert len(receiver.got) == 1


async def test_pages_before_the_failing_one_are_kept(tmp_path: Path) -> None:
    server = Server(by_cursor, *({"n": n} for n in range(9)))
    failing = [server.answer, server.answer, status(500)]

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (failing.pop(0) if failing else server.answer)(request, writer)

    server.receiver.answer = answer
    async with server.receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(server, **CURSOR)))
        assert (await source.once()).more
        assert source.payloads == server.records[:6]
        assert await source.all() == server.records


async def test_a_page_on_another_server_is_not_fetched(tmp_path: Path) -> None:
    link = 'Link: <http://other.example/next>; rel="next"'
    async with Receiver(status(200, link, body=b'{"data":[{}]}')) as receiver, making(tmp_path) as maker:
        source = Pulls(maker.make(http(receiver, link=True)))
        await source.once()
        with pytest.raises(SourceFailed, match="next page is on another server"):
            await source.once()
        assert source.payloads == [{}]


async def test_private_addresses_are_refused_when_made_and_when_connected_to(tmp_path: Path) -> None:
    async with Receiver() as receiver, making(tmp_path, loopback=False) as maker:
        specs = [
            spec_of(type="http", url=url) for url in (receiver.url, "http://169.254.169.254/x", "http://a.example/")
        ]
        assert [problem.path for problem in maker.unreachable(pipeline_of(*specs))] == [
            ("sources", 0, "url"),
            ("sources", 1, "url"),
        ]
        with pytest.raises(SourceFailed, match="refused") as failed:
            await maker.make(specs[0]).pull(None, 10)
        assert failed.value.needs_person
        assert receiver.got == []


# Settings ----------------------------------------------------------------------------------------------------------


async def test_variables_stand_in_the_url_the_params_and_the_headers(tmp_path: Path) -> None:
    async with Receiver(status(200, body=b"{}")) as receiver, making(tmp_path) as maker:
        spec = spec_of(
            type="http",
            url=f"http://127.0.0.1:{receiver.port}/${{WHERE}}?a=1&t=2#x",
            params={"t": "${TOKEN}", "q": "a b&c"},
            headers={"Authorization": "Bearer ${TOKEN}"},
        )
        await maker.make(spec, {"WHERE": "here", "TOKEN": "geheim", "OTHER": "x"}).pull(None, 10)
        assert receiver.got[0].target == "/here?a=1&t=geheim&q=a%20b%26c"
        assert receiver.got[0].headers["authorization"] == "Bearer geheim"
        for variables, said in (
            ({"TOKEN": "x"}, "the variable WHERE is not given"),
            ({"WHERE": "x", "TOKEN": "a\r\nb"}, "the value of 'Authorization' must be visible ASCII"),
        ):
            with pytest.raises(SourceFailed, match=said) as failed:
                await maker.make(spec, variables).pull(None, 10)
            assert failed.value.needs_person


def test_secrets_are_neither_shown_nor_kept_in_clear() -> None:
    spec = spec_of(type="http", url="https://a.example/", headers={"X-Plain": "geheim"}, params={"token": "geheim"})
    assert spec.model_dump(mode="json")["headers"] == {"X-Plain": REDACTED}
    assert (
        "geheim" not in f"{spec!r} {spec.model_dump_json()} {spec.model_dump(context=sealing(lambda _: 'sealed:v1:x'))}"
    )
    kept = spec.model_dump(mode="json", context=sealing(lambda text: f"sealed:v1:{text[::-1]}"))
    opened = SOURCES["http"].model_validate(kept, context=opening(lambda text: text.removeprefix("sealed:v1:")[::-1]))
    assert opened == spec


async def test_secrets_without_their_key_keep_the_source_from_being_read(tmp_path: Path) -> None:
    kept = {"type": "http", "url": "https://a.example/", "headers": "sealed:v1:x"}
    spec = SOURCES["http"].model_validate(kept, context=opening(lambda _: None))
    with (
        maker_at(tmp_path) as maker,
        pytest.raises(SourceFailed, match=r"sealed with a key that is not in secrets\.key"),
    ):
        await maker.make(spec).pull(None, 10)


@pytest.mark.parametrize(
    "settings",
    [
        {"link": True, "page": {"param": "p"}},
        {"headers": {"Host": "x"}},
        {"headers": {"a b": "x"}},
        {"headers": {"a": "x\r\ny: z"}},
        {"headers": {"a": 1}},
        {"params": {"a": 1}},
        {"records": "a..b"},
        {"event_type": "a b"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec_of(type="http", url="https://a.example/", **settings)


async def test_it_looks_again_after_a_while(tmp_path: Path, clock: SteeredClock) -> None:
    clock.freeze(True)
    async with making(tmp_path, clock) as maker, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(maker.make(spec_of(type="http", url="https://a.example/", every="1m")).wait())
        await asyncio.sleep(0)
        clock.advance(59)
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.advance(2)
