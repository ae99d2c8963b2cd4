"""`/_local/events`, `/_local/runs`, `/_local/logs`."""

import logging
from enum import StrEnum
from typing import TypeVar

from aiohttp import web

from conduit_local.control import wire
from conduit_local.control.timeline import MOST_RUNS, segments
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.run import RunState, Trigger
from conduit_local.core.times import rfc3339_ms
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.download import send_objects

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_HOUR_US = 3_600_000_000
_E = TypeVar("_E", bound=StrEnum)


class Records:
    """The handlers of what has happened."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_events(self, call: Call) -> web.Response:
        """`GET /_local/events?pipeline&type&since&until&text&limit&cursor`: newest first, with payloads."""
        limit = call.number("limit", 50, 1, 1_000)
        cursor = call.text("cursor")
        page, pipelines = await self._engine.queries.events(
            call.text("pipeline"), _event_cursor(cursor), limit, wire.event_filter(call)
        )
        data = [wire.encode_event(event, pipelines[PipelineNumber(event.id.pipeline)]) for event in page.events]
        return json_answer(wire.page_of(data, f"{page.next[0]}.{page.next[1]}" if page.next else None))

    async def get_event(self, call: Call) -> web.Response:
        """`GET /_local/events/{event}`: with payload and deliveries."""
        return json_answer(wire.encode_detail(await self._engine.queries.event(call.params["event"])))

    async def list_runs(self, call: Call) -> web.Response:
        """`GET /_local/runs?pipeline&state&trigger&limit&cursor`: newest first."""
        limit = call.number("limit", 50, 1, 1_000)
        before = call.number("cursor", 0, 1, 1 << 53) or None
        runs = await self._engine.queries.runs(
            call.text("pipeline"),
            before=before,
            limit=limit + 1,
            states=[state] if (state := one_of(call, "state", RunState)) else [],
            trigger=one_of(call, "trigger", Trigger),
        )
        page = runs[:limit]
        cursor = str(page[-1][0].number) if len(runs) > limit else None
        return json_answer(wire.page_of([wire.encode_run(run, pipeline) for run, pipeline in page], cursor))

    async def get_run(self, call: Call) -> web.Response:
        """`GET /_local/runs/{run}?objects=100`: with the last 1,000 lines of its log, and the first objects of it."""
        most = call.number("objects", 100, 0, 1_000)
        run, live = await self._engine.runs.find(call.params["run"])
        lines = await self._engine.queries.run_lines(run, 1_000)
        landed = await self._engine.runs.landed(run) if most else None
        evidence = {
            "objects": [wire.encode_landed(one) for one in (landed or [])[:most]],
            "objects_count": None if landed is None else len(landed),
        }
        log = [wire.encode_run_line(line) for line in lines]
        return json_answer({**wire.encode_run(run, live.pipeline), **evidence, "log": log})

    async def get_timeline(self, call: Call) -> web.Response:
        """`GET /_local/runs/timeline?pipeline&hours=24`: what ran when, folded to what can be drawn."""
        until_us = self._engine.clock.now_us()
        since_us = until_us - call.number("hours", 24, 1, 168) * _HOUR_US
        found = await self._engine.queries.runs_between(call.text("pipeline"), since_us, until_us + 1, MOST_RUNS)
        data = [
            {
                "pipeline_id": pipeline.id,
                "pipeline": pipeline.name,
                "has_more": len(runs) == MOST_RUNS,
                "segments": segments(runs, since_us, until_us),
            }
            for pipeline, runs in found
        ]
        return json_answer({"since": rfc3339_ms(since_us), "until": rfc3339_ms(until_us), "data": data})

    async def cancel_run(self, call: Call) -> web.Response:
        """`POST /_local/runs/{run}/cancel`: ends a run that waits or is under way; what is pending stays so."""
        run, pipeline = await self._engine.runs.cancel(call.params["run"])
        return json_answer(wire.encode_run(run, pipeline))

    async def download_run(self, call: Call) -> web.StreamResponse:
        """`GET /_local/runs/{run}/download`: what it has written; a zip of several objects."""
        run, live = await self._engine.runs.find(call.params["run"])
        return await send_objects(call, self._engine.runs.objects(run, live), run.id)

    async def list_logs(self, call: Call) -> web.Response:
        """`GET /_local/logs?after&limit&level&pipeline`: the newest lines of the appliance's log, the oldest first."""
        level = call.text("level") or "info"
        if level not in _LEVELS:
            raise refusal([Problem(path=("level",), message=f"must be one of: {', '.join(_LEVELS)}")])
        lines = self._engine.journal.after(
            call.number("after", 0, 0, 1 << 53),
            call.number("limit", 200, 1, 5_000),
            level=_LEVELS[level],
            pipeline=call.text("pipeline"),
        )
        return json_answer({"data": [wire.encode_line(line) for line in lines]})


def one_of(call: Call, name: str, kind: type[_E]) -> _E | None:
    """One of a few words out of the query, or None. Raises: InvalidRequest."""
    text = call.text(name)
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        raise refusal([Problem(path=(name,), message=f"must be one of: {', '.join(kind)}")]) from None


def _event_cursor(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    position, dot, seq = text.partition(".")
    if not dot or not text.isascii() or not (position.isdigit() and seq.isdigit()) or len(text) > 40:
        raise refusal([Problem(path=("cursor",), message="is not a next_cursor of this list")])
    return min(int(position), 1 << 62), min(int(seq), 1 << 62)
