"""The `http` destination: what arrives, what an answer means, and that nothing is taken twice or lost."""

import asyncio
import hashlib
import json
import re
import tracemalloc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.content import Content, Envelopes
from conduit_local.core.delivering import Destination, Rejected
from conduit_local.core.errors import DestinationUnavailable, InvalidRequest
from conduit_local.core.kinds import parse_spec
from conduit_local.destinations.http import HttpDestination
from conduit_local.destinations.http_spec import HttpSpec
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.destinations.posting import Verdict, verdict_of
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from conduit_local.egress.resolver import Resolver
from tests.destinations.receivers import Inbox, Rows, no_such_name, receiving, rows_of, signature
from tests.destinations.test_contract import content, parts
from tests.egress.receiver import Receiver, hang, says, status
from tests.engines import destinations_at
from tests.making import MODEL
from tests.proxy import HALF, HELD, LOST, PASS, RESET, Fault, Proxy, proxied, refusal

KEY = "orders/000000000001-000000000010.jsonl"
SECRET = "whsec_" + "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIGJ5dGVzIQ=="
ORIGIN = "abcde/8e6b4f0e-5f1c-4a52-9d9b-0f6f5c2d8a11/http"


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[DestinationMaker]:
    async with destinations_at(tmp_path) as found:
        yield found


def made(maker: DestinationMaker, url: str, origin: str = ORIGIN, **settings: Any) -> Destination:
    return maker.make(HttpSpec.model_validate({"type": "http", "name": "http", "url": url, **settings}), origin)


def lines() -> list[Any]:
    return [json.loads(line) for line in b"".join(parts(1, 10)).splitlines()]


# What arrives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("record", ["envelope", "payload"])
@pytest.mark.parametrize("format_", ["ndjson", "json"])
async def test_a_batch_arrives_with_one_post(
    maker: DestinationMaker, format_: str, record: str, compression: str
) -> None:
    inbox = Inbox(secret=SECRET)
    async with receiving(inbox) as receiver:
        settings = {"format": format_, "record": record, "compression": compression, "secret": SECRET}
        destination = made(maker, f"{receiver.url}?token=hidden", **settings)
        written = await destination.write(KEY, content(1, 3, 7))
        (request,) = receiver.got
        expected = lines() if record == "envelope" else [line["payload"] for line in lines()]
        assert rows_of(request) == expected
        assert inbox.wrong == []
        assert request.target == "/hook?token=hidden"
        assert request.headers["idempotency-key"] == request.headers["webhook-id"]
        assert written.place == receiver.url
        assert written.size_bytes == len(request.body) == int(request.headers["content-length"])
        assert written.sha256 == hashlib.sha256(request.body).hexdigest()
        assert await destination.read(KEY) is None
        assert destination.objects("orders") is None


async def test_a_transforms_rows_are_sent_as_they_are(maker: DestinationMaker) -> None:
    rows = Rows([b'{"a":1}\n{"a":2}\n', b'{"a":3}\n'])
    inbox = Inbox()
    async with receiving(inbox) as receiver:
        await made(maker, receiver.url, record="payload", format="json").write(KEY, rows)
        assert inbox.rows == [{"a": 1}, {"a": 2}, {"a": 3}]


async def test_every_attempt_is_the_same_delivery_and_no_other_is(maker: DestinationMaker) -> None:
    async with Receiver(answer=status(503)) as receiver:
        for _life in range(2):
            destination = made(maker, receiver.url, secret=SECRET)
            for _attempt in range(2):
                with pytest.raises(DestinationUnavailable):
                    await destination.write(KEY, content(1, 10))
        assert len({(request.body, request.headers["webhook-id"]) for request in receiver.got}) == 1
        others = [(ORIGIN, KEY.replace("0010", "0011")), (f"{ORIGIN}@run_1", KEY), ("fghij" + ORIGIN[5:], KEY)]
        for origin, key in others:
            with pytest.raises(DestinationUnavailable):
                await made(maker, receiver.url, origin).write(key, content(1, 10))
        assert len({request.headers["webhook-id"] for request in receiver.got}) == 1 + len(others)


async def test_headers_are_sent_and_shown_to_nobody(maker: DestinationMaker) -> None:
    spec = HttpSpec(
        name="http",
        url="http://127.0.0.1:1/x",
        headers={"X-Api-Key": "k1"},
        secret=SECRET,
    )
    assert "k1" not in spec.model_dump_json()
    assert SECRET not in spec.model_dump_json()
    async with Receiver() as receiver:
        await made(maker, receiver.url, headers={"X-Api-Key": "k1", "Authorization": "Bearer b"}).write(
            KEY, content(1, 1)
        )
        (request,) = receiver.got
        assert (request.headers["x-api-key"], request.headers["authorization"]) == ("k1", "Bearer b")
        assert "webhook-signature" not in request.headers


async def test_a_signature_is_of_the_body_as_it_is_sent(maker: DestinationMaker) -> None:
    async with Receiver() as receiver:
        await made(maker, receiver.url, secret=SECRET, compression="zstd").write(KEY, content(1, 10))
        (request,) = receiver.got
        assert request.headers["webhook-signature"] == signature(request, SECRET)
        assert request.headers["webhook-signature"] != signature(request, "whsec_" + "A" * 32)


async def test_a_large_batch_is_sent_in_pieces_and_held_once(maker: DestinationMaker) -> None:
    chunk = (b'{"payload":{"x":"' + b"y" * 1_000 + b'"}}\n') * 1_000
    size = len(chunk) * 24
    seen: list[int] = []

    async with Receiver(answer=status(200)) as receiver:
        destination = made(maker, receiver.url)
        body = Envelopes([chunk] * 24, 24_000)
        tracemalloc.start()
        await destination.write(KEY, body)
        seen.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        (request,) = receiver.got
        assert request.body == chunk * 24
    assert seen[0] < 2.2 * size, "the receiver holds it twice for a moment; the sender must hold nothing more"


# What an answer means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*range(200, 209), 226])
async def test_what_is_a_2xx_is_taken(maker: DestinationMaker, code: int) -> None:
    async with Receiver(answer=says(f"HTTP/1.1 {code} x\r\nContent-Length: 0\r\n\r\n".encode())) as receiver:
        assert (await made(maker, receiver.url).write(KEY, content(1, 10))).place == receiver.url


@pytest.mark.parametrize(
    ("codes", "person"),
    [
        ((300, 302, 303, 307, 408, 423, 425, 429, 500, 502, 503, 504, 507, 529), False),
        ((301, 308, 401, 402, 403, 404, 405, 407, 410, 411, 415, 421, 426, 431, 451, 501, 511), True),
    ],
)
async def test_what_no_event_is_to_blame_for_is_tried_again(
    maker: DestinationMaker, codes: tuple[int, ...], person: bool
) -> None:
    async with Receiver() as receiver:
        destination = made(maker, receiver.url)
        for code in codes:
            receiver.answer = status(code, "Retry-After: 7", "Location: http://127.0.0.1:1/", body=b"say \x1b[31mwhy")
            with pytest.raises(DestinationUnavailable) as caught:
                await destination.write(KEY, content(1, 10))
            assert caught.value.needs_person is person, code
            assert caught.value.wait_s == 7.0
            assert f"POST {receiver.url}: {code}, " in caught.value.message
            assert "why" in caught.value.message
            assert "\x1b" not in caught.value.message
        assert len(receiver.got) == len(codes), "no redirect is followed"


@pytest.mark.parametrize("code", [400, 412, 413, 416, 418, 422, 499])
async def test_what_is_refused_for_its_content_is_rejected_with_the_reason(maker: DestinationMaker, code: int) -> None:
    async with Receiver(answer=status(code, body=b"row 3: no such customer")) as receiver:
        with pytest.raises(Rejected, match=f"{code}, it refuses this content: row 3: no such customer"):
            await made(maker, receiver.url).write(KEY, content(1, 10))


async def test_a_refusal_counts_also_where_the_body_was_not_read(maker: DestinationMaker) -> None:
    """Proxies with a limit answer as soon as they see the length, and close."""

    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 x\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(at_once, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        body = Envelopes([b'{"payload":"' + b"y" * 1_000_000 + b'"}\n'] * 8, 8)
        with pytest.raises(Rejected, match="413, it refuses this content: too big"):
            await made(maker, f"http://127.0.0.1:{port}/").write(KEY, body)


def test_every_status_there_may_be_has_a_verdict_and_a_reason() -> None:
    for code in range(200, 1_000):
        verdict, why = verdict_of(code)
        assert bool(why) is (verdict is not Verdict.DONE), code
        assert (verdict is Verdict.DONE) is (200 <= code < 300), code


# Bad days --------------------------------------------------------------------------------------------------------

_FAULTS: dict[str, tuple[Fault, str]] = {
    "reset": (RESET, "closed|reset"),
    "lost": (LOST, "closed|reset"),
    "half": (HALF, "closed|reset|not HTTP"),
    "held": (HELD, "no answer within"),
    "500": (refusal("500 Internal Server Error"), "500, it is in trouble"),
    "503": (refusal("503 Service Unavailable", "Retry-After: 3"), "503, it is in trouble"),
    "429": (refusal("429 Too Many Requests", "Retry-After: 3"), "429, it wants to be asked less often"),
    "garbage": (refusal("\x00\xff\r\n\r\n"), "not HTTP"),
}


async def until_written(
    destination: Destination, key: str, rows: Content, proxy: Proxy
) -> list[DestinationUnavailable]:
    """Repeat as the engine does; what was held goes on in the meantime."""
    errors: list[DestinationUnavailable] = []
    while True:
        try:
            await destination.write(key, rows)
            return errors
        except DestinationUnavailable as error:
            errors.append(error)
            proxy.release()


@pytest.mark.parametrize("name", _FAULTS)
async def test_whatever_goes_wrong_the_receiver_takes_each_batch_once(maker: DestinationMaker, name: str) -> None:
    fault, said = _FAULTS[name]
    inbox = Inbox(secret=SECRET)
    async with receiving(inbox) as receiver:
        with proxied(receiver.port) as proxy:
            proxy.plan = lambda number, _request: PASS if number % 3 == 0 else fault
            destination = made(maker, f"{proxy.url}/hook", secret=SECRET, timeout=0.3 if name == "held" else 10)
            for first in (1, 11, 21):
                key = f"orders/{first:012d}-{first + 9:012d}.jsonl"
                errors = await until_written(destination, key, content(first, 10), proxy)
                assert len(errors) == 2
                for error in errors:
                    assert not error.needs_person
                    assert re.search(said, error.message), error.message
                    assert error.wait_s == (3.0 if name in {"503", "429"} else None)
        assert [row["payload"]["n"] for row in inbox.rows] == list(range(1, 31))
        assert inbox.wrong == []
        assert (inbox.repeats > 0) is (name in {"lost", "half", "held"})


async def test_nobody_there_and_no_such_name_are_for_later(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        async with HttpClient(Guard((), loopback=True), Resolver(no_such_name)) as sender:
            for url, said in (
                ("http://127.0.0.1:1/x", "Connect call failed"),
                ("http://nowhere.example/x", "no such name"),
            ):
                destination = HttpDestination(HttpSpec(name="http", url=url), sender, threads, ORIGIN)
                with pytest.raises(DestinationUnavailable, match=said) as caught:
                    await destination.write(KEY, content(1, 1))
                assert not caught.value.needs_person


async def test_an_event_that_is_refused_can_be_told_from_the_rest(maker: DestinationMaker) -> None:
    inbox = Inbox(refuses=lambda rows: any(row["payload"]["n"] == 7 for row in rows))
    async with receiving(inbox) as receiver:
        destination = made(maker, receiver.url)
        for first, last in ((1, 10), (6, 10), (6, 7), (7, 7)):
            with pytest.raises(Rejected, match="no such customer"):
                await destination.write(f"orders/{first:012d}-{last:012d}.jsonl", content(first, last - first + 1))
        for first, last in ((1, 5), (6, 6), (8, 10)):
            await destination.write(f"orders/{first:012d}-{last:012d}.jsonl", content(first, last - first + 1))
        assert [row["payload"]["n"] for row in inbox.rows] == [1, 2, 3, 4, 5, 6, 8, 9, 10]


async def test_a_write_that_is_called_off_leaves_no_connection(maker: DestinationMaker) -> None:
    arrived = asyncio.Event()
    async with Receiver(answer=hang, on_request=arrived.set) as receiver:
        task = asyncio.create_task(made(maker, receiver.url).write(KEY, content(1, 10)))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# What may be asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://a.example/"}, "http"),
        ({"url": "http://a b/"}, "plain ASCII"),
        ({"url": "http://a.example/", "secret": "whsec_short"}, "24 to 64 bytes"),
        ({"url": "http://a.example/", "secret": ""}, "24 to 64 bytes"),
        ({"url": "http://a.example/", "headers": {"Content-Length": "1"}}, "no header that can be set"),
        ({"url": "http://a.example/", "headers": {"Webhook-Id": "1"}}, "no header that can be set"),
        ({"url": "http://a.example/", "headers": {"X-A": "a\r\nb: c"}}, "visible ASCII"),
        ({"url": "http://a.example/", "headers": {"X-A": 1}}, "must be text"),
        ({"url": "http://a.example/", "timeout": 0}, "0.1"),
        ({"url": "http://a.example/", "format": "xml"}, "ndjson"),
        ({"url": "http://a.example/", "partition": "dt=%Y"}, "partition"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_spec({"name": "orders", "destinations": [{"type": "http", **settings}]}, MODEL)
    problems = "; ".join(f"{problem.field}: {problem.message}" for problem in caught.value.problems)
    assert said in problems
    assert "a\r\nb: c" not in problems


async def test_what_the_guard_refuses_is_refused_when_it_is_asked_for_and_when_it_is_sent(
    maker: DestinationMaker, tmp_path: Path
) -> None:
    for url in ("http://169.254.169.254/latest", "http://10.0.0.1/", "http://[fd00::1]/"):
        for kind in ({"type": "http"}, {"type": "conduit", "pipeline": "orders", "key": "k"}):
            here = {"type": "files", "path": "out"}
            spec = parse_spec({"name": "orders", "destinations": [here, {**kind, "url": url}]}, MODEL)
            (problem,) = [one for one in maker.refused_to_apis(spec) if one.path == ("destinations", 1, "url")]
            assert problem.message
            destination = maker.make(spec.destinations[1], ORIGIN)
            with pytest.raises(DestinationUnavailable, match="refused: ") as caught:
                await destination.write(KEY, content(1, 1))
            assert caught.value.needs_person
    fine = parse_spec({"name": "orders", "destinations": [{"type": "http", "url": "http://127.0.0.1:1/"}]}, MODEL)
    assert maker.refused_to_apis(fine) == []


async def test_a_name_that_leads_to_a_private_address_gets_nowhere() -> None:
    def inward(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        return [(2, 1, 6, "", ("10.1.2.3", port))]

    with ThreadPoolExecutor(1) as threads:
        async with HttpClient(Guard((), loopback=True), Resolver(inward)) as sender:
            spec = HttpSpec(name="http", url="http://innocent.example/")
            with pytest.raises(DestinationUnavailable, match=r"refused: .*private or reserved") as caught:
                await HttpDestination(spec, sender, threads, ORIGIN).write(KEY, content(1, 1))
            assert caught.value.needs_person


# Trying it out ---------------------------------------------------------------------------------------------------


async def test_a_probe_sends_a_batch_without_events(maker: DestinationMaker) -> None:
    inbox = Inbox(secret=SECRET)
    async with receiving(inbox) as receiver:
        found = await made(maker, receiver.url, secret=SECRET, format="json").probe()
        assert [(one.step, one.ok) for one in found] == [("send", True), ("repeat", None)]
        (request,) = receiver.got
        assert rows_of(request) == []
        assert request.headers["conduit-probe"] == "true"
        assert request.headers["webhook-id"].startswith("probe_")
        await made(maker, receiver.url, secret=SECRET).probe()
        assert receiver.got[1].body == b""
        assert inbox.wrong == []


@pytest.mark.parametrize(
    ("code", "ok", "said"),
    [(422, None, "refuses a batch for being empty"), (401, False, "credentials"), (500, False, "in trouble")],
)
async def test_a_probe_says_what_the_receiver_makes_of_it(
    maker: DestinationMaker, code: int, ok: bool | None, said: str
) -> None:
    async with Receiver(answer=status(code)) as receiver:
        first, *rest = await made(maker, receiver.url).probe()
        assert (first.step, first.ok) == ("send", ok)
        assert said in first.message
        assert [one.step for one in rest] == ([] if ok is False else ["repeat", "sign"])
    (nobody,) = await made(maker, receiver.url).probe()
    assert (nobody.step, nobody.ok) == ("send", False)
