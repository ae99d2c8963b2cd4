"""The parameters of `ingest`: bytes -> events, which stay the bytes that they are. Pure. Source: S2.5."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from conduit_local.core.errors import InvalidRequest, TooManyRecords
from conduit_local.core.event import (
    MAX_EVENTS_PER_REQUEST,
    NewEvent,
    NewEvents,
    check_event_type,
    check_idempotency_key,
    many_events,
    one_event,
)
from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.dialects.s2 import parameters
from conduit_local.dialects.s2.wire import PARAMETERS, below
from conduit_local.http.decode import check_object_count, decode

_NULL = b"null"


class EventsSent(NamedTuple):
    """What `ingest` brings."""

    pipeline: str
    events: NewEvents
    idempotency_key: str | None


class _Ingest(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    pipeline: str
    event: msgspec.Raw = msgspec.Raw(_NULL)
    events: msgspec.Raw = msgspec.Raw(_NULL)
    event_type: str = parameters.DEFAULT_TYPE
    idempotency_key: str | None = None


_INGEST = msgspec.json.Decoder(_Ingest)
_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])


def decode_ingest(given: bytes) -> EventsSent:
    """The parameters of `ingest`; payloads stay as they came. Raises: Invalid, TooLarge."""
    with below(PARAMETERS):
        found = decode(given, _INGEST)
        one, several = bytes(found.event), bytes(found.events)
        if (one == _NULL) == (several == _NULL):
            raise refusal([Problem(path=("event",), message="is required, or events instead of it; not both")])
        check_event_type(found.event_type)
        if found.idempotency_key is not None:
            check_idempotency_key(found.idempotency_key)
        if several == _NULL:
            with _instead_of_payload("event"):
                events = one_event(NewEvent(found.event_type, found.event))
        else:
            with _instead_of_payload("events"):
                events = _many(several, found.event_type)
    return EventsSent(found.pipeline, events, found.idempotency_key)


def _many(given: bytes, event_type: str) -> NewEvents:
    check_object_count(given, MAX_EVENTS_PER_REQUEST, _too_many)
    found = decode(given, _EVENTS)
    if not found:
        raise refusal([Problem(path=(), message="must hold at least one event")])
    if len(found) > MAX_EVENTS_PER_REQUEST:
        raise _too_many()
    return many_events([NewEvent(event_type, one) for one in found], given)


def _too_many() -> TooManyRecords:
    return TooManyRecords(f"more than {MAX_EVENTS_PER_REQUEST:,} events in one request")


@contextmanager
def _instead_of_payload(field: str) -> Iterator[None]:
    """What core says of a `payload` is said of `field`."""
    try:
        yield
    except InvalidRequest as error:
        raise refusal([Problem(path=_place(field, one.path), message=one.message) for one in error.problems]) from None


def _place(field: str, path: Path) -> Path:
    return (field, *(step for step in path if step != "payload"))
