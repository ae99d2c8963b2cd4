"""S0's routes: `/v1/events` and `/v1/pipelines`."""

from aiohttp import web

from conduit_local.core.keys import Scope
from conduit_local.core.kinds import parse_spec, patched_spec
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.problems import Problem, refusal
from conduit_local.dialects.s0 import models, wire
from conduit_local.dialects.s0.errors import words
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer, receipt_answer
from conduit_local.http.call import Call
from conduit_local.http.router import IF_MATCH, Api, Doc, Param, Route

_JSON = ("application/json",)


class Events:
    """The handlers of `/v1/events`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def post_event(self, call: Call) -> web.StreamResponse:
        """
        `POST /v1/events`: 200 once the event is on disk.

        Source: S0.3, S0.4, S0.5. Errors: worded in `errors.py`.
        """
        ref, events, key = wire.decode_event(await call.body(wire.MAX_BODY_BYTES))
        receipt = await self._engine.ingest.accept(ref, events, call.idempotency_key(key), call.client_address)
        return receipt_answer(wire.encode_receipt(receipt, self._engine.log.tag), replayed=receipt.replayed)

    async def list_events(self, call: Call) -> web.Response:
        """`GET /v1/events`: newest first, 1 to 100 a page; `order` and `include` are ours. Source: S0.6."""
        limit = call.number("limit", 50, 1, 100)
        with_payload = _is_given(call, "include", "payload")
        ref = call.text("pipeline_id")
        if _is_given(call, "order", "oldest"):
            if ref is None:
                raise refusal([Problem(path=("pipeline_id",), message="is required for order=oldest")])
            oldest = await self._engine.queries.oldest(ref, wire.decode_after(call.text("cursor")), limit)
            return json_answer(wire.encode_oldest(oldest, with_payload=with_payload))
        before = wire.decode_cursor(call.text("cursor"))
        page, pipelines = await self._engine.queries.events(ref, before, limit)
        return json_answer(wire.encode_events(page, pipelines, with_payload=with_payload))

    async def get_event(self, call: Call) -> web.Response:
        """`GET /v1/events/{event_id}`: with payload and deliveries. Source: S0.6 (ours)."""
        return json_answer(wire.encode_event(await self._engine.queries.event(call.params["event_id"])))


class Pipelines:
    """The handlers of `/v1/pipelines`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_pipelines(self, call: Call) -> web.Response:
        """`GET /v1/pipelines`: newest first, 1 to 100 a page. Source: S0.9."""
        limit = call.number("limit", 50, 1, 100)
        before = wire.decode_pipeline_cursor(call.text("cursor"))
        found = [
            live.pipeline for live in reversed(self._engine.topology.live()) if before is None or live.number < before
        ]
        return json_answer(wire.encode_pipelines(found[: limit + 1], limit))

    async def post_pipeline(self, call: Call) -> web.Response:
        """`POST /v1/pipelines`: 201 with the pipeline as `GET` shows it. Source: S0.9."""
        document = wire.decode_configuration(await call.body(wire.MAX_BODY_BYTES))
        pipeline = await self._engine.manage.create(parse_spec(document, self._engine.spec_model))
        return _answer(pipeline, 201)

    async def get_pipeline(self, call: Call) -> web.Response:
        """`GET /v1/pipelines/{id}`. Source: S0.7."""
        return _answer(self._engine.topology.find(call.params["id"]).pipeline)

    async def patch_pipeline(self, call: Call) -> web.Response:
        """`PATCH /v1/pipelines/{id}`: name, batch size, status. Source: S0.9."""
        changes, state = wire.decode_change(await call.body(wire.MAX_BODY_BYTES))
        engine, ref = self._engine, call.params["id"]
        pipeline = engine.topology.find(ref).pipeline
        pipeline.require_match(call.if_match())
        if changes:
            pipeline = await engine.manage.change(
                ref, lambda spec: patched_spec(spec, changes, engine.spec_model), expects=call.if_match()
            )
        if state is not None:
            pipeline = await engine.manage.enter(pipeline.id, state)
        return _answer(pipeline)

    async def delete_pipeline(self, call: Call) -> web.Response:
        """`DELETE /v1/pipelines/{id}`: accepted events are still delivered, no new ones are taken. Source: S0.8."""
        pipeline = await self._engine.manage.delete(call.params["id"])
        return json_answer({"id": pipeline.id, "deleted": True})


def _is_given(call: Call, name: str, only: str) -> bool:
    """Whether an option is there, which has one value. Raises: InvalidRequest."""
    text = call.text(name)
    if text not in {None, only}:
        raise refusal([Problem(path=(name,), message=f"must be {only}, or left out")])
    return text is not None


def _answer(pipeline: Pipeline, status: int = 200) -> web.Response:
    return json_answer(wire.encode_pipeline(pipeline), status, {"ETag": pipeline.etag})


_EXAMPLE = {
    "pipeline_id": "pl_8f3a",
    "event_type": "order.created",
    "payload": {"orderId": "ord_1042", "amount": 4999, "currency": "usd"},
    "idempotency_key": "evt-key-3f9c2a",
}
_REF = {"id": "The pipeline's id, UUID or name."}
_LIMIT = Param(
    name="limit", schema={"type": "integer", "minimum": 1, "maximum": 100, "default": 50}, about="How many a page."
)
_CURSOR = Param(name="cursor", about="The `next_cursor` of the page before.")
_KEY = Param(name="Idempotency-Key", about="The same as `idempotency_key` in the body.")
_ORDER = Param(
    name="order",
    schema={"type": "string", "enum": ["oldest"]},
    about="`oldest`: of one pipeline, the oldest first (ours); its `next_cursor` is where to go on later, too.",
)
_INCLUDE = Param(
    name="include", schema={"type": "string", "enum": ["payload"]}, about="`payload`: with payloads (ours)."
)
STATUSES = (400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503)


def api(engine: Engine) -> Api:
    """The events API over `engine`."""
    return Api(
        name="events",
        prefixes=("/v1/events", "/v1/pipelines"),
        words=words,
        about="S0, the events API: one event a request, on disk before the answer; pipelines by id.",
        errors=dict.fromkeys(STATUSES, models.Failure),
        routes=(*_event_routes(Events(engine)), *_pipeline_routes(Pipelines(engine))),
    )


def _event_routes(events: Events) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/v1/events",
            handler=events.post_event,
            scope=Scope.INGEST,
            takes=_JSON,
            doc=Doc(
                summary="Create an event",
                about="Answered once the event is on disk. A repeated key gets the first answer.",
                source="S0.3, S0.5",
                body=models.EventToCreate,
                example=_EXAMPLE,
                headers=(_KEY,),
                answers={200: models.EventCreated},
            ),
        ),
        Route(
            method="GET",
            path="/v1/events",
            handler=events.list_events,
            scope=Scope.READ,
            doc=Doc(
                summary="List events",
                source="S0.6",
                query=(Param(name="pipeline_id", about="Of one pipeline only."), _LIMIT, _CURSOR, _ORDER, _INCLUDE),
                answers={200: models.EventList},
            ),
        ),
        Route(
            method="GET",
            path="/v1/events/{event_id}",
            handler=events.get_event,
            scope=Scope.READ,
            doc=Doc(
                summary="Retrieve an event, with what became of it",
                source="S0.6",
                path={"event_id": "The event's id."},
                answers={200: models.EventShown},
            ),
        ),
    )


def _pipeline_routes(pipelines: Pipelines) -> tuple[Route, ...]:
    one = "/v1/pipelines/{id}"
    return (
        Route(
            method="GET",
            path="/v1/pipelines",
            handler=pipelines.list_pipelines,
            scope=Scope.READ,
            doc=Doc(
                summary="List pipelines", source="S0.9", query=(_LIMIT, _CURSOR), answers={200: models.PipelineList}
            ),
        ),
        Route(
            method="POST",
            path="/v1/pipelines",
            handler=pipelines.post_pipeline,
            scope=Scope.MANAGE,
            takes=_JSON,
            doc=Doc(
                summary="Create a pipeline",
                source="S0.9",
                body=models.PipelineToCreate,
                example={"name": "signups", "batch_size": 100},
                answers={201: models.PipelineShown},
            ),
        ),
        Route(
            method="GET",
            path=one,
            handler=pipelines.get_pipeline,
            scope=Scope.READ,
            doc=Doc(summary="Retrieve a pipeline", source="S0.7", path=_REF, answers={200: models.PipelineShown}),
        ),
        Route(
            method="PATCH",
            path=one,
            handler=pipelines.patch_pipeline,
            scope=Scope.MANAGE,
            takes=_JSON,
            doc=Doc(
                summary="Change a pipeline",
                source="S0.9",
                path=_REF,
                headers=(IF_MATCH,),
                body=models.PipelineChange,
                example={"status": "paused"},
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
                about="Accepted events are still delivered; no new ones are accepted.",
                source="S0.8",
                path=_REF,
                answers={200: models.PipelineDeleted},
            ),
        ),
    )
