"""`/_local/pipelines`: pipelines, orders, and events by array or NDJSON."""

from functools import partial

from aiohttp import web

from conduit_local.control import wire
from conduit_local.control.arriving import decode_events, forwarded_of
from conduit_local.core.errors import Refused, Unavailable
from conduit_local.core.kinds import edited_spec, parse_spec
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer, receipt_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object, run_options

MAX_EVENTS_BODY_BYTES = 32 * 1024**2
MAX_BODY_BYTES = 1_048_576


class Pipelines:
    """The handlers of `/_local/pipelines`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_pipelines(self, call: Call) -> web.Response:
        """`GET /_local/pipelines`: all of them, whole."""
        return json_answer({"data": [wire.encode_pipeline(live.pipeline) for live in self._engine.topology.live()]})

    async def get_pipeline(self, call: Call) -> web.Response:
        """`GET /_local/pipelines/{pipeline}`: with the columns that its transforms yield."""
        pipeline = self._engine.topology.find(call.params["pipeline"]).pipeline
        columns, problem = None, None
        try:
            columns = await self._engine.checks.columns(pipeline.spec)
        except (Refused, Unavailable) as error:  # the pipeline is there all the same, and so is the reason
            problem = error.message
        found = wire.encode_whole(pipeline, columns, problem)
        return json_answer(found, headers={"ETag": pipeline.etag})

    async def put_pipeline(self, call: Call) -> web.Response:
        """
        `PUT /_local/pipelines/{pipeline}`: make it (201), or replace its configuration (200).

        Shape: a pipeline's configuration; its name is that of the path, or the path is the id of one that exists.
        """
        ref = call.params["pipeline"]
        document = decode_object(await call.body(MAX_BODY_BYTES))
        live = self._engine.topology.get(ref)
        document.setdefault("name", live.pipeline.name if live else ref)
        spec = parse_spec(document, self._engine.spec_model)
        if live is not None:
            model = self._engine.spec_model
            become = partial(edited_spec, edit=lambda _old: document, model=model)
            return self._answer(await self._engine.manage.change(ref, become, expects=call.if_match()))
        if spec.name != ref:
            raise refusal([Problem(path=("name",), message=f"must be {ref!r}, as in the path")])
        return self._answer(await self._engine.manage.create(spec), 201)

    async def delete_pipeline(self, call: Call) -> web.Response:
        """`DELETE /_local/pipelines/{pipeline}`: what was accepted is still delivered."""
        pipeline = await self._engine.manage.delete(call.params["pipeline"])
        return json_answer({"id": pipeline.id, "name": pipeline.name, "deleted": True})

    async def pause(self, call: Call) -> web.Response:
        """`POST …/pause`: stop delivering, go on accepting."""
        return self._answer(await self._engine.manage.pause(call.params["pipeline"]))

    async def resume(self, call: Call) -> web.Response:
        """`POST …/resume`: make it active."""
        return self._answer(await self._engine.manage.resume(call.params["pipeline"]))

    async def drain(self, call: Call) -> web.Response:
        """`POST …/drain`: refuse new events, deliver all, stop."""
        return self._answer(await self._engine.manage.drain(call.params["pipeline"]))

    async def flush(self, call: Call) -> web.Response:
        """`POST …/flush`: deliver what is pending now; 202 with the run."""
        run = await self._engine.manage.flush(call.params["pipeline"])
        pipeline = self._engine.topology.find(call.params["pipeline"]).pipeline
        return json_answer(wire.encode_run(run, pipeline), 202)

    async def post_run(self, call: Call) -> web.Response:
        """`POST …/runs` `{full_refresh?, dry_run?, variables?}`: 202 with a run that begins as soon as it may."""
        body = await call.body(MAX_BODY_BYTES)
        options = run_options(decode_object(body) if body else {})
        run = await self._engine.runs.request(call.params["pipeline"], options)
        return json_answer(wire.encode_run(run, self._engine.topology.find(call.params["pipeline"]).pipeline), 202)

    async def post_events(self, call: Call) -> web.StreamResponse:
        """
        `POST …/events`: 200 once all of them are on disk; all or none.

        Shape: an array of 1 to 10,000 `{event_type, payload}`, or NDJSON of the same; at most 32 MiB. Another
               appliance that forwards says whose events they are: those are taken once, whenever they come again.
        """
        ref, headers = call.params["pipeline"], call.request.headers
        self._engine.topology.find(ref)  # before the body: whoever asks with none learns whether there is one
        events = decode_events(await call.body(MAX_EVENTS_BODY_BYTES), headers.get("Content-Type", ""))
        receipt = await self._engine.ingest.accept(
            ref, events, call.idempotency_key(), call.client_address, forwarded_of(headers, events)
        )
        return receipt_answer(wire.encode_receipt(receipt, self._engine.log.tag), replayed=receipt.replayed)

    async def get_rates(self, call: Call) -> web.Response:
        """`GET …/rates?seconds=120`: a sample a second, the oldest first: `[in, out, pending]`."""
        live = self._engine.topology.find(call.params["pipeline"])
        return json_answer({"data": self._engine.rates.history(live, call.number("seconds", 120, 1, 600))})

    @staticmethod
    def _answer(pipeline: Pipeline, status: int = 200) -> web.Response:
        return json_answer(wire.encode_pipeline(pipeline), status, {"ETag": pipeline.etag})
