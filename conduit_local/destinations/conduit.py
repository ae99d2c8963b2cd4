"""
Another conduit-local: the edge forwards to the centre.

Exactly once, for ever: each request says whose events these are (the route's origin) and what they are called there
(their first and last number). The centre keeps the numbers it took last in the commit of the events themselves, so a
request that comes again, because its answer was lost a second or a week ago, is answered and not taken. That needs an
order: one batch at a time. What is answered counts only where it is the centre that answers: a receipt, or an error in
its words; what a proxy or a login page says in its place is for another time.
"""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from conduit_local.core.batch import Written, seqs_of
from conduit_local.core.content import Content
from conduit_local.core.delivering import Finding, ObjectContent, Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.event import MAX_EVENTS_PER_REQUEST
from conduit_local.core.headers import ORIGIN, RANGE
from conduit_local.core.ports import Answered, Sender
from conduit_local.destinations.conduit_spec import ConduitSpec
from conduit_local.destinations.posting import Verdict, delivery_id, posted, told, unavailable, verdict_of
from conduit_local.formats.compression import compress
from conduit_local.formats.objects import Summed

_TYPE = b'"event_type":"'
_RECEIVED = b',"received_at":"'
_PAYLOAD = b'"payload":'
_EMPTY_BATCH = "invalid_request"
_NOT_OURS = "what answers there is no conduit-local"
_CODES: dict[str, tuple[Verdict, str]] = {
    "pipeline_not_accepting": (Verdict.PERSON, "the pipeline there takes no events now"),
    "events_out_of_order": (Verdict.PERSON, "it knows other events under these numbers"),
    "idempotency_mismatch": (Verdict.PERSON, "it knows other events under this key"),
    "idempotency_keys_differ": (Verdict.PERSON, "something on the way adds a header"),
    "bad_request": (Verdict.LATER, "the request came to it garbled"),
    "pipeline_not_found": (Verdict.PERSON, "it has no such pipeline"),
}
"""What the centre's codes mean, where that is not what their status means elsewhere."""


class ConduitDestination:
    """`Destination` for a pipeline of another appliance."""

    extension = "jsonl.zst"
    in_flight = 1

    def __init__(self, spec: ConduitSpec, sender: Sender, threads: ThreadPoolExecutor, origin: str) -> None:
        """`origin` is the route's, among those of all appliances."""
        self._spec = spec
        self._sender = sender
        self._threads = threads
        self._origin = origin
        self._url = f"{spec.url}/_local/pipelines/{spec.pipeline}/events"

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`: there are no folders."""
        return ""

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: one request, one commit there."""
        if content.rows > MAX_EVENTS_PER_REQUEST:
            raise Rejected(f"{content.rows:,} rows in one request; a conduit-local takes {MAX_EVENTS_PER_REQUEST:,}")
        lines = Summed(as_requested(content, self._spec))
        body = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: [piece for piece in compress(lines, "zstd") if piece]
        )
        answered = await self._posted(self._said_of(key), body)
        verdict, why = self._verdict_of(answered)
        match verdict:
            case Verdict.DONE:
                self._require_receipt(answered, content.rows)
                return Written(self._url, lines.size_bytes, lines.sha256)
            case Verdict.REFUSED:
                raise Rejected(told(self._url, answered, why))
            case _:
                raise unavailable(self._url, answered, why, person=verdict is Verdict.PERSON)

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: events on a log are no object."""
        return None

    def objects(self, folder: str) -> None:
        """`Destination.objects`: there is nowhere to look."""

    async def probe(self) -> list[Finding]:
        """
        `Destination.probe`: a request without any event, which the centre refuses last: after the network, the key and
        its scope, and the pipeline.
        """
        try:
            answered = await self._posted({}, [])
        except DestinationUnavailable as error:
            return [Finding(step="reach", ok=False, message=error.message)]
        code = _code_of(answered)
        if answered.status == 400 and code == _EMPTY_BATCH:
            return [
                Finding(step="reach", ok=True, message=f"a conduit-local answers at {self._spec.url}"),
                Finding(step="key", ok=True, message="the key may send events"),
                Finding(step="pipeline", ok=True, message=f"it has the pipeline {self._spec.pipeline}"),
                Finding(step="repeat", ok=None, message="a batch whose answer is lost comes again and is taken once"),
            ]
        _, why = self._verdict_of(answered)
        step = {401: "key", 403: "key", 404: "pipeline"}.get(answered.status, "reach") if code else "reach"
        return [Finding(step=step, ok=False, message=told(self._url, answered, why))]

    async def close(self) -> None:
        """`Destination.close`: connections are the sender's."""

    async def _posted(self, headers: dict[str, str], body: list[bytes]) -> Answered:
        """What was answered. Raises: DestinationUnavailable."""
        sent = {
            "Authorization": f"Bearer {self._spec.key.text}",
            "Content-Type": "application/x-ndjson",
            **headers,
        }
        if body:
            sent["Content-Encoding"] = "zstd"
        return await posted(self._sender, self._url, sent, body, self._spec.timeout)

    def _said_of(self, key: str) -> dict[str, str]:
        """The headers that tell a repeat. Raises: ValueError for a key that names no events."""
        seqs = seqs_of(key)
        if seqs is None:
            raise ValueError(f"{key!r} does not say which events these are")
        said = {"Idempotency-Key": delivery_id(self._origin, key)}
        return {**said, ORIGIN: self._origin, RANGE: f"{seqs[0]}-{seqs[1]}"} if self._origin else said

    def _verdict_of(self, answered: Answered) -> tuple[Verdict, str]:
        code = _code_of(answered)
        if code in _CODES:
            return _CODES[code]
        verdict, why = verdict_of(answered.status)
        if verdict in {Verdict.DONE, Verdict.REFUSED} and answered.broken:
            return Verdict.LATER, "the answer breaks off"
        if verdict is Verdict.REFUSED and code is None:
            return Verdict.PERSON, _NOT_OURS
        return verdict, why

    def _require_receipt(self, answered: Answered, rows: int) -> None:
        """Raises: DestinationUnavailable unless it is the centre that says so: login pages answer 200 to anything."""
        said = _document(answered)
        accepted, replayed = said.get("accepted"), said.get("replayed")
        if type(accepted) is not int or type(replayed) is not bool or (accepted != rows and not replayed):
            raise unavailable(self._url, answered, _NOT_OURS, person=True)


def as_requested(content: Content, spec: ConduitSpec) -> Iterator[bytes]:
    """The lines of a request: `{"event_type":…,"payload":…}`, cut out of the envelopes, or put around rows."""
    if content.columns is not None:
        head = b'{"event_type":"%b","payload":' % spec.event_type.encode()
        for piece in content.pieces():
            if piece:
                yield head + piece.rstrip(b"\n").replace(b"\n", b"}\n" + head) + b"}\n"
        return
    cut = _payloads_alone if spec.record == "payload" else _whole_envelopes
    for piece in content.pieces():
        yield cut(piece.split(b"\n")[:-1])


def _payloads_alone(lines: Sequence[bytes]) -> bytes:
    """0.8 us a line: what stands between type and payload is of one length, and is looked for once."""
    gap = lines[0].index(_PAYLOAD) - lines[0].index(_RECEIVED) if lines else 0
    return b"".join(
        [
            b"{" + line[line.index(_TYPE) : (end := line.index(_RECEIVED)) + 1] + line[end + gap :] + b"\n"
            for line in lines
        ]
    )


def _whole_envelopes(lines: Sequence[bytes]) -> bytes:
    return b"".join(
        [b"{" + line[line.index(_TYPE) : line.index(_RECEIVED)] + b',"payload":' + line + b"}\n" for line in lines]
    )


def _document(answered: Answered) -> dict[str, Any]:
    """The JSON object in an answer; empty where there is none."""
    try:
        found = msgspec.json.decode(answered.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _code_of(answered: Answered) -> str | None:
    """The code of the centre's error; None where it is nobody's who speaks as it does."""
    error = _document(answered).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None
