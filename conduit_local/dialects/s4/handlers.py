"""S4's handlers: each decodes, makes one call into the engine, encodes."""

from collections.abc import Callable

from aiohttp import web

from conduit_local.core.keys import Scope
from conduit_local.core.kinds import parse_spec
from conduit_local.core.names import slug_of
from conduit_local.core.pipeline import Pipeline, State
from conduit_local.core.run import RunOptions
from conduit_local.dialects.s4 import wire
from conduit_local.dialects.s4.config import changed_spec, copied_document, shown_config
from conduit_local.dialects.s4.errors import in_our_fields
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object, run_options
from conduit_local.http.download import send_objects
from conduit_local.http.paging import RunPages

JSON = ("application/json",)
MOST = 1_000
"""Entries of a list in one answer."""
MOST_OFFSET = 1_000_000_000
_MOST_LINES = 10_000


class Pipelines:
    """The handlers of pipelines."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_pipelines(self, call: Call) -> web.Response:
        """`GET /api/pipelines`: in the order in which they were made, so that pages stay. Source: S4.3."""
        limit, offset = _page(call)
        domain = call.text("domain_id")
        found = [live for live in self._engine.topology.live() if domain in (None, live.pipeline.spec.domain)]
        shown = found[offset : offset + limit]
        last = await self._engine.queries.last_runs(shown)
        names = [one and self._engine.domains.name_of(one) for one in (live.pipeline.spec.domain for live in shown)]
        return json_answer(
            [wire.encode_listed(live, last.get(live.number), name) for live, name in zip(shown, names, strict=True)]
        )

    async def post_pipeline(self, call: Call) -> web.Response:
        """`POST /api/pipelines`: 201, without the config. Source: S4.1, S4.2."""
        wanted = wire.decode_pipeline(await call.body(wire.MAX_BODY_BYTES))
        pipeline = await self._create(wanted.document, enabled=wanted.enabled)
        return _answer(pipeline, 201)

    async def get_pipeline(self, call: Call) -> web.Response:
        """`GET /api/pipelines/{id}`: with the whole config to a key with `admin`. Source: S4.2."""
        pipeline = self._engine.topology.find(call.params["id"]).pipeline
        whole = Scope.ADMIN in call.principal.allowed
        config = shown_config(pipeline.spec, self._engine.spec_model, whole=whole)
        headers = {"ETag": pipeline.etag, "Cache-Control": "no-store"}
        return json_answer(wire.encode_detail(pipeline, config), headers=headers)

    async def put_pipeline(self, call: Call) -> web.Response:
        """`PUT /api/pipelines/{id}`: what is given is merged in. Source: S4.4, S4.8."""
        changes, enabled = wire.decode_change(await call.body(wire.MAX_BODY_BYTES))
        manage, model = self._engine.manage, self._engine.spec_model
        live = self._engine.topology.find(call.params["id"])
        pipeline = live.pipeline
        pipeline.require_match(call.if_match())
        if changes:
            with in_our_fields():
                pipeline = await manage.change(
                    pipeline.id, lambda spec: changed_spec(spec, changes, model), expects=call.if_match()
                )
        state = wire.change_to(enabled, pipeline.state)
        if state is not None:
            pipeline = await manage.enter(pipeline.id, state)
        return _answer(pipeline)

    async def delete_pipeline(self, call: Call) -> web.Response:
        """`DELETE /api/pipelines/{id}`: with all its runs; what was accepted is still delivered. Source: S4.4."""
        await self._engine.manage.delete(call.params["id"])
        return web.Response(status=204)

    async def duplicate(self, call: Call) -> web.Response:
        """`POST …/duplicate`: 201 with a copy that is disabled. Source: S4.5."""
        name = wire.decode_copy(await call.optional_body(wire.MAX_BODY_BYTES, JSON))
        topology = self._engine.topology

        def document(is_free: wire.IsFree) -> wire.Json:
            spec = topology.find(call.params["id"]).pipeline.spec
            labels = {live.pipeline.spec.label for live in topology.live()}
            title = name or wire.name_of_copy(spec.label, lambda label: label not in labels)
            return copied_document(spec, slug_of(title, is_free), title)

        return _answer(await self._create(document, enabled=False), 201)

    async def _create(self, document: Callable[[wire.IsFree], wire.Json], *, enabled: bool) -> Pipeline:
        engine = self._engine
        with in_our_fields():
            return await engine.manage.create_as(
                lambda is_free: parse_spec(document(is_free), engine.spec_model),
                state=State.ACTIVE if enabled else State.PAUSED,
            )


class Runs:
    """The handlers of runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tag = engine.log.tag
        self._pages = RunPages(engine.queries)

    async def post_run(self, call: Call) -> web.Response:
        """`POST …/run`: 202 with a run that begins as soon as it may. Source: S4.5."""
        pipeline = self._engine.topology.find(call.params["id"]).pipeline
        body = await call.optional_body(wire.MAX_BODY_BYTES, JSON)
        options = run_options(decode_object(body)) if body else RunOptions()
        with in_our_fields():
            run = await self._engine.runs.request(pipeline.id, options)
        return json_answer(wire.encode_queued(run, pipeline, self._tag), 202)

    async def list_runs(self, call: Call) -> web.Response:
        """`GET …/runs`: newest first; later pages go on from the first, whatever has come since. Source: S4.6."""
        limit, offset = _page(call)
        states = wire.decode_status(call.text("status"))
        pipeline = self._engine.topology.find(call.params["id"]).pipeline
        found, _ = await self._pages.page(call.principal, pipeline, states, limit=limit, offset=offset)
        return json_answer([wire.encode_run(run, pipeline, self._tag) for run in found])

    async def get_run(self, call: Call) -> web.Response:
        """`GET /api/pipelines/runs/{run_id}`: with what it has written. Source: S4.7."""
        run, live = await self._engine.runs.find(call.params["run_id"])
        keys = await self._engine.runs.keys(run)
        return json_answer(wire.encode_run_detail(run, live.pipeline, self._tag, keys))

    async def get_logs(self, call: Call) -> web.Response:
        """`GET …/logs`: the last 10,000 lines. Source: S4.7."""
        run, _ = await self._engine.runs.find(call.params["run_id"])
        return json_answer(wire.encode_logs(await self._engine.queries.run_lines(run, _MOST_LINES)))

    async def download(self, call: Call) -> web.StreamResponse:
        """`GET …/download`: the object; a zip of several. Source: S4.7."""
        run, live = await self._engine.runs.find(call.params["run_id"])
        return await send_objects(call, self._engine.runs.objects(run, live), run.id)

    async def cancel(self, call: Call) -> web.Response:
        """`POST …/cancel`. Source: S4.7."""
        run, _ = await self._engine.runs.cancel(call.params["run_id"])
        return json_answer({"status": str(run.state)})


class Domains:
    """The handlers of domains."""

    def __init__(self, engine: Engine) -> None:
        self._domains = engine.domains

    async def get_domain(self, call: Call) -> web.Response:
        """`GET /api/domains/{id}`. Source: S4.3."""
        domain = call.params["id"]
        return json_answer({"id": domain, "name": self._domains.require(domain)})

    async def put_domain(self, call: Call) -> web.Response:
        """`PUT /api/domains/{id}`: calls it so, making it if need be. Source: S4.3."""
        domain = call.params["id"]
        name = wire.decode_domain(await call.body(wire.MAX_BODY_BYTES))
        await self._domains.rename(domain, name)
        return json_answer({"id": domain, "name": name})


def _answer(pipeline: Pipeline, status: int = 200) -> web.Response:
    return json_answer(wire.encode_pipeline(pipeline), status, {"ETag": pipeline.etag})


def _page(call: Call) -> tuple[int, int]:
    return call.number("limit", 100, 1, MOST), call.number("offset", 0, 0, MOST_OFFSET)
