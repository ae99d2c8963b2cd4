"""
HTTP: each batch is one POST.

Exactly once, with a receiver's help: nobody can know whether a request whose answer is lost was taken, so it is sent
again, byte for byte, with the same `webhook-id` and `Idempotency-Key`. Both follow from the route and the batch's key,
so they are the same after a crash, too, and of no other batch. A receiver that passes over an id that it has taken gets
every batch once; for any other one it is at least once. What says `taken` is a 2xx and nothing else.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from conduit_local.core.batch import Written
from conduit_local.core.content import Content, Envelopes
from conduit_local.core.delivering import Finding, ObjectContent, Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.ports import Sender
from conduit_local.core.webhook import signature_of
from conduit_local.destinations.http_spec import HttpSpec
from conduit_local.destinations.posting import Verdict, address_of, delivery_id, posted, told, unavailable, verdict_of
from conduit_local.formats.compression import SUFFIXES, compress
from conduit_local.formats.jsonl import records

_TYPES = {"ndjson": "application/x-ndjson", "json": "application/json"}


class Body(NamedTuple):
    """What is sent: held once, in pieces, however often it is tried."""

    pieces: list[bytes]
    size_bytes: int
    sha256: str


class HttpDestination:
    """`Destination` for any URL that takes a POST."""

    def __init__(self, spec: HttpSpec, sender: Sender, threads: ThreadPoolExecutor, origin: str) -> None:
        """`origin` is the route's, among those of all appliances."""
        self._spec = spec
        self._sender = sender
        self._threads = threads
        self._origin = origin
        self.extension = ("json" if spec.format == "json" else "jsonl") + SUFFIXES[spec.compression]
        self.in_flight = spec.concurrency or 1

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`: there are no folders."""
        return ""

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: one POST; whatever is no 2xx is as `posting` decides."""
        url = self._spec.url
        body, headers = await self._laid_out(delivery_id(self._origin, key), content)
        answered = await posted(self._sender, url, headers, body.pieces, self._spec.timeout)
        verdict, why = verdict_of(answered.status)
        match verdict:
            case Verdict.DONE:
                return Written(address_of(url), body.size_bytes, body.sha256)
            case Verdict.REFUSED:
                raise Rejected(told(url, answered, why))
            case _:
                raise unavailable(url, answered, why, person=verdict is Verdict.PERSON)

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: what was sent is the receiver's."""
        return None

    def objects(self, folder: str) -> None:
        """`Destination.objects`: there is nowhere to look."""

    async def probe(self) -> list[Finding]:
        """
        `Destination.probe`: a batch without any event, signed as every batch is, and marked `Conduit-Probe: true`.

        It shows whether the URL is right and the receiver takes the credentials; one that refuses a batch for being
        empty has looked at both.
        """
        body, headers = await self._laid_out(f"probe_{uuid.uuid4().hex}", Envelopes([], 0))
        url, probe = self._spec.url, {**headers, "Conduit-Probe": "true"}
        try:
            answered = await posted(self._sender, url, probe, body.pieces, self._spec.timeout)
        except DestinationUnavailable as error:
            return [Finding(step="send", ok=False, message=error.message)]
        verdict, why = verdict_of(answered.status)
        match verdict:
            case Verdict.DONE:
                found = Finding(step="send", ok=True, message=f"{address_of(url)} takes a batch without events")
            case Verdict.REFUSED:
                said = told(url, answered, "it refuses a batch for being empty; the URL and the credentials are right")
                found = Finding(step="send", ok=None, message=said)
            case _:
                return [Finding(step="send", ok=False, message=told(url, answered, why))]
        repeats = (
            "a batch whose answer is lost comes again with the same webhook-id: the receiver passes over what it has"
        )
        findings = [found, Finding(step="repeat", ok=None, message=repeats)]
        if self._spec.secret is None:
            unsigned = "deliveries are not signed: the receiver cannot tell who sends them; give a `secret`"
            findings.append(Finding(step="sign", ok=None, message=unsigned))
        return findings

    async def close(self) -> None:
        """`Destination.close`: connections are the sender's."""

    async def _laid_out(self, message_id: str, content: Content) -> tuple[Body, dict[str, str]]:
        """The body, and the headers of an attempt that is made now."""
        spec = self._spec
        at_s = int(time.time())  # the receiver's clock tells how old it is, not one that a test kit moves
        body, signature = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._signed, message_id, at_s, content
        )
        headers = {
            **spec.headers.value,
            "Content-Type": _TYPES[spec.format],
            "Idempotency-Key": message_id,
            "webhook-id": message_id,
            "webhook-timestamp": str(at_s),
        }
        if spec.compression != "none":
            headers["Content-Encoding"] = spec.compression
        if signature is not None:
            headers["webhook-signature"] = signature
        return body, headers

    def _signed(self, message_id: str, at_s: int, content: Content) -> tuple[Body, str | None]:
        """In a thread: up to 64 MiB are packed and summed up."""
        spec = self._spec
        lines = records(content, spec.record)
        body = body_of(compress(_array(lines) if spec.format == "json" else lines, spec.compression))
        secret = spec.secret.text if spec.secret is not None else None
        return body, None if secret is None else signature_of(secret, message_id, at_s, *body.pieces)


def body_of(pieces: Iterable[bytes]) -> Body:
    """The pieces, held and summed up."""
    held, digest, size = [], hashlib.sha256(), 0
    for piece in pieces:
        if piece:
            held.append(piece)
            digest.update(piece)
            size += len(piece)
    return Body(held, size, digest.hexdigest())


def _array(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The JSON on these lines as the elements of an array; each piece holds whole lines."""
    before = b"["
    for piece in lines:
        if piece:
            yield before + piece.rstrip(b"\n").replace(b"\n", b",\n")
            before = b",\n"
    yield b"]" if before != b"[" else b"[]"
