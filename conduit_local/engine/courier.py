"""
Tells webhooks what happened: each telling at least once, signed, for up to 24 hours.

A worker a webhook: it takes what is due, sends a few at once, keeps what came of it. A receiver that answers nothing
holds up its own tellings only, and what comes with events gathers meanwhile in one telling.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import ConduitError
from conduit_local.core.plain import plain
from conduit_local.core.ports import Clock, Sender, SendFailed
from conduit_local.core.retry import Backoff
from conduit_local.core.webhook import GIVEN_UP_AFTER_S, Telling, TellingState, Webhook, signature_of
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.webhooks import Webhooks

_AT_ONCE = 8
_SECOND_US = 1_000_000
_OF_A_TELLING = Backoff(initial_s=1.0, max_s=3_600.0)
_OF_A_RECEIVER = Backoff(initial_s=0.5, max_s=300.0)
_STORE_AWAY_S = 1.0
_GONE = 410


@dataclass(slots=True)
class _Bells:
    """What wakes a worker."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Something may be due."""
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    """A person asked: a receiver that was away is tried at once."""


class Courier:
    """Sends tellings. Source: S2.7; the specification of Standard Webhooks."""

    def __init__(
        self, webhooks: Webhooks, catalog: Catalog, clock: Clock, sender: Sender, timeout_s: float, chance: Random
    ) -> None:
        self._webhooks = webhooks
        self._catalog = catalog
        self._clock = clock
        self._sender = sender
        self._timeout_s = timeout_s
        self._chance = chance
        self._bells: dict[str, _Bells] = {}

    def ring(self, webhooks: Collection[str]) -> None:
        """There is something to tell these; a hundred that want to know of something else sleep on."""
        for webhook in webhooks:
            if webhook in self._bells:
                self._bells[webhook].news.set()

    async def run(self) -> None:
        """A worker for each webhook, for ever."""
        workers: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._webhooks.changed.clear()
                here = {webhook.id: webhook for webhook in self._webhooks.all()}
                for gone in workers.keys() - here.keys():
                    workers.pop(gone).cancel()
                    self._bells.pop(gone, None)
                for new in here.keys() - workers.keys():
                    bells = self._bells[new] = _Bells()
                    workers[new] = tasks.create_task(self._serve(here[new], bells), name=f"webhook {new}")
                for webhook, bells in self._bells.items():
                    bells.news.set()
                    if webhook in self._webhooks.hurried:
                        bells.hurry.set()
                self._webhooks.hurried.clear()
                await self._webhooks.changed.wait()

    async def _serve(self, webhook: Webhook, bells: _Bells) -> None:
        failures = 0
        while True:
            bells.news.clear()
            bells.hurry.clear()
            try:
                failures = await self._serve_once(webhook, bells, failures)
            except ConduitError as error:
                LOGGER.warning("webhook %s waits: %s", webhook.id, error.message)
                await self._clock.wait(None, _STORE_AWAY_S)
            except Exception:  # noqa: BLE001 - shown, and tried again: it must not take the other webhooks along
                LOGGER.exception("webhook %s", webhook.id)
                await self._clock.wait(None, _STORE_AWAY_S)

    async def _serve_once(self, webhook: Webhook, bells: _Bells, failures: int) -> int:
        """Send what is due, or wait; returns how often in a row the receiver was away."""
        due_us = await self._catalog.next_due(webhook.id)
        now_us = self._clock.steady_us()
        if due_us is None or due_us > now_us or not webhook.secret.is_open:
            wait_s = None if due_us is None or not webhook.secret.is_open else (due_us - now_us) / _SECOND_US
            await self._clock.wait(_rung(bells.news), wait_s)
            return failures
        taken = await self._catalog.take_due(webhook.id, now_us, 1 if failures else _AT_ONCE)
        ended: list[Telling] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for telling in taken:
                    tasks.create_task(self._tell(webhook, telling, ended.append), name=f"tell {telling.id}")
        except asyncio.CancelledError:
            with suppress(ConduitError):  # what was answered is not said again because another one hangs
                await self._catalog.settle(ended)
            raise
        await self._catalog.settle(ended)
        if not ended or any(one.state is TellingState.DELIVERED for one in ended):
            return 0
        failures += 1
        if failures == 1:
            say(logging.WARNING, f"webhook {webhook.id}: {ended[-1].error}")
        await self._clock.wait(_rung(bells.hurry), _OF_A_RECEIVER.delay_s(failures, self._chance.random()))
        return failures

    async def _tell(self, webhook: Webhook, telling: Telling, done: Callable[[Telling], None]) -> None:
        """One attempt. Never raises: whatever goes wrong is this telling's alone."""
        at_us = self._clock.now_us()
        body = self._webhooks.body_of(telling)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "conduit-local",
            "webhook-id": telling.id,
            "webhook-timestamp": str(at_us // _SECOND_US),
            "webhook-signature": signature_of(webhook.secret.text or "", telling.id, at_us // _SECOND_US, body),
        }
        telling = replace(telling, attempted_at_us=at_us, status=None, error=None)
        wait_s = 0.0
        try:
            answer = await self._sender.post(webhook.url, headers, body, self._timeout_s)
        except SendFailed as error:
            telling = replace(telling, error=plain(error.message))
        except Exception as error:  # noqa: BLE001 - a bug of ours, or of the library: shown, and tried again later
            LOGGER.exception("webhook %s: send %s", webhook.id, telling.id)
            telling = replace(telling, error=f"an unexpected error: {type(error).__name__}")
        else:
            telling = replace(telling, status=answer.status)
            wait_s = answer.retry_after_s or 0.0
            if 200 <= answer.status < 300:
                done(replace(telling, state=TellingState.DELIVERED, ended_at_us=self._clock.now_us()))
                return
            telling = replace(telling, error=f"answered {answer.status} {answer.excerpt}".strip())
        done(self._put_off(telling, wait_s))

    def _put_off(self, telling: Telling, wait_s: float) -> Telling:
        """Until later; for good where the receiver says that it is gone, or this was the last time."""
        now_us = self._clock.steady_us()
        last_us = telling.made_us + GIVEN_UP_AFTER_S * _SECOND_US
        if telling.status == _GONE or now_us >= last_us:
            say(logging.ERROR, f"webhook {telling.webhook}: gave up on {telling.id}: {telling.error}")
            return replace(telling, state=TellingState.FAILED, ended_at_us=self._clock.now_us())
        delay_s = _OF_A_TELLING.delay_s(telling.attempts, self._chance.random())
        delay_s = max(delay_s, min(wait_s, _OF_A_TELLING.max_s))
        return replace(telling, due_us=min(now_us + int(delay_s * _SECOND_US), last_us))


async def _rung(bell: asyncio.Event) -> None:
    await bell.wait()
