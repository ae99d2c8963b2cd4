"""The catalog's API keys."""

from conduit_local.core.keys import ApiKey, Scope
from conduit_local.store.readers import Readers
from conduit_local.store.writer import Writer

_SELECT = (
    "SELECT id, name, prefix, digest, scopes, created_at_us, last_used_at_us, revoked_at_us FROM keys"
    " ORDER BY created_at_us, id"
)
_INSERT = "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # of a digest that was revoked: anew
_REVOKE = "UPDATE keys SET revoked_at_us = ? WHERE id = ? AND revoked_at_us IS NULL"
_TOUCH = "UPDATE keys SET last_used_at_us = ? WHERE id = ?"


class KeyTable:
    """API keys; the third part of the catalog."""

    _writer: Writer
    _readers: Readers

    async def keys(self) -> list[ApiKey]:
        """`Catalog.keys`."""
        rows = await self._readers.call(lambda db: db.execute(_SELECT).fetchall())
        return [
            ApiKey(
                id=key_id,
                name=name,
                prefix=prefix,
                digest=digest,
                scopes=frozenset(map(Scope, scopes.split(" "))),
                created_at_us=created_at_us,
                last_used_at_us=last_used_at_us,
                revoked_at_us=revoked_at_us,
            )
            for key_id, name, prefix, digest, scopes, created_at_us, last_used_at_us, revoked_at_us in rows
        ]

    async def add_key(self, key: ApiKey) -> None:
        """`Catalog.add_key`."""
        row = (
            key.id,
            key.name,
            key.prefix,
            key.digest,
            " ".join(sorted(key.scopes)),
            key.created_at_us,
            key.last_used_at_us,
            key.revoked_at_us,
        )
        await self._writer.call(lambda db: db.execute(_INSERT, row).rowcount)

    async def revoke_key(self, key_id: str, at_us: int) -> None:
        """`Catalog.revoke_key`."""
        await self._writer.call(lambda db: db.execute(_REVOKE, (at_us, key_id)).rowcount)

    async def touch_keys(self, used_at_us: dict[str, int]) -> None:
        """`Catalog.touch_keys`."""
        rows = [(at_us, key_id) for key_id, at_us in used_at_us.items()]
        await self._writer.call(lambda db: db.executemany(_TOUCH, rows).rowcount)
