"""`/_local/keys`: API keys."""

from typing import Any

from aiohttp import web

from conduit_local.control import wire
from conduit_local.core.keys import PREFIXES, Scope
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.engine import Engine
from conduit_local.http.answers import json_answer
from conduit_local.http.call import Call
from conduit_local.http.decode import decode_object

_MAX_BODY_BYTES = 65_536


class ApiKeys:
    """The handlers of `/_local/keys`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_keys(self, call: Call) -> web.Response:
        """`GET /_local/keys`: all keys, without their secrets."""
        return json_answer({"data": [wire.encode_key(key) for key in self._engine.keys.list()]})

    async def post_key(self, call: Call) -> web.Response:
        """`POST /_local/keys` `{name, scopes, prefix?}`: 201 with the secret, which is shown this once."""
        name, scopes, prefix = _decode(decode_object(await call.body(_MAX_BODY_BYTES)))
        key, secret = await self._engine.keys.create(name, scopes, prefix=prefix, by=call.principal)
        return json_answer({**wire.encode_key(key), "secret": secret}, 201, {"Cache-Control": "no-store"})

    async def delete_key(self, call: Call) -> web.Response:
        """`DELETE /_local/keys/{key}`: useless from now on. A key cannot revoke itself."""
        return json_answer(wire.encode_key(await self._engine.keys.revoke(call.params["key"], call.principal)))


def _decode(document: dict[str, Any]) -> tuple[str, list[Scope], str]:
    problems = [
        Problem(path=(field,), message="unknown field; known here: name, prefix, scopes")
        for field in sorted(document.keys() - {"name", "scopes", "prefix"})
    ]
    name, scopes = document.get("name"), document.get("scopes", [])
    prefix = document.get("prefix", PREFIXES[0])
    if prefix not in PREFIXES:
        problems.append(Problem(path=("prefix",), message=f"must be one of: {', '.join(PREFIXES)}"))
    if not isinstance(name, str):
        problems.append(Problem(path=("name",), message="must be text"))
    if not isinstance(scopes, list) or not all(isinstance(one, str) and one in set(Scope) for one in scopes):
        problems.append(Problem(path=("scopes",), message=f"must be a list of: {', '.join(Scope)}"))
    if problems:
        raise refusal(problems)
    return str(name), [Scope(one) for one in scopes], prefix
