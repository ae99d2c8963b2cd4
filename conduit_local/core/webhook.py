"""
Webhooks: who wants to be told of what, and each telling.

Signed as Standard Webhooks has it: `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`, keyed with the
bytes behind `whsec_`. Source: S2.6, S2.7; standardwebhooks.com.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from conduit_local.core.ids import delivery_id, event_id
from conduit_local.core.pipeline import Pipeline, PipelineNumber, State
from conduit_local.core.secrets import Secret
from conduit_local.core.times import rfc3339

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of secrets, not one of them
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
GIVEN_UP_AFTER_S = 24 * 3_600
"""How long a telling is tried (S2.7)."""


class NoticeKind(StrEnum):
    """What there is to tell (S2.7)."""

    CREATED = "pipeline.created"
    DELETED = "pipeline.deleted"
    STARTED = "pipeline.started"
    PAUSED = "pipeline.paused"
    RESUMED = "pipeline.resumed"
    STOPPED = "pipeline.stopped"
    INGESTED = "pipeline.ingested"
    TRANSFORMED = "pipeline.transformed"
    WRITTEN = "pipeline.written"
    FAILED = "pipeline.failed"

    @property
    def coalesces(self) -> bool:
        """Whether one that waits takes the next one in: those that come with the events, not with orders."""
        return self in {NoticeKind.INGESTED, NoticeKind.WRITTEN}


_CHANGES = {
    (State.ACTIVE, State.PAUSED): NoticeKind.PAUSED,
    (State.DRAINING, State.PAUSED): NoticeKind.PAUSED,
    (State.PAUSED, State.ACTIVE): NoticeKind.RESUMED,
    (State.DRAINING, State.ACTIVE): NoticeKind.RESUMED,
    (State.STOPPED, State.ACTIVE): NoticeKind.STARTED,
}


def kind_of_change(old: State, new: State) -> NoticeKind | None:
    """What an order that changes the state is called where it is told, if it is (S2.7)."""
    return _CHANGES.get((old, new))


def kind_of_edit(old: Pipeline, new: Pipeline) -> NoticeKind | None:
    """What an edit of the configuration is to those who are told, if it is anything."""
    return NoticeKind.TRANSFORMED if new.spec.transforms != old.spec.transforms else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """
    Something that happened to a pipeline.

    Shape: `count` events from `first_seq` to `last_seq`, 0 where it is not about events; `more` is JSON.
    """

    kind: NoticeKind
    pipeline: PipelineNumber
    pipeline_id: str
    pipeline_name: str
    at_us: int
    route: str = ""
    first_seq: int = 0
    last_seq: int = 0
    count: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)


def notice_of(
    kind: NoticeKind,
    pipeline: Pipeline,
    at_us: int,
    *,
    route: str = "",
    seqs: tuple[int, int] | None = None,
    **more: Any,
) -> Notice:
    """
    A notice about the pipeline itself; or about its events from the first to the last of `seqs`, there or on `route`.

    Shape: `more` is JSON.
    """
    first_seq, last_seq = seqs if seqs is not None else (0, 0)
    return Notice(
        kind=kind,
        pipeline=pipeline.number,
        pipeline_id=pipeline.id,
        pipeline_name=pipeline.name,
        at_us=at_us,
        route=route,
        first_seq=first_seq,
        last_seq=last_seq,
        count=last_seq - first_seq + 1 if seqs is not None else 0,
        more=more,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A subscription."""

    id: str
    url: str
    kinds: frozenset[NoticeKind]
    secret: Secret
    created_at_us: int


class TellingState(StrEnum):
    """How far a telling is."""

    WAITING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """One notice on its way to one webhook."""

    number: int
    webhook: str
    notice: Notice
    state: TellingState
    attempts: int
    made_us: int
    """When it was made, in steady time: it is given up 24 hours later."""
    due_us: int
    """When the next attempt is due, in steady time."""
    attempted_at_us: int | None = None
    ended_at_us: int | None = None
    status: int | None = None
    """What the receiver answered last."""
    error: str | None = None

    @property
    def id(self) -> str:
        """The public id, and the `webhook-id`: the same in every attempt, so that receivers can tell repeats."""
        return delivery_id(self.webhook, self.number)


def gathered(before: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """What two notices that become one have to say: numbers add up, of the rest the newer counts."""
    return {
        name: value + before[name] if isinstance(value, int) and isinstance(before.get(name), int) else value
        for name, value in then.items()
    }


def body_of(telling: Telling, tag: str) -> bytes:
    """
    What is sent: `{type, timestamp, data: {pipeline: {id, name}, …}}`; the same bytes in every attempt. `tag` is the
    store's.
    """
    notice = telling.notice
    data: dict[str, Any] = {"pipeline": {"id": notice.pipeline_id, "name": notice.pipeline_name}}
    if notice.count:
        first, last = (event_id(tag, notice.pipeline, seq) for seq in (notice.first_seq, notice.last_seq))
        data |= {"count": notice.count, "first_event_id": first, "last_event_id": last}
    data |= notice.more
    document = {"type": notice.kind, "timestamp": rfc3339(notice.at_us), "data": data}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def new_signing_secret(random: bytes) -> str:
    """A signing secret out of 24 to 64 random bytes."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def check_signing_secret(secret: str) -> str:
    """The secret itself. Raises: ValueError unless it is `whsec_` and the base64 of 24 to 64 bytes."""
    try:
        size = len(_key_of(secret))
    except (ValueError, binascii.Error):
        size = 0
    if not secret.startswith(SECRET_PREFIX) or not MIN_SECRET_BYTES <= size <= MAX_SECRET_BYTES:
        raise ValueError(f"must be {SECRET_PREFIX} and the base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    return secret


def signature_of(secret: str, message_id: str, timestamp_s: int, *body: bytes) -> str:
    """The value of `webhook-signature`; the body may come in pieces."""
    signed = hmac.new(_key_of(secret), f"{message_id}.{timestamp_s}.".encode(), hashlib.sha256)
    for piece in body:
        signed.update(piece)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"


def _key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
