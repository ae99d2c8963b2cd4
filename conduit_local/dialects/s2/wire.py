"""
S2's bytes <-> core. Pure: any bytes give a value or a Refused, which names fields as they stand in the request.

What `ingest` brings is read in `events.py`. Source: S2.1, S2.2, S2.5, S2.6.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import msgspec
from pydantic import BaseModel

from conduit_local.core.errors import BodyTooLarge, InvalidRequest
from conduit_local.core.ids import event_id, parse_delivery_id
from conduit_local.core.kinds import document_of
from conduit_local.core.log import Receipt
from conduit_local.core.pipeline import Health, Pipeline
from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.core.run import RunLine
from conduit_local.core.times import rfc3339
from conduit_local.core.webhook import NoticeKind, Telling, Webhook
from conduit_local.dialects.s2 import parameters
from conduit_local.dialects.s2.parameters import Options
from conduit_local.engine.topology import LivePipeline
from conduit_local.http.decode import decode, decode_object, validated

MAX_BODY_BYTES = 32 * 1024**2
MAX_PARAMETERS_BYTES = 1_048_576
"""Of all operations but `ingest`."""
MAX_WEBHOOK_BYTES = 65_536
_SEALED = "its signing secret is sealed with a key that is not here; put the key back, or delete it and subscribe anew"

M = TypeVar("M", bound=BaseModel)


class Asked(NamedTuple):
    """The body of `POST /pipeline`."""

    operation: str
    parameters: bytes
    """A JSON value, not looked at yet: events in it stay the bytes that they are."""
    options: Options


class _Request(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    operation: str
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    options: msgspec.Raw = msgspec.Raw(b"{}")


_REQUEST = msgspec.json.Decoder(_Request)
PARAMETERS = "parameters"


# Requests ----------------------------------------------------------------------------------------------------


def decode_request(body: bytes) -> Asked:
    """What is asked for. Raises: Invalid, TooLarge."""
    found = decode(body, _REQUEST)
    with below("options"):
        options = validated(_object(bytes(found.options)), Options)
    return Asked(found.operation, bytes(found.parameters), options)


def decode_parameters(given: bytes, model: type[M]) -> M:
    """The parameters of an operation. Raises: Invalid, TooLarge."""
    with below(PARAMETERS):
        return validated(_object(given), model)


def _object(given: bytes) -> dict[str, Any]:
    if len(given) > MAX_PARAMETERS_BYTES:
        raise BodyTooLarge(f"parameters or options of more than {MAX_PARAMETERS_BYTES:,} bytes; only ingest takes more")
    return decode_object(given)


@contextmanager
def below(*path: str) -> Iterator[None]:
    """What is wrong within stands below `path`."""
    try:
        yield
    except InvalidRequest as error:
        problems = error.problems or (Problem(path=(), message=error.message.removeprefix("the body ")),)
        raise refusal([Problem(path=(*path, *one.path), message=one.message) for one in problems]) from None


def configuration(wanted: parameters.Create, name: str) -> dict[str, Any]:
    """The configuration of a pipeline that is to be made under this name."""
    given = {
        "name": name,
        "title": wanted.name if wanted.name != name else None,
        "schedule": wanted.schedule,
        "batch": {"max_events": wanted.batch_size} if wanted.batch_size is not None else None,
        "sources": wanted.sources,
        "transforms": [_sql(wanted.sql)] if wanted.sql is not None else None,
        "destinations": wanted.destinations,
    }
    return {field: value for field, value in given.items() if value is not None}


def with_query(document: dict[str, Any], sql: str) -> dict[str, Any]:
    """
    A configuration whose query is `sql`: in the place of the one it has, or behind its other transforms.

    What masks or filters stays; to drop that with a query in passing would let out what was hidden on purpose.
    Raises: Invalid where it has several queries.
    """
    transforms = document["transforms"]
    places = [place for place, one in enumerate(transforms) if one["type"] == "sql"]
    if len(places) > 1:
        said = f"the pipeline has {len(places)} queries; say which by replacing its configuration"
        raise refusal([Problem(path=("sql",), message=said)])
    place = places[0] if places else len(transforms)
    return {**document, "transforms": [*transforms[:place], _sql(sql), *transforms[place + 1 :]]}


@contextmanager
def query_as_sql() -> Iterator[None]:
    """What is wrong with a query, where its pipeline has it, is wrong with `sql`."""
    try:
        yield
    except InvalidRequest as error:
        raise refusal([replace(one, path=_as_sql(one.path)) for one in error.problems]) from None


def _as_sql(path: Path) -> Path:
    return ("sql",) if path[:1] == ("transforms",) else path


def _sql(query: str) -> dict[str, Any]:
    return {"type": "sql", "query": query}


def decode_cursor(text: str | None) -> int | None:
    """Where a page of deliveries goes on. Raises: InvalidRequest."""
    if text is None:
        return None
    number = parse_delivery_id(text)
    if number is None:
        raise _invalid("cursor", "is not a next_cursor of this list")
    return number


def _invalid(field: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(field,), message=message)])


# Answers -----------------------------------------------------------------------------------------------------


def encode_named(pipeline: Pipeline) -> dict[str, Any]:
    """Which pipeline."""
    return {"id": pipeline.id, "name": pipeline.name}


def encode_pipeline(live: LivePipeline, pending: int, next_run_us: int | None) -> dict[str, Any]:
    """A pipeline, secrets redacted."""
    pipeline, spec = live.pipeline, live.pipeline.spec
    document = document_of(spec)
    unwell = (route.message for route in live.routes.values() if route.health is not Health.OK)
    return {
        **encode_named(pipeline),
        "title": spec.title,
        "status": pipeline.state,
        "health": live.health,
        "message": next((message for message in unwell if message), None),
        "schedule": spec.schedule,
        "next_run_at": _time(next_run_us),
        "batch_size": spec.batch.max_events,
        "sources": document["sources"],
        "transforms": document["transforms"],
        "destinations": document["destinations"],
        "pending": pending,
        "created_at": rfc3339(pipeline.created_at_us),
        "updated_at": _time(pipeline.updated_at_us),
    }


def encode_receipt(receipt: Receipt, tag: str) -> dict[str, Any]:
    """What was accepted."""
    seqs = range(receipt.first_seq, receipt.first_seq + receipt.count)
    return {"accepted": receipt.count, "eventIds": [event_id(tag, receipt.pipeline, seq) for seq in seqs]}


def encode_lines(lines: Sequence[tuple[str | None, RunLine]]) -> dict[str, Any]:
    """Lines of a pipeline's log, each with its run."""
    return {
        "logs": [
            {"timestamp": rfc3339(line.at_us), "level": line.level.lower(), "message": line.message, "runId": run}
            for run, line in lines
        ]
    }


def encode_webhook(webhook: Webhook) -> dict[str, Any]:
    """A webhook, without its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": [kind for kind in NoticeKind if kind in webhook.kinds],
        "created_at": rfc3339(webhook.created_at_us),
        "error": None if webhook.secret.is_open else _SEALED,
    }


def encode_new_webhook(webhook: Webhook, secret: str) -> dict[str, Any]:
    """A webhook, with its secret, this once."""
    shown = encode_webhook(webhook)
    del shown["error"]
    return {**shown, "secret": secret}


def encode_delivery(telling: Telling, body: bytes, next_attempt_us: int | None) -> dict[str, Any]:
    """One notice on its way."""
    return {
        "id": telling.id,
        "event": telling.notice.kind,
        "status": telling.state,
        "attempts": telling.attempts,
        "response_status": telling.status,
        "error": telling.error,
        "attempted_at": _time(telling.attempted_at_us),
        "next_attempt_at": _time(next_attempt_us),
        "ended_at": _time(telling.ended_at_us),
        "payload": msgspec.Raw(body),
    }


def encode_page(deliveries: Sequence[Mapping[str, Any]], limit: int) -> dict[str, Any]:
    """A page out of at most `limit + 1` deliveries."""
    page, more = deliveries[:limit], len(deliveries) > limit
    return {"deliveries": page, "has_more": more, "next_cursor": page[-1]["id"] if more else None}


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)
