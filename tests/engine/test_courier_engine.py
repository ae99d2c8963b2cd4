"""The engine tells webhooks over real connections: all of what happened, in few words, whoever else is slow."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.ids import parse_event_id
from conduit_local.core.pipeline import State
from conduit_local.core.webhook import NoticeKind, TellingState, Webhook
from conduit_local.engine.engine import Engine, EngineSettings
from tests.egress.receiver import Answer, Receiver, Request, accept, hang, reset, status
from tests.engines import engine_at, until, until_delivered
from tests.making import numbered, spec

FAST = {"max_events": 20, "max_age": "50ms"}
KINDS = (NoticeKind.INGESTED, NoticeKind.WRITTEN)


def told(receiver: Receiver, secret: str) -> dict[str, Any]:
    """What arrived by id, in order, each signed; a repeat is the same to the byte."""
    found: dict[str, Any] = {}
    bodies: dict[str, bytes] = {}
    for one in receiver.got:
        document = Standard(secret).verify(one.body, one.headers)
        name = one.headers["webhook-id"]
        assert bodies.setdefault(name, one.body) == one.body
        found.setdefault(name, document)
    return dict(sorted(found.items()))


def cover(documents: Sequence[Any]) -> int:
    """Up to which event these tell of everything once, from the first on."""
    end = 0
    for data in sorted((one["data"] for one in documents), key=lambda data: str(data["first_event_id"])):
        first, last = (parse_event_id(data[name]) for name in ("first_event_id", "last_event_id"))
        assert first is not None
        assert last is not None
        assert (first.seq, last.seq - first.seq + 1) == (end + 1, data["count"])
        end = last.seq
    return end


def of_kind(found: dict[str, Any], kind: NoticeKind) -> list[Any]:
    """Those of one kind."""
    return [one for one in found.values() if one["type"] == kind]


async def all_told(engine: Engine, *webhooks: Webhook) -> None:
    """Until nothing waits."""
    async with asyncio.timeout(20):
        for webhook in webhooks:
            while any(
                one.state is TellingState.WAITING for one in await engine.webhooks.tellings(webhook.id, None, 1_000)
            ):
                pass


async def feed(engine: Engine, events: int, chance: Random) -> None:
    """Events in pieces, some at once."""
    left = events
    while left:
        sizes: list[int] = []
        while left and len(sizes) < chance.randint(1, 6):
            sizes.append(min(left, chance.randint(1, 9)))
            left -= sizes[-1]
        await asyncio.gather(*(engine.ingest.accept("orders", numbered(0, size)) for size in sizes))


async def test_s2_7_ingested_and_written_tell_of_every_event_once_across_a_restart(tmp_path: Path) -> None:
    chance = Random(7)

    async def moody(request: Request, writer: asyncio.StreamWriter) -> None:
        await chance.choice([accept, accept, accept, status(503), reset])(request, writer)

    async with Receiver(moody) as receiver:
        async with engine_at(tmp_path) as engine:
            await engine.manage.create(spec(batch=FAST, destinations=_two_destinations()))
            _, secret = await engine.webhooks.create(receiver.url, KINDS, None)
            await feed(engine, 500, chance)
        async with engine_at(tmp_path) as engine:
            (webhook,) = engine.webhooks.all()
            await feed(engine, 500, chance)
            await until_delivered(engine, "orders")
            receiver.answer = accept
            await all_told(engine, webhook)
            found = told(receiver, secret)
            ingested, written = (of_kind(found, kind) for kind in KINDS)
            assert cover(ingested) == 1_000
            assert len(ingested) < 400, "one a commit group at most, never one an event"
            for name in ("first", "second"):
                here = [one for one in written if one["data"]["destination"] == name]
                assert cover(here) == 1_000
                runs = [run for run, _ in await engine.queries.runs("orders", before=None, limit=1_000)]
                here_runs = [run for run in runs if run.route == name]
                batches = sum(run.batches for run in here_runs)
                assert len(here) <= batches == sum(one["data"]["objects"] for one in here)
                assert sum(one["data"]["size_bytes"] for one in here) == sum(run.size_bytes for run in here_runs) > 0


def _two_destinations() -> list[dict[str, str]]:
    return [{"type": "files", "name": name, "path": name} for name in ("first", "second")]


async def test_s2_7_what_waits_when_the_engine_ends_is_told_by_the_next(tmp_path: Path) -> None:
    async with Receiver(hang) as receiver:
        async with engine_at(tmp_path) as engine:
            await engine.manage.create(spec())
            _, secret = await engine.webhooks.create(receiver.url, [NoticeKind.PAUSED, NoticeKind.RESUMED], None)
            for _ in range(10):
                await engine.manage.pause("orders")
                await engine.manage.resume("orders")
        receiver.answer = accept
        async with engine_at(tmp_path) as engine:
            await all_told(engine, *engine.webhooks.all())
            assert [one["type"] for one in told(receiver, secret).values()] == [
                NoticeKind.PAUSED,
                NoticeKind.RESUMED,
            ] * 10


async def test_receivers_that_accept_and_never_answer_hold_up_neither_ingest_nor_others(tmp_path: Path) -> None:
    """Thirty that hang, eight sendings each, are more than any common pool of connections would hold."""
    async with Receiver(hang) as slow, Receiver() as good, engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST))
        hung = [
            (await engine.webhooks.create(f"{slow.url}/{n}", [*KINDS, NoticeKind.PAUSED], None))[0] for n in range(30)
        ]
        webhook, secret = await engine.webhooks.create(good.url, [*KINDS, NoticeKind.PAUSED], None)
        paused = [engine.topology.find("orders").pipeline] * 20
        catalog = engine.webhooks._catalog
        await asyncio.gather(*(catalog.set_state(one, tells=NoticeKind.PAUSED) for one in paused))
        await until(lambda: slow.connections >= 200)
        await feed(engine, 500, Random(1))
        await until_delivered(engine, "orders")
        await all_told(engine, webhook)
        found = told(good, secret)
        assert cover(of_kind(found, NoticeKind.INGESTED)) == cover(of_kind(found, NoticeKind.WRITTEN)) == 500
        assert len(of_kind(found, NoticeKind.PAUSED)) == 20
        assert slow.connections <= 8 * 30
        for one in hung[:3]:
            waiting = await engine.webhooks.tellings(one.id, None, 1_000)
            assert all(telling.state is TellingState.WAITING for telling in waiting)
            assert len(waiting) <= 20 + 2 * 8, "what comes with events gathers while it waits"


async def test_a_receiver_that_answers_too_late_is_tried_again_and_said_so(tmp_path: Path) -> None:
    async with Receiver(hang) as receiver, engine_at(tmp_path, settings=_settings(0.1)) as engine:
        await engine.manage.create(spec())
        webhook, secret = await engine.webhooks.create(receiver.url, [NoticeKind.PAUSED], None)
        await engine.manage.pause("orders")
        await until(lambda: len(receiver.got) >= 2)
        (one,) = await engine.webhooks.tellings(webhook.id, None, 10)
        assert one.error == f"POST {receiver.url}: no answer within 0.1s"
        receiver.answer = accept
        await engine.webhooks.retry(webhook.id, one.id)
        await all_told(engine, webhook)
        assert len(told(receiver, secret)) == 1
        await until(lambda: receiver.connections <= 1)


def _settings(timeout_s: float) -> EngineSettings:
    return EngineSettings(keys_required=False, webhook_timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("order", "kinds"),
    [
        (lambda manage: manage.pause("orders"), [NoticeKind.PAUSED]),
        (lambda manage: manage.delete("orders"), [NoticeKind.DELETED]),
        (lambda manage: manage.create(spec("other")), [NoticeKind.CREATED]),
        (lambda manage: manage.drain("orders"), [NoticeKind.STOPPED]),
    ],
)
async def test_s2_7_orders_are_told_once_each(
    tmp_path: Path, order: Callable[[Any], Any], kinds: list[NoticeKind]
) -> None:
    async with Receiver() as receiver, engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST), state=State.ACTIVE)
        webhook, secret = await engine.webhooks.create(receiver.url, list(NoticeKind), None)
        await order(engine.manage)
        await until(lambda: bool(receiver.got))
        await all_told(engine, webhook)
        assert [one["type"] for one in told(receiver, secret).values()] == kinds


async def test_what_a_receiver_says_drives_no_terminal(tmp_path: Path) -> None:
    evil: Answer = status(500, body="\x1b]0;owned\x07\u202e".encode())
    async with Receiver(evil) as receiver, engine_at(tmp_path) as engine:
        await engine.manage.create(spec())
        webhook, secret = await engine.webhooks.create(f"{receiver.url}?token=s3cret", [NoticeKind.PAUSED], None)
        await engine.manage.pause("orders")
        await until(lambda: len(receiver.got) >= 2)
        (one,) = await engine.webhooks.tellings(webhook.id, None, 10)
        lines = json.dumps([line.message for line in engine.journal.after(0, 1_000)], ensure_ascii=False)
        for text in (one.error or "", lines):
            assert "answered 500 " in text
            assert not {"\x1b", "\x07", "\u202e"} & set(text)
        for hidden in (secret, "s3cret"):
            assert hidden not in lines
            assert hidden not in (one.error or "")


async def test_s2_6_there_are_never_more_than_a_hundred_webhooks(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        url = "http://127.0.0.1:9/hook"
        made = await asyncio.gather(
            *(engine.webhooks.create(url, [NoticeKind.PAUSED], None) for _ in range(130)), return_exceptions=True
        )
        refused = [one for one in made if isinstance(one, InvalidRequest)]
        assert len(refused) == 30
        assert "delete one first" in refused[0].message
        assert len(engine.webhooks.all()) == 100
        await engine.webhooks.delete(engine.webhooks.all()[0].id)
        await engine.webhooks.create(url, [NoticeKind.PAUSED], None)
