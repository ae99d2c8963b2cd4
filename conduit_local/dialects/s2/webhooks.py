"""The handlers of `/webhooks`. Source: S2.6."""

from aiohttp import web

from conduit_local.core.webhook import Telling
from conduit_local.dialects.s2 import models, wire
from conduit_local.dialects.s2.envelope import Timed
from conduit_local.engine.engine import Engine
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object, validated


class Webhooks:
    """Subscribing, looking, trying again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def post_webhook(self, call: Call) -> web.Response:
        """`POST /webhooks`: the only answer that shows the secret."""
        timed = Timed(call, self._engine.clock)
        wanted = validated(decode_object(await call.body(wire.MAX_WEBHOOK_BYTES)), models.WebhookToCreate)
        webhook, secret = await self._engine.webhooks.create(wanted.url, wanted.events, wanted.secret)
        return timed.answer(wire.encode_new_webhook(webhook, secret))

    async def list_webhooks(self, call: Call) -> web.Response:
        """`GET /webhooks`: the oldest first."""
        timed = Timed(call, self._engine.clock)
        return timed.answer({"webhooks": [wire.encode_webhook(one) for one in self._engine.webhooks.all()]})

    async def get_webhook(self, call: Call) -> web.Response:
        """`GET /webhooks/{id}`."""
        timed = Timed(call, self._engine.clock)
        return timed.answer(wire.encode_webhook(self._engine.webhooks.get(call.params["id"])))

    async def delete_webhook(self, call: Call) -> web.Response:
        """`DELETE /webhooks/{id}`: what it was not told yet, it is not told any more."""
        timed = Timed(call, self._engine.clock)
        await self._engine.webhooks.delete(call.params["id"])
        return timed.answer({"id": call.params["id"], "deleted": True})

    async def list_deliveries(self, call: Call) -> web.Response:
        """`GET /webhooks/{id}/deliveries`: newest first, 1 to 100 a page."""
        timed = Timed(call, self._engine.clock)
        limit, before = call.number("limit", 50, 1, 100), wire.decode_cursor(call.text("cursor"))
        found = await self._engine.webhooks.tellings(call.params["id"], before, limit + 1)
        return timed.answer(wire.encode_page([self._shown(telling) for telling in found], limit))

    async def retry_delivery(self, call: Call) -> web.Response:
        """`POST /webhooks/{id}/deliveries/{delivery}/retry`: once more, now."""
        timed = Timed(call, self._engine.clock)
        return timed.answer(self._shown(await self._engine.webhooks.retry(call.params["id"], call.params["delivery"])))

    def _shown(self, telling: Telling) -> dict[str, object]:
        webhooks = self._engine.webhooks
        return wire.encode_delivery(telling, webhooks.body_of(telling), webhooks.next_attempt_us(telling))
