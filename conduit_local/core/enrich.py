"""What a pipeline adds to the payloads it takes: the time of acceptance, the client's address (S3.10)."""

from collections.abc import Mapping

import msgspec

from conduit_local.core.event import NewEvents
from conduit_local.core.spec import EnrichSpec

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def enriched(events: NewEvents, spec: EnrichSpec, at: str, client: str | None) -> NewEvents:
    """
    `events` with the fields that `spec` names; a field of that name that is there already is kept.

    The payload's own bytes stay as they are; new fields come last.
    """
    fields = {
        name: msgspec.json.encode(value)
        for name, value in ((spec.timestamp_field, at), (spec.ip_field, client))
        if name is not None and value is not None
    }
    return NewEvents(events.types, [_with(payload, fields) for payload in events.payloads]) if fields else events


def _with(payload: bytes, fields: Mapping[str, bytes]) -> bytes:
    there = _FIELDS.decode(payload)
    added = b",".join(msgspec.json.encode(name) + b":" + value for name, value in fields.items() if name not in there)
    if not added:
        return payload
    return payload[: payload.rindex(b"}")] + (b"," if there else b"") + added + b"}"
