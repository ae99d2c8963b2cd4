"""
Secrets at rest: AES-256-GCM, with the owner of each secret bound to it.

The keys lie in `secrets.key` in the data folder (mode 0600), or in the environment as `CONDUIT_LOCAL_SECRET_KEY`; the
first one seals, all of them open. Nothing is made before the first secret is. A backup of the database without them
holds no secret in clear; without them the appliance takes and keeps events, and only the routes that need a secret
stand still.
"""

import base64
import binascii
import logging
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from conduit_local.core.errors import Broken, StoreUnavailable
from conduit_local.core.ids import base32_of
from conduit_local.core.secrets import SEALED
from conduit_local.engine.journal import LOGGER
from conduit_local.store.folder import write_private

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_WIDTH = 6
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KeysUnusable(Broken):
    """The key file or the variable does not hold keys."""

    code = "secret_keys_unusable"


class FileVault:
    """`Vault` with its keys in a file or in the environment."""

    def __init__(self, path: Path, given: str | None) -> None:
        """
        `path` is the key file; `given` the environment's keys, which then stand alone.

        Raises: KeysUnusable.
        """
        self._path = path
        self._from_environment = given is not None
        self._keys = _parse(given, "CONDUIT_LOCAL_SECRET_KEY") if given is not None else _read(path)
        self._retired: dict[str, bytes] = {}
        """Keys that were dropped while the process runs: batches in hand were sealed with them."""

    @property
    def place(self) -> str:
        """Where keys are looked for, for messages."""
        return "the environment variable CONDUIT_LOCAL_SECRET_KEY" if self._from_environment else str(self._path)

    def seal(self, text: str, owner: str) -> str:
        """`Vault.seal`: a key is made for the first secret."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 30 ms, and only secrets need it

        if not self._keys:
            self._add_key()
        key_id, key = next(iter(self._keys.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = AESGCM(key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), owner.encode())
        return f"{SEALED}{key_id}:{base64.urlsafe_b64encode(nonce + content).decode()}"

    def unseal(self, sealed: str, owner: str) -> str | None:
        """`Vault.unseal`."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key_id, _, content = sealed.removeprefix(SEALED).partition(":")
        key = self._keys.get(key_id) or self._retired.get(key_id)
        if key is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(content)
            return (
                AESGCM(key)
                .decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode())
                .decode("utf-8", "surrogatepass")
            )
        except (InvalidTag, ValueError, binascii.Error):
            LOGGER.error("a secret of %s cannot be opened: it was changed, or belongs to another owner", owner)
            return None

    def begin_rotation(self) -> Callable[[], None]:
        """
        Make a new key, which seals from now on; returns what drops the old ones, once everything is sealed anew.

        With keys of the environment, the first of them is the new one already.
        Raises: StoreUnavailable when the key file cannot be written; nothing has changed then.
        """
        if not self._from_environment:
            self._add_key()
        newest = next(iter(self._keys), None)

        def drop_old() -> None:
            self._retired |= self._keys
            if not self._from_environment:
                self._write({key_id: key for key_id, key in self._keys.items() if key_id == newest})

        return drop_old

    def _add_key(self) -> None:
        self._write(
            {base32_of(secrets.token_bytes(_ID_WIDTH), _ID_WIDTH): secrets.token_bytes(_KEY_BYTES), **self._keys}
        )

    def _write(self, keys: dict[str, bytes]) -> None:
        if self._from_environment:
            raise StoreUnavailable(f"seal a secret: {self.place} holds no key")
        lines = [f"{key_id} {base64.b64encode(key).decode()}\n" for key_id, key in keys.items()]
        try:
            write_private(self._path, "".join(lines).encode())
        except OSError as error:
            raise StoreUnavailable(f"write {self._path}: {error.strerror}") from error
        self._keys = keys


def _read(path: Path) -> dict[str, bytes]:
    try:
        mode = path.stat().st_mode
        content = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnusable(f"read {path}: {error}") from error
    if mode & 0o077:
        LOGGER.log(logging.WARNING, "%s can be read by others than its owner: chmod 600 it", path)
    return _parse(content, str(path))


def _parse(content: str, place: str) -> dict[str, bytes]:
    """Keys, one a line or separated by commas: `<id> <base64 of 32 bytes>`, or the base64 alone."""
    found: dict[str, bytes] = {}
    for line in content.replace(",", "\n").splitlines():
        words = line.split()
        if not words:
            continue
        try:
            key = base64.b64decode(words[-1], validate=True)
        except (ValueError, binascii.Error):
            key = b""
        key_id = words[0] if len(words) == 2 else _name_of(key)
        if len(key) != _KEY_BYTES or len(words) > 2 or not _ID.fullmatch(key_id):
            raise KeysUnusable(
                f"{place} must hold keys, each the base64 of {_KEY_BYTES} bytes: openssl rand -base64 32"
            )
        if found.setdefault(key_id, key) != key:
            raise KeysUnusable(f"{place} holds two keys with the id {key_id}; give one of them another, or none")
    return found


def _name_of(key: bytes) -> str:
    """A key without an id is called by its digest, so that it is found again."""
    import hashlib

    return base32_of(hashlib.sha256(b"id of " + key).digest(), _ID_WIDTH)
