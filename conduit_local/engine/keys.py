"""API keys: who makes a request, and the making and revoking of keys."""

import logging
import secrets
from collections.abc import Iterable
from dataclasses import replace

from conduit_local.core.catalog import Catalog
from conduit_local.core.errors import Forbidden, InvalidRequest, KeyInUse, KeyNotFound, Unauthorized
from conduit_local.core.ids import base32_of
from conduit_local.core.keys import (
    ANYBODY,
    PREFIXES,
    ApiKey,
    Principal,
    Scope,
    allowed_by,
    digest_of,
    new_secret,
    same_digest,
)
from conduit_local.core.plain import is_visible
from conduit_local.core.ports import Clock
from conduit_local.core.problems import Problem, refusal
from conduit_local.engine.journal import say

_MAX_NAME = 100
_MIN_GIVEN = 8
_PREFIX_SHOWN = 12


class Keys:
    """
    All live keys, by their digest.

    A look-up by digest tells a guesser nothing: the digest of a guess is unrelated to that of a key.
    """

    def __init__(self, catalog: Catalog, clock: Clock, *, required: bool) -> None:
        self._catalog = catalog
        self._clock = clock
        self._required = required
        self._live: dict[bytes, tuple[bytes, Principal]] = {}
        self._by_id: dict[str, ApiKey] = {}
        self._used_at_us: dict[str, int] = {}

    async def load(self) -> None:
        """Read the keys from the catalog."""
        for key in await self._catalog.keys():
            self._keep(key)

    def authenticate(self, authorization: str | None) -> Principal:
        """
        Who sent this `Authorization` header. Raises: Unauthorized.

        Source: S0.2.
        """
        if not self._required:
            return ANYBODY
        if authorization is None:
            raise Unauthorized("this needs an API key: send the header Authorization: Bearer <key>")
        scheme, _, secret = authorization.partition(" ")
        digest = digest_of(secret)
        found = self._live.get(digest)
        if found is None or not same_digest(found[0], digest) or scheme.lower() != "bearer":
            raise Unauthorized("the API key is not valid")
        self._used_at_us[found[1].key_id] = self._clock.now_us()
        return found[1]

    @staticmethod
    def require(principal: Principal, scope: Scope) -> None:
        """Raises: Forbidden unless the principal may do what `scope` names."""
        if scope not in principal.allowed:
            raise Forbidden(f"the API key lacks the scope {scope.value!r}")

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones among them, the oldest first."""
        return [
            replace(key, last_used_at_us=self._used_at_us.get(key.id, key.last_used_at_us))
            for key in self._by_id.values()
        ]

    async def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        secret: str | None = None,
        *,
        prefix: str = PREFIXES[0],
        by: Principal | None = None,
    ) -> tuple[ApiKey, str]:
        """
        Make a key; returns it with its secret, which is not kept.

        Raises: InvalidRequest when the name is empty, too long or not visible, there is no scope, or no such prefix;
                Forbidden when it would be allowed what the key that asks for it is not.
        """
        wanted = frozenset(scopes)
        problems = []
        if not 0 < len(name) <= _MAX_NAME or not is_visible(name):
            problems.append(Problem(path=("name",), message=f"must have 1 to {_MAX_NAME} visible characters"))
        if not wanted:
            problems.append(Problem(path=("scopes",), message=f"needs one or more of: {', '.join(Scope)}"))
        if prefix not in PREFIXES:
            problems.append(Problem(path=("prefix",), message=f"must be one of: {', '.join(PREFIXES)}"))
        if problems:
            raise refusal(problems)
        if by is not None and not allowed_by(wanted) <= by.allowed:
            raise Forbidden("a key cannot make another one that may do more than itself")
        if secret is not None and (len(secret) < _MIN_GIVEN or not secret.isascii() or not secret.isprintable()):
            raise InvalidRequest(f"a given API key needs at least {_MIN_GIVEN} printable ASCII characters")
        secret = secret or new_secret(secrets.token_bytes(32), prefix)
        key = ApiKey(
            id=f"key_{base32_of(secrets.token_bytes(10), 10)}",
            name=name,
            prefix=secret[: min(_PREFIX_SHOWN, len(secret) - 4)],
            digest=digest_of(secret),
            scopes=wanted,
            created_at_us=self._clock.now_us(),
            last_used_at_us=None,
            revoked_at_us=None,
        )
        await self._catalog.add_key(key)
        self._keep(key)
        say(logging.INFO, f"key {key.id} ({key.name}) created{_by(by)}: {' '.join(sorted(key.scopes))}")
        return key, secret

    async def revoke(self, key_id: str, by: Principal) -> ApiKey:
        """Make a key useless from now on. Raises: KeyNotFound; KeyInUse for the key that asks."""
        key = self._by_id.get(key_id)
        if key is None or key.revoked_at_us is not None:
            raise KeyNotFound(f"no live key {key_id[:40]!r}")
        if key_id == by.key_id:
            raise KeyInUse("a key cannot revoke itself; use another one")
        revoked = replace(key, revoked_at_us=self._clock.now_us())
        await self._catalog.revoke_key(key_id, revoked.revoked_at_us or 0)
        self._by_id[key_id] = revoked
        self._live.pop(key.digest, None)
        say(logging.INFO, f"key {key.id} ({key.name}) revoked{_by(by)}")
        return revoked

    def holds(self, principal: Principal) -> bool:
        """Whether whoever was let in once would be let in now: their key is not revoked."""
        key = self._by_id.get(principal.key_id)
        return principal is ANYBODY or (key is not None and key.revoked_at_us is None)

    def is_live(self, secret: str) -> bool:
        """Whether this is the secret of a live key."""
        return digest_of(secret) in self._live

    async def keep_last_used(self) -> None:
        """Write down when keys were last used; once in a while, never for each request."""
        used = dict(self._used_at_us)
        if not used:
            return
        await self._catalog.touch_keys(used)
        for key_id, at_us in used.items():
            if key_id in self._by_id:
                self._by_id[key_id] = replace(self._by_id[key_id], last_used_at_us=at_us)
            if self._used_at_us.get(key_id) == at_us:  # else it was used again meanwhile
                del self._used_at_us[key_id]

    def _keep(self, key: ApiKey) -> None:
        for old in [one.id for one in self._by_id.values() if one.digest == key.digest]:
            del self._by_id[old]  # revoked, and given anew through the environment
        self._by_id[key.id] = key
        if key.revoked_at_us is None:
            self._live[key.digest] = (key.digest, Principal(key_id=key.id, allowed=allowed_by(key.scopes)))


def _by(principal: Principal | None) -> str:
    """Who ordered it, for the audit line."""
    return f" by {principal.key_id}" if principal is not None and principal.key_id else ""
