"""
Tells webhooks what happened: each telling at least once, signed, for up to 24 hours.

A worker a webhook: it takes what is due, sends a few at once, keeps what came of it. A receiver that answers nothing
holds up its own tellings only, and what comes with events gathers meanwhile in one telling.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import ConduitError
from conduit_local.core.ids import event_id
from conduit_local.core.plain import plain
from conduit_local.core.ports import Clock, Sender, SendFailed
from conduit_local.core.retry import Backoff
from conduit_local.core.webhook import Telling, TellingState, Webhook, body_of, signature_of
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.webhooks import Webhooks

GIVEN_UP_AFTER_US = 24 * 3_600 * 1_000_000
_AT_ONCE = 8
_TIMEOUT_S = 15.0
_SECOND_US = 1_000_000
_OF_A_TELLING = Backoff(initial_s=1.0, max_s=3_600.0)
_OF_A_RECEIVER = Backoff(initial_s=0.5, max_s=300.0)
_STORE_AWAY_S = 1.0
_GONE = 410


class Courier:
    """Sends tellings. Source: S2.7; the specification of Standard Webhooks."""

    def __init__(
        self, webhooks: Webhooks, catalog: Catalog, clock: Clock, sender: Sender, tag: str, chance: Random
    ) -> None:
        self._webhooks = webhooks
        self._catalog = catalog
        self._clock = clock
        self._sender = sender
        self._tag = tag
        self._chance = chance
        self._bells: dict[str, asyncio.Event] = {}

    def ring(self) -> None:
        """There may be something to tell."""
        for bell in self._bells.values():
            bell.set()

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
                    self._bells[new] = asyncio.Event()
                    workers[new] = tasks.create_task(self._serve(here[new], self._bells[new]), name=f"webhook {new}")
                self.ring()
                await self._webhooks.changed.wait()

    async def _serve(self, webhook: Webhook, bell: asyncio.Event) -> None:
        failures = 0
        while True:
            bell.clear()
            try:
                failures = await self._serve_once(webhook, bell, failures)
            except ConduitError as error:
                LOGGER.warning("webhook %s waits: %s", webhook.id, error.message)
                await self._clock.wait(None, _STORE_AWAY_S)
            except Exception:  # noqa: BLE001 - shown, and tried again: it must not take the other webhooks along
                LOGGER.exception("webhook %s", webhook.id)
                await self._clock.wait(None, _STORE_AWAY_S)

    async def _serve_once(self, webhook: Webhook, bell: asyncio.Event, failures: int) -> int:
        """Send what is due, or wait; returns how often in a row the receiver was away."""
        due_us = await self._catalog.next_due(webhook.id)
        now_us = self._clock.steady_us()
        if due_us is None or due_us > now_us or not webhook.secret.is_open:
            wait_s = None if due_us is None or not webhook.secret.is_open else (due_us - now_us) / _SECOND_US
            await self._clock.wait(_rung(bell), wait_s)
            return failures
        taken = await self._catalog.take_due(webhook.id, now_us, _AT_ONCE)
        ended: list[Telling] = []
        async with asyncio.TaskGroup() as tasks:
            for telling in taken:
                tasks.create_task(self._tell(webhook, telling, ended.append), name=f"tell {telling.id}")
        await self._catalog.settle(ended)
        if any(one.state is TellingState.DELIVERED for one in ended):
            return 0
        failures += 1
        delay_s = _OF_A_RECEIVER.delay_s(failures, self._chance.random())
        if failures == 1:
            say(logging.WARNING, f"webhook {webhook.id}: {ended[-1].error if ended else 'nothing was due'}")
        await self._clock.wait(None, delay_s)
        return failures

    async def _tell(self, webhook: Webhook, telling: Telling, done: Callable[[Telling], None]) -> None:
        """One attempt."""
        notice = telling.notice
        ids = None
        if notice.count:
            first, last = (event_id(self._tag, notice.pipeline, seq) for seq in (notice.first_seq, notice.last_seq))
            ids = (first, last)
        body = body_of(telling, ids)
        at_us = self._clock.now_us()
        signature = signature_of(webhook.secret.text or "", telling.id, at_us // _SECOND_US, body)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "conduit-local",
            "webhook-id": telling.id,
            "webhook-timestamp": str(at_us // _SECOND_US),
            "webhook-signature": signature,
        }
        telling = replace(telling, attempted_at_us=at_us, status=None, error=None)
        wait_s: float | None = None
        try:
            answer = await self._sender.post(webhook.url, headers, body, _TIMEOUT_S)
        except SendFailed as error:
            telling = replace(telling, error=plain(error.message))
        else:
            telling = replace(telling, status=answer.status)
            wait_s = answer.retry_after_s
            if 200 <= answer.status < 300:
                done(replace(telling, state=TellingState.DELIVERED, ended_at_us=self._clock.now_us()))
                return
            telling = replace(telling, error=f"answered {answer.status} {answer.excerpt}".strip())
        done(self._put_off(telling, wait_s))

    def _put_off(self, telling: Telling, wait_s: float | None) -> Telling:
        """Until later, or for good."""
        now_us = self._clock.steady_us()
        delay_s = max(
            _OF_A_TELLING.delay_s(telling.attempts, self._chance.random()), min(wait_s or 0.0, _OF_A_TELLING.max_s)
        )
        due_us = now_us + int(delay_s * _SECOND_US)
        if telling.status == _GONE or due_us >= telling.made_us + GIVEN_UP_AFTER_US:
            text = (
                f"webhook {telling.webhook}: gave up on {telling.id} after {telling.attempts} attempts: {telling.error}"
            )
            say(logging.ERROR, text)
            return replace(telling, state=TellingState.FAILED, ended_at_us=self._clock.now_us())
        return replace(telling, due_us=due_us)


async def _rung(bell: asyncio.Event) -> None:
    await bell.wait()
