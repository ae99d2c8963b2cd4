"""S3's routes: ingest, API keys, health; those of pipes stand in `pipe_routes.py`."""

from typing import Any

from aiohttp import web

from conduit_local.core.event import MAX_EVENTS_PER_REQUEST
from conduit_local.core.keys import Scope
from conduit_local.core.times import rfc3339_ms
from conduit_local.dialects.s3 import models, told
from conduit_local.dialects.s3.errors import words
from conduit_local.dialects.s3.ingest import JSON, Ingest
from conduit_local.dialects.s3.keys import ApiKeys
from conduit_local.dialects.s3.management import Pipes
from conduit_local.dialects.s3.pipe_routes import pipe_routes
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.router import Api, Doc, Param, Route, Schema

_RECORD = {"type": "object", "description": "A record: any fields."}
_RECORDS: dict[str, Any] = {
    "anyOf": [_RECORD, {"type": "array", "items": _RECORD, "minItems": 1, "maxItems": MAX_EVENTS_PER_REQUEST}]
}
_EXAMPLE = {"event": "signup", "user_id": "123"}
_PIPE = {"pipe_id": "The pipe's UUID."}
_ORIGIN = Param(name="Origin", about="The page's origin; browsers send it.")
_KEY = Param(name="Idempotency-Key", about="A repeat of the key gets the first answer, and takes nothing in.")

ERRORS: dict[int, Schema | None] = {
    **dict.fromkeys((401, 403, 404, 409, 412, 413, 415, 422, 429, 500), told.Refusal),
    400: told.ValidationRefusal,
    408: told.RepeatableRefusal,
    503: told.RepeatableRefusal,
}
_INGEST_ERRORS = {status: schema for status, schema in ERRORS.items() if status not in {409, 412}} | {400: told.Refusal}
_HINT_ERRORS = {status: ERRORS[status] for status in (403, 404, 429, 500)} | {400: told.Refusal}
_PREFLIGHT_ERRORS: dict[int, Schema | None] = {400: None, 403: None, 404: None, 500: told.Refusal}


class Health:
    """The handler of `/v1/health`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get_health(self, call: Call) -> web.Response:
        """`GET /v1/health`: the appliance answers; no key is needed. Source: S3.1."""
        return json_answer({"status": "ok", "timestamp": rfc3339_ms(self._engine.clock.now_us())})


def api(engine: Engine) -> Api:
    """The pipes API over `engine`."""
    health = Route(
        method="GET",
        path="/v1/health",
        handler=Health(engine).get_health,
        scope=None,
        counted=False,
        doc=Doc(summary="Whether the appliance answers", source="S3.1", answers={200: told.Health}),
    )
    return Api(
        name="pipes",
        prefixes=("/v1/pipes", "/v1/ingest", "/v1/api-keys", "/v1/health"),
        words=words,
        about="S3, pipes: records from servers and web pages, one or many a request, on disk before the answer. Pipes, "
        "their destinations, limits and allowed origins, and API keys.",
        errors=ERRORS,
        routes=(*_ingest_routes(Ingest(engine)), *pipe_routes(Pipes(engine)), *_key_routes(ApiKeys(engine)), health),
    )


def _ingest_routes(ingest: Ingest) -> tuple[Route, ...]:
    """Without a scope: the handler asks for the key where the document has it among its checks (S3.7)."""
    one = "/v1/ingest/{pipe_id}"
    return (
        Route(
            method="POST",
            path=one,
            handler=ingest.post_records,
            scope=None,
            any_origin=True,
            doc=Doc(
                summary="Send records",
                about="One object, or an array of them: all are accepted, or none. Needs a key that allows `ingest`, "
                "unless the pipe takes records from the pages of allowed origins without one.",
                source="S3.6, S3.7, S3.8, S3.10",
                path=_PIPE,
                headers=(_ORIGIN, _KEY),
                body=_RECORDS,
                body_types=JSON,
                example=_EXAMPLE,
                answers={202: told.Accepted},
                errors=_INGEST_ERRORS,
            ),
        ),
        Route(
            method="GET",
            path=one,
            handler=ingest.get_hint,
            scope=None,
            any_origin=True,
            doc=Doc(
                summary="How to send records",
                about="Takes nothing in; for whoever opens the address in a browser.",
                source="S3.9",
                path=_PIPE,
                answers={200: told.Hint},
                errors=_HINT_ERRORS,
            ),
        ),
        Route(
            method="OPTIONS",
            path=one,
            handler=ingest.preflight,
            scope=None,
            counted=False,
            any_origin=True,
            doc=Doc(
                summary="A browser's preflight",
                about="204 with the origin echoed; refusals have an empty body too.",
                source="S3.8, S3.9",
                path=_PIPE,
                headers=(_ORIGIN,),
                answers={204: None},
                errors=_PREFLIGHT_ERRORS,
            ),
        ),
    )


def _key_routes(keys: ApiKeys) -> tuple[Route, ...]:
    every = "/v1/api-keys"
    return (
        Route(
            method="GET",
            path=every,
            handler=keys.list_keys,
            scope=Scope.ADMIN,
            doc=Doc(summary="List API keys, without their secrets", source="S3.4", answers={200: told.KeyList}),
        ),
        Route(
            method="POST",
            path=every,
            handler=keys.post_key,
            scope=Scope.ADMIN,
            takes=JSON,
            doc=Doc(
                summary="Create an API key",
                about="The answer holds its secret, this once.",
                source="S3.4",
                body=models.NewKey,
                example={"api_key_name": "web shop", "scopes": ["ingest"]},
                answers={201: told.KeyAnswer},
            ),
        ),
        Route(
            method="DELETE",
            path=f"{every}/{{api_key_id}}",
            handler=keys.delete_key,
            scope=Scope.ADMIN,
            doc=Doc(
                summary="Revoke an API key",
                about="Any but the one that the request is made with.",
                source="S3.4",
                path={"api_key_id": "The key's id."},
                answers={200: told.Deleted},
            ),
        ),
    )
