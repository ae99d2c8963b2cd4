"""
S3's records: bytes <-> core. Pure: any bytes give events or a Refused.

Source: S3.6, S3.7, S3.9.
"""

import re
from collections.abc import Sequence

import msgspec

from conduit_local.core.errors import (
    ConduitError,
    Invalid,
    InvalidJson,
    InvalidRequest,
    PayloadTooLarge,
    TooManyRecords,
)
from conduit_local.core.event import (
    MAX_DEPTH,
    MAX_EVENTS_PER_REQUEST,
    MAX_PAYLOAD_BYTES,
    NewEvents,
    is_too_deep,
    many_records,
)
from conduit_local.core.ids import part_uuid
from conduit_local.core.log import Receipt
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.spec import LimitsSpec
from conduit_local.dialects.s3.errors import EmptyPayload, InvalidPayload
from conduit_local.http.decode import check_object_count, decode

MAX_BODY_BYTES = 32 * 1024**2
EVENT_TYPE = "record"
"""The type of every record: the document knows none."""

_SPACE = b" \t\r\n"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_WHOLE = msgspec.json.Decoder(msgspec.Raw)


def is_pipe_id(text: str) -> bool:
    """Whether this is a UUID in its usual form, in either case."""
    return _UUID.fullmatch(text.lower()) is not None


def decode_records(body: bytes, limits: LimitsSpec) -> NewEvents:
    """
    One object, or an array of them, each a record.

    Raises: InvalidPayload, EmptyPayload, PayloadTooLarge, TooManyRecords.
    """
    start = body.lstrip(_SPACE)[:1]
    if not start:
        raise EmptyPayload("the body is empty; send a JSON object, or an array of objects")
    is_array = start == b"["
    try:
        records = _listed(body, limits) if is_array else [decode(body, _WHOLE)]
    except InvalidJson as error:
        raise InvalidPayload(error.message) from None
    if not records:
        raise EmptyPayload("the array holds no record")
    try:
        events = many_records(records, EVENT_TYPE, body)
    except Invalid as error:
        raise InvalidPayload(_worded(error, is_array=is_array)) from None
    except PayloadTooLarge:
        _check_shapes(records)
        _check_count(len(records), limits)
        sizes = [len(bytes(record)) for record in records]
        raise PayloadTooLarge(f"record {sizes.index(max(sizes))} exceeds {MAX_PAYLOAD_BYTES:,} bytes") from None
    _check_count(len(records), limits)
    return events


def _listed(body: bytes, limits: LimitsSpec) -> list[msgspec.Raw]:
    """Raises: InvalidPayload, and what says that they are too many."""
    try:
        check_object_count(body, MAX_EVENTS_PER_REQUEST, lambda: _too_many(limits, None))
    except InvalidRequest as error:
        raise InvalidPayload(_worded(error, is_array=True)) from None
    return decode(body, _ARRAY)


def encode_accepted(pipeline: Pipeline, receipt: Receipt) -> bytes:
    """
    `{accepted, pipe_id, pipe_name, records_count, request_id, message}` (S3.6).

    The request's id follows from its first record, so that a repeat says the same.
    """
    request_id = part_uuid(pipeline.uuid, "request", str(receipt.first_seq))
    return (
        f'{{"accepted":true,"pipe_id":"{pipeline.uuid}",'
        f'"pipe_name":{msgspec.json.encode(pipeline.spec.label).decode()},"records_count":{receipt.count},'
        f'"request_id":"{request_id}","message":"Records accepted for processing"}}'
    ).encode()


def encode_hint(pipeline: Pipeline) -> dict[str, object]:
    """What to do instead of `GET` (S3.9)."""
    return {
        "pipe_id": pipeline.uuid,
        "method": "POST",
        "message": "Send records with POST: a JSON object, or an array of objects, as application/json",
    }


def _check_shapes(records: Sequence[msgspec.Raw]) -> None:
    """What is wrong with any record comes before what is too large of an earlier one (S3.7). Raises: InvalidPayload."""
    for place, payload in enumerate(map(bytes, records)):
        if payload[:1] != b"{":
            raise InvalidPayload(f"record {place} must be a JSON object")
        if len(payload) <= MAX_PAYLOAD_BYTES and is_too_deep(payload):
            raise InvalidPayload(f"record {place} must not be nested more than {MAX_DEPTH} deep")


def _check_count(count: int, limits: LimitsSpec) -> None:
    if count > (limits.ingest_max_records_per_request or MAX_EVENTS_PER_REQUEST):
        raise _too_many(limits, count)


def _too_many(limits: LimitsSpec, count: int | None) -> ConduitError:
    """Over the pipe's own limit, or where it has none over the appliance's (S3.7)."""
    most = limits.ingest_max_records_per_request
    many = f"{count:,}" if count is not None else "too many"
    if most is None:
        return PayloadTooLarge(f"{many} records in one request; the most is {MAX_EVENTS_PER_REQUEST:,}")
    return TooManyRecords(f"{many} records in one request; this pipe takes {most:,} at most")


def _worded(error: Invalid, *, is_array: bool) -> str:
    """The place of the culprit, where there are several."""
    problem = error.problems[0]
    place = f"record {problem.path[0]} " if is_array else "the body "
    return f"{place}{problem.message}"
