"""`/_local/pipelines/{pipeline}/destinations` and `…/verify`: how destinations are, tried out, and compared."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from conduit_local.control.stream import Streams
from conduit_local.control.wire import NDJSON, time_text
from conduit_local.core.errors import ConduitError, Unavailable, only_error
from conduit_local.core.ids import run_id
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.engine import Engine
from conduit_local.engine.evidence import Deviation, Progress, Verified
from conduit_local.engine.topology import LiveRoute
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.wording import said_of

_SAY_EVERY_S = 1.0
"""So often it is said how far it is; whoever waits learns by it that somebody is at work."""
_UNSENT = 100
"""Lines that wait for a client that reads slowly: then the check waits, too."""
_HEADERS = {"Content-Type": NDJSON, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class PipelineDestinations:
    """The handlers of what belongs to a pipeline's destinations."""

    def __init__(self, engine: Engine, streams: Streams) -> None:
        self._engine = engine
        self._streams = streams

    async def list_destinations(self, call: Call) -> web.Response:
        """`GET …/destinations`: those of the configuration, and those that still deliver what they were left with."""
        live = self._engine.topology.find(call.params["pipeline"])
        routes = [route for route in live.routes.values() if "@" not in route.name]
        return json_answer({"data": [_encode_route(route) for route in routes]})

    async def post_test(self, call: Call) -> web.Response:
        """`POST …/destinations/{destination}/test`: try out what deliveries need; 200 with what was found."""
        name = call.params["destination"]
        spec, findings = await self._engine.verifier.probe(call.params["pipeline"], name)
        found = [{"step": one.step, "ok": one.ok, "message": one.message} for one in findings]
        well = all(one.ok is not False for one in findings)
        return json_answer({"destination": name, "type": spec.type, "ok": well, "findings": found})

    async def verify(self, call: Call) -> web.StreamResponse:
        """
        `GET …/verify?destination&quick`: the ledger beside what lies there, a line of NDJSON for each thing found.

        Shape: `kind` says which: `progress` (once a second), `problem`, `destination` (when one is done), `end`; or
               `error` where it cannot be brought to its end. Memory is that of the ledger's objects.
        """
        ref, quick = call.params["pipeline"], _flag(call, "quick")
        names = await self._engine.verifier.names(ref, call.text("destination"))
        ref = self._engine.topology.find(ref).pipeline.uuid  # names change
        answer = web.StreamResponse(headers=_HEADERS)
        await answer.prepare(call.request)
        if call.request.method == "HEAD":
            return answer
        check = _Check(self._engine, ref, names, quick=quick)
        try:
            async with asyncio.TaskGroup() as tasks:
                under_way = tasks.create_task(check.run(), name=f"verify {ref}")
                try:
                    async with aclosing(check.lines(lambda: self._streams.ended)) as lines:
                        async for line in lines:
                            with self._streams.sending(call.request.transport):
                                await answer.write(msgspec.json.encode(line) + b"\n")
                finally:
                    under_way.cancel()
        except BaseExceptionGroup as group:
            raise only_error(group) from group
        await answer.write_eof()
        return answer


class _Check:
    """One verification on its way: what it finds, and how far it is once a second."""

    def __init__(self, engine: Engine, ref: str, names: list[str], *, quick: bool) -> None:
        self._engine = engine
        self._ref = ref
        self._names = names
        self._quick = quick
        self._found: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_UNSENT)
        self._progress = Progress(destination=names[0] if names else "", step="ledger", done=0)

    async def run(self) -> None:
        """Do it. Whatever it cannot go on after is said as its last line."""
        well = True
        try:
            for name in self._names:
                verified = await self._engine.verifier.verify(self._ref, name, self._hear, quick=self._quick)
                well = well and verified.is_well
                await self._found.put(_encode_verified(verified))
            await self._found.put({"kind": "end", "ok": well})
        except ConduitError as error:
            await self._found.put(_encode_error(error))

    async def lines(self, is_over: Callable[[], bool]) -> AsyncGenerator[dict[str, Any], None]:
        """What there is to say, up to the last line, which comes at once where it `is_over`."""
        while not is_over():
            line = _encode_progress(self._progress)
            with suppress(TimeoutError):  # nothing new: how far it is is said once more
                async with asyncio.timeout(_SAY_EVERY_S):
                    line = await self._found.get()
            yield line
            if line["kind"] in {"end", "error"}:
                return
        yield _encode_error(Unavailable("the appliance stops; ask again once it is back"))

    async def _hear(self, heard: Progress | Deviation) -> None:
        if isinstance(heard, Progress):
            self._progress = heard
        else:
            await self._found.put(_encode_deviation(heard))


def _flag(call: Call, name: str) -> bool:
    """Yes or no out of the query. Raises: InvalidRequest."""
    text = call.text(name) or "false"
    if text not in {"true", "false"}:
        raise refusal([Problem(path=(name,), message="must be true or false")])
    return text == "true"


def _encode_route(route: LiveRoute) -> dict[str, Any]:
    return {
        "name": route.name,
        "type": route.spec.type,
        "title": route.spec.title,
        "settings": route.spec.settings(),
        "paused": route.spec.paused,
        "retiring": route.through_seq is not None,
        "health": route.health,
        "message": route.message,
        "attempt": route.attempt,
        "in_flight": len(route.hands.batches),
        "last_object": route.last_key,
        "last_written_at": time_text(route.last_written_us),
    }


def _encode_progress(progress: Progress) -> dict[str, Any]:
    return {"kind": "progress", **asdict(progress)}


def _encode_deviation(found: Deviation) -> dict[str, Any]:
    entry = found.entry
    return {
        "kind": "problem",
        "destination": found.destination,
        "problem": found.wrong,
        "key": found.key,
        "place": entry.place if entry is not None else None,
        "message": found.message,
        "rows": entry.rows if entry is not None else None,
        "first_event": entry.first_event if entry is not None else None,
        "last_event": entry.last_event if entry is not None else None,
        "run_id": run_id(entry.run) if entry is not None else None,
    }


def _encode_verified(verified: Verified) -> dict[str, Any]:
    return {
        "kind": "destination",
        "destination": verified.destination,
        "type": verified.type,
        "configured": verified.is_configured,
        "ok": verified.is_well,
        "lookable": verified.is_lookable,
        "unavailable": verified.unavailable,
        "objects": verified.objects,
        "rows": verified.rows,
        "size_bytes": verified.size_bytes,
        "compared": verified.compared,
        "compared_by_size": verified.compared_by_size,
        **{wrong.value: count for wrong, count in verified.wrong.items()},
        "older": verified.older,
    }


def _encode_error(error: ConduitError) -> dict[str, Any]:
    status, code, message = said_of(error)
    return {"kind": "error", "status": status, "error": {"code": code, "message": message}}
