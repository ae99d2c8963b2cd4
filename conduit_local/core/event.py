"""
An event: one JSON object with a type, on one pipeline's log.

The payload stays the bytes that arrived, from the request to the object: numbers, key order and Unicode come out as
they went in. The checks here are the same for every dialect, and cheap enough to stand in the per-event path.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

import msgspec

from conduit_local.core.errors import InvalidRequest, PayloadTooLarge
from conduit_local.core.ids import EventId
from conduit_local.core.problems import Problem, refusal

MAX_PAYLOAD_BYTES = 262_144
MAX_TYPE_LENGTH = 255
MAX_KEY_LENGTH = 255
MAX_EVENTS_PER_REQUEST = 10_000
MAX_DEPTH = 100
"""Common readers stop at 128, envelope included; no honest event comes near it."""

_TYPE = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_SHALLOW_BYTES = 2 * MAX_DEPTH + 2
"""No JSON shorter than this can nest deeper than `MAX_DEPTH`."""
_OPENING_BRACE = frozenset(b"{")
_FIRST_BYTE = itemgetter(0)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NewEvent(msgspec.Struct, gc=False):
    """An event as a request brings it."""

    event_type: str
    payload: msgspec.Raw


@dataclass(slots=True)  # not frozen: made once a request, and freezing doubles what that costs
class NewEvents:
    """
    The events of one request, checked and ready for the log.

    Shape: `types` and `payloads` are of one length, 1 to 10,000. A payload is a JSON object without line breaks.
    """

    types: Sequence[str]
    payloads: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.payloads)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event as the log has it."""

    id: EventId
    event_type: str
    received_at_us: int
    payload: bytes
    position: int
    """Where its chunk stands in the log of all pipelines."""


class EventPage(NamedTuple):
    """Events, the newest first; `next` is where to go on, as (position, seq), or None when there are no more."""

    events: list[StoredEvent]
    next: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFilter:
    """What a query looks for; what is None does not matter."""

    event_type: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    text: bytes | None = None
    """Bytes that the payload contains."""

    def may_hold(self, received_at_us: int, types: str | None) -> bool:
        """Whether a chunk, received then, with these types (space-separated, None for many), can hold a match."""
        if self.since_us is not None and received_at_us < self.since_us:
            return False
        if self.until_us is not None and received_at_us >= self.until_us:
            return False
        return self.event_type is None or types is None or self.event_type in types.split(" ")

    def holds(self, event: StoredEvent) -> bool:
        """Whether the event is one."""
        if self.event_type is not None and event.event_type != self.event_type:
            return False
        return self.text is None or self.text in event.payload


@lru_cache(maxsize=4096)
def check_event_type(event_type: str) -> None:
    """Raises: InvalidRequest unless `event_type` is dot-namespaced (S0.4)."""
    if not event_type or len(event_type) > MAX_TYPE_LENGTH or not _TYPE.fullmatch(event_type):
        raise _invalid(
            "event_type",
            f"must be letters, digits, _ or - between dots, at most {MAX_TYPE_LENGTH} characters, like order.created",
        )


def check_payload(payload: bytes) -> None:
    """
    Raises: InvalidRequest unless `payload` (valid JSON already) is an object nested at most 100 deep;
    PayloadTooLarge when it has more than 262,144 bytes.
    """
    if payload[:1] != b"{":
        raise _invalid("payload", "must be a JSON object")
    size = len(payload)
    if size <= _SHALLOW_BYTES:
        return
    if size > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge("payload exceeds the 256KB limit")
    if is_too_deep(payload):
        raise _invalid("payload", f"must not be nested more than {MAX_DEPTH} deep")


def fingerprint_of(events: NewEvents) -> bytes:
    """Tells two requests apart, as they were sent: types and payloads, byte for byte."""
    digest = hashlib.blake2b(digest_size=16)
    for event_type, payload in zip(events.types, events.payloads, strict=True):
        digest.update(f"{event_type} {len(payload)} ".encode())
        digest.update(payload)
    return digest.digest()


def check_idempotency_key(key: str) -> None:
    """Raises: InvalidRequest unless `key` has 1 to 255 characters."""
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise _invalid("idempotency_key", f"must have 1 to {MAX_KEY_LENGTH} characters")


def one_event(event: NewEvent) -> NewEvents:
    """The single event of a request, checked. Raises: as the checks above."""
    check_event_type(event.event_type)
    payload = bytes(event.payload)
    check_payload(payload)
    return NewEvents((event.event_type,), (on_one_line(payload),))


def many_events(events: Sequence[NewEvent], body: bytes) -> NewEvents:
    """
    The events that `body` brought, all or none. Raises: as the checks above, naming the place of the culprit.

    What can be asked once of all of them is not asked of each: distinct types, first bytes, line breaks in the body.
    """
    types = [event.event_type for event in events]
    payloads = [bytes(event.payload) for event in events]
    for event_type in set(types):
        try:
            check_event_type(event_type)
        except InvalidRequest as error:
            raise _at(types.index(event_type), error) from None
    return NewEvents(types, _checked(payloads, body))


def many_records(records: Sequence[msgspec.Raw], event_type: str, body: bytes) -> NewEvents:
    """
    The bare payloads that `body` brought as events of one type, all or none.

    Shape:  `event_type` is the caller's own, and not checked.
    Raises: as `check_payload`, naming the place of the culprit.
    """
    return NewEvents([event_type] * len(records), _checked(list(map(bytes, records)), body))


def _checked(payloads: list[bytes], body: bytes) -> list[bytes]:
    all_objects = _OPENING_BRACE.issuperset(map(_FIRST_BYTE, payloads))
    if not all_objects or max(map(len, payloads)) > _SHALLOW_BYTES:
        for place, payload in enumerate(payloads):
            if not all_objects or len(payload) > _SHALLOW_BYTES:
                _check_payload_at(place, payload)
    if b"\n" in body or b"\r" in body:
        return [on_one_line(payload) for payload in payloads]
    return payloads


def _check_payload_at(place: int, payload: bytes) -> None:
    try:
        check_payload(payload)
    except InvalidRequest as error:
        raise _at(place, error) from None
    except PayloadTooLarge as error:
        raise PayloadTooLarge(f"{error.message} (event {place})") from None


def _at(place: int, error: InvalidRequest) -> InvalidRequest:
    return refusal([Problem(path=(place, *problem.path), message=problem.message) for problem in error.problems])


def on_one_line(payload: bytes) -> bytes:
    """Line breaks in JSON stand between tokens only, where a space means the same."""
    if b"\n" in payload or b"\r" in payload:
        return payload.replace(b"\n", b" ").replace(b"\r", b" ")
    return payload


def is_too_deep(text: bytes) -> bool:
    """Whether JSON (valid already) is nested more than 100 deep."""
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for byte in _STRING.sub(b"", text).translate(None, _NO_BRACKETS):
        depth += 1 if byte in b"{[" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _invalid(field: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(field,), message=message)])
