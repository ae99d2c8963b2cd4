"""What lands is what readers take it for, and a repeat never makes something else of it."""

import json
from pathlib import Path

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.dead import Stage
from conduit_local.core.delivering import Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.pipeline import Health
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engine.test_rejected import died
from tests.engines import engine_at, objects_below, until, until_delivered
from tests.making import events, numbered, spec

FAST = {"max_events": 10, "max_age": "50ms"}


async def test_a_decimal_below_one_is_a_number_of_json(tmp_path: Path) -> None:
    query = "SELECT 0.05 AS small, -0.5::DECIMAL(2,2) AS less, 10.50 AS more, NULL::DECIMAL(3,3) AS nothing FROM events"
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, transforms=[{"type": "sql", "query": query}]))
        await engine.ingest.accept("orders", numbered(0, 1))
        await until_delivered(engine, "orders", within_s=60)
    (lines,) = objects_below(tmp_path / "out").values()
    assert lines == b'{"small":0.05,"less":-0.50,"more":10.50,"nothing":null}\n'


async def test_an_event_whose_type_cannot_be_one_dies_alone(tmp_path: Path) -> None:
    query = "SELECT * REPLACE (payload->>'type' AS event_type) FROM events"
    payloads = [json.dumps({"type": kind}) for kind in ("order.paid", 'a,"b', "", "x\\y", "order..paid", "orders")]
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, transforms=[{"type": "sql", "query": query}]))
        await engine.ingest.accept("orders", events(*payloads))
        await until_delivered(engine, "orders", within_s=60)
        letters = await died(engine)
    assert {letter.seq for letter in letters} == {2, 3, 4, 5}
    assert {letter.stage for letter in letters} == {Stage.TRANSFORM}
    lines = b"".join(objects_below(tmp_path / "out").values()).splitlines()
    assert [json.loads(line)["event_type"] for line in lines] == ["order.paid", "orders"]


class ChangedItsMind(Wrapped):
    """Lands a batch, loses the answer, and refuses the repeat."""

    landed = False

    async def write(self, key: str, content: Content) -> Written:
        if self.landed:
            raise Rejected("the limit was lowered meanwhile")
        await self.real.write(key, content)
        self.landed = True
        raise DestinationUnavailable("the answer was lost")


async def test_a_batch_that_has_landed_is_not_landed_in_halves_too(tmp_path: Path) -> None:
    async with engine_at(
        tmp_path, destinations=lambda maker: WrappedMaker(maker, lambda _, made: ChangedItsMind(made))
    ) as engine:
        await engine.manage.create(spec(batch=FAST, retry={"initial": "10ms", "max": "20ms"}))
        await engine.ingest.accept("orders", numbered(0, 10))
        route = engine.topology.find("orders").routes["files"]
        await until(lambda: route.failed > 3)
        assert route.health is Health.BLOCKED
        assert route.message == "repeat a batch that has landed: the limit was lowered meanwhile"
        assert await died(engine) == []
    assert len(objects_below(tmp_path / "out")) == 1
    async with engine_at(tmp_path) as engine:
        await until_delivered(engine, "orders")
    assert len(objects_below(tmp_path / "out")) == 1
