"""The handlers of `/v1/ingest/{pipe_id}`, in the document's order of checks (S3.7)."""

from aiohttp import web

from conduit_local.core.errors import Forbidden, Invalid, PipelineNotFound, Unauthorized
from conduit_local.core.event import check_idempotency_key
from conduit_local.core.keys import Scope
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.dialects.s3 import origins, records
from conduit_local.dialects.s3.errors import InvalidKey, InvalidPayload, InvalidPipeId, NoOriginRule
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer, receipt_answer
from conduit_local.http.call import Call

JSON = ("application/json",)

_REMEMBERED = 1_024


class Ingest:
    """The handlers of `/v1/ingest/{pipe_id}`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rules: dict[PipelineNumber, origins.Rule] = {}

    async def post_records(self, call: Call) -> web.StreamResponse:
        """
        `POST /v1/ingest/{pipe_id}`: 202 once every record is on disk; otherwise none is kept.

        Order:  as the document has its errors: id, pipe, configuration, key, origin, content type, body, size.
        Source: S3.6, S3.7, S3.8, S3.10.
        """
        pipeline = self._pipe(call)
        self._admit(call, pipeline)
        call.require_type(JSON)
        try:
            body = await call.body(records.MAX_BODY_BYTES)
        except Invalid as error:
            raise InvalidPayload(error.message) from None
        events = records.decode_records(body, pipeline.spec.limits)
        receipt = await self._engine.ingest.accept(pipeline.uuid, events, _key(call), call.client_address)
        return receipt_answer(records.encode_accepted(pipeline, receipt), 202, replayed=receipt.replayed)

    async def get_hint(self, call: Call) -> web.Response:
        """`GET /v1/ingest/{pipe_id}`: takes nothing in; says how to. Source: S3.9."""
        pipeline = self._pipe(call)
        origin = call.request.headers.get("Origin")
        admitted = origin is not None and self._rule(pipeline).admits(origin)
        call.answer_headers = origins.echo(origin) if origin is not None and admitted else origins.VARY
        return json_answer(records.encode_hint(pipeline))

    async def preflight(self, call: Call) -> web.Response:
        """`OPTIONS /v1/ingest/{pipe_id}`: 204, or a refusal, always without a body. Source: S3.9."""
        try:
            pipeline = self._pipe(call)
        except InvalidPipeId:
            return web.Response(status=400)
        except PipelineNotFound:
            return web.Response(status=404)
        status, headers = self._rule(pipeline).preflight(call.request.headers)
        return web.Response(status=status, headers=headers)

    def _pipe(self, call: Call) -> Pipeline:
        """The active pipe that the path names by its UUID. Raises: InvalidPipeId, PipelineNotFound."""
        pipe_id = call.params["pipe_id"]
        live = self._engine.topology.get(pipe_id)
        if live is None or live.pipeline.uuid != pipe_id:
            if not records.is_pipe_id(pipe_id):
                raise InvalidPipeId(f"pipe_id must be a UUID, not {pipe_id[:60]!r}")
            live = self._engine.topology.get(pipe_id.lower())
            if live is not None and live.pipeline.uuid != pipe_id.lower():
                live = None  # a name that looks like a UUID
        if live is None or not live.pipeline.state.accepts:
            raise PipelineNotFound(f"no active pipe has the id {pipe_id!r}")
        return live.pipeline

    def _rule(self, pipeline: Pipeline) -> origins.Rule:
        access = pipeline.spec.access
        found = self._rules.get(pipeline.number)
        if found is None or found.access is not access:
            if len(self._rules) >= _REMEMBERED:
                self._rules.clear()
            found = self._rules[pipeline.number] = origins.Rule(access)
        return found

    def _admit(self, call: Call, pipeline: Pipeline) -> None:
        """
        Whether the caller may send: by key, by origin, or both.

        A page whose origin the pipe's rule lets in may read whatever comes of its request, refusals too.
        Raises: NoOriginRule, Unauthorized, Forbidden.
        """
        headers = call.request.headers
        rule = self._rule(pipeline)
        origin = headers.get("Origin")
        admitted = origin is not None and rule.admits(origin)
        if origin is not None and admitted:
            call.answer_headers = origins.echo(origin)
        if rule.access.requires_api_key:
            principal = self._engine.keys.authenticate(headers.get("Authorization"))
            self._engine.keys.require(principal, Scope.INGEST)
        elif not rule.is_set:
            raise NoOriginRule("the pipe needs no key, but allows no origin either: allow one, or require a key")
        elif origin is None:
            raise Unauthorized("this pipe takes records from web pages: the header Origin is missing")
        if origin is not None and not admitted:
            if rule.is_set:
                raise Forbidden(f"pages from {origin[:100]!r} may not send to this pipe")
            call.answer_headers = origins.echo(origin)


def _key(call: Call) -> str | None:
    """The request's idempotency key. Raises: InvalidKey."""
    try:
        key = call.idempotency_key()
        if key is not None:
            check_idempotency_key(key)
    except Invalid as error:
        raise InvalidKey(error.message) from None
    return key
