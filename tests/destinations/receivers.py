"""Receivers of batches on a real port, which do with a `webhook-id` what Standard Webhooks asks of them."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from conduit_local.core.content import Column
from tests.egress.receiver import Receiver, Request, status

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def unpacked(request: Request) -> bytes:
    """The body as it was before it was compressed."""
    match request.headers.get("content-encoding"):
        case None:
            return request.body
        case "gzip":
            return gzip.decompress(request.body)
        case "zstd":
            return zstd.decompress(request.body)
        case other:
            raise AssertionError(other)


def rows_of(request: Request) -> list[Any]:
    """What the body holds, by its type."""
    body = unpacked(request)
    if request.headers["content-type"] == "application/json":
        found: list[Any] = json.loads(body)
        return found
    assert request.headers["content-type"] == "application/x-ndjson"
    assert not body or body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def signature(request: Request, secret: str) -> str:
    """What the signature must be, computed apart from the appliance's own way."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    head = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
    return "v1," + base64.b64encode(hmac.digest(key, head + request.body, hashlib.sha256)).decode()


@dataclass
class Inbox:
    """Takes each `webhook-id` once; refuses what it is told to refuse."""

    secret: str | None = None
    refuses: Callable[[list[Any]], bool] = lambda _rows: False
    refusal: int = 422
    taken: dict[str, list[Any]] = field(default_factory=dict)
    repeats: int = 0
    wrong: list[str] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """An `Answer`."""
        if self.secret is not None and request.headers.get("webhook-signature") != signature(request, self.secret):
            self.wrong.append("a signature is wrong")
            return await status(401)(request, writer)
        rows = rows_of(request)
        if self.refuses(rows):
            return await status(self.refusal, body=b"row 3: no such customer")(request, writer)
        known = self.taken.setdefault(request.headers["webhook-id"], rows)
        if known is not rows:
            self.repeats += 1
            if known != rows:
                self.wrong.append(f"{request.headers['webhook-id']} came with other rows")
        return await status(204)(request, writer)

    @property
    def rows(self) -> list[Any]:
        """All that was taken, in the order of its coming."""
        return [row for rows in self.taken.values() for row in rows]


@dataclass(frozen=True, slots=True)
class Rows:
    """`Content` as a transform makes it."""

    parts: list[bytes]
    columns: tuple[Column, ...] = (Column("a", "INTEGER"),)

    @property
    def rows(self) -> int:
        """`Content.rows`."""
        return b"".join(self.parts).count(b"\n")

    def pieces(self) -> Iterator[bytes]:
        """`Content.pieces`."""
        yield from self.parts

    def close(self) -> None:
        """`Content.close`."""


@asynccontextmanager
async def receiving(inbox: Inbox) -> AsyncIterator[Receiver]:
    """A server with this inbox."""
    async with Receiver(answer=inbox) as receiver:
        yield receiver


def no_such_name(host: str, _port: int, _family: int) -> list[tuple[Any, ...]]:
    """A name server that knows nobody."""
    raise OSError(f"{host}: no such name")
