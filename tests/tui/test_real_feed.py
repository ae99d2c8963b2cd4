"""The UI by pilot, over the feed of a real appliance."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conduit_local.tui.app import ConduitApp, Options
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.tui import still
from tests.tui.pilots import until_not_shown, until_shown


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("tui"), {"orders": ORDERS}) as running:
        yield running


def shape(value: Any) -> Any:
    """The keys of a JSON value, all the way down."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def test_what_stands_still_has_the_shape_of_what_is_real(appliance: Appliance) -> None:
    appliance.emit({"n": 1})
    appliance.until_delivered()
    real = shape(appliance.snapshot())
    assert shape(still.snapshot([still.pipeline("x")])) == {**real, "pipelines": [{**real["pipelines"][0], "runs": []}]}
    assert shape(still.RUNS) == shape(appliance.ask("GET", "/_local/runs").json["data"])
    real_event = appliance.ask("GET", "/_local/events").json["data"][0]
    assert set(still.EVENTS[0]) == set(real_event)
    detail = appliance.ask("GET", f"/_local/events/{real_event['event_id']}").json
    still_detail = still.StillClient([]).event("evt_abcde000100000004")
    assert set(still_detail) == set(detail)
    assert shape(still_detail["deliveries"]) == shape(detail["deliveries"])
    assert set(still.LOG[0]) == set(appliance.ask("GET", "/_local/logs").json["data"][0])


async def test_the_real_feed_brings_snapshots_logs_events_and_orders(appliance: Appliance, tmp_path: Path) -> None:
    running = ConduitApp(Options(url=appliance.url, key=KEY, interval_ms=250))
    async with running.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, running, "orders-stream")
        await pilot.press("p")
        await until_shown(pilot, running, "PAUSED")
        appliance.emit({"n": 2})
        await until_shown(pilot, running, "paused; still accepting")
        await pilot.press("p")
        await until_shown(pilot, running, "IDLE")
        await pilot.press("2")
        appliance.emit({"from": "a test"})
        await until_shown(pilot, running, '{"from": "a test"}')
        await pilot.press("4")
        await until_shown(pilot, running, "success")


async def test_a_wrong_key_is_said_so(appliance: Appliance) -> None:
    running = ConduitApp(Options(url=appliance.url, key="ck_live_wrong", interval_ms=250))
    async with running.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, running, "the API key is not valid; give a key with --key")


class SomethingElse(BaseHTTPRequestHandler):
    """Answers every question with an empty object."""

    def do_GET(self) -> None:
        """200."""
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nobody listens."""


async def test_what_answers_but_is_no_appliance_is_said_so() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SomethingElse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running = ConduitApp(Options(url=f"http://127.0.0.1:{server.server_port}", key=KEY, interval_ms=250))
        async with running.run_test(size=(100, 30)) as pilot:
            await until_shown(pilot, running, "is no appliance")
        server.shutdown()


async def test_an_appliance_that_comes_back_is_found_again_and_its_log_goes_on(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": ORDERS}) as first:
        running = ConduitApp(Options(url=first.url, key=KEY, interval_ms=250))
        async with running.run_test(size=(100, 30)) as pilot:
            await until_shown(pilot, running, "orders-stream")
            await until_shown(pilot, running, "created: admin")
            first.kill()
            await until_shown(pilot, running, "STALE")
            with Appliance(tmp_path, {"orders": ORDERS}, "--port", str(first.port)) as again:
                for verb in ("pause", "resume") * 4:  # more lines than its first life had
                    again.ask("POST", f"/_local/pipelines/pl_8f3a/{verb}")
                await until_not_shown(pilot, running, "STALE", 600)
                again.emit({"n": 1})
                await until_shown(pilot, running, "1 row")
                lines = list(running.feed.seen.log)
                assert sum("paused" in line["message"] for line in lines) == 4
                assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
