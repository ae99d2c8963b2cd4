"""Webhooks: subscribing, looking, trying again."""

import asyncio
import logging
import secrets
from collections.abc import Collection

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import WebhookNotFound
from conduit_local.core.ids import base32_of, delivery_id, parse_delivery_id
from conduit_local.core.ports import Clock, Sender
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.secrets import Secret
from conduit_local.core.webhook import (
    NoticeKind,
    Telling,
    TellingState,
    Webhook,
    body_of,
    check_signing_secret,
    new_signing_secret,
)
from conduit_local.engine.journal import say

_SECRET_BYTES = 32
_ID_WIDTH = 16
_MOST = 100


class Webhooks:
    """All webhooks, by id. `changed` is set when there is one more or less, or something to send at once."""

    def __init__(self, catalog: Catalog, clock: Clock, sender: Sender, tag: str) -> None:
        """`tag` is the store's: event ids begin with it."""
        self._catalog = catalog
        self._clock = clock
        self._sender = sender
        self._by_id: dict[str, Webhook] = {}
        self.changed = asyncio.Event()
        self.hurried: set[str] = set()
        """Those that a person asked to be tried at once; whoever serves them takes them out."""
        self._making = asyncio.Lock()
        self._tag = tag

    async def load(self) -> None:
        """Read the webhooks from the catalog."""
        self._by_id = {webhook.id: webhook for webhook in await self._catalog.webhooks()}

    def all(self) -> list[Webhook]:
        """All of them, the oldest first."""
        return list(self._by_id.values())

    def get(self, webhook_id: str) -> Webhook:
        """One of them. Raises: WebhookNotFound."""
        found = self._by_id.get(webhook_id)
        if found is None:
            raise WebhookNotFound(f"no webhook {webhook_id[:80]!r}")
        return found

    async def create(self, url: str, kinds: Collection[NoticeKind], secret: str | None) -> tuple[Webhook, str]:
        """
        Subscribe; returns the webhook with its signing secret, which is not shown again.

        Raises: InvalidRequest for a URL that may not be called, no events, or an unusable secret; StoreUnavailable.
        Source: S2.6.
        """
        problems = []
        try:
            await self._sender.check(url)
        except ValueError as error:
            problems.append(Problem(path=("url",), message=str(error)))
        if not kinds:
            problems.append(Problem(path=("events",), message="needs one or more of: " + ", ".join(NoticeKind)))
        try:
            secret = check_signing_secret(secret) if secret is not None else None
        except ValueError as error:
            problems.append(Problem(path=("secret",), message=str(error)))
        if problems:
            raise refusal(problems)
        async with self._making:
            return await self._create(url, kinds, secret or new_signing_secret(secrets.token_bytes(_SECRET_BYTES)))

    async def _create(self, url: str, kinds: Collection[NoticeKind], secret: str) -> tuple[Webhook, str]:
        if len(self._by_id) >= _MOST:
            raise refusal([Problem(path=(), message=f"there are {_MOST} webhooks already; delete one first")])
        webhook = Webhook(
            id=f"wh_{base32_of(secrets.token_bytes(_ID_WIDTH), _ID_WIDTH)}",
            url=url,
            kinds=frozenset(kinds),
            secret=Secret(secret),
            created_at_us=self._clock.now_us(),
        )
        await self._catalog.add_webhook(webhook)
        self._by_id[webhook.id] = webhook
        self.changed.set()
        say(logging.INFO, f"webhook {webhook.id} created")
        return webhook, secret

    async def delete(self, webhook_id: str) -> None:
        """Unsubscribe; what was not told yet is not told any more. Raises: WebhookNotFound, StoreUnavailable."""
        webhook = self.get(webhook_id)
        await self._catalog.remove_webhook(webhook.id)
        self._by_id.pop(webhook.id, None)
        self.changed.set()
        say(logging.INFO, f"webhook {webhook.id} deleted")

    async def tellings(self, webhook_id: str, before: int | None, limit: int) -> list[Telling]:
        """What it was, or is to be, told, the newest first. Raises: WebhookNotFound, StoreUnavailable."""
        return await self._catalog.tellings(self.get(webhook_id).id, before, limit)

    async def retry(self, webhook_id: str, delivery: str) -> Telling:
        """
        Send once more, now, and if need be for another 24 hours.

        Raises: WebhookNotFound, StoreUnavailable.
        """
        webhook = self.get(webhook_id)
        number = parse_delivery_id(delivery)
        again = None
        if number is not None and delivery == delivery_id(webhook.id, number):
            again = await self._catalog.tell_again(webhook.id, number, self._clock.steady_us())
        if again is None:
            raise WebhookNotFound(f"the webhook {webhook.id} has no delivery {delivery[:80]!r}")
        self.hurried.add(webhook.id)
        self.changed.set()
        return again

    def body_of(self, telling: Telling) -> bytes:
        """What is sent for it: JSON."""
        return body_of(telling, self._tag)

    def next_attempt_us(self, telling: Telling) -> int | None:
        """The time of day of its next attempt; None when there is none."""
        if telling.state is not TellingState.WAITING:
            return None
        return self._clock.now_us() + max(0, telling.due_us - self._clock.steady_us())
