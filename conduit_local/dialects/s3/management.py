"""The handlers of `/v1/pipes`, and of what belongs to a pipe: destinations, limits, origins."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from conduit_local.core.kinds import edited_spec, parse_spec, patched_spec
from conduit_local.core.pipeline import Pipeline, State
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.times import DAY_S, SECOND_US
from conduit_local.dialects.s3 import destination_wire, models, wire
from conduit_local.engine.engine import Engine
from conduit_local.engine.topology import LivePipeline
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object, validated

Edit = Callable[[dict[str, Any]], dict[str, Any]]


class Pipes:
    """The handlers of pipes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Pipes -----------------------------------------------------------------------------------------------

    async def list_pipes(self, call: Call) -> web.Response:
        """`GET /v1/pipes`: all of them, the oldest first, with what each has taken. Source: S3.2."""
        lives = self._engine.topology.live()
        return json_answer({"pipes": await self._shown(lives)})

    async def post_pipe(self, call: Call) -> web.Response:
        """`POST /v1/pipes`: 201. Source: S3.2, S3.5."""
        engine = self._engine
        asked = wire.decode_new_pipe(await call.body(wire.MAX_BODY_BYTES))
        with wire.own_fields():
            pipeline = await engine.manage.create_as(
                lambda is_free: parse_spec(wire.configuration_of(asked, is_free), engine.spec_model),
                state=State.ACTIVE if asked.pipe_status == "active" else State.STOPPED,
            )
        return await self._answer(pipeline, 201)

    async def get_pipe(self, call: Call) -> web.Response:
        """`GET /v1/pipes/{pipe_id}`. Source: S3.2, S3.3."""
        return await self._answer(self._find(call).pipeline)

    async def patch_pipe(self, call: Call) -> web.Response:
        """`PATCH /v1/pipes/{pipe_id}`: settings and status; what is not named stays. Source: S3.2, S3.5."""
        engine, live = self._engine, self._find(call)
        change = wire.decode_change(await call.body(wire.MAX_BODY_BYTES), models.PipeChange)
        changes = wire.changes_of(change, partial(engine.topology.is_free, besides=live))
        pipeline = live.pipeline
        if changes:
            become = partial(patched_spec, changes=changes, model=engine.spec_model)
            pipeline = await self._changed(call, become)
        else:
            pipeline.require_match(call.if_match())
        if "pipe_status" in change.model_fields_set:
            pipeline = await self._enter(pipeline, active=change.pipe_status == "active")
        return await self._answer(pipeline)

    async def delete_pipe(self, call: Call) -> web.Response:
        """`DELETE /v1/pipes/{pipe_id}`: what was accepted is still delivered. Source: S3.2."""
        live = self._find(call)
        live.pipeline.require_match(call.if_match())
        await self._engine.manage.delete(live.pipeline.id)
        return _deleted()

    # Destinations ----------------------------------------------------------------------------------------

    async def post_destination(self, call: Call) -> web.Response:
        """`POST …/destinations`: 201; it gets the records from here on. Source: S3.2."""
        live = self._find(call)
        asked = destination_wire.decode_destination(decode_object(await call.body(wire.MAX_BODY_BYTES)))

        def edit(document: dict[str, Any]) -> dict[str, Any]:
            listed = document["destinations"]
            taken = {one["name"] for one in listed} | live.routes.keys()
            return document | {"destinations": [*listed, destination_wire.new_document(asked, taken)]}

        pipeline = await self._edited(call, edit)
        shown = destination_wire.encode_destination(pipeline, pipeline.spec.destinations[-1])
        return _tagged({"destination": shown}, pipeline, 201)

    async def patch_destination(self, call: Call) -> web.Response:
        """`PATCH …/destinations/{destination_id}`: an empty text keeps a secret. Source: S3.2, S3.3."""
        self._known_destination(call)
        change = wire.decode_change(await call.body(wire.MAX_BODY_BYTES), models.DestinationChange)
        return await self._change_destination(call, change)

    async def patch_destination_status(self, call: Call) -> web.Response:
        """`PATCH …/destinations/{destination_id}/status`: `blocked` keeps its records. Source: S3.2, S3.3."""
        self._known_destination(call)
        asked = validated(decode_object(await call.body(wire.MAX_BODY_BYTES)), models.StatusChange)
        return await self._change_destination(call, models.DestinationChange(**asked.model_dump()))

    async def delete_destination(self, call: Call) -> web.Response:
        """
        `DELETE …/destinations/{destination_id}`: an active one still gets what was accepted, a blocked one nothing.

        Source: S3.2.
        """
        owner = self._find(call).pipeline.uuid

        def edit(document: dict[str, Any]) -> dict[str, Any]:
            listed = document["destinations"]
            place = destination_wire.place_of(listed, owner, call.params["destination_id"])
            return document | {"destinations": destination_wire.without(listed, place)}

        return _deleted(await self._edited(call, edit))

    # Limits and origins ----------------------------------------------------------------------------------

    async def put_limits(self, call: Call) -> web.Response:
        """`PUT …/limits`: what is named is set, `null` takes it away. Source: S3.2."""
        self._find(call)
        change = wire.decode_change(await call.body(wire.MAX_BODY_BYTES), models.LimitsChange)
        become = partial(patched_spec, changes={"limits": wire.limits_of(change)}, model=self._engine.spec_model)
        pipeline = await self._changed(call, become)
        return _tagged({"limits": wire.encode_limits(pipeline.spec.limits)}, pipeline)

    async def post_origin(self, call: Call) -> web.Response:
        """`POST …/allowed-origins`: 201, also for one that is allowed already. Source: S3.2."""
        self._find(call)
        origin = validated(decode_object(await call.body(wire.MAX_BODY_BYTES)), models.NewOrigin).origin_domain
        pipeline = await self._with_origins(call, lambda listed: list(dict.fromkeys([*listed, origin])))
        return _tagged({"allowed_origin": wire.encode_origin(pipeline, origin)}, pipeline, 201)

    async def delete_origin(self, call: Call) -> web.Response:
        """`DELETE …/allowed-origins/{origin_id}`. Source: S3.2."""
        origin = wire.find_origin(self._find(call).pipeline, call.params["origin_id"])
        return _deleted(await self._with_origins(call, lambda listed: [one for one in listed if one != origin]))

    # ------------------------------------------------------------------------------------------------------

    def _find(self, call: Call) -> LivePipeline:
        """Raises: PipelineNotFound."""
        ref = call.params["pipe_id"]
        return self._engine.topology.get(ref.lower()) or self._engine.topology.find(ref)

    def _known_destination(self, call: Call) -> None:
        """Raises: PipelineNotFound, DestinationNotFound; before the body is looked at."""
        destination_wire.find(self._find(call).pipeline, call.params["destination_id"])

    async def _changed(
        self, call: Call, become: Callable[[PipelineSpec], PipelineSpec], *, of_one_destination: bool = False
    ) -> Pipeline:
        with wire.own_fields(of_one_destination=of_one_destination):
            return await self._engine.manage.change(self._find(call).pipeline.id, become, expects=call.if_match())

    async def _edited(self, call: Call, edit: Edit) -> Pipeline:
        """With other destinations."""
        become = partial(edited_spec, edit=edit, model=self._engine.spec_model)
        return await self._changed(call, become, of_one_destination=True)

    async def _with_origins(self, call: Call, edit: Callable[[list[str]], list[str]]) -> Pipeline:
        def become(spec: PipelineSpec) -> PipelineSpec:
            changes = {"access": {"allowed_origins": edit(list(spec.access.allowed_origins))}}
            return patched_spec(spec, changes, self._engine.spec_model)

        return await self._changed(call, become)

    async def _change_destination(self, call: Call, change: models.DestinationChange) -> web.Response:
        owner, ref = self._find(call).pipeline.uuid, call.params["destination_id"]

        def edit(document: dict[str, Any]) -> dict[str, Any]:
            listed = list(document["destinations"])
            place = destination_wire.place_of(listed, owner, ref)
            listed[place] = destination_wire.changed_document(listed[place], change)
            return document | {"destinations": listed}

        pipeline = await self._edited(call, edit)
        shown = destination_wire.encode_destination(pipeline, destination_wire.find(pipeline, ref))
        return _tagged({"destination": shown}, pipeline)

    async def _enter(self, pipeline: Pipeline, *, active: bool) -> Pipeline:
        """Takes records again, or no more; what it is already stays, a pause too."""
        if pipeline.state.accepts == active:
            return pipeline
        return await self._engine.manage.enter(pipeline.id, State.ACTIVE if active else State.STOPPED)

    async def _answer(self, pipeline: Pipeline, status: int = 200) -> web.Response:
        (shown,) = await self._shown([self._engine.topology.find(pipeline.id)])
        return _tagged({"pipe": shown}, pipeline, status)

    async def _shown(self, lives: list[LivePipeline]) -> list[dict[str, Any]]:
        engine = self._engine
        recent = await engine.queries.received_since(lives, engine.clock.now_us() - DAY_S * SECOND_US)
        return [wire.encode_pipe(live, engine.log.head(live.pipeline), recent[live.number]) for live in lives]


def _tagged(document: dict[str, Any], pipeline: Pipeline, status: int = 200) -> web.Response:
    return json_answer(document, status, {"ETag": pipeline.etag})


def _deleted(left: Pipeline | None = None) -> web.Response:
    return json_answer({"deleted": True}, 200, {"ETag": left.etag} if left is not None else {})
