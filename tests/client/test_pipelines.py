"""S1.5: `conduit.pipelines`, on a real appliance and on one that answers as it is told; the same for both clients."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from conduit_local import AsyncConduit, Conduit
from conduit_local.client.errors import ClientError, Refusal, RunTimeout, Unreachable
from conduit_local.client.pipelines import LastRun, Pipeline
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.client.servers import Said, answering, refused

PIPELINES = "/api/v1/pipelines"
RUN = {
    "id": "run_00000002",
    "pipeline": "user-analytics",
    "status": "running",
    "started_at": "2026-02-15T10:30:00Z",
    "progress": {"stage": "extract", "rows_processed": 0},
}
ENDED = {
    **RUN,
    "status": "success",
    "finished_at": "2026-02-15T10:30:05Z",
    "duration_ms": 4_700,
    "rows_loaded": 892,
    "error": None,
    "trigger": "manual",
    "dry_run": False,
    "full_refresh": True,
    "a field of a later version": 1,
}
FAILED = {**ENDED, "status": "failed", "error": "no room"}


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("pipelines"), {"orders": ORDERS}) as running:
        yield running


async def told(call: Callable[[], Any]) -> Any:
    """What a method of either client gives."""
    if inspect.iscoroutinefunction(call):
        return await call()
    found = await asyncio.get_running_loop().run_in_executor(None, call)
    return await found if inspect.isawaitable(found) else found


Connect = Callable[..., Conduit | AsyncConduit]


@pytest.fixture(params=[Conduit, AsyncConduit])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes clients, and closes them."""
    made: list[Conduit | AsyncConduit] = []

    def make(url: str, token: str = KEY, **options: Any) -> Conduit | AsyncConduit:
        made.append(request.param(token, url, **options))
        return made[-1]

    yield make
    for client in made:
        await told(client.close)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that clients make; none of them lasts, but the clock goes on by them."""
    made: list[float] = []
    begun, pause = time.monotonic(), asyncio.sleep
    monkeypatch.setattr("conduit_local.client.pipelines.time.monotonic", lambda: begun + sum(made))
    monkeypatch.setattr("conduit_local.client.pipelines.time.sleep", made.append)

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await pause(0)

    monkeypatch.setattr("conduit_local.client.pipelines.asyncio.sleep", sleep)
    return made


def make(appliance: Appliance, name: str, **fields: Any) -> None:
    assert appliance.ask("POST", PIPELINES, {"name": name, **fields}).status == 201


# On a real appliance ---------------------------------------------------------------------------------------


def test_s1_5_the_documents_script_runs_as_printed(appliance: Appliance) -> None:
    make(appliance, "user-analytics", batch={"max_age": "1h"})
    appliance.emit({}, pipeline="user-analytics")
    with Conduit(token=KEY, base_url=appliance.url) as client:
        pipelines = client.pipelines.list()
        pipeline = client.pipelines.get("user-analytics")
        run = client.pipelines.run("user-analytics", full_refresh=True)
        result = run.wait(timeout=300)
        runs = client.pipelines.runs("user-analytics", limit=10)
    assert "user-analytics" in {one.name for one in pipelines}
    assert (pipeline.name, pipeline.status, pipeline.sources) == ("user-analytics", "active", [])
    assert (run.status, run.has_ended, run.rows_loaded) == ("running", False, None)
    assert (result.id, result.status, result.full_refresh) == (run.id, "success", True)
    assert result.rows_loaded is not None
    assert runs == [result]


async def test_s1_5_both_clients_see_what_the_api_shows(appliance: Appliance, connect: Connect) -> None:
    client = connect(appliance.url)
    name = f"seen-by-{type(client).__name__.lower()}"
    make(appliance, name, version="2", schedule="0 0 * * *", destinations=[{"type": "files", "path": "else"}])
    run = await told(lambda: client.pipelines.run(name, dry_run=True, variables={"REGION": "eu"}))
    result = await told(run.wait)
    assert (result.status, result.dry_run, result.full_refresh, result.trigger) == ("success", True, False, "manual")
    said = appliance.ask("GET", f"{PIPELINES}/{name}").json["data"]
    found = await told(lambda: client.pipelines.get(name))
    assert found == Pipeline(
        name=name,
        version="2",
        status="active",
        schedule="0 0 * * *",
        last_run=LastRun(**said["last_run"]),
        next_run_at=said["next_run_at"],
        sources=[],
        transforms=[],
        destinations=said["destinations"],
    )
    listed = {one.name: one for one in await told(client.pipelines.list)}
    assert listed[name].last_run == found.last_run
    assert listed[name].destinations is None


async def test_s1_5_a_run_that_failed_is_the_result(appliance: Appliance, connect: Connect) -> None:
    client = connect(appliance.url)
    name = f"fails-for-{type(client).__name__.lower()}"
    make(appliance, name, destinations=[{"type": "connector", "connector": "bigquery"}])
    run = await told(lambda: client.pipelines.run(name))
    result = await told(run.wait)
    assert (result.status, result.has_ended) == ("failed", True)
    assert "bigquery" in result.error


async def test_s1_5_lists_page_through_by_themselves(appliance: Appliance, connect: Connect) -> None:
    client = connect(appliance.url)
    name = f"much-{type(client).__name__.lower()}"
    for n in range(105):
        make(appliance, f"{name}-{n}", **({"status": "paused"} if n % 2 else {}))
        assert appliance.ask("POST", f"{PIPELINES}/{name}-0/runs").status == 202
    found = [one.name for one in await told(client.pipelines.list) if one.name.startswith(name)]
    assert found == [f"{name}-{n}" for n in range(105)]
    paused = [one.name for one in await told(lambda: client.pipelines.list(status="paused"))]
    assert [one for one in paused if one.startswith(name)] == [f"{name}-{n}" for n in range(1, 105, 2)]
    runs = [one.id for one in await told(lambda: client.pipelines.runs(f"{name}-0"))]
    assert len(runs) == len(set(runs)) == 105
    assert runs == sorted(runs, reverse=True)
    for limit in (1, 10, 100, 101, 105, 1_000):
        some = [one.id for one in await told(partial(client.pipelines.runs, f"{name}-0", limit=limit))]
        assert some == runs[:limit]


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda pipelines: pipelines.get("nobody"), 404, "pipeline_not_found"),
        (lambda pipelines: pipelines.get("a/../b ?#é%"), 404, "pipeline_not_found"),
        (lambda pipelines: pipelines.runs("nobody"), 404, "pipeline_not_found"),
        (lambda pipelines: pipelines.run("nobody"), 404, "pipeline_not_found"),
        (lambda pipelines: pipelines.list(status="asleep"), 400, "invalid_request"),
        (lambda pipelines: pipelines.run("orders-stream", variables={"A": 1}), 400, "invalid_request"),
    ],
)
async def test_s1_5_a_refusal_has_the_status_and_the_code_of_the_api(
    appliance: Appliance, connect: Connect, ask: Callable[[Any], Any], status: int, code: str
) -> None:
    client = connect(appliance.url)
    with pytest.raises(Refusal) as caught:
        await told(lambda: ask(client.pipelines))
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize("limit", [0, -1])
async def test_s1_5_a_limit_below_one_is_the_callers_error(appliance: Appliance, connect: Connect, limit: int) -> None:
    client = connect(appliance.url)
    with pytest.raises(ValueError, match="limit must be 1 or more"):
        await told(lambda: client.pipelines.runs("orders-stream", limit=limit))


# On one that answers as it is told -------------------------------------------------------------------------


async def started(client: Conduit | AsyncConduit) -> Any:
    return await told(lambda: client.pipelines.run("user-analytics"))


async def test_s1_5_waiting_looks_soon_then_ever_more_seldom(connect: Connect, pauses: list[float]) -> None:
    going_on = [Said(200, {"data": RUN})] * 20
    with answering(Said(202, {"data": RUN}), *going_on, Said(200, {"data": ENDED})) as server:
        run = await started(connect(server.url))
        result = await told(run.wait)
    assert (result.rows_loaded, result.duration_ms) == (892, 4_700)
    assert len(pauses) == 20
    assert pauses[0] == 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    assert {one.path for one in server.asked[1:]} == {f"{PIPELINES}/user-analytics/runs/run_00000002"}


async def test_s1_5_waiting_has_an_end_that_names_the_run(connect: Connect, pauses: list[float]) -> None:
    with answering(Said(202, {"data": RUN}), Said(200, {"data": RUN})) as server:
        run = await started(connect(server.url))
        with pytest.raises(RunTimeout, match=r"run_00000002 of user-analytics has not ended after 7 s") as caught:
            await told(lambda: run.wait(timeout=7))
        assert sum(pauses) == pytest.approx(7)
        assert caught.value.run_id == "run_00000002"
        assert isinstance(caught.value, ClientError)
        assert isinstance(caught.value, TimeoutError)
        asked = len(server.asked)
        with pytest.raises(RunTimeout):
            await told(lambda: run.wait(timeout=0))
        assert len(server.asked) == asked + 1, "it looks once, whatever the patience"


async def test_s1_5_a_failed_run_is_returned_not_raised(connect: Connect) -> None:
    with answering(Said(202, {"data": RUN}), Said(200, {"data": FAILED})) as server:
        run = await started(connect(server.url))
        result = await told(run.wait)
    assert (result.status, result.error) == ("failed", "no room")


async def test_s1_5_a_run_is_not_asked_for_twice_after_a_lost_answer(connect: Connect) -> None:
    for lost in (Said(0), Said(202, b"<h1>It works!</h1>")):
        with answering(lost) as server:
            with pytest.raises(Unreachable):
                await started(connect(server.url))
            assert len(server.asked) == 1


async def test_s1_5_what_was_not_done_is_asked_for_again(connect: Connect) -> None:
    busy = refused(503, Retry_After="0")
    with answering(busy, Said(202, {"data": RUN}), busy, Said(0), Said(200, {"data": ENDED})) as server:
        run = await started(connect(server.url))
        assert (await told(run.wait)).status == "success"
        assert len(server.asked) == 5
    assert server.asked[0].body == {"full_refresh": False, "dry_run": False}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": None},
        {"data": 5},
        {"data": {}},
        {"data": []},
        {"data": [5], "meta": {"total": 1}},
        {"data": ["name"], "meta": {"total": 1}},
        {"data": [{"name": "x"}], "meta": {"total": 1}},
        {"data": [], "meta": {}},
        {"data": [], "meta": {"total": "many"}},
        {"data": {**RUN, "last_run": 5}},
    ],
)
async def test_s1_5_what_is_no_answer_of_the_api_is_no_appliance(connect: Connect, body: object) -> None:
    with answering(Said(200, body)) as server:
        client = connect(server.url, retries=0)
        for ask in (client.pipelines.list, lambda: client.pipelines.get("x"), lambda: client.pipelines.runs("x")):
            with pytest.raises(Unreachable, match="no appliance"):
                await told(ask)


async def test_s1_5_a_list_that_ends_early_is_no_endless_loop(connect: Connect) -> None:
    with answering(Said(200, {"data": [], "meta": {"total": 5}})) as server:
        assert await told(connect(server.url).pipelines.list) == []
        assert len(server.asked) == 1
