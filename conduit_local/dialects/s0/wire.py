"""
S0's bytes <-> core. Pure: any bytes give a value or a Refused.

Source: S0.1, S0.3, S0.4, S0.6, S0.7, S0.8.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.event import EventPage, NewEvent, NewEvents, one_event
from conduit_local.core.ids import event_id
from conduit_local.core.log import Receipt
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.spec import MAX_BATCH_EVENTS
from conduit_local.core.times import rfc3339
from conduit_local.engine.queries import EventDetail, OldestPage
from conduit_local.http.decode import decode, decode_object

MAX_BODY_BYTES = 1_048_576
"""Room for the largest payload written with generous white space; what is larger is refused unread."""

_STATUS = {State.ACTIVE: "active", State.PAUSED: "paused", State.DRAINING: "draining", State.STOPPED: "paused"}
_CURSOR = re.compile(r"ev_cursor_([0-9a-f]{1,16})_([0-9a-f]{1,16})")
_AFTER = re.compile(r"ev_after_([0-9a-f]{1,16})")
_PIPELINE_CURSOR = re.compile(r"pl_cursor_([0-9a-f]{1,16})")


class PostEvent(NewEvent, gc=False):
    """The body of `POST /v1/events`."""

    pipeline_id: str
    idempotency_key: str | None = None


_POST_EVENT = msgspec.json.Decoder(PostEvent)


def decode_event(body: bytes) -> tuple[str, NewEvents, str | None]:
    """The pipeline as named, the event, and its idempotency key. Raises: Invalid, PayloadTooLarge."""
    posted = decode(body, _POST_EVENT)
    return posted.pipeline_id, one_event(posted), posted.idempotency_key


def encode_receipt(receipt: Receipt, tag: str) -> bytes:
    """
    `{event_id, pipeline_id, event_type, status, received_at}` (S0.3).

    None of these can hold a character that JSON would escape: the pipeline was found by what is echoed, and the type
    was checked.
    """
    return (
        f'{{"event_id":"{event_id(tag, receipt.pipeline, receipt.first_seq)}",'
        f'"pipeline_id":"{receipt.pipeline_ref}","event_type":"{receipt.event_type}",'
        f'"status":"accepted","received_at":"{rfc3339(receipt.received_at_us)}"}}'
    ).encode()


def decode_after(text: str | None) -> int:
    """The last `seq` of the page before, in a list that begins with the oldest (ours). Raises: InvalidRequest."""
    found = _AFTER.fullmatch(text) if text is not None else None
    if text is not None and (found is None or int(found[1], 16) >= 1 << 63):
        raise _invalid("cursor", "is not a next_cursor of this list")
    return int(found[1], 16) if found is not None else 0


def encode_oldest(page: OldestPage, *, with_payload: bool) -> dict[str, object]:
    """
    A page of one pipeline's events, the oldest first (ours). `next_cursor` is there at the end of the list, too: what
    comes later is found behind it.
    """
    return {
        "data": [
            {
                "event_id": str(event.id),
                "pipeline_id": page.pipeline.id,
                "event_type": event.event_type,
                "received_at": rfc3339(event.received_at_us),
                **({"payload": msgspec.Raw(event.payload)} if with_payload else {}),
            }
            for event in page.events
        ],
        "has_more": page.more,
        "next_cursor": f"ev_after_{page.through_seq:x}",
    }


def encode_events(
    page: EventPage, pipelines: Mapping[PipelineNumber, Pipeline], *, with_payload: bool = False
) -> dict[str, object]:
    """A page of events (S0.6); payloads are ours."""
    return {
        "data": [
            {
                "event_id": str(event.id),
                "pipeline_id": pipelines[PipelineNumber(event.id.pipeline)].id,
                "event_type": event.event_type,
                "received_at": rfc3339(event.received_at_us),
                **({"payload": msgspec.Raw(event.payload)} if with_payload else {}),
            }
            for event in page.events
        ],
        "has_more": page.next is not None,
        "next_cursor": f"ev_cursor_{page.next[0]:x}_{page.next[1]:x}" if page.next else None,
    }


def decode_cursor(text: str | None) -> tuple[int, int] | None:
    """Where a page goes on. Raises: InvalidRequest for what was never a `next_cursor`."""
    if text is None:
        return None
    found = _CURSOR.fullmatch(text)
    if not found:
        raise _invalid("cursor", "is not a next_cursor of this list")
    position, seq = (int(part, 16) for part in found.groups())
    if max(position, seq) >= 1 << 63:
        raise _invalid("cursor", "is not a next_cursor of this list")
    return position, seq


def encode_event(detail: EventDetail) -> dict[str, object]:
    """One event with its payload and deliveries (S0.6, ours)."""
    event = detail.event
    return {
        "event_id": str(event.id),
        "pipeline_id": detail.pipeline.id,
        "event_type": event.event_type,
        "received_at": rfc3339(event.received_at_us),
        "payload": msgspec.Raw(event.payload),
        "deliveries": [
            {
                "destination": delivery.destination,
                "type": delivery.type,
                "status": delivery.status,
                "object_key": delivery.object_key,
                "delivered_at": rfc3339(delivery.delivered_at_us) if delivery.delivered_at_us else None,
                "run_id": delivery.run_id,
            }
            for delivery in detail.deliveries
        ],
    }


def encode_pipeline(pipeline: Pipeline) -> dict[str, object]:
    """`{id, name, status, batch_size, created_at}` (S0.7)."""
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "status": _STATUS[pipeline.state],
        "batch_size": pipeline.spec.batch.max_events,
        "created_at": rfc3339(pipeline.created_at_us),
    }


def encode_pipelines(pipelines: Sequence[Pipeline], limit: int) -> dict[str, object]:
    """A page of pipelines out of at most `limit + 1` of them, the newest first (S0.9)."""
    page = pipelines[:limit]
    more = len(pipelines) > limit
    return {
        "data": [encode_pipeline(pipeline) for pipeline in page],
        "has_more": more,
        "next_cursor": f"pl_cursor_{page[-1].number:x}" if more else None,
    }


def decode_pipeline_cursor(text: str | None) -> int | None:
    """Where a page of pipelines goes on. Raises: InvalidRequest for what was never a `next_cursor`."""
    if text is None:
        return None
    found = _PIPELINE_CURSOR.fullmatch(text)
    if not found:
        raise _invalid("cursor", "is not a next_cursor of this list")
    return int(found[1], 16)


def decode_configuration(body: bytes) -> dict[str, Any]:
    """
    The body of `POST /v1/pipelines`: a pipeline's configuration, with `batch_size` for `batch.max_events` (S0.9).

    Raises: Invalid.
    """
    document = decode_object(body)
    if "batch_size" not in document:
        return document
    batch_size = _batch_size(document.pop("batch_size"))
    batch = document.setdefault("batch", {})
    if isinstance(batch, dict) and batch.setdefault("max_events", batch_size) != batch_size:
        raise _invalid("batch_size", "differs from batch.max_events; send one of them")
    return document


def decode_change(body: bytes) -> tuple[dict[str, Any], State | None]:
    """
    The body of `PATCH /v1/pipelines/{id}`: what changes in the configuration, and the state wanted (S0.9).

    Raises: Invalid.
    """
    document = decode_object(body)
    unknown = sorted(document.keys() - {"name", "batch_size", "status"})
    if unknown:
        raise refusal([Problem(path=(name,), message="cannot be changed here") for name in unknown])
    if not document:
        raise InvalidRequest("the body must name at least one of: name, batch_size, status")
    status = document.pop("status", None)
    if status not in (None, "active", "paused", "draining"):
        raise _invalid("status", "must be active, paused or draining")
    if "batch_size" in document:
        document["batch"] = {"max_events": _batch_size(document.pop("batch_size"))}
    return document, State(status) if status is not None else None


def _batch_size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_BATCH_EVENTS:
        raise _invalid("batch_size", f"must be a whole number from 1 to {MAX_BATCH_EVENTS}")
    return value


def _invalid(field: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(field,), message=message)])
