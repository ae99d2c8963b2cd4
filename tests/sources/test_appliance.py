"""The `http` source on another appliance: `GET /v1/events`, the oldest first, killed and restarted on both sides."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from conduit_local.core.pulling import SourceFailed
from conduit_local.core.spec import Component
from conduit_local.egress.client import HttpClient
from conduit_local.egress.guard import Guard
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.sources.making import Pulls, maker_at, spec_of

COUNT = 10_000
ALLOWED = Guard((), loopback=True)


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("other"), {"orders": ORDERS}) as running:
        yield running


def send(appliance: Appliance, first: int, count: int) -> None:
    """Numbered events."""
    events = [{"event_type": "order.created", "payload": {"n": n}} for n in range(first, first + count)]
    assert appliance.ask("POST", "/_local/pipelines/orders-stream/events", events).status == 200


def reading(appliance: Appliance) -> Component:
    """The events of an appliance, as a source."""
    return spec_of(
        type="http",
        url=f"{appliance.url}/v1/events",
        params={"pipeline_id": "pl_8f3a", "limit": "100", "order": "oldest", "include": "payload"},
        headers={"Authorization": f"Bearer {KEY}"},
        records="data",
        cursor={"param": "cursor", "next": "next_cursor"},
        event_type_field="event_type",
    )


@pytest.mark.slow
async def test_another_appliance_is_read_once_whoever_is_killed(appliance: Appliance, tmp_path: Path) -> None:
    send(appliance, 0, COUNT - 500)
    chance, sent = Random(7), COUNT - 500
    async with HttpClient(ALLOWED) as client:
        with maker_at(tmp_path, client) as maker:
            source = Pulls(maker.make(reading(appliance)), 437)
            kills = 0
            while len(source.events) < COUNT:
                match chance.randrange(8):
                    case 0 if kills < 5:
                        appliance.kill()
                        with pytest.raises(SourceFailed):
                            await source.once()
                        appliance.start()
                        source.source = maker.make(reading(appliance))
                        kills += 1
                    case 1:
                        await maker.make(reading(appliance)).pull(source.cursor, 437)  # killed before its commit
                    case 2 if sent < COUNT:
                        send(appliance, sent, 100)
                        sent += 100
                    case _:
                        await source.once()
            while sent < COUNT:
                send(appliance, sent, 100)
                sent += 100
            await source.all()
    assert [one["payload"]["n"] for one in source.payloads if "n" in one["payload"]] == list(range(COUNT))
    assert {event_type for event_type, _ in source.events} == {"order.created"}
    assert kills > 2


def test_the_oldest_first_needs_a_pipeline_and_goes_on_after_its_end(appliance: Appliance) -> None:
    assert appliance.ask("GET", "/v1/events?order=oldest").status == 400
    assert appliance.ask("GET", "/v1/events?order=newest").status == 400
    assert appliance.ask("GET", "/v1/events?include=all").status == 400
    assert appliance.ask("GET", "/v1/events?pipeline_id=pl_8f3a&order=oldest&cursor=ev_cursor_1_1").status == 400
    assert appliance.ask("GET", "/v1/events?pipeline_id=pl_none&order=oldest").status == 404
    appliance.emit({"first": 1})
    head = "/v1/events?pipeline_id=pl_8f3a&order=oldest&limit=100"
    page, found = appliance.ask("GET", head).json, []
    while page["data"]:
        found += [one["event_id"] for one in page["data"]]
        assert "payload" not in page["data"][0]
        last, page = page, appliance.ask("GET", f"{head}&cursor={page['next_cursor']}").json
    assert (last["has_more"], page["has_more"]) == (False, False)
    assert page["next_cursor"] == last["next_cursor"]
    assert found == sorted(set(found))
    appliance.emit({"late": 1})
    page = appliance.ask("GET", f"{head}&include=payload&cursor={page['next_cursor']}").json
    assert [one["payload"] for one in page["data"]] == [{"late": 1}]
    newest = appliance.ask("GET", "/v1/events?pipeline_id=pl_8f3a&limit=2&include=payload").json
    assert newest["data"][0]["payload"] == {"late": 1}
