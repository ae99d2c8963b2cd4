"""The `conduit` destination, in front of a real appliance: every event once at the centre, whatever happens between."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from conduit_local.core.content import Content, Envelopes
from conduit_local.core.delivering import Destination, Rejected
from conduit_local.core.envelope import envelopes
from conduit_local.core.errors import DestinationUnavailable, InvalidRequest
from conduit_local.core.kinds import parse_spec
from conduit_local.core.spec import BatchSpec, OwnBatchSpec
from conduit_local.destinations.conduit import as_requested
from conduit_local.destinations.conduit_spec import MAX_BATCH_BYTES, ConduitSpec
from conduit_local.destinations.kinds import DestinationMaker
from tests.appliance import KEY as API_KEY
from tests.appliance import Appliance, serving
from tests.destinations.receivers import Rows
from tests.destinations.test_contract import AT_US, content
from tests.egress.receiver import Receiver, status
from tests.engines import destinations_at, payloads_below
from tests.making import MODEL
from tests.proxy import HALF, HELD, LOST, PASS, RESET, Fault, Proxy, proxied, refusal

ORIGIN = "abcde/8e6b4f0e-5f1c-4a52-9d9b-0f6f5c2d8a11/conduit"

Make = Callable[..., str]


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("centre"), {}, "--testing") as running:
        yield running


@pytest.fixture(scope="module")
def make(centre: Appliance) -> Make:
    """Makes a pipeline at the centre, and returns its name."""
    names = iter(range(1_000))

    def put(**configuration: object) -> str:
        name = f"made-{next(names)}"
        answer = centre.ask("PUT", f"/_local/pipelines/{name}", {"batch": {"max_age": "50ms"}, **configuration})
        assert answer.status == 201, answer
        return name

    return put


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[DestinationMaker]:
    async with destinations_at(tmp_path) as found:
        yield found


def spec(url: str = "http://127.0.0.1:1", pipeline: str = "orders", **settings: Any) -> ConduitSpec:
    return ConduitSpec.model_validate(
        {"type": "conduit", "name": "conduit", "url": url, "pipeline": pipeline, "key": API_KEY, **settings}
    )


def made(maker: DestinationMaker, url: str, pipeline: str, **settings: Any) -> Destination:
    return maker.make(spec(url, pipeline, **settings), ORIGIN)


def key_of(first: int, last: int) -> str:
    return f"orders/{first:012d}-{last:012d}.jsonl.zst"


def landed(centre: Appliance, name: str) -> list[Any]:
    centre.until_delivered(name)
    return payloads_below(centre.data / "out" / name)


async def unavailable(destination: Destination, rows: Content | None = None) -> DestinationUnavailable:
    with pytest.raises(DestinationUnavailable) as caught:
        await destination.write(key_of(1, 10), rows or content(1, 10))
    return caught.value


# What is sent ----------------------------------------------------------------------------------------------------

_HARD = b'{"a":"b","event_type":"x","received_at":"2026-01-01T00:00:00Z","payload":{"payload":1,"n":1.50e+300}}'
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["payload", "event_type", "received_at"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@trying(max_examples=50)
@given(payloads=st.lists(st.dictionaries(st.text(), _JSON, max_size=4), min_size=1, max_size=5), ascii_=st.booleans())
def test_payloads_go_out_byte_for_byte(payloads: list[dict[str, Any]], ascii_: bool) -> None:
    raw = [json.dumps(payload, ensure_ascii=ascii_).encode("utf-8", "surrogatepass") for payload in payloads]
    raw.append(_HARD)
    types = [("a.b", "order.created", "x_y-z")[place % 3] for place in range(len(raw))]
    lines = envelopes("abcde", 1, "pl_1", 1, AT_US, types, raw)
    sent = b"".join(as_requested(Envelopes([lines], len(raw)), spec()))
    assert sent == b"".join(
        b'{"event_type":"%b","payload":%b}\n' % (name.encode(), payload)
        for name, payload in zip(types, raw, strict=True)
    )
    whole = b"".join(as_requested(Envelopes([lines], len(raw)), spec(record="envelope")))
    assert whole == b"".join(
        b'{"event_type":"%b","payload":%b}\n' % (name.encode(), line)
        for name, line in zip(types, lines.split(b"\n")[:-1], strict=True)
    )


@pytest.mark.parametrize("record", ["payload", "envelope"])
async def test_events_arrive_with_their_types(
    maker: DestinationMaker, centre: Appliance, make: Make, record: str
) -> None:
    name = make()
    written = await made(maker, centre.url, name, record=record).write(key_of(1, 10), content(1, 3, 7))
    assert written.place == f"{centre.url}/_local/pipelines/{name}/events"
    lines = b"".join(as_requested(content(1, 10), spec(record=record)))
    assert (written.size_bytes, written.sha256) == (len(lines), hashlib.sha256(lines).hexdigest())
    found = landed(centre, name)
    if record == "envelope":
        assert [one["event_id"][:9] for one in found] == ["evt_abcde"] * 10
        found = [one["payload"] for one in found]
    assert found == [{"n": n} for n in range(1, 11)]
    events = centre.ask("GET", f"/_local/events?pipeline={name}").json["data"]
    assert {event["event_type"] for event in events} == {"a.b"}


async def test_a_transforms_rows_become_payloads_of_a_type(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    for settings, expected in (({}, "row"), ({"event_type": "order.total"}, "order.total")):
        name = make()
        rows = Rows([b'{"a":1}\n{"a":"\\n}"}\n', b'{"a":3}\n'])
        await made(maker, centre.url, name, **settings).write(key_of(1, 10), rows)
        assert landed(centre, name) == [{"a": 1}, {"a": "\n}"}, {"a": 3}]
        (found, *_) = centre.ask("GET", f"/_local/events?pipeline={name}").json["data"]
        assert found["event_type"] == expected


async def test_the_largest_batch_that_there_may_be_is_one_request(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    name = make()
    batch = spec().batch.over(BatchSpec(max_events=100_000, max_bytes=64 * 1024**2))
    assert (batch.max_events, batch.max_bytes) == (10_000, MAX_BATCH_BYTES)
    longest = "a." + "b" * 253
    size = len(envelopes("abcde", 1, "pl_" + "1" * 32, 1, AT_US, [longest], [b"{}"]))
    filling = b'{"x":"%b"}' % (b"y" * (MAX_BATCH_BYTES // 10_000 - size - 8))
    lines = envelopes("abcde", 1, "pl_" + "1" * 32, 1, AT_US, [longest] * 10_000, [filling] * 10_000)
    assert MAX_BATCH_BYTES - 100_000 < len(lines) <= MAX_BATCH_BYTES
    await made(maker, centre.url, name, record="envelope").write(key_of(1, 10_000), Envelopes([lines], 10_000))
    assert centre.pipeline(name)["accepted"] == 10_000


def test_a_batch_of_its_own_is_no_larger_either() -> None:
    pipeline = BatchSpec(max_events=50)
    assert spec().batch.over(pipeline) == pipeline
    assert spec(batch={"max_age": "1s"}).batch.over(pipeline) == BatchSpec(max_events=50, max_age=1.0)
    assert isinstance(spec().batch, OwnBatchSpec)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"concurrency": 4}, "they come in order"),
        ({"batch": {"max_events": 10_001}}, "10000"),
        ({"batch": {"max_bytes": "29MiB"}}, "29360128"),
        ({"url": "http://a.example/?x=1"}, "where the appliance listens"),
        ({"url": "ftp://a.example"}, "http"),
        ({"pipeline": "../keys"}, "pattern"),
        ({"key": ""}, "must not be empty"),
        ({"key": "a\nb"}, "visible ASCII"),
        ({"event_type": "no type"}, "order.created"),
        ({"compression": "gzip"}, "compression"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    whole = {"type": "conduit", "url": "http://a.example", "pipeline": "orders", "key": "k", **settings}
    with pytest.raises(InvalidRequest) as caught:
        parse_spec({"name": "orders", "destinations": [whole]}, MODEL)
    assert said in "; ".join(f"{problem.field}: {problem.message}" for problem in caught.value.problems)


def test_the_key_is_shown_to_nobody() -> None:
    assert API_KEY not in spec().model_dump_json()
    assert API_KEY not in repr(spec())


# Once ------------------------------------------------------------------------------------------------------------


async def test_the_same_batch_twice_is_taken_once_also_days_later(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    name = make()
    first = await made(maker, centre.url, name).write(key_of(1, 10), content(1, 10))
    again = await made(maker, centre.url, name).write(key_of(1, 10), content(1, 4, 6))
    assert first == again
    centre.ask("POST", "/_local/test/clock", {"advance": 40 * 3_600})
    assert await made(maker, centre.url, name).write(key_of(1, 10), content(1, 10)) == first
    await made(maker, centre.url, name).write(key_of(11, 12), content(11, 2))
    assert [payload["n"] for payload in landed(centre, name)] == list(range(1, 13))


_FAULTS: dict[str, Fault] = {
    "reset": RESET,
    "lost": LOST,
    "half": HALF,
    "held": HELD,
    "500": refusal("500 Internal Server Error"),
    "503": refusal("503 Service Unavailable", "Retry-After: 3"),
    "429": refusal("429 Too Many Requests", "Retry-After: 3"),
    "garbage": refusal("\x00\xff\r\n\r\n"),
    "a login page": refusal("200 OK", "Content-Type: text/html", body="<html>Welcome! Please sign in.</html>"),
    "another's 422": refusal("422 Unprocessable", body="computer says no"),
    "another's JSON": refusal("200 OK", body='{"accepted": "yes"}'),
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
async def test_whatever_goes_wrong_every_event_is_there_once(
    maker: DestinationMaker, centre: Appliance, make: Make, name: str
) -> None:
    pipeline, fault = make(), _FAULTS[name]
    with proxied(centre.port) as proxy:
        proxy.plan = lambda number, _request: PASS if number % 3 == 0 else fault
        destination = made(maker, proxy.url, pipeline, timeout=0.5 if name == "held" else 10)
        for first in (1, 11, 21):
            errors = await until_written(destination, key_of(first, first + 9), content(first, 10), proxy)
            assert len(errors) == 2
            for error in errors:
                assert error.needs_person is (name in {"a login page", "another's 422", "another's JSON"})
                assert error.wait_s == (3.0 if name in {"503", "429"} else None)
    assert [payload["n"] for payload in landed(centre, pipeline)] == list(range(1, 31))


async def test_halves_of_what_is_too_much_there_come_in_order(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    name = make(limits={"ingest_max_records_per_request": 5})
    destination = made(maker, centre.url, name)
    with pytest.raises(Rejected, match=r"413, it refuses this content: .*takes 5 at most"):
        await destination.write(key_of(1, 10), content(1, 10))
    for first, last in ((1, 5), (6, 10)):
        await destination.write(key_of(first, last), content(first, 5))
    assert [payload["n"] for payload in landed(centre, name)] == list(range(1, 11))


async def test_what_the_centre_can_never_take_is_rejected(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    name = make()
    largest = b'{"x":"%b"}' % (b"y" * (262_144 - 8))
    lines = envelopes("abcde", 1, "pl_1", 1, AT_US, ["a.b"], [largest])
    await made(maker, centre.url, name).write(key_of(1, 1), Envelopes([lines], 1))
    with pytest.raises(Rejected, match=r"413, .*256KB"):
        await made(maker, centre.url, name, record="envelope").write(key_of(2, 2), Envelopes([lines], 1))
    rows = Rows([b'{"a":1}\n' * 10_001])
    with pytest.raises(Rejected, match="10,001 rows in one request"):
        await made(maker, centre.url, name).write(key_of(3, 3), rows)
    assert centre.pipeline(name)["accepted"] == 1


# Who must act ----------------------------------------------------------------------------------------------------


async def test_a_key_a_name_or_a_state_that_is_wrong_is_for_a_person(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    name = make()
    reader = centre.ask("POST", "/_local/keys", {"name": "reader", "scopes": ["read"]}).json["secret"]
    for settings, said in (({"key": "ck_live_wrong"}, "401, "), ({"key": reader}, "403, ")):
        error = await unavailable(made(maker, centre.url, name, **settings))
        assert error.needs_person
        assert said in error.message
        assert str(settings["key"]) not in error.message
    error = await unavailable(made(maker, centre.url, "nobody"))
    assert (error.needs_person, "404, it has no such pipeline" in error.message) == (True, True)
    error = await unavailable(made(maker, f"{centre.url}/v1", name))
    assert (error.needs_person, "404, " in error.message) == (True, True)
    centre.ask("POST", f"/_local/pipelines/{name}/drain")
    error = await unavailable(made(maker, centre.url, name))
    assert (error.needs_person, "409, the pipeline there takes no events" in error.message) == (True, True)
    centre.ask("POST", f"/_local/pipelines/{name}/resume")
    await made(maker, centre.url, name).write(key_of(1, 10), content(1, 10))
    assert len(landed(centre, name)) == 10


async def test_an_edge_that_was_set_back_is_blocked_and_loses_nothing(
    maker: DestinationMaker, centre: Appliance, make: Make
) -> None:
    name = make()
    await made(maker, centre.url, name).write(key_of(1, 10), content(1, 10))
    error = await unavailable(made(maker, centre.url, name), content(101, 10))
    assert (error.needs_person, "it knows other events under these numbers" in error.message) == (True, True)
    renamed = maker.make(spec(centre.url, name), f"{ORIGIN}-2")
    await renamed.write(key_of(1, 10), content(101, 10))
    assert [payload["n"] for payload in landed(centre, name)] == [*range(1, 11), *range(101, 111)]


async def test_a_rate_limit_there_says_how_long_to_wait(maker: DestinationMaker, centre: Appliance, make: Make) -> None:
    name = make(limits={"requests_per_minute": 1})
    destination = made(maker, centre.url, name)
    await destination.write(key_of(1, 10), content(1, 10))
    with pytest.raises(DestinationUnavailable) as caught:
        await destination.write(key_of(11, 20), content(11, 10))
    assert not caught.value.needs_person
    assert caught.value.wait_s is not None
    assert 1 <= caught.value.wait_s <= 60


async def test_a_key_that_names_no_events_is_a_bug_of_ours(maker: DestinationMaker) -> None:
    with pytest.raises(ValueError, match="which events"):
        await maker.make(spec(), ORIGIN).write("orders/x", content(1, 1))


# Trying it out ---------------------------------------------------------------------------------------------------


async def test_a_probe_sends_no_event(maker: DestinationMaker, centre: Appliance, make: Make) -> None:
    name = make()
    found = await made(maker, centre.url, name).probe()
    assert [(one.step, one.ok) for one in found] == [
        ("reach", True),
        ("key", True),
        ("pipeline", True),
        ("repeat", None),
    ]
    assert centre.pipeline(name)["accepted"] == 0


async def test_a_probe_names_what_is_wrong(maker: DestinationMaker, centre: Appliance, make: Make) -> None:
    name = make()
    reader = centre.ask("POST", "/_local/keys", {"name": "reader-2", "scopes": ["read"]}).json["secret"]
    async with Receiver(answer=status(404, body=b"<html>")) as other:
        for destination, step in (
            (made(maker, "http://127.0.0.1:1", name), "reach"),
            (made(maker, other.url, name), "reach"),
            (made(maker, centre.url, name, key="ck_live_wrong"), "key"),
            (made(maker, centre.url, name, key=reader), "key"),
            (made(maker, centre.url, "nobody"), "pipeline"),
        ):
            (found,) = await destination.probe()
            assert (found.step, found.ok) == (step, False), found


# Where it may go -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"type": "http"}, {"type": "conduit", "pipeline": "orders", "key": "k"}])
def test_an_api_refuses_a_destination_that_must_not_be_reached(centre: Appliance, kind: dict[str, str]) -> None:
    for url in ("http://169.254.169.254/latest/meta-data", "http://10.0.0.1:8642", "http://[fe80::1]/"):
        answer = centre.ask("PUT", "/_local/pipelines/reaching", {"destinations": [{**kind, "url": url}]})
        assert (answer.status, answer.code) == (400, "invalid_request"), answer
        assert list(answer.json["error"]["details"]) == ["destinations[0].url"]
