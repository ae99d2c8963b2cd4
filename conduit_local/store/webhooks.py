"""
The outbox, and the catalog's webhooks.

A notice becomes a row for each webhook that wants it, in the commit of what it tells: none is lost, and none is told of
what did not happen.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.core.texts import Texts
from conduit_local.core.webhook import Notice, NoticeKind, Telling, TellingState, Webhook
from conduit_local.store.readers import Readers
from conduit_local.store.writer import Writer

_WEBHOOKS = "SELECT id, url, kinds, secret, created_at_us FROM webhooks ORDER BY created_at_us, id"
_WANTED = "SELECT id, kinds FROM webhooks"
_INSERT_WEBHOOK = "INSERT INTO webhooks VALUES (?, ?, ?, ?, ?)"
_DELETE_WEBHOOK = "DELETE FROM webhooks WHERE id = ?"
_FORGET = "DELETE FROM tellings WHERE number IN (SELECT number FROM tellings WHERE webhook = ? LIMIT 1000)"

_COLUMNS = (
    "number, webhook, kind, pipeline, pipeline_id, pipeline_name, route, at_us, first_seq, last_seq, count, more,"
    " state, attempts, made_us, due_us, attempted_at_us, ended_at_us, status, error"
)
_INSERT = (
    "INSERT INTO tellings (webhook, kind, pipeline, pipeline_id, pipeline_name, route, at_us, first_seq, last_seq,"
    " count, more, state, attempts, made_us, due_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?)"
)
_GATHER = (
    "UPDATE tellings SET at_us = ?, last_seq = ?, count = count + ?, more = ?"
    " WHERE webhook = ? AND kind = ? AND pipeline = ? AND route = ? AND state = 'pending' AND attempts = 0"
    " AND last_seq = ?"
)
_TAKE = (
    "UPDATE tellings SET attempts = attempts + 1 WHERE number IN (SELECT number FROM tellings"
    " WHERE webhook = ? AND state = 'pending' AND due_us <= ? ORDER BY due_us, number LIMIT ?)"
    f" RETURNING {_COLUMNS}"
)
_NEXT = "SELECT min(due_us) FROM tellings WHERE webhook = ? AND state = 'pending'"
_SETTLE = (
    "UPDATE tellings SET state = ?, attempts = ?, made_us = ?, due_us = ?, attempted_at_us = ?, ended_at_us = ?,"
    " status = ?, error = ? WHERE number = ?"
)
_NEWEST = f"SELECT {_COLUMNS} FROM tellings WHERE webhook = ? AND number < ? ORDER BY number DESC LIMIT ?"
_ONE = f"SELECT {_COLUMNS} FROM tellings WHERE number = ?"
_PRUNE = """
    DELETE FROM tellings WHERE number IN (
        SELECT number FROM tellings WHERE webhook = ?1 AND state <> 'pending' AND number <= coalesce(
            (SELECT number FROM tellings WHERE webhook = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2), -1)
        ORDER BY number LIMIT 500)"""


class Outbox:
    """Who is told of what; asked in the writer's thread, within the transaction of what happened."""

    def __init__(self, db: sqlite3.Connection, clock: Clock) -> None:
        self._clock = clock
        self._wanted: dict[str, list[str]] = {}
        self.tell: Callable[[], None] = lambda: None
        """Called in the writer's thread when something was written."""
        self.look(db)

    def wants(self, kind: NoticeKind) -> bool:
        """Whether anybody is told of this: what nobody wants to know costs nothing."""
        return kind in self._wanted

    def post(self, db: sqlite3.Connection, notice: Notice) -> None:
        """Write the notice down for everybody who wants it."""
        wanted = self._wanted.get(notice.kind)
        if not wanted:
            return
        more = json.dumps(notice.more, ensure_ascii=False)
        steady_us = self._clock.steady_us()
        name = (notice.kind, notice.pipeline)
        self.tell()
        events = (notice.first_seq, notice.last_seq, notice.count)
        for webhook in wanted:
            if notice.kind.coalesces:
                values = (notice.at_us, notice.last_seq, notice.count, more, webhook, *name, notice.route)
                if db.execute(_GATHER, (*values, notice.first_seq - 1)).rowcount:
                    continue
            pipeline = (notice.pipeline_id, notice.pipeline_name, notice.route)
            db.execute(_INSERT, (webhook, *name, *pipeline, notice.at_us, *events, more, steady_us, steady_us))

    def look(self, db: sqlite3.Connection) -> None:
        """Read who wants what."""
        wanted: dict[str, list[str]] = {}
        for webhook, kinds in db.execute(_WANTED):
            for kind in kinds.split(" "):
                wanted.setdefault(kind, []).append(webhook)
        self._wanted = wanted


class WebhookTable:
    """Webhooks and tellings; the fourth part of the catalog."""

    _writer: Writer
    _readers: Readers
    _texts: Texts
    _outbox: Outbox

    async def webhooks(self) -> list[Webhook]:
        """`Catalog.webhooks`."""
        rows = await self._readers.call(lambda db: db.execute(_WEBHOOKS).fetchall())
        return [
            Webhook(
                id=webhook,
                url=url,
                kinds=frozenset(map(NoticeKind, kinds.split(" "))),
                secret=self._texts.secret(secret, webhook),
                created_at_us=created_at_us,
            )
            for webhook, url, kinds, secret, created_at_us in rows
        ]

    async def add_webhook(self, webhook: Webhook) -> None:
        """`Catalog.add_webhook`."""
        secret = self._texts.of_secret(webhook.secret, webhook.id)
        kinds = " ".join(sorted(webhook.kinds))
        row = (webhook.id, webhook.url, kinds, secret, webhook.created_at_us)
        await self._writer.call(lambda db: db.execute(_INSERT_WEBHOOK, row).rowcount)
        await self._writer.call(self._outbox.look)

    async def remove_webhook(self, webhook: str) -> None:
        """`Catalog.remove_webhook`: in slices."""
        await self._writer.call(lambda db: db.execute(_DELETE_WEBHOOK, (webhook,)).rowcount)
        await self._writer.call(self._outbox.look)
        while await self._writer.call(lambda db: db.execute(_FORGET, (webhook,)).rowcount):
            pass

    def on_notice(self, tell: Callable[[], None]) -> None:
        """`Catalog.on_notice`."""
        loop = asyncio.get_running_loop()

        def on_loop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell)

        self._outbox.tell = on_loop

    async def take_due(self, webhook: str, now_us: int, limit: int) -> list[Telling]:
        """`Catalog.take_due`."""
        rows = await self._writer.call(lambda db: db.execute(_TAKE, (webhook, now_us, limit)).fetchall())
        return sorted(map(_telling, rows), key=lambda one: one.number)

    async def next_due(self, webhook: str) -> int | None:
        """`Catalog.next_due`."""
        (due_us,) = await self._readers.call(lambda db: db.execute(_NEXT, (webhook,)).fetchone())
        return due_us if due_us is None else int(due_us)

    async def settle(self, tellings: Sequence[Telling]) -> None:
        """`Catalog.settle`."""
        rows = [
            (
                one.state,
                one.attempts,
                one.made_us,
                one.due_us,
                one.attempted_at_us,
                one.ended_at_us,
                one.status,
                one.error,
                one.number,
            )
            for one in tellings
        ]
        await self._writer.call(lambda db: db.executemany(_SETTLE, rows).rowcount)

    async def tellings(self, webhook: str, before: int | None, limit: int) -> list[Telling]:
        """`Catalog.tellings`."""
        values = (webhook, before if before is not None else 1 << 62, limit)
        rows = await self._readers.call(lambda db: db.execute(_NEWEST, values).fetchall())
        return list(map(_telling, rows))

    async def telling(self, number: int) -> Telling | None:
        """`Catalog.telling`."""
        row = await self._readers.call(lambda db: db.execute(_ONE, (number,)).fetchone())
        return _telling(row) if row else None

    async def prune_tellings(self, webhook: str, keep: int) -> int:
        """`Catalog.prune_tellings`: 500 in one commit."""
        return await self._writer.call(lambda db: db.execute(_PRUNE, (webhook, keep)).rowcount)


def _telling(row: Sequence[Any]) -> Telling:
    number, webhook, kind, pipeline, pipeline_id, pipeline_name, route, *rest = row
    at_us, first_seq, last_seq, count, more, state, attempts, made_us, due_us, *rest = rest
    attempted_at_us, ended_at_us, status, error = rest
    return Telling(
        number=number,
        webhook=webhook,
        notice=Notice(
            kind=NoticeKind(kind),
            pipeline=PipelineNumber(pipeline),
            pipeline_id=pipeline_id,
            pipeline_name=pipeline_name,
            at_us=at_us,
            route=route,
            first_seq=first_seq,
            last_seq=last_seq,
            count=count,
            more=json.loads(more),
        ),
        state=TellingState(state),
        attempts=attempts,
        made_us=made_us,
        due_us=due_us,
        attempted_at_us=attempted_at_us,
        ended_at_us=ended_at_us,
        status=status,
        error=error,
    )
