"""
A hostile world, on every route of the whole appliance: pages that rebind names (fault 18), keys that must stay secret
(fault 19), texts that would drive a terminal or begin a header of their own (fault 20).
"""

import copy
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.appliance import KEY, ORDERS, Answer, Appliance, serving

HIDDEN = "hunter2-is-hidden"
WRONG = "ck_live_wrongwrongwrongwrongwrong"
NASTY = [
    "\x1b]0;owned\x07",
    "\x1b[2J\x9b2J",
    "\u202eevil\u2066\u200b",
    "a\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK",
    "[/red]",
]
DRIVES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What a terminal would not show as it is; line feeds aside."""
ANY_ORIGIN = {"/v1/ingest/{pipe_id}"}
"""Pages may send to it; who may is the pipe's own list (S3.8)."""
WHOLE = "/api/pipelines/{id}"
"""Shows a configuration whole to a key that may do everything (S4.2)."""
ENDLESS = {"/_local/stream": "/_local/stream?topics=nothing"}
QUIET = {("POST", "/_local/test/clock"): "the clock is left alone"}
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR)  *\S")
CONNECTOR = {"type": "connector", "connector": "postgres", "config": {"host": "db", "password": HIDDEN}}

Operation = tuple[str, str, Any]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("hostile"), {"orders": ORDERS}, "--testing") as running:
        made = running.ask(
            "PUT", "/_local/pipelines/secretive", {"destinations": [CONNECTOR], "extra": {"pin": HIDDEN}}
        )
        assert made.status == 201, made
        yield running


@pytest.fixture(scope="module")
def operations(appliance: Appliance) -> list[Operation]:
    """Method, path and the example of a body, as the document that is made from the route table shows them."""
    paths = appliance.ask("GET", "/openapi.json", key=None).json["paths"]
    found = []
    for path, methods in paths.items():
        for method, one in methods.items():
            content = one.get("requestBody", {}).get("content", {}).get("application/json", {})
            if (method.upper(), path) not in QUIET:
                found.append((method.upper(), path, content.get("example")))
    assert len(found) > 80
    return found


def fill(path: str, text: str) -> str:
    """The path with every parameter filled in."""
    return re.sub(r"{\w+}", quote(text, safe=""), ENDLESS.get(path, path))


# Pages on other sites (fault 18) ------------------------------------------------------------------------------

HOSTS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "evil", "2130706433", "[::1", ""]
ORIGINS = ["https://evil.example", "null", "file://", "http://localhost.evil.example", "http://localhost:1", "", "*"]


def test_no_route_answers_a_name_that_is_not_ours(appliance: Appliance, operations: list[Operation]) -> None:
    """A page whose name was rebound to this machine has that name as its Host, and as its Origin."""
    before = appliance.snapshot()["pipelines"]
    for number, (method, path, example) in enumerate(operations):
        host = HOSTS[number % len(HOSTS)]
        for origin in (None, f"http://{host}"):
            headers = {"Host": host or " ", **({"Origin": origin} if origin else {})}
            answer = appliance.ask(method, fill(path, "pl_8f3a"), example, headers=headers)
            assert answer.status in {400, 403}, (method, path, host, answer)
            assert answer.json, "in JSON"
            assert "Access-Control-Allow-Origin" not in answer.headers
    assert [one["state"] for one in appliance.snapshot()["pipelines"]] == [one["state"] for one in before]


@pytest.mark.parametrize("key", [KEY, None])
def test_no_route_answers_a_page_from_elsewhere(
    appliance: Appliance, operations: list[Operation], key: str | None
) -> None:
    before = appliance.snapshot()["pipelines"]
    for number, (method, path, example) in enumerate(operations):
        if path in ANY_ORIGIN:
            continue
        origin = ORIGINS[number % len(ORIGINS)] or "https://evil.example"
        answer = appliance.ask(method, fill(path, "pl_8f3a"), example, key=key, headers={"Origin": origin})
        assert answer.status == 403, (method, path, origin, answer)
        assert origin.encode() in answer.body or b"may not" in answer.body
        assert "Access-Control-Allow-Origin" not in answer.headers
        preflight = {"Origin": origin, "Access-Control-Request-Method": method}
        asked = appliance.ask("OPTIONS", fill(path, "pl_8f3a"), key=None, headers=preflight)
        assert asked.status in {403, 404, 405}, (path, asked)
        assert not any(name.lower().startswith("access-control-allow") for name in asked.headers)
    assert [one["state"] for one in appliance.snapshot()["pipelines"]] == [one["state"] for one in before]


def test_what_pages_may_send_to_is_still_refused_under_a_strange_name(appliance: Appliance) -> None:
    for method in ("POST", "GET", "OPTIONS"):
        answer = appliance.ask(method, "/v1/ingest/pl_8f3a", {} if method == "POST" else None, headers={"Host": "evil"})
        assert answer.status == 403, answer


# Keys (fault 19) ------------------------------------------------------------------------------------------------


def everything_said(appliance: Appliance) -> Iterator[tuple[str, bytes]]:
    """All that is written down anywhere but in the two files that are there to hold keys."""
    yield "log", appliance.log.read_bytes()
    for path in sorted(appliance.data.rglob("*")):
        if path.is_file() and path.name not in {"api-key", "secrets.key"}:
            yield str(path), path.read_bytes()
    for shown in ("logs?limit=5000", "config", "snapshot", "keys"):
        yield shown, appliance.ask("GET", f"/_local/{shown}").body
    for shown in ("/v1/api-keys", "/metrics"):
        yield shown, appliance.ask("GET", shown).body


def ways_of(key: str) -> list[tuple[str, dict[str, str]]]:
    """How people send a key: a query and headers; one way is right."""
    return [
        ("", {"Authorization": f"Bearer {key}"}),
        ("", {"Authorization": f"Basic {key}"}),
        ("", {"Authorization": key}),
        (f"?api_key={key}&token={key}", {"X-API-Key": key, "Authorization": " "}),
        (f"?{key}", {"Cookie": f"key={key}", "User-Agent": key, "Referer": f"http://localhost/?key={key}"}),
    ]


def test_no_key_is_left_anywhere_after_all_routes_were_asked_with_right_and_wrong_ones(
    appliance: Appliance, operations: list[Operation]
) -> None:
    scopes = ["read", "ingest", "manage", "admin"]
    made = [appliance.ask("POST", "/_local/keys", {"name": one, "scopes": [one]}) for one in scopes]
    secrets = [answer.json["secret"] for answer in made]
    third = appliance.ask("POST", "/v1/api-keys", {"api_key_name": "third", "scopes": ["read"]})
    revoked = secrets[0] + "x", secrets[3][:-1]
    for number, (method, path, example) in enumerate(operations):
        if method == "DELETE" or path.endswith(("/drain", "/rotate")):
            continue
        for key in (*secrets, WRONG, *revoked):
            query, headers = ways_of(key)[(number + len(key)) % 5]
            target = fill(path, "nobody")
            answer = appliance.ask(method, f"{target}{query}", example, key=None, headers=headers)
            assert answer.status < 500 or answer.status == 501, (method, path, answer)
            shown = answer.body.replace(key.encode(), b"") if query else answer.body
            assert not any(one.encode() in shown for one in (*secrets, KEY)), (method, path)
            assert not any(one in str(answer.headers) for one in (*secrets, KEY, WRONG)), (method, path)
    known = [*secrets, *revoked, WRONG, KEY, *re.findall(r"(?:ck_live|bp_v1|df_key)_\w{16,}", third.body.decode())]
    assert len(known) == 9
    for where, content in everything_said(appliance):
        for key in known:
            assert key.encode() not in content, where


def test_the_files_that_hold_keys_are_their_owners_alone(appliance: Appliance) -> None:
    for name in ("api-key", "secrets.key"):
        assert stat.S_IMODE((appliance.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(appliance.data.stat().st_mode) == 0o700


def test_a_secret_of_a_pipeline_is_shown_by_no_route_and_kept_nowhere_in_clear(
    appliance: Appliance, operations: list[Operation]
) -> None:
    live = appliance.ask("GET", "/_local/pipelines/secretive").json
    refs = [live["id"], live["uuid"], "secretive"]
    assert appliance.ask("POST", "/_local/pipelines/secretive/runs", {}).status == 202
    runs = [one["id"] for one in appliance.ask("GET", "/_local/runs?pipeline=secretive").json["data"]]
    assert runs
    manager = appliance.ask("POST", "/_local/keys", {"name": "m", "scopes": ["manage"]}).json["secret"]
    seen = set()
    for method, path, _ in operations:
        for ref in (*refs, *runs) if method == "GET" else ():
            for key in (KEY, manager):
                answer = appliance.ask(method, fill(path, ref), key=key)
                if answer.status == 200:
                    seen.add((path, key, HIDDEN.encode() in answer.body))
    assert len(seen) > 50
    assert {one[:2] for one in seen if one[2]} == {(WHOLE, KEY)}
    again = appliance.ask("PUT", "/_local/pipelines/secretive", {"destinations": [{**CONNECTOR, "config": HIDDEN}]})
    assert again.status == 400
    assert HIDDEN.encode() not in again.body
    for where, content in everything_said(appliance):
        assert HIDDEN.encode() not in content, where


def test_the_key_that_is_made_at_the_first_start_is_in_its_file_alone(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}, environment={"CONDUIT_LOCAL_API_KEY": ""}) as running:
        key = (running.data / "api-key").read_text().strip()
        assert running.ask("GET", "/_local/keys", key=key).status == 200
        assert stat.S_IMODE((running.data / "api-key").stat().st_mode) == 0o600
        for path in running.data.rglob("*"):
            if path.is_file() and path.name != "api-key":
                assert key.encode() not in path.read_bytes(), path
        assert key not in running.log.read_text()
        assert key not in running.ask("GET", "/_local/logs", key=key).body.decode()


# Texts (fault 20) -------------------------------------------------------------------------------------------


def with_one_replaced(value: Any, text: str) -> Iterator[Any]:
    """`value` with each text in it, and each name of a field, replaced in turn."""
    if isinstance(value, str):
        yield text
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for place, inner in items:
        for new in with_one_replaced(inner, text):
            changed = copy.copy(value)
            changed[place] = new
            yield changed
    if isinstance(value, dict):
        yield {**value, text: text}


def check_answer(answer: Answer, *about: object) -> None:
    assert answer.status < 500 or answer.status in {501, 503}, (about, answer)
    assert "X-Injected" not in answer.headers, about
    for name, value in answer.headers.items():
        assert not DRIVES.search(f"{name}{value}"), (about, answer.headers)
    if answer.headers.get("Content-Type") == "application/json":
        assert not re.search(rb"[\x00-\x09\x0b-\x1f]", answer.body), about


def test_no_text_in_any_field_or_path_drives_a_log_or_a_header(
    appliance: Appliance, operations: list[Operation]
) -> None:
    for number, (method, path, example) in enumerate(operations):
        text = NASTY[number % len(NASTY)]
        check_answer(appliance.ask(method, fill(path, text), example), method, path)
        check_answer(
            appliance.ask(method, f"{fill(path, 'pl_none')}?{quote(text)}={quote(text)}&limit={quote(text)}", example)
        )
        if example is not None and method != "DELETE":
            for body in with_one_replaced(example, text):
                check_answer(appliance.ask(method, fill(path, "pl_8f3a"), body), method, path, body)
    for number, name in enumerate(
        ("Idempotency-Key", "X-Request-ID", "If-Match", "User-Agent", "Content-Type", "Accept")
    ):
        for text in NASTY:
            printable = re.sub(r"[\r\n]", " ", text).encode().decode("latin-1")
            for path in ("/v1/events", "/pipeline", "/v1/pipes", "/api/pipelines", "/api/v1/pipelines"):
                check_answer(appliance.ask("POST", path, {"n": number}, headers={name: printable}), path, name, text)
    for line in appliance.log.read_bytes().decode().split("\n")[:-1]:
        assert not DRIVES.search(line), line
        assert LINE.match(line), f"a line of its own: {line!r}"
    for one in appliance.ask("GET", "/_local/logs?limit=5000").json["data"]:
        assert not DRIVES.search(one["message"]), one
        assert not DRIVES.search(one["pipeline"] or ""), one
    assert "Traceback" not in appliance.log.read_text()


def test_names_that_people_would_be_fooled_by_are_refused(appliance: Appliance) -> None:
    for text in NASTY[:4]:
        for method, path, body in (
            ("PUT", "/_local/pipelines/titled", {"title": text}),
            ("PUT", "/_local/pipelines/titled", {"destinations": [{"type": "files", "title": text}]}),
            ("PUT", "/_local/pipelines/titled", {"destinations": [{"type": "files", "path": text}]}),
            ("PUT", "/_local/pipelines/titled", {"destinations": [{"type": "files", "partition": text}]}),
            ("PUT", "/_local/pipelines/titled", {"enrich": {"ip_field": text}}),
            ("POST", "/_local/keys", {"name": text, "scopes": ["read"]}),
            ("POST", "/v1/api-keys", {"api_key_name": text, "scopes": ["read"]}),
            ("PUT", "/api/domains/sales", {"name": text}),
            ("POST", "/webhooks", {"url": f"http://127.0.0.1/{text}", "events": ["pipeline.completed"]}),
        ):
            answer = appliance.ask(method, path, body)
            assert 400 <= answer.status < 500, (path, body, answer)
            message = json.dumps(answer.json, ensure_ascii=False)
            assert not DRIVES.search(message), (path, message)
