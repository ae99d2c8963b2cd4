"""Secrets at rest: what is sealed opens with its key, for its owner, untouched; and for nobody else."""

import base64
import logging
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.secrets import SEALED
from conduit_local.store.vault import FileVault, KeysUnusable

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()
OWNER = "00000000-0000-4000-8000-000000000007"
IN_MEMORY = FileVault(Path("nowhere"), KEY)


@given(st.text(max_size=200), st.text(max_size=20).filter(str.isascii))
def test_what_was_sealed_opens_for_its_owner_alone(text: str, owner: str) -> None:
    sealed = IN_MEMORY.seal(text, owner)
    assert sealed.startswith(SEALED)
    assert IN_MEMORY.unseal(sealed, owner) == text
    assert IN_MEMORY.unseal(sealed, owner + "x") is None


def test_one_text_sealed_twice_looks_different() -> None:
    assert len({IN_MEMORY.seal("same", OWNER) for _ in range(50)}) == 50


@given(st.text(min_size=8, max_size=40, alphabet="abcdefgh0123"))
def test_a_sealed_text_does_not_show_what_it_holds(text: str) -> None:
    sealed = IN_MEMORY.seal(text, OWNER)
    assert text not in sealed
    assert text.encode() not in base64.urlsafe_b64decode(sealed.rpartition(":")[2])


@given(st.data())
def test_a_sealed_text_that_was_changed_anywhere_does_not_open(data: st.DataObject) -> None:
    sealed = IN_MEMORY.seal("hunter2", OWNER)
    head, _, content = sealed.rpartition(":")
    raw = bytearray(base64.urlsafe_b64decode(content))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert IN_MEMORY.unseal(f"{head}:{base64.urlsafe_b64encode(raw).decode()}", OWNER) is None
    cut = data.draw(st.integers(0, len(content) - 1))
    assert IN_MEMORY.unseal(f"{head}:{content[:cut]}", OWNER) is None


@given(st.text(max_size=60))
def test_any_text_in_place_of_a_seal_does_not_open(text: str) -> None:
    key_id = IN_MEMORY.seal("x", OWNER).split(":")[2]
    assert IN_MEMORY.unseal(text, OWNER) is None
    assert IN_MEMORY.unseal(f"{SEALED}{text}", OWNER) is None
    assert IN_MEMORY.unseal(f"{SEALED}{key_id}:{text}", OWNER) is None


def test_a_change_is_logged_without_what_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    sealed = IN_MEMORY.seal("hunter2", OWNER)
    with caplog.at_level(logging.INFO):
        assert IN_MEMORY.unseal(sealed, "another") is None
    assert "a secret of another cannot be opened" in caplog.text
    assert sealed not in caplog.text
    assert KEY not in caplog.text


# The key file ---------------------------------------------------------------------------------------------


def test_the_key_is_made_for_the_first_secret_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    old = os.umask(0)
    try:
        vault = FileVault(path, None)
        assert not path.exists()
        sealed = vault.seal("hunter2", OWNER)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["secrets.key"]
    again = FileVault(path, None)
    assert again.unseal(sealed, OWNER) == "hunter2"
    again.seal("more", OWNER)
    assert path.read_text().count("\n") == 1, "one key is enough"


def test_a_key_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "secrets.key"
    path.write_text(KEY)
    path.chmod(0o640)
    FileVault(path, None)
    assert "can be read by others than its owner: chmod 600 it" in caplog.text
    assert KEY not in caplog.text


def test_without_its_key_a_secret_stays_shut_and_opens_once_the_key_is_back(tmp_path: Path) -> None:
    path, away = tmp_path / "secrets.key", tmp_path / "away"
    sealed = FileVault(path, None).seal("hunter2", OWNER)
    path.rename(away)
    without = FileVault(path, None)
    assert without.unseal(sealed, OWNER) is None
    later = without.seal("later", OWNER)  # a key of its own: new secrets are taken meanwhile
    path.write_text(path.read_text() + away.read_text())
    both = FileVault(path, None)
    assert (both.unseal(sealed, OWNER), both.unseal(later, OWNER)) == ("hunter2", "later")


def test_a_key_of_the_same_id_that_is_another_opens_nothing(tmp_path: Path) -> None:
    one, other = FileVault(tmp_path / "n", f"main {KEY}"), FileVault(tmp_path / "n", f"main {OTHER}")
    assert other.unseal(one.seal("hunter2", OWNER), OWNER) is None


@pytest.mark.parametrize(
    "content",
    [
        "hunter2",
        "id " + base64.b64encode(b"short").decode(),
        f"a b {KEY}",
        f"a:b {KEY}",
        f'" {KEY}',
        f"{KEY[:-4]}é===",
        "\x00",
        f"a {KEY}\na {OTHER}",
    ],
)
def test_keys_that_are_none_stop_the_start_and_are_not_repeated(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.key"
    path.write_text(content)
    path.chmod(0o600)
    for keys in (None, content):
        with pytest.raises(KeysUnusable, match=r"must hold keys|two keys with the id") as caught:
            FileVault(path, keys)
        assert KEY[:20] not in str(caught.value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_key_file_that_cannot_be_read_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secrets.key"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(KeysUnusable, match=r"read .*secrets\.key"):
        FileVault(path, None)


def test_where_the_key_cannot_be_kept_nothing_is_sealed(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "no" / "such" / "secrets.key", None)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"write .*secrets\.key: No such file"):
            vault.seal("hunter2", OWNER)


# Keys in the environment ------------------------------------------------------------------------------------


def test_keys_of_the_environment_stand_alone_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    from_file = FileVault(path, None).seal("of the file", OWNER)
    path.unlink()
    vault = FileVault(path, f"{KEY},{OTHER}")
    assert vault.unseal(vault.seal("hunter2", OWNER), OWNER) == "hunter2"
    assert vault.unseal(from_file, OWNER) is None
    assert not path.exists()
    assert "environment" in vault.place


def test_the_first_key_of_the_environment_seals_and_all_of_them_open(tmp_path: Path) -> None:
    path = tmp_path / "n"
    old = FileVault(path, KEY).seal("hunter2", OWNER)
    both = FileVault(path, f"{OTHER}\n{KEY}\n")
    assert both.unseal(old, OWNER) == "hunter2"
    assert FileVault(path, OTHER).unseal(both.seal("new", OWNER), OWNER) == "new"
    assert FileVault(path, KEY).unseal(both.seal("new", OWNER), OWNER) is None


def test_an_empty_variable_holds_no_key_and_makes_none(tmp_path: Path) -> None:
    vault = FileVault(tmp_path / "secrets.key", "")
    with pytest.raises(StoreUnavailable, match="CONDUIT_LOCAL_SECRET_KEY holds no key"):
        vault.seal("hunter2", OWNER)
    assert list(tmp_path.iterdir()) == []


# Rotation ---------------------------------------------------------------------------------------------------


def test_between_the_new_key_and_the_end_of_the_old_one_both_open(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    vault = FileVault(path, None)
    old = vault.seal("old", OWNER)
    drop_old = vault.begin_rotation()
    new = vault.seal("new", OWNER)
    killed_here = FileVault(path, None)
    assert (killed_here.unseal(old, OWNER), killed_here.unseal(new, OWNER)) == ("old", "new")
    drop_old()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert vault.unseal(old, OWNER) == "old", "what is in memory was sealed with it"
    after = FileVault(path, None)
    assert (after.unseal(old, OWNER), after.unseal(new, OWNER)) == (None, "new")


def test_a_rotation_that_cannot_write_its_key_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    vault = FileVault(folder / "secrets.key", None)
    old = vault.seal("old", OWNER)
    folder.rename(tmp_path / "gone")
    with pytest.raises(StoreUnavailable):
        vault.begin_rotation()
    assert vault.unseal(old, OWNER) == "old"
    assert vault.seal("more", OWNER).split(":")[2] == old.split(":")[2]
