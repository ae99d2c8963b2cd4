"""The handlers of `/v1/api-keys`."""

from aiohttp import web

from conduit_local.core.keys import Scope
from conduit_local.dialects.s3 import wire
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call

PREFIX = "bp_v1_"


class ApiKeys:
    """The handlers of `/v1/api-keys`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_keys(self, call: Call) -> web.Response:
        """`GET /v1/api-keys`: the live ones, the oldest first, without their secrets. Source: S3.2, S3.4."""
        live = [key for key in self._engine.keys.list() if key.revoked_at_us is None]
        return json_answer({"api_keys": [wire.encode_key(key) for key in live]})

    async def post_key(self, call: Call) -> web.Response:
        """`POST /v1/api-keys`: 201 with the secret, which is shown this once. Source: S3.2, S3.4."""
        asked = wire.decode_key(await call.body(wire.MAX_BODY_BYTES))
        scopes = [Scope(name) for name in asked.scopes]
        with wire.own_fields("api_key_name"):
            key, secret = await self._engine.keys.create(asked.api_key_name, scopes, prefix=PREFIX, by=call.principal)
        made = {"api_key": {**wire.encode_key(key), "secret": secret}}
        return json_answer(made, 201, {"Cache-Control": "no-store"})

    async def delete_key(self, call: Call) -> web.Response:
        """`DELETE /v1/api-keys/{api_key_id}`: useless from now on; a key cannot revoke itself. Source: S3.4."""
        await self._engine.keys.revoke(call.params["api_key_id"], call.principal)
        return json_answer({"deleted": True})
