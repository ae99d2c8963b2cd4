"""`/docs` and its documents from a real server, and what a real browser makes of them without any network."""

import asyncio
import gzip
import html
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import yaml
from aiohttp import ClientResponse, ClientSession, web

from conduit_local.core.keys import Scope
from conduit_local.engine.clock import SystemClock
from conduit_local.engine.keys import Keys
from conduit_local.engine.limits import Bucket
from conduit_local.http.answers import json_answer
from conduit_local.http.body import BodyReader
from conduit_local.http.boundary import Boundary
from conduit_local.http.call import Call
from conduit_local.http.docs_page import docs_api
from conduit_local.http.guards import Guards
from conduit_local.http.proxies import Proxies
from conduit_local.http.router import Api, Doc, Route, Router
from conduit_local.http.server import ServerSettings, listen
from conduit_local.http.wording import coded_error
from tests.conftest import missing

NO_KEYS = cast(Keys, None)
"""No route that is asked here needs one."""


async def handler(call: Call) -> web.Response:
    return json_answer({})


def apis() -> list[Api]:
    send = Doc(summary="Send an order", about="It is **kept**.", example={"id": "it's"}, answers={201: {}})
    return [
        Api(
            name=name,
            about=f"All about {name}.",
            prefixes=(f"/{name}",),
            words=coded_error,
            routes=(
                Route(method="GET", path=f"/{name}", handler=handler, scope=Scope.READ),
                Route(
                    method="POST",
                    path=f"/{name}/{{id}}",
                    handler=handler,
                    scope=Scope.INGEST,
                    takes=("application/json",),
                    doc=send,
                ),
            ),
            errors={404: {"type": "object"}, 503: None},
        )
        for name in ("orders", "bills")
    ]


@asynccontextmanager
async def serving(base_url: str | None = None) -> AsyncIterator[tuple[str, ClientSession]]:
    """The documentation of two small APIs, listening."""
    tables = apis()
    router = Router([*tables, docs_api(tables, title="Two APIs", version="7", base_url=base_url)], coded_error)
    guards, bucket = Guards("127.0.0.1", ["conduit.example"]), Bucket(1, 3600)
    boundary = Boundary(router, NO_KEYS, guards, bucket, BodyReader(), SystemClock(), Proxies())
    async with (
        listen(boundary, ServerSettings(port=0)) as listening,
        ClientSession(listening.url, auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session,
    ):
        yield listening.url, session


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with serving() as (_, found):
        yield found


async def get(session: ClientSession, path: str, **headers: str) -> tuple[ClientResponse, bytes]:
    async with session.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        return answer, await answer.read()


PLACES = {
    "/openapi.json": "application/json",
    "/openapi.yaml": "application/yaml",
    "/docs": "text/html; charset=utf-8",
    "/docs/init.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui-bundle.js.LICENSE.txt": "text/plain; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/favicon-32x32.png": "image/png",
    "/docs/LICENSE": "text/plain; charset=utf-8",
    "/docs/NOTICE": "text/plain; charset=utf-8",
}


# The documents -----------------------------------------------------------------------------------------------


async def test_json_and_yaml_are_one_document_of_all_routes(session: ClientSession) -> None:
    _, as_json = await get(session, "/openapi.json")
    _, as_yaml = await get(session, "/openapi.yaml")
    found = json.loads(as_json)
    assert yaml.safe_load(as_yaml) == found
    assert list(yaml.safe_load(as_yaml)) == list(found)
    assert b"&id" not in as_yaml
    assert found["info"] == {"title": "Two APIs", "version": "7"}
    assert [one["name"] for one in found["tags"]] == ["orders", "bills", "documentation"]
    assert list(found["paths"]) == [
        *("/orders", "/orders/{id}", "/bills", "/bills/{id}"),
        *("/openapi.json", "/openapi.yaml", "/docs", "/docs/{file}"),
    ]


async def test_the_address_is_the_one_that_was_asked(session: ClientSession) -> None:
    for path, read in (("/openapi.json", json.loads), ("/openapi.yaml", yaml.safe_load)):
        for host in ("conduit.example:8642", "localhost", "[::1]:99", "127.0.0.1:5"):
            _, body = await get(session, path, Host=host)
            found = read(body)
            assert found["servers"] == [{"url": f"http://{host}"}]
            line = found["paths"]["/orders"]["get"]["x-codeSamples"][0]["source"]
            assert line.startswith(f'curl "http://{host}/orders" ')


async def test_more_addresses_than_are_kept_are_answered_all_the_same(session: ClientSession) -> None:
    for port in (*range(1, 30), *range(1, 30)):
        _, body = await get(session, "/openapi.json", Host=f"127.0.0.1:{port}")
        assert json.loads(body)["servers"] == [{"url": f"http://127.0.0.1:{port}"}]


async def test_a_host_that_no_url_has_is_not_repeated() -> None:
    async with serving() as (url, session):
        for host in ('localhost/"$(id)', "localhost:1;id", "localhost:8642@x.localhost"):
            answer, body = await get(session, "/openapi.json", Host=host)
            assert answer.status in {200, 400, 403}, host
            assert answer.status != 200 or json.loads(body)["servers"] == [{"url": url}]


async def test_a_base_url_that_was_set_is_the_address_for_everybody() -> None:
    async with serving("https://conduit.example/events/") as (_, session):
        _, body = await get(session, "/openapi.json", Host="localhost:1")
        found = json.loads(body)
    assert found["servers"] == [{"url": "https://conduit.example/events"}]
    assert '"https://conduit.example/events/orders"' in found["paths"]["/orders"]["get"]["description"]


# The files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PLACES)
async def test_each_place_is_answered_with_its_type_without_a_key(session: ClientSession, path: str) -> None:
    answer, body = await get(session, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, PLACES[path])
    assert len(body) == answer.content_length
    assert "Content-Encoding" not in answer.headers
    async with session.head(path) as head:
        assert (head.status, head.content_length) == (200, len(body))


@pytest.mark.parametrize("path", PLACES)
async def test_no_place_may_be_framed_guessed_at_or_load_from_elsewhere(session: ClientSession, path: str) -> None:
    answer, _ = await get(session, path)
    policy = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))
    assert policy.pop("img-src") == "'self' data:"  # the style sheet carries its icons
    assert policy["frame-ancestors"] == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", PLACES)
async def test_what_the_caller_has_is_not_sent_again(session: ClientSession, path: str) -> None:
    for encoding in ("identity", "gzip"):
        first, _ = await get(session, path, Accept_Encoding=encoding)
        again, body = await get(
            session, path, Accept_Encoding=encoding, If_None_Match=f'"old", {first.headers["ETag"]}'
        )
        assert (again.status, body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        other, _ = await get(session, path, Accept_Encoding=encoding, If_None_Match='"old"')
        assert other.status == 200


async def test_who_takes_gzip_gets_it_where_it_is_less(session: ClientSession) -> None:
    for path in PLACES:
        plain, content = await get(session, path, Accept_Encoding="br, gzip;q=0.0, *;q=0")
        packed, less = await get(session, path, Accept_Encoding="br, GZIP;q=0.5")
        assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
        if packed.headers.get("Content-Encoding") == "gzip":
            assert gzip.decompress(less) == content
            assert packed.headers["ETag"] != plain.headers["ETag"]
        else:
            assert path in {"/docs/favicon-32x32.png", "/docs/NOTICE"}
            assert less == content
    _, bundle = await get(session, "/docs/swagger-ui-bundle.js", Accept_Encoding="*")
    assert len(bundle) < 600_000


@pytest.mark.parametrize("name", ["docs.html", "README.md", "..", "..%2Fdocs_page.py", "%2e%2e%2frouter.py", "x", ""])
async def test_no_other_file_is_given_out(session: ClientSession, name: str) -> None:
    async with session.get(f"/docs/{name}", allow_redirects=False) as answer:
        assert answer.status == 404 or str(answer.url.path) == "/"
        assert (await answer.json())["error"]["code"] == "not_found"


async def test_the_page_names_no_other_machine(session: ClientSession) -> None:
    for path in ("/docs", "/docs/init.js"):
        _, body = await get(session, path)
        assert b"//" not in body
    for name in re.findall(rb'(?:src|href)="([^"]+)"', (await get(session, "/docs"))[1]):
        assert (await get(session, f"/{name.decode()}"))[0].status == 200


# A browser ---------------------------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HARMLESS = "Deprecated: escaping deep link whitespace"
"""Swagger UI says so of every `_` in the address of an operation; ours are meant."""


async def rendered(url: str, folder: Path) -> tuple[str, list[str], list[str]]:
    """The page as a browser without any other host has it: its elements, what it complained of, what it asked for."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        missing("this test opens the page in Chromium: apt-get install chromium")
    assert browser is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--virtual-time-budget=8000"]
    flags += [
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={folder / 'net.json'}",
        "--enable-logging=stderr",
    ]
    async with asyncio.timeout(120):
        process = await asyncio.create_subprocess_exec(
            browser, *flags, "--dump-dom", url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    said = [line for line in err.decode(errors="replace").splitlines() if "CONSOLE" in line and HARMLESS not in line]
    return out.decode(), said, asked_by(url, folder / "net.json")


def asked_by(url: str, net_log: Path) -> list[str]:
    """The addresses that the page asked for; the browser has errands of its own."""
    origin = "/".join(url.split("/", 3)[:3])
    events = json.loads(net_log.read_text())["events"]
    params = [one["params"] for one in events if "url" in one.get("params", {})]
    return [one["url"] for one in params if one.get("initiator") == origin]


@pytest.mark.slow
async def test_a_browser_shows_every_operation_and_asks_nobody_else(tmp_path: Path) -> None:
    async with serving() as (url, session):
        page, said, asked = await rendered(f"{url}/docs#/orders/post_orders_by_id", tmp_path)
        _, body = await get(session, "/openapi.json")
    document = json.loads(body)
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    shown = re.findall(r'id="operations-(\w+)-(\w+)"', page)
    assert [one for one in shown if one[0] != "tag"] == [(one["tags"][0], one["operationId"]) for one in operations]
    assert re.findall(r'data-tag="(\w+)"', page) == ["orders", "bills", "documentation"]
    assert said == []
    assert not re.search(r"errors-wrapper|Failed to load|Unable to render|No operations defined|Could not", page)

    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert f'curl -X POST "{url}/orders/$ID"' in text  # the one that the address opens
    assert '-H "Authorization: Bearer $CONDUIT_TOKEN"' in text
    assert 'placeholder="Filter by tag or path"' in page
    assert "Authorize" in text

    assert {one.removeprefix(url) for one in asked} >= {"/openapi.json", "/docs/swagger-ui.css", "/docs/init.js"}
    assert [one for one in asked if not one.startswith((f"{url}/docs", f"{url}/openapi.json"))] == []
