"""
The null sink: takes whatever is sent and says that it was well; an HTTP receiver, and an S3 server without objects.

    python -m tests.bench.sink        (prints the port it listens on)
"""

import asyncio

from aiohttp import web

from tests.bench.bare import loop_factory

_NOTHING = b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"


async def swallow(request: web.Request) -> web.Response:
    """Read to the end, a piece at a time."""
    async for _ in request.content.iter_any():
        pass
    if request.method == "HEAD":
        return web.Response(status=404)
    if request.method == "GET":
        return web.Response(body=_NOTHING, content_type="application/xml")
    return web.Response(headers={"ETag": '"00000000000000000000000000000000"'})


async def serve() -> None:
    """Listen until killed."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", swallow)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve())
