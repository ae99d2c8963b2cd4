"""
The yardstick: an aiohttp application whose one handler reads the body and answers a constant.

    python -m tests.bench.bare        (prints the port it listens on)
"""

import asyncio
from collections.abc import Callable
from importlib.util import find_spec

from aiohttp import web

_ANSWER = (
    b'{"event_id":"evt_5b1c9dabcdefg","pipeline_id":"pl_8f3a","event_type":"order.created",'
    b'"status":"accepted","received_at":"2026-06-21T14:09:33Z"}'
)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed, as in the appliance."""
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


async def constant(request: web.Request) -> web.Response:
    """Read all of the body, answer the same always."""
    await request.read()
    return web.Response(body=_ANSWER, content_type="application/json")


async def serve() -> None:
    """Listen until killed."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/events", constant)
    app.router.add_post("/v1/ingest/{pipe}", constant)
    app.router.add_post("/_local/pipelines/pl_8f3a/events", constant)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve())
