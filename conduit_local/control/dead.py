"""`/_local/dead`: what died, why, and what becomes of it."""

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any

import msgspec
from aiohttp import web
from pydantic import Field, StrictBool

from conduit_local.control import wire
from conduit_local.control.records import one_of
from conduit_local.core.dead import DeadFilter, Stage
from conduit_local.core.errors import DeadLetterNotFound, Refused
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.spec import Part
from conduit_local.engine.dead import numbers_of
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode, decode_object, validated

MAX_BODY_BYTES = 1_048_576
MOST_IDS = 1_000
_EXPORT = {
    "Content-Type": wire.NDJSON,
    "Content-Disposition": 'attachment; filename="dead-letters.ndjson"',
    "X-Content-Type-Options": "nosniff",
}


class Edit(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a dead letter is to hold."""

    payload: msgspec.Raw
    event_type: str | None = None


class Chosen(Part):
    """Some dead letters: by their ids, or those of a pipeline."""

    ids: Annotated[list[str], Field(min_length=1, max_length=MOST_IDS)] | None = None
    pipeline: str | None = None
    destination: str | None = None
    stage: Stage | None = None
    reason: str | None = None
    all: StrictBool = False


_EDIT = msgspec.json.Decoder(Edit)


class DeadLetters:
    """The handlers of `/_local/dead`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_letters(self, call: Call) -> web.Response:
        """`GET /_local/dead?pipeline&destination&stage&reason&limit&cursor`: the newest first, without payloads."""
        limit = call.number("limit", 50, 1, 1_000)
        before = call.number("cursor", 0, 1, 1 << 53) or None
        page: list[dict[str, Any]] = []
        cursor = before
        async with aclosing(self._engine.dead.each(self._wanted(call), before)) as letters:
            async for letter, live in letters:
                if len(page) == limit:
                    return json_answer(wire.page_of(page, str(cursor)))
                page.append(wire.encode_letter(letter, live.pipeline))
                cursor = letter.number
        return json_answer(wire.page_of(page, None))

    async def list_groups(self, call: Call) -> web.Response:
        """`GET /_local/dead/groups?pipeline&destination&stage&reason`: what died of the same, the most first."""
        groups = await self._engine.dead.groups(self._wanted(call))
        return json_answer({"data": [wire.encode_group(group, live.pipeline) for group, live in groups]})

    async def export(self, call: Call) -> web.StreamResponse:
        """
        `GET /_local/dead/export?pipeline&destination&stage&reason`: each letter whole on a line, the newest first.

        Memory is that of a few letters: no more are read than the client takes.
        """
        wanted = self._wanted(call)
        answer = web.StreamResponse(headers=_EXPORT)
        async with aclosing(self._engine.dead.each(wanted)) as letters:
            first = await anext(letters, None)  # a store that does not answer is an error, not half a file
            await answer.prepare(call.request)
            if first is None or call.request.method == "HEAD":
                return answer
            await answer.write(_line(wire.encode_whole_letter(first[0], first[1].pipeline)))
            async for letter, live in letters:
                await answer.write(_line(wire.encode_whole_letter(letter, live.pipeline)))
        await answer.write_eof()
        return answer

    async def get_letter(self, call: Call) -> web.Response:
        """`GET /_local/dead/{letter}`: with what it holds."""
        letter, live = await self._engine.dead.find(call.params["letter"])
        return json_answer(wire.encode_whole_letter(letter, live.pipeline))

    async def edit(self, call: Call) -> web.Response:
        """`PATCH /_local/dead/{letter}` `{payload, event_type?}`: what it holds from now on, byte for byte."""
        edit = decode(await call.body(MAX_BODY_BYTES), _EDIT)
        _, live = await self._engine.dead.find(call.params["letter"])
        letter = await self._engine.dead.edit(call.params["letter"], bytes(edit.payload), edit.event_type)
        return json_answer(wire.encode_whole_letter(letter, live.pipeline))

    async def replay(self, call: Call) -> web.Response:
        """
        `POST /_local/dead/replay` `{ids}` or `{pipeline, destination?, stage?, reason?}` or `{pipeline, all: true}`:
        202 with a run for each pipeline. One that is refused beside others that began is named in `refused`.
        """
        replays: list[dict[str, Any]] = []
        refused = _Refusals()
        for pipeline, wanted in await self._chosen(call):
            with refused.of(pipeline):
                replay = await self._engine.dead.replay(pipeline.uuid, wanted)
                replays.append(wire.encode_replay(replay, pipeline))
        refused.raise_unless(bool(replays))
        totals = {name: sum(one[name] for one in replays) for name in ("letters", "left")}
        return json_answer({"replays": replays, **totals, "refused": refused.shown}, 202)

    async def discard(self, call: Call) -> web.Response:
        """`POST /_local/dead/discard`: chosen and refused as for a replay; 200 with how many are gone for good."""
        discarded = 0
        refused = _Refusals()
        for pipeline, wanted in await self._chosen(call):
            with refused.of(pipeline):
                discarded += await self._engine.dead.discard(pipeline.uuid, wanted)
        refused.raise_unless(bool(discarded))
        return json_answer({"discarded": discarded, "refused": refused.shown})

    def _wanted(self, call: Call) -> DeadFilter:
        """What a query asks for. Raises: InvalidRequest, PipelineNotFound."""
        ref = call.text("pipeline")
        return DeadFilter(
            pipeline=None if ref is None else self._engine.topology.find(ref).number,
            route=call.text("destination"),
            stage=one_of(call, "stage", Stage),
            reason=call.text("reason"),
        )

    async def _chosen(self, call: Call) -> list[tuple[Pipeline, DeadFilter]]:
        """What a body chooses, pipeline by pipeline. Raises: InvalidRequest, DeadLetterNotFound, PipelineNotFound."""
        chosen = validated(decode_object(await call.body(MAX_BODY_BYTES)), Chosen)
        narrowed = (chosen.destination, chosen.stage, chosen.reason) != (None, None, None)
        if chosen.ids is not None:
            if chosen.all or narrowed or chosen.pipeline is not None:
                raise refusal([Problem(path=("ids",), message="stand alone: leave out everything else")])
            return await self._of_ids(chosen.ids)
        if chosen.pipeline is None:
            raise refusal([Problem(path=("pipeline",), message="is required, unless ids are given")])
        if chosen.all == narrowed:
            message = "must be true to choose all of the pipeline, or left out beside destination, stage or reason"
            raise refusal([Problem(path=("all",), message=message)])
        pipeline = self._engine.topology.find(chosen.pipeline).pipeline
        return [(pipeline, DeadFilter(route=chosen.destination, stage=chosen.stage, reason=chosen.reason))]

    async def _of_ids(self, ids: list[str]) -> list[tuple[Pipeline, DeadFilter]]:
        """Each pipeline with those of its letters. Raises: DeadLetterNotFound when one of them is not there."""
        numbers = numbers_of(ids)
        found: dict[str, tuple[Pipeline, list[int]]] = {}
        async with aclosing(self._engine.dead.each(DeadFilter(numbers=numbers))) as letters:
            async for letter, live in letters:
                found.setdefault(live.pipeline.uuid, (live.pipeline, []))[1].append(letter.number)
        missing = set(numbers).difference(*(some for _, some in found.values()))
        if missing:
            raise DeadLetterNotFound(f"no dead letter dead_{min(missing)}: it was replayed or discarded, or never was")
        return [(pipeline, DeadFilter(numbers=tuple(some))) for pipeline, some in found.values()]


class _Refusals:
    """What was refused of an order that goes to several pipelines: told beside what was done, or instead of it."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self._first: Refused | None = None

    @contextmanager
    def of(self, pipeline: Pipeline) -> Iterator[None]:
        """Do a pipeline's part."""
        try:
            yield
        except Refused as error:
            self._first = self._first or error
            self.shown.append({"pipeline": pipeline.name, "code": error.code, "message": error.message})

    def raise_unless(self, done: bool) -> None:
        """Raises: the first refusal, where nothing was done."""
        if self._first is not None and not done:
            raise self._first


def _line(document: dict[str, Any]) -> bytes:
    return msgspec.json.encode(document) + b"\n"
