"""API keys: who is let in, and who no longer is."""

import asyncio
import hmac
import sqlite3
from pathlib import Path

import pytest

from conduit_local.core.errors import Forbidden, InvalidRequest, KeyInUse, KeyNotFound, StoreUnavailable, Unauthorized
from conduit_local.core.keys import ANYBODY, Principal, Scope, allowed_by, digest_of
from conduit_local.engine.clock import SteeredClock
from conduit_local.engine.engine import Engine, EngineSettings
from conduit_local.engine.keys import Keys
from tests.engines import engine_at

REQUIRED = EngineSettings(keys_required=True)
GIVEN = "ck_live_8Hx2Qm4Rt9Vn0Lb"


def let_in(engine: Engine, secret: str) -> bool:
    try:
        engine.keys.authenticate(f"Bearer {secret}")
    except Unauthorized:
        return False
    return True


async def admin(engine: Engine) -> Principal:
    _, secret = await engine.keys.create("admin", [Scope.ADMIN])
    return engine.keys.authenticate(f"Bearer {secret}")


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ({Scope.INGEST}, {Scope.INGEST}),
        ({Scope.READ}, {Scope.READ}),
        ({Scope.MANAGE}, {Scope.MANAGE, Scope.READ}),
        ({Scope.ADMIN}, set(Scope)),
        ({Scope.INGEST, Scope.READ}, {Scope.INGEST, Scope.READ}),
        ({Scope.INGEST, Scope.MANAGE}, {Scope.INGEST, Scope.READ, Scope.MANAGE}),
        (set(), set()),
    ],
)
def test_a_scope_allows_what_it_includes_and_no_more(scopes: set[Scope], allowed: set[Scope]) -> None:
    assert allowed_by(scopes) == allowed
    principal = Principal(key_id="key", allowed=allowed_by(scopes))
    for scope in allowed:
        Keys.require(principal, scope)
    for scope in set(Scope) - allowed:
        with pytest.raises(Forbidden, match=f"lacks the scope '{scope.value}'"):
            Keys.require(principal, scope)


async def test_the_secret_lets_in_and_nothing_that_is_nearly_it(tmp_path: Path) -> None:
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        key, secret = await engine.keys.create("laptop", [Scope.READ])
        assert engine.keys.authenticate(f"Bearer {secret}").key_id == key.id
        near = [
            secret[:place] + ("a" if char != "a" else "b") + secret[place + 1 :] for place, char in enumerate(secret)
        ]
        near += [secret[:-1], f"{secret}x", f" {secret}", f"{secret} ", secret.upper(), "", key.prefix, key.id]
        near += [digest_of(secret).hex(), f"{secret}\0", "\udcff" * 8]
        assert not any(let_in(engine, one) for one in near)
        for header in (None, "", secret, f"Basic {secret}", f"Bearer{secret}", f"Bearer\t{secret}"):
            with pytest.raises(Unauthorized):
                engine.keys.authenticate(header)


async def test_no_secret_is_held_and_the_last_word_is_a_comparison_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(kept: bytes, given: bytes) -> bool:
        compared.append((kept, given))
        return False

    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        _, secret = await engine.keys.create("laptop", [Scope.READ])
        held = repr(vars(engine.keys))
        assert digest_of(secret) in {key.digest for key in engine.keys.list()}
        assert secret[len("ck_live_") + 4 :] not in held
        assert let_in(engine, secret)
        monkeypatch.setattr(hmac, "compare_digest", compare)
        assert not let_in(engine, secret)
        assert compared == [(digest_of(secret), digest_of(secret))]
    assert secret.encode() not in (tmp_path / "conduit.db").read_bytes()


async def test_a_revoked_key_is_out_at_once_and_for_good(tmp_path: Path) -> None:
    clock = SteeredClock()
    async with engine_at(tmp_path, clock, REQUIRED) as engine:
        by = await admin(engine)
        key, secret = await engine.keys.create("lost", [Scope.ADMIN])
        holder = engine.keys.authenticate(f"Bearer {secret}")
        assert engine.keys.holds(holder)
        revoked = await engine.keys.revoke(key.id, by)
        assert revoked.revoked_at_us is not None
        assert not let_in(engine, secret)
        assert not engine.keys.holds(holder)
        assert not engine.keys.is_live(secret)
        with pytest.raises(KeyNotFound, match="no live key"):
            await engine.keys.revoke(key.id, by)
    async with engine_at(tmp_path, clock, REQUIRED) as engine:
        assert not let_in(engine, secret)
        assert key.id in {one.id for one in engine.keys.list() if one.revoked_at_us}


async def test_a_key_cannot_revoke_itself_nor_what_is_not_there(tmp_path: Path) -> None:
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        by = await admin(engine)
        with pytest.raises(KeyInUse, match="cannot revoke itself"):
            await engine.keys.revoke(by.key_id, by)
        assert engine.keys.holds(by)
        with pytest.raises(KeyNotFound):
            await engine.keys.revoke("key_nobody", by)


async def test_a_given_secret_that_was_revoked_lives_again_as_one_new_key(tmp_path: Path) -> None:
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        by = await admin(engine)
        first, secret = await engine.keys.create("environment", [Scope.ADMIN], GIVEN)
        assert secret == GIVEN
        await engine.keys.revoke(first.id, by)
        again, _ = await engine.keys.create("environment", [Scope.READ], GIVEN)
        assert engine.keys.authenticate(f"Bearer {GIVEN}").allowed == {Scope.READ}
        (known,) = [key for key in engine.keys.list() if key.name == "environment"]
        assert (known.id, known.revoked_at_us) == (again.id, None)
        await engine.keys.revoke(again.id, by)
        assert not let_in(engine, GIVEN)
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        assert not let_in(engine, GIVEN)
        (kept,) = [key for key in engine.keys.list() if key.name == "environment"]
        assert (kept.id, set(kept.scopes)) == (again.id, {Scope.READ})
        assert kept.revoked_at_us is not None


@pytest.mark.parametrize("secret", ["", "short", "1234567", "with a line\nbreak", "größer-als-acht", "tab\tbed-key"])
async def test_a_given_secret_must_be_worth_the_name(tmp_path: Path, secret: str) -> None:
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        with pytest.raises(InvalidRequest, match="at least 8 printable ASCII characters"):
            await engine.keys.create("environment", [Scope.ADMIN], secret)
        assert engine.keys.list() == []


async def test_when_a_key_was_last_used_is_kept_once_in_a_while(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with engine_at(tmp_path, clock, REQUIRED) as engine:
        key, secret = await engine.keys.create("used", [Scope.READ])
        clock.advance(5)
        used_at_us = clock.now_us()
        assert let_in(engine, secret)
        clock.advance(5)
        assert [one.last_used_at_us for one in engine.keys.list()] == [used_at_us]
        await engine.keys.keep_last_used()
        assert [one.last_used_at_us for one in engine.keys.list()] == [used_at_us]
    async with engine_at(tmp_path, clock, REQUIRED) as engine:
        assert [(one.id, one.last_used_at_us) for one in engine.keys.list()] == [(key.id, used_at_us)]


async def test_when_a_key_was_last_used_is_not_forgotten_where_it_could_not_be_kept(tmp_path: Path) -> None:
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        _, secret = await engine.keys.create("used", [Scope.READ])
        assert let_in(engine, secret)
        other = sqlite3.connect(tmp_path / "conduit.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await engine.keys.keep_last_used()
        other.execute("ROLLBACK")
        other.close()
        assert engine.keys.list()[0].last_used_at_us is not None
        await engine.keys.keep_last_used()
    async with engine_at(tmp_path, settings=REQUIRED) as engine:
        assert engine.keys.list()[0].last_used_at_us is not None


async def test_a_key_that_is_used_while_its_last_use_is_being_kept_is_not_lost(tmp_path: Path) -> None:
    clock = SteeredClock()
    clock.freeze(True)
    async with engine_at(tmp_path, clock, REQUIRED) as engine:
        _, secret = await engine.keys.create("used", [Scope.READ])
        assert let_in(engine, secret)
        keeping = asyncio.ensure_future(engine.keys.keep_last_used())
        await asyncio.wait({keeping}, timeout=0)
        clock.advance(9)
        assert let_in(engine, secret)
        await keeping
        assert engine.keys.list()[0].last_used_at_us == clock.now_us()


async def test_without_keys_everybody_may_do_everything(tmp_path: Path) -> None:
    async with engine_at(tmp_path, settings=EngineSettings(keys_required=False)) as engine:
        for header in (None, "", "Bearer whatever"):
            assert engine.keys.authenticate(header) is ANYBODY
        assert engine.keys.holds(ANYBODY)
        assert ANYBODY.allowed == set(Scope)
