"""S2's routes: `POST /pipeline` and `/webhooks`."""

from collections.abc import Mapping
from functools import partial, reduce
from operator import or_
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, create_model

from conduit_local.core.keys import Scope
from conduit_local.core.problems import Problem, refusal
from conduit_local.dialects.s2 import errors, models, wire
from conduit_local.dialects.s2.envelope import Timed, meta_of, request_id_of
from conduit_local.dialects.s2.operations import OPERATIONS, Operation, perform
from conduit_local.dialects.s2.parameters import Options
from conduit_local.dialects.s2.webhooks import Webhooks
from conduit_local.engine.engine import Engine
from conduit_local.http.call import Call
from conduit_local.http.router import Api, Doc, Param, Route, Words

_JSON = ("application/json",)
_ABOUT = """S2, operations: one `POST /pipeline` whose body names what is to be done, and webhooks that are told of it.
Every answer, a refusal too, comes in the same envelope."""


class Operations:
    """The handler of `/pipeline`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def post_pipeline(self, call: Call) -> web.Response:
        """`POST /pipeline`: which operation it is decides what the key must allow. Source: S2.1, S2.2, S2.5."""
        engine = self._engine
        timed = Timed(call, engine.clock)
        asked = wire.decode_request(await call.body(wire.MAX_BODY_BYTES))
        operation = OPERATIONS.get(asked.operation)
        if operation is None:
            message = f"must be one of: {', '.join(OPERATIONS)}; not {asked.operation[:60]!r}"
            raise refusal([Problem(path=("operation",), message=message)])
        engine.keys.require(call.principal, operation.scope)
        run = partial(operation.run, engine, call, operation.read(asked.parameters))
        done = await perform(run, asked.options, engine.clock, asked.operation)
        return timed.answer(done.data, replayed=done.replayed)


def api(engine: Engine) -> Api:
    """The operations API over `engine`."""

    def words_of(request: web.BaseRequest) -> Words:
        return partial(errors.words, meta=meta_of(request_id_of(request), engine.clock.now_us()))

    return Api(
        name="operations",
        prefixes=("/pipeline", "/webhooks"),
        words=lambda error: errors.words(error, meta_of("req_none", engine.clock.now_us())),
        words_of=words_of,
        rate_headers=True,
        about=_ABOUT,
        errors=dict.fromkeys(errors.STATUSES, models.Failure),
        routes=(_pipeline_route(Operations(engine)), *_webhook_routes(Webhooks(engine))),
    )


_REQUEST_ID = Param(name="X-Request-ID", about="Comes back as `meta.requestId`; at most 200 visible ASCII characters.")
_IDEMPOTENCY_KEY = Param(name="X-Idempotency-Key", about="Of `ingest`: the same as `idempotency_key`.")
_LIMIT = Param(
    name="limit", schema={"type": "integer", "minimum": 1, "maximum": 100, "default": 50}, about="How many a page."
)
_CURSOR = Param(name="cursor", about="The `next_cursor` of the page before.")
_WEBHOOK = {"id": "The webhook's id: `wh_…`."}
_DELIVERY = {**_WEBHOOK, "delivery": "The delivery's id: `msg_…`."}
_SUBSCRIPTION = {"url": "https://your-app.com/webhook", "events": ["pipeline.written", "pipeline.failed"]}


def _request_schema() -> Mapping[str, Any]:
    """The body of `POST /pipeline`: one shape for each operation."""
    return {"oneOf": [_request_model(name, operation) for name, operation in OPERATIONS.items()]}


def _request_model(name: str, operation: Operation) -> type[BaseModel]:
    needed = any(field.is_required() for field in operation.takes.model_fields.values())
    fields: dict[str, Any] = {
        "operation": (Literal[name], ...),
        "parameters": (operation.takes, ... if needed else operation.takes()),
        "options": (Options, Options()),
    }
    return create_model(
        f"{name.capitalize()}Request", __config__=ConfigDict(extra="forbid"), __doc__=operation.about, **fields
    )


def _answer_model() -> type[BaseModel]:
    data: Any = reduce(or_, dict.fromkeys(operation.gives for operation in OPERATIONS.values()))
    return models.Success[data]


def _pipeline_route(operations: Operations) -> Route:
    needs = "; ".join(
        f"`{scope}`: " + ", ".join(f"`{name}`" for name, one in OPERATIONS.items() if one.scope is scope)
        for scope in (Scope.INGEST, Scope.READ, Scope.MANAGE)
    )
    return Route(
        method="POST",
        path="/pipeline",
        handler=operations.post_pipeline,
        scope=None,
        any_key=True,
        takes=_JSON,
        doc=Doc(
            summary="Carry out an operation",
            about=f"What the key must allow follows from the operation: {needs}.",
            source="S2.1, S2.5",
            body=_request_schema(),
            example={"operation": "pipeline", "parameters": {}},
            headers=(_REQUEST_ID, _IDEMPOTENCY_KEY),
            answers={200: _answer_model()},
        ),
    )


def _webhook_routes(webhooks: Webhooks) -> tuple[Route, ...]:
    one, deliveries = "/webhooks/{id}", "/webhooks/{id}/deliveries"
    return (
        Route(
            method="POST",
            path="/webhooks",
            handler=webhooks.post_webhook,
            scope=Scope.MANAGE,
            takes=_JSON,
            doc=Doc(
                summary="Subscribe to events",
                about="What is sent is signed as Standard Webhooks has it, and tried for 24 hours.",
                source="S2.6, S2.7",
                body=models.WebhookToCreate,
                example=_SUBSCRIPTION,
                headers=(_REQUEST_ID,),
                answers={200: models.Success[models.WebhookCreated]},
            ),
        ),
        Route(
            method="GET",
            path="/webhooks",
            handler=webhooks.list_webhooks,
            scope=Scope.READ,
            doc=Doc(
                summary="List webhooks",
                source="S2.6",
                headers=(_REQUEST_ID,),
                answers={200: models.Success[models.WebhookList]},
            ),
        ),
        Route(
            method="GET",
            path=one,
            handler=webhooks.get_webhook,
            scope=Scope.READ,
            doc=Doc(
                summary="Retrieve a webhook",
                source="S2.6",
                path=_WEBHOOK,
                headers=(_REQUEST_ID,),
                answers={200: models.Success[models.WebhookShown]},
            ),
        ),
        Route(
            method="DELETE",
            path=one,
            handler=webhooks.delete_webhook,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Delete a webhook",
                about="What it was not told yet, it is not told any more.",
                source="S2.6",
                path=_WEBHOOK,
                headers=(_REQUEST_ID,),
                answers={200: models.Success[models.WebhookDeleted]},
            ),
        ),
        Route(
            method="GET",
            path=deliveries,
            handler=webhooks.list_deliveries,
            scope=Scope.READ,
            doc=Doc(
                summary="List deliveries",
                about="The newest first; the newest 1,000 of a webhook are kept, and all that wait.",
                source="S2.6",
                path=_WEBHOOK,
                query=(_LIMIT, _CURSOR),
                headers=(_REQUEST_ID,),
                answers={200: models.Success[models.DeliveryList]},
            ),
        ),
        Route(
            method="POST",
            path=f"{deliveries}/{{delivery}}/retry",
            handler=webhooks.retry_delivery,
            scope=Scope.MANAGE,
            doc=Doc(
                summary="Retry a delivery",
                about="Sends it now, and if need be for another 24 hours.",
                source="S2.6",
                path=_DELIVERY,
                headers=(_REQUEST_ID,),
                answers={200: models.Success[models.Delivery]},
            ),
        ),
    )
