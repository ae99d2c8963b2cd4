"""API keys: who may do what. A key's secret is shown once; only its SHA-256 is kept."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from conduit_local.core.ids import base32_of

PREFIXES = ("ck_live_", "bp_v1_", "df_key_")
"""What secrets begin with, as the documents have it (S0, S3, S1); any live key works on every API."""
SECRET_WIDTH = 32
"""Characters of base32: 160 random bits."""


class Scope(StrEnum):
    """What a key allows. `admin` includes all, `manage` includes `read`."""

    INGEST = "ingest"
    READ = "read"
    MANAGE = "manage"
    ADMIN = "admin"


_INCLUDES: Mapping[Scope, frozenset[Scope]] = {
    Scope.INGEST: frozenset({Scope.INGEST}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.MANAGE: frozenset({Scope.MANAGE, Scope.READ}),
    Scope.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key as the catalog has it."""

    id: str
    name: str
    prefix: str
    """The first characters of the secret, enough to tell keys apart."""
    digest: bytes
    scopes: frozenset[Scope]
    created_at_us: int
    last_used_at_us: int | None
    revoked_at_us: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who makes a request: a live key, or nobody in particular where keys are off."""

    key_id: str
    allowed: frozenset[Scope]


ANYBODY = Principal(key_id="", allowed=frozenset(Scope))
"""The caller of an appliance that runs without keys."""


def digest_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def same_digest(kept: bytes, given: bytes) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(kept, given)


def new_secret(random: bytes, prefix: str = PREFIXES[0]) -> str:
    """A secret out of at least 32 random bytes."""
    return prefix + base32_of(random, SECRET_WIDTH)


def allowed_by(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """All that these scopes allow, those that they include among them."""
    return frozenset().union(*(_INCLUDES[scope] for scope in scopes))
