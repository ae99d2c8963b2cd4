"""Events as a request brings them, and what another appliance that forwards says of them."""

import hashlib
import re
from collections.abc import Mapping

import msgspec

from conduit_local.control.wire import NDJSON
from conduit_local.core.errors import Invalid, InvalidJson, InvalidRequest, TooManyRecords
from conduit_local.core.event import MAX_EVENTS_PER_REQUEST, NewEvent, NewEvents, many_events
from conduit_local.core.headers import ORIGIN, RANGE
from conduit_local.core.ids import MAX_SEQ
from conduit_local.core.log import Forwarded
from conduit_local.core.problems import Problem, refusal
from conduit_local.http.decode import decode

_ARRAY = msgspec.json.Decoder(list[NewEvent])
_LINES = msgspec.json.Decoder(NewEvent)
_ORIGIN = re.compile(r"[A-Za-z0-9_./@:-]{1,200}")
_RANGE = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")


def decode_events(body: bytes, content_type: str) -> NewEvents:
    """
    An array of `{event_type, payload}`, or one on each line. Raises: Invalid, TooLarge, naming the place.

    Shape: 1 to 10,000 events.
    """
    events = _lines(body) if content_type.lower().startswith(NDJSON) else decode(body, _ARRAY)
    if not events:
        raise InvalidRequest("the body holds no event")
    if len(events) > MAX_EVENTS_PER_REQUEST:
        raise TooManyRecords(f"{len(events):,} events in one request; the most is {MAX_EVENTS_PER_REQUEST:,}")
    return many_events(events, body)


def _lines(body: bytes) -> list[NewEvent]:
    """
    As an array, which takes a seventh of the time; line by line where that does not work out, to say which is wrong.

    Raises: Invalid.
    """
    rows = body.strip(b" \t\r\n")
    try:
        # the line feeds stay: within a text they are as wrong as before
        events = decode(b"[" + rows.replace(b"\n", b",\n") + b"]", _ARRAY)
        if len(events) == rows.count(b"\n") + bool(rows):
            return events
    except Invalid:  # or nothing but an empty line: each is looked at by itself
        pass
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    return [_line(line, number, place) for place, (number, line) in enumerate(lines)]


def _line(line: bytes, number: int, place: int) -> NewEvent:
    try:
        return decode(line, _LINES)
    except InvalidJson as error:
        raise InvalidJson(f"line {number} of {error.message}") from None
    except InvalidRequest as error:
        raise refusal(
            [Problem(path=(place, *problem.path), message=problem.message) for problem in error.problems]
        ) from None


def forwarded_of(headers: Mapping[str, str], events: NewEvents) -> Forwarded | None:
    """
    What the headers `Conduit-Origin` and `Conduit-Range` say of `events`; None where there are none.

    Raises: InvalidRequest when one of them is missing, or not what it should be.
    """
    origin, numbers = headers.get(ORIGIN), headers.get(RANGE)
    if origin is None and numbers is None:
        return None
    if origin is None or not _ORIGIN.fullmatch(origin):
        raise _invalid(ORIGIN, "must be 1 to 200 letters, digits, or some of _ . / @ : -")
    found = _RANGE.fullmatch(numbers or "")
    first_seq, last_seq = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first_seq <= last_seq <= MAX_SEQ:
        raise _invalid(RANGE, "must be the first and the last number of these events at their origin, like 101-200")
    return Forwarded(origin=origin, first_seq=first_seq, last_seq=last_seq, fingerprint=_fingerprint_of(events))


def _fingerprint_of(events: NewEvents) -> bytes:
    """Of types and payloads in one go each: neither holds what stands between them."""
    digest = hashlib.blake2b(" ".join(events.types).encode(), digest_size=16)
    digest.update(b"\n")
    digest.update(b"\n".join(events.payloads))
    return digest.digest()


def _invalid(name: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(name,), message=message)])
