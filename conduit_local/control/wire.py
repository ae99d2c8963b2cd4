"""Nouns to the JSON of `/_local/`, and back. Times are RFC 3339 with milliseconds."""

from collections.abc import Sequence
from typing import Any

import msgspec

from conduit_local.core.content import Column
from conduit_local.core.dead import DeadGroup, DeadLetter, Stage
from conduit_local.core.envelope import event_id_of
from conduit_local.core.event import (
    EventFilter,
    StoredEvent,
    is_too_deep,
    on_one_line,
)
from conduit_local.core.ids import event_id, run_id
from conduit_local.core.keys import ApiKey
from conduit_local.core.landed import Landed
from conduit_local.core.log import Receipt
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.run import Run, RunLine
from conduit_local.core.strict import NotJson, check_json
from conduit_local.core.times import parse_rfc3339, rfc3339_ms
from conduit_local.engine.dead import Replay, payload_of_letter
from conduit_local.engine.journal import Line
from conduit_local.engine.queries import EventDetail
from conduit_local.http.call import Call

NDJSON = "application/x-ndjson"


def encode_receipt(receipt: Receipt, tag: str) -> bytes:
    """What came of a request with events."""
    first = event_id(tag, receipt.pipeline, receipt.first_seq)
    last = event_id(tag, receipt.pipeline, receipt.first_seq + receipt.count - 1)
    return (
        f'{{"accepted":{receipt.count},"first_event_id":"{first}","last_event_id":"{last}",'
        f'"received_at":"{rfc3339_ms(receipt.received_at_us)}","replayed":{"true" if receipt.replayed else "false"}}}'
    ).encode()


def time_text(at_us: int | None) -> str | None:
    """A time, or null."""
    return None if at_us is None else rfc3339_ms(at_us)


def encode_pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline with its whole configuration."""
    return {
        "id": pipeline.id,
        "uuid": pipeline.uuid,
        "name": pipeline.name,
        "state": pipeline.state,
        "managed_by": pipeline.managed_by,
        "created_at": rfc3339_ms(pipeline.created_at_us),
        "updated_at": time_text(pipeline.updated_at_us),
        "configuration": pipeline.spec.model_dump(mode="json", serialize_as_any=True),
    }


def encode_whole(pipeline: Pipeline, columns: Sequence[Column] | None, problem: str | None) -> dict[str, Any]:
    """A pipeline, and what its transforms yield."""
    shown = [one._asdict() for one in columns] if columns is not None else None
    return {**encode_pipeline(pipeline), "columns": shown, "columns_problem": problem}


def encode_event(event: StoredEvent, pipeline: Pipeline) -> dict[str, Any]:
    """An event with its payload."""
    return {
        "event_id": str(event.id),
        "pipeline_id": pipeline.id,
        "pipeline": pipeline.name,
        "event_type": event.event_type,
        "received_at": rfc3339_ms(event.received_at_us),
        "payload": msgspec.Raw(event.payload),
    }


def encode_detail(detail: EventDetail) -> dict[str, Any]:
    """An event with its payload and what became of it on each route."""
    return {
        **encode_event(detail.event, detail.pipeline),
        "seq": detail.event.id.seq,
        "deliveries": [
            {
                "destination": delivery.destination,
                "type": delivery.type,
                "status": delivery.status,
                "object_key": delivery.object_key,
                "delivered_at": time_text(delivery.delivered_at_us),
                "run_id": delivery.run_id,
            }
            for delivery in detail.deliveries
        ],
    }


def encode_run(run: Run, pipeline: Pipeline) -> dict[str, Any]:
    """A run."""
    ended = run.finished_at_us
    return {
        "id": run.id,
        "pipeline_id": pipeline.id,
        "pipeline": pipeline.name,
        "trigger": run.trigger,
        "state": run.state,
        "stage": run.stage,
        "destination": run.route,
        "created_at": rfc3339_ms(run.created_at_us),
        "started_at": time_text(run.started_at_us),
        "finished_at": time_text(ended),
        "duration_ms": None if ended is None else max(0, ended - (run.started_at_us or ended)) // 1000,
        "extracted": run.extracted,
        "events": run.events,
        "rows": run.rows,
        "filtered": run.filtered,
        "dead": run.dead,
        "size_bytes": run.size_bytes,
        "batches": run.batches,
        "attempts": run.attempts,
        "object_key": run.object_key,
        "error": run.error,
        "full_refresh": run.options.full_refresh,
        "dry_run": run.options.dry_run,
        "variables": sorted(run.options.variables),
    }


def encode_run_line(line: RunLine) -> dict[str, Any]:
    """A line of a run's log."""
    return {"at": rfc3339_ms(line.at_us), "level": line.level, "message": line.message}


def encode_landed(landed: Landed) -> dict[str, Any]:
    """An object that was delivered."""
    return {
        "destination": landed.route.partition("@")[0],
        "key": landed.key,
        "place": landed.place,
        "rows": landed.rows,
        "size_bytes": landed.size_bytes,
        "sha256": landed.sha256,
        "first_seq": landed.first_seq,
        "last_seq": landed.last_seq,
        "first_event": landed.first_event,
        "last_event": landed.last_event,
        "landed_at": rfc3339_ms(landed.landed_at_us),
    }


def encode_letter(letter: DeadLetter, pipeline: Pipeline) -> dict[str, Any]:
    """A dead letter without what it holds."""
    was_event = letter.stage is not Stage.EXTRACT
    return {
        "id": letter.id,
        "pipeline_id": pipeline.id,
        "pipeline": pipeline.name,
        "destination": letter.destination,
        "stage": letter.stage,
        "event_id": event_id_of(letter.content) if was_event else None,
        "seq": letter.seq or None,
        "event_type": letter.event_type,
        "error": letter.error,
        "reason": letter.reason,
        "origin": letter.origin,
        "at": rfc3339_ms(letter.at_us),
        "run_id": None if letter.run is None else run_id(letter.run),
        "attempts": letter.attempts,
        "edited_at": time_text(letter.edited_at_us),
        "replaying": None if letter.replay is None else run_id(letter.replay),
    }


def encode_whole_letter(letter: DeadLetter, pipeline: Pipeline) -> dict[str, Any]:
    """
    A dead letter with what it holds, all on one line.

    What is no JSON, or nested deeper than an event may be, is a text; bytes that are no UTF-8 are escaped in it.
    """
    content = payload_of_letter(letter).strip(b" \t\r\n")
    return {
        **encode_letter(letter, pipeline),
        **(
            {"payload": msgspec.Raw(on_one_line(content)), "payload_kind": "json"}
            if _is_json(content)
            else {"payload": content.decode("utf-8", "backslashreplace"), "payload_kind": "text"}
        ),
    }


def _is_json(content: bytes) -> bool:
    try:
        check_json(content)
    except NotJson:
        return False
    return not is_too_deep(content)


def encode_group(group: DeadGroup, pipeline: Pipeline) -> dict[str, Any]:
    """Dead letters that died of the same reason."""
    return {
        "pipeline_id": pipeline.id,
        "pipeline": pipeline.name,
        "destination": group.route.partition("@")[0] or None,
        "stage": group.stage,
        "reason": group.reason,
        "count": group.count,
        "first_at": rfc3339_ms(group.first_at_us),
        "last_at": rfc3339_ms(group.last_at_us),
        "example": f"dead_{group.example}",
    }


def encode_replay(replay: Replay, pipeline: Pipeline) -> dict[str, Any]:
    """A replay that was asked for."""
    return {"run": encode_run(replay.run, pipeline), "letters": replay.letters, "left": replay.left}


def encode_line(line: Line) -> dict[str, Any]:
    """A line of the appliance's log."""
    return {
        "number": line.number,
        "at": rfc3339_ms(line.at_us),
        "level": line.level,
        "pipeline": line.pipeline,
        "message": line.message,
    }


def encode_key(key: ApiKey) -> dict[str, Any]:
    """A key, without its secret."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": rfc3339_ms(key.created_at_us),
        "last_used_at": time_text(key.last_used_at_us),
        "revoked_at": time_text(key.revoked_at_us),
    }


def page_of(items: Sequence[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """A page of a list."""
    return {"data": items, "has_more": next_cursor is not None, "next_cursor": next_cursor}


def event_filter(call: Call) -> EventFilter | None:
    """What a query for events looks for: `type`, `since`, `until`, `text`. Raises: InvalidRequest."""
    found = EventFilter(
        event_type=call.text("type"),
        since_us=time_given(call, "since"),
        until_us=time_given(call, "until"),
        text=text.encode("utf-8", "surrogateescape") if (text := call.text("text")) else None,
    )
    return None if found == EventFilter() else found


def time_given(call: Call, name: str) -> int | None:
    """A time out of the query, or None. Raises: InvalidRequest."""
    text = call.text(name)
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise refusal([Problem(path=(name,), message="must be a time like 2026-06-21T14:09:33Z")]) from None
