"""
The envelope: an event as the log keeps it and as it lands.

`{"event_id":…,"pipeline_id":…,"event_type":…,"received_at":…,"payload":…}`, one line each, the payload last. A jsonl
batch is a concatenation of such lines and a `payload` record a slice of one: nothing is parsed again on the way to a
file. Only the payload is foreign text; ids, types and times cannot hold a character that JSON would escape.
"""

from collections.abc import Sequence

from conduit_local.core.ids import PAIRS, SEQ_WIDTH, event_prefix, to_base32
from conduit_local.core.times import parse_rfc3339, rfc3339

_BLOCK = len(PAIRS)
_PAYLOAD = b'"payload":'


def envelopes(
    tag: str,
    pipeline: int,
    pipeline_id: str,
    first_seq: int,
    received_at_us: int,
    types: Sequence[str],
    payloads: Sequence[bytes],
) -> bytes:
    """
    The lines of events that were received together and follow one another.

    Parts are laid out by slices and joined once: 0.2 us an event, where formatting each took 0.7.
    """
    count = len(payloads)
    middles = _middles(pipeline_id, rfc3339(received_at_us), types)
    prefix = event_prefix(tag, pipeline)
    parts: list[bytes] = []
    done = 0
    while done < count:
        seq = first_seq + done
        low = seq % _BLOCK
        size = min(count - done, _BLOCK - low)
        head = f'{{"event_id":"{prefix}{to_base32(seq // _BLOCK, SEQ_WIDTH - 2)}'.encode()
        block = [b"}\n" + head] * (4 * size)
        block[0] = head
        block[1::4] = PAIRS[low : low + size]
        block[2::4] = middles[done : done + size]
        block[3::4] = payloads[done : done + size]
        block.append(b"}\n")
        parts += block
        done += size
    return b"".join(parts)


def _middles(pipeline_id: str, received_at: str, types: Sequence[str]) -> list[bytes]:
    head, tail = f'","pipeline_id":"{pipeline_id}","event_type":"', f'","received_at":"{received_at}","payload":'
    made = {event_type: f"{head}{event_type}{tail}".encode() for event_type in set(types)}
    return [made[types[0]]] * len(types) if len(made) == 1 else [made[event_type] for event_type in types]


def payload_of(line: bytes) -> bytes:
    """The payload's own bytes out of an envelope line (with or without its line feed)."""
    return line[line.index(_PAYLOAD) + len(_PAYLOAD) : line.rindex(b"}")]


def with_payload(line: bytes, payload: bytes) -> bytes:
    """The envelope line with another payload."""
    return line[: line.index(_PAYLOAD) + len(_PAYLOAD)] + payload + line[line.rindex(b"}") :]


def event_id_of(line: bytes) -> str:
    """The event's id out of an envelope line."""
    start = line.index(b'"event_id":"') + 12
    return line[start : line.index(b'"', start)].decode()


def type_of(line: bytes) -> str:
    """The event type out of an envelope line."""
    start = line.index(b'"event_type":"') + 14
    return line[start : line.index(b'"', start)].decode()


def received_at_of(line: bytes) -> int:
    """When the event was received, out of an envelope line; microseconds, of whole seconds."""
    start = line.index(b'"received_at":"') + 15
    return parse_rfc3339(line[start : line.index(b'"', start)].decode())
