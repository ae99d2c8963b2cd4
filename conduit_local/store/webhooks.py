"""
The outbox, and the catalog's webhooks.

A notice becomes a row for each webhook that wants it, in the commit of what it tells: none is lost, and none is told of
what did not happen.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from conduit_local.core.errors import Unavailable
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.ports import Clock
from conduit_local.core.texts import Texts
from conduit_local.core.webhook import Notice, NoticeKind, Telling, TellingState, Webhook, gathered
from conduit_local.store.readers import Readers
from conduit_local.store.writer import Writer

_WEBHOOKS = "SELECT id, url, kinds, secret, created_at_us FROM webhooks ORDER BY created_at_us, id"
_WANTED = "SELECT id, kinds FROM webhooks"
_INSERT_WEBHOOK = "INSERT INTO webhooks VALUES (?, ?, ?, ?, ?)"
_DELETE_WEBHOOK = "DELETE FROM webhooks WHERE id = ?"
_FORGET = "DELETE FROM tellings WHERE number IN (SELECT number FROM tellings WHERE webhook = ? LIMIT ?)"
_SLICE = 500
"""Rows that one commit drops or ends, so that ingest never waits long behind it."""

_COLUMNS = (
    "number, webhook, kind, pipeline, pipeline_id, pipeline_name, route, at_us, first_seq, last_seq, count, more,"
    " state, attempts, made_us, due_us, attempted_at_us, ended_at_us, status, error"
)
_INSERT = (
    "INSERT INTO tellings (webhook, kind, pipeline, pipeline_id, pipeline_name, route, at_us, first_seq, last_seq,"
    " count, more, state, attempts, made_us, due_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?)"
)
_GATHERING = (
    "SELECT number, more FROM tellings WHERE webhook = ? AND kind = ? AND pipeline = ? AND route = ?"
    " AND state = 'pending' AND attempts = 0 AND last_seq = ?"
)
_GATHER = "UPDATE tellings SET at_us = ?, last_seq = ?, count = count + ?, more = ?, made_us = ? WHERE number = ?"
_TAKE = (
    "UPDATE tellings SET attempts = attempts + 1, due_us = max(due_us, 1) WHERE number IN (SELECT number FROM tellings"
    " WHERE webhook = ? AND state = 'pending' AND due_us <= ? ORDER BY due_us, number LIMIT ?)"
    f" RETURNING {_COLUMNS}"
)
_NEXT = "SELECT min(due_us) FROM tellings WHERE webhook = ? AND state = 'pending'"
_SETTLE = (  # not where somebody asked meanwhile to have it sent again, unless that was done by this
    "UPDATE tellings SET state = ?, due_us = ?, attempted_at_us = ?, ended_at_us = ?, status = ?, error = ?"
    " WHERE number = ? AND (due_us > 0 OR ? = 'delivered')"
)
_AGAIN = (  # due before all that waits: somebody wants to see it
    "UPDATE tellings SET state = 'pending', made_us = ?, due_us = 0, ended_at_us = NULL"
    f" WHERE number = ? AND webhook = ? RETURNING {_COLUMNS}"
)
_GIVE_UP = (
    "UPDATE tellings SET state = 'failed', ended_at_us = ?, error = coalesce(error, ?) WHERE number IN (SELECT number"
    " FROM tellings WHERE webhook = ? AND state = 'pending' AND made_us <= ? LIMIT 500)"
)
_NEWEST = f"SELECT {_COLUMNS} FROM tellings WHERE webhook = ? AND number < ? ORDER BY number DESC LIMIT ?"
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
        self._posted: set[str] = set()
        self.doubts = 0
        """How many changes of webhooks are under way: until they are on disk, and looked at, the table is asked."""
        self.tell: Callable[[Collection[str]], None] = lambda _webhooks: None
        self.look(db)

    def wants(self, kind: NoticeKind) -> bool:
        """Whether anybody may be told of this: what nobody wants to know costs nothing."""
        return self.doubts > 0 or kind in self._wanted

    def post(self, db: sqlite3.Connection, notice: Notice) -> None:
        """Write the notice down for everybody who wants it."""
        wanted = (_who_wants_what(db) if self.doubts else self._wanted).get(notice.kind)
        if not wanted:
            return
        self._posted.update(wanted)
        more, steady_us = json.dumps(notice.more), self._clock.steady_us()
        name = (notice.kind, notice.pipeline)
        events = (notice.first_seq, notice.last_seq, notice.count)
        for webhook in wanted:
            if notice.kind.coalesces:
                waits = db.execute(_GATHERING, (webhook, *name, notice.route, notice.first_seq - 1)).fetchone()
                if waits is not None:
                    both = json.dumps(gathered(json.loads(waits[1]), notice.more))
                    db.execute(_GATHER, (notice.at_us, notice.last_seq, notice.count, both, steady_us, waits[0]))
                    continue
            pipeline = (notice.pipeline_id, notice.pipeline_name, notice.route)
            db.execute(_INSERT, (webhook, *name, *pipeline, notice.at_us, *events, more, steady_us, steady_us))

    def look(self, db: sqlite3.Connection) -> None:
        """Read who wants what."""
        self._wanted = _who_wants_what(db)

    def committed(self) -> None:
        """A group is on disk (asked on the loop, while no other group is under way): now whoever tells can see it."""
        if self._posted:
            posted, self._posted = self._posted, set()
            self.tell(posted)


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
        await self._change(lambda db: db.execute(_INSERT_WEBHOOK, row).rowcount)

    async def remove_webhook(self, webhook: str) -> None:
        """
        `Catalog.remove_webhook`: what it was told goes in slices, the webhook with the last of them. That is one which
        is not full, not one that is empty: while events come in, none is.
        """

        def remove(db: sqlite3.Connection) -> int:
            gone = db.execute(_FORGET, (webhook, _SLICE)).rowcount
            if gone < _SLICE:
                db.execute(_DELETE_WEBHOOK, (webhook,))
            return gone

        while await self._change(remove) == _SLICE:
            pass

    async def _change(self, change: Callable[[sqlite3.Connection], int]) -> int:
        """A change of webhooks: nobody trusts what was looked up before until it was looked up again."""
        self._outbox.doubts += 1
        try:
            done = await self._writer.call(change)
        except Unavailable:  # nothing was kept, so what was looked up before is still true
            self._outbox.doubts -= 1
            raise
        with suppress(Unavailable):  # the change is on disk: whoever asked for it is told so, and the doubt remains
            await self._writer.call(self._outbox.look)
            self._outbox.doubts -= 1
        return done

    def on_notice(self, tell: Callable[[Collection[str]], None]) -> None:
        """`Catalog.on_notice`."""
        self._outbox.tell = tell

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
            (one.state, one.due_us, one.attempted_at_us, one.ended_at_us, one.status, one.error, one.number, one.state)
            for one in tellings
        ]
        await self._writer.call(lambda db: db.executemany(_SETTLE, rows).rowcount)

    async def tellings(self, webhook: str, before: int | None, limit: int) -> list[Telling]:
        """`Catalog.tellings`."""
        values = (webhook, before if before is not None else 1 << 62, limit)
        rows = await self._readers.call(lambda db: db.execute(_NEWEST, values).fetchall())
        return list(map(_telling, rows))

    async def tell_again(self, webhook: str, number: int, now_us: int) -> Telling | None:
        """`Catalog.tell_again`."""
        row = await self._writer.call(lambda db: db.execute(_AGAIN, (now_us, number, webhook)).fetchone())
        return _telling(row) if row else None

    async def give_up(self, webhook: str, made_before_us: int, at_us: int, error: str) -> int:
        """`Catalog.give_up`: 500 in one commit."""
        return await self._writer.call(
            lambda db: db.execute(_GIVE_UP, (at_us, error, webhook, made_before_us)).rowcount
        )

    async def prune_tellings(self, webhook: str, keep: int) -> int:
        """`Catalog.prune_tellings`: 500 in one commit."""
        return await self._writer.call(lambda db: db.execute(_PRUNE, (webhook, keep)).rowcount)


def _who_wants_what(db: sqlite3.Connection) -> dict[str, list[str]]:
    """The webhooks that are told of each kind."""
    wanted: dict[str, list[str]] = {}
    for webhook, kinds in db.execute(_WANTED):
        for kind in kinds.split(" "):
            wanted.setdefault(kind, []).append(webhook)
    return wanted


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
