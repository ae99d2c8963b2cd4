"""S1's routes: `/api/v1/pipelines` and the runs below it."""

from aiohttp import web

from conduit_local.core.errors import RunNotFound
from conduit_local.core.keys import Scope
from conduit_local.core.kinds import edited_spec, parse_spec
from conduit_local.core.pipeline import State
from conduit_local.dialects.s1 import models, wire
from conduit_local.dialects.s1.errors import configuration_checked, words
from conduit_local.engine.engine import Engine
from conduit_local.engine.topology import LivePipeline
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object, run_options
from conduit_local.http.paging import RunPages
from conduit_local.http.router import IF_MATCH, Api, Doc, Param, Route

_MOST_PAGES = 1_000_000_000


class Pipelines:
    """The handlers of pipelines."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_pipelines(self, call: Call) -> web.Response:
        """`GET /api/v1/pipelines`: in the order in which they were made, so that pages stay. Source: S1.1."""
        page, per_page = _page(call)
        status = wire.decode_status(call.text("status"))
        found = [live for live in self._engine.topology.live() if status in (None, wire.status_of(live))]
        shown = found[(page - 1) * per_page : page * per_page]
        last = await self._engine.queries.last_runs(shown)
        data = [
            wire.encode_listed(live, last.get(live.number), self._engine.scheduler.next_run_us(live)) for live in shown
        ]
        return json_answer(wire.encode_page(data, len(found), page, per_page))

    async def post_pipeline(self, call: Call) -> web.Response:
        """`POST /api/v1/pipelines`: 201 with the pipeline as `GET` shows it. Source: S1.2, S1.6."""
        document = await _document(call)
        with configuration_checked():
            document, state = wire.definition_of(document)
            spec = parse_spec(document, self._engine.spec_model)
            pipeline = await self._engine.manage.create(spec, state=state or State.ACTIVE)
        return await self._answer(self._engine.topology.find(pipeline.id), 201)

    async def get_pipeline(self, call: Call) -> web.Response:
        """`GET …/:name`: with its whole configuration, secrets redacted. Source: S1.2."""
        return await self._answer(self._engine.topology.find(call.params["name"]))

    async def put_pipeline(self, call: Call) -> web.Response:
        """`PUT …/:name`: replaces the whole configuration. Source: S1.2, S1.6."""
        manage, model = self._engine.manage, self._engine.spec_model
        live = self._engine.topology.find(call.params["name"])
        document = await _document(call)
        with configuration_checked():
            document, wanted = wire.definition_of(document)
            document = wire.replacing(live.pipeline, document)
            pipeline = await manage.change(
                live.pipeline.id, lambda spec: edited_spec(spec, lambda _old: document, model), expects=call.if_match()
            )
        state = wire.change_to(wanted, pipeline.state)
        if state is not None:
            await manage.enter(pipeline.id, state)
        return await self._answer(live)

    async def delete_pipeline(self, call: Call) -> web.Response:
        """`DELETE …/:name`: definition and run history; what was accepted is still delivered. Source: S1.2."""
        await self._engine.manage.delete(call.params["name"])
        return web.Response(status=204)

    async def _answer(self, live: LivePipeline, status: int = 200) -> web.Response:
        last = await self._engine.queries.last_runs([live])
        next_run_us = self._engine.scheduler.next_run_us(live)
        shown = wire.encode_pipeline(live, last.get(live.number), next_run_us)
        return json_answer({"data": shown}, status, {"ETag": live.pipeline.etag})


class Runs:
    """The handlers of a pipeline's runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pages = RunPages(engine.queries)

    async def post_run(self, call: Call) -> web.Response:
        """`POST …/:name/runs`: 202 with a run that begins as soon as it may. Source: S1.3."""
        live = self._engine.topology.find(call.params["name"])
        body = await call.optional_body(wire.MAX_BODY_BYTES, wire.JSON)
        options = run_options(decode_object(body) if body else {})
        with configuration_checked():
            run = await self._engine.runs.request(live.pipeline.id, options)
        return json_answer({"data": wire.encode_started(run, live)}, 202)

    async def list_runs(self, call: Call) -> web.Response:
        """`GET …/:name/runs`: newest first; later pages go on from the first, whatever has come since. Source: S1.4."""
        page, per_page = _page(call)
        states = wire.decode_run_status(call.text("status"))
        live = self._engine.topology.find(call.params["name"])
        found, end = await self._pages.page(
            call.principal, live.pipeline, states, limit=per_page, offset=(page - 1) * per_page
        )
        total = await self._engine.queries.count_runs(live.pipeline.id, end, states)
        data = [wire.encode_run(run, live) for run in found]
        return json_answer(wire.encode_page(data, total, page, per_page))

    async def get_run(self, call: Call) -> web.Response:
        """`GET …/:name/runs/:run_id`. Source: S1.4."""
        live = self._engine.topology.find(call.params["name"])
        run, owner = await self._engine.runs.find(call.params["run_id"])
        if owner is not live:
            raise RunNotFound(f"the pipeline {live.pipeline.name!r} has no run {run.id}")
        return json_answer({"data": wire.encode_run(run, live)})


def _page(call: Call) -> tuple[int, int]:
    return call.number("page", 1, 1, _MOST_PAGES), call.number("per_page", 20, 1, 100)


async def _document(call: Call) -> wire.Json:
    return wire.decode_document(await call.body(wire.MAX_BODY_BYTES), call.request.headers.get("Content-Type", ""))


_BODIES = (*wire.JSON, *wire.YAML)
_NAME = {"name": "The pipeline's name, id or UUID."}
_RUN = {**_NAME, "run_id": "The run's id or UUID."}
_PAGING = (
    Param(
        name="page",
        schema={"type": "integer", "minimum": 1, "maximum": _MOST_PAGES, "default": 1},
        about="Which page.",
    ),
    Param(
        name="per_page",
        schema={"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        about="How many a page.",
    ),
)
_STATUS = Param(
    name="status", schema={"type": "string", "enum": ["active", "paused", "error"]}, about="Those of this status only."
)
_RUN_STATUS = Param(
    name="status",
    schema={"type": "string", "enum": ["running", "success", "failed", "cancelled"]},
    about="Those of this status only; what waits is `running`.",
)
_DEFINITION = {
    "version": "1.0",
    "schedule": "0 */6 * * *",
    "sources": [{"type": "push"}],
    "transforms": [],
    "destinations": [{"type": "files", "path": "out"}],
}
STATUSES = (400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503)


def api(engine: Engine) -> Api:
    """The API of pipelines and runs over `engine`."""
    return Api(
        name="runs",
        prefixes=("/api/v1/pipelines",),
        words=words,
        about="S1, pipelines and runs: definitions in JSON or YAML, runs by hand, and their history.",
        errors=dict.fromkeys(STATUSES, models.Failure),
        routes=(*_pipeline_routes(Pipelines(engine)), *_run_routes(Runs(engine))),
    )


def _pipeline_routes(pipelines: Pipelines) -> tuple[Route, ...]:
    every, one = "/api/v1/pipelines", "/api/v1/pipelines/{name}"
    return (
        Route(
            method="GET",
            path=every,
            handler=pipelines.list_pipelines,
            scope=Scope.READ,
            doc=Doc(
                summary="List pipelines",
                source="S1.1",
                query=(_STATUS, *_PAGING),
                answers={200: models.PipelineList},
            ),
        ),
        Route(
            method="POST",
            path=every,
            handler=pipelines.post_pipeline,
            scope=Scope.MANAGE,
            takes=_BODIES,
            doc=Doc(
                summary="Create a pipeline",
                about="JSON, or YAML as in a pipeline file.",
                source="S1.2",
                body=models.PipelineToCreate,
                example={"name": "new-pipeline", **_DEFINITION},
                answers={201: models.PipelineShown},
            ),
        ),
        Route(
            method="GET",
            path=one,
            handler=pipelines.get_pipeline,
            scope=Scope.READ,
            doc=Doc(summary="Get pipeline details", source="S1.2", path=_NAME, answers={200: models.PipelineShown}),
        ),
        Route(
            method="PUT",
            path=one,
            handler=pipelines.put_pipeline,
            scope=Scope.MANAGE,
            takes=_BODIES,
            doc=Doc(
                summary="Update a pipeline",
                about="Replaces the whole configuration; secrets that come back as `[redacted]`, or empty, stay.",
                source="S1.2",
                path=_NAME,
                headers=(IF_MATCH,),
                body=models.PipelineChange,
                example=_DEFINITION,
                answers={200: models.PipelineShown},
            ),
        ),
        Route(
            method="DELETE",
            path=one,
            handler=pipelines.delete_pipeline,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Delete a pipeline",
                about="Its definition and all run history. What was accepted is still delivered.",
                source="S1.2",
                path=_NAME,
                answers={204: None},
            ),
        ),
    )


def _run_routes(runs: Runs) -> tuple[Route, ...]:
    every, one = "/api/v1/pipelines/{name}/runs", "/api/v1/pipelines/{name}/runs/{run_id}"
    return (
        Route(
            method="POST",
            path=every,
            handler=runs.post_run,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Trigger a run",
                about="It begins as soon as no other run of the pipeline is under way.",
                source="S1.3",
                path=_NAME,
                body=models.RunToStart,
                body_required=False,
                example={"full_refresh": False},
                answers={202: models.StartedRun},
            ),
        ),
        Route(
            method="GET",
            path=every,
            handler=runs.list_runs,
            scope=Scope.READ,
            doc=Doc(
                summary="List run history",
                source="S1.4",
                path=_NAME,
                query=(_RUN_STATUS, *_PAGING),
                answers={200: models.RunList},
            ),
        ),
        Route(
            method="GET",
            path=one,
            handler=runs.get_run,
            scope=Scope.READ,
            doc=Doc(summary="Get run details", source="S1.4", path=_RUN, answers={200: models.RunShown}),
        ),
    )
