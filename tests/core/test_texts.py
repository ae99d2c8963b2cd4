"""Configurations as they are kept: whole, readable again, and without a secret in clear."""

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.secrets import SEALED, Secret, SecretMap
from conduit_local.core.spec import DestinationSpec
from conduit_local.core.texts import Texts
from conduit_local.destinations.kinds import DESTINATIONS
from tests.making import MODEL, spec

HIDDEN = "hunter2"
OWNER = "00000000-0000-4000-8000-000000000007"
OTHER = "00000000-0000-4000-8000-000000000008"


class Upside:
    """A vault for tests: no cipher, but owners, keys by number, and no clear text."""

    def __init__(self) -> None:
        self.key = 1
        self.keys = {1}

    def seal(self, text: str, owner: str) -> str:
        return f"{SEALED}{self.key}:{owner}:{text.encode('utf-8', 'surrogatepass').hex()}"

    def unseal(self, sealed: str, owner: str) -> str | None:
        key, whose, content = sealed.removeprefix(SEALED).split(":")
        if int(key) not in self.keys or whose != owner:
            return None
        return bytes.fromhex(content).decode("utf-8", "surrogatepass")


class Keyed(DestinationSpec):
    type: Literal["keyed"] = "keyed"
    token: Secret = Secret("")


@pytest.fixture
def vault() -> Upside:
    return Upside()


@pytest.fixture
def texts(vault: Upside) -> Texts:
    return Texts(MODEL, {**DESTINATIONS, "keyed": Keyed}, vault)


def test_a_configuration_is_kept_whole_with_its_secrets_sealed(texts: Texts) -> None:
    made = spec(
        title="Größe",
        schedule="0 * * * *",
        destinations=[{"type": "connector", "connector": "bigquery", "config": {"password": HIDDEN}}],
        extra={"token": HIDDEN},
    )
    text = texts.of_spec(made, OWNER)
    assert HIDDEN not in text
    assert json.loads(text)["batch"] == {"max_events": 1000, "max_bytes": 8388608, "max_age": 5.0}, "defaults too"
    assert texts.spec(text, OWNER) == made
    moved = texts.spec(text, OTHER)
    assert moved.extra is not None
    assert not moved.extra.is_open, "what was sealed for one pipeline is of no use to another"


def test_a_destination_is_kept_by_its_kind(texts: Texts) -> None:
    for made in (Keyed(name="k", token=Secret(HIDDEN)), *spec().destinations):
        text = texts.of_destination(made, OWNER)
        assert HIDDEN not in text
        assert texts.destination(text, OWNER) == made


@given(st.text(max_size=30))
def test_a_secret_on_its_own_comes_back(text: str) -> None:
    texts = Texts(MODEL, DESTINATIONS, Upside())
    assert texts.secret(texts.of_secret(Secret(text), OWNER), OWNER) == Secret(text)


def test_what_cannot_be_opened_is_kept_as_it_is_and_opens_again_once_its_key_is_back(
    texts: Texts, vault: Upside
) -> None:
    made = spec(extra={"token": HIDDEN})
    text, alone = texts.of_spec(made, OWNER), texts.of_secret(Secret(HIDDEN), OWNER)
    vault.keys = {2}
    locked, secret = texts.spec(text, OWNER), texts.secret(alone, OWNER)
    assert (secret.is_open, locked.extra == made.extra) == (False, False)
    assert texts.of_secret(secret, OWNER) == alone
    assert texts.of_spec(locked, OWNER) == text
    assert texts.resealed(text, OWNER) == text
    assert texts.resealed(alone, OWNER) == alone
    vault.keys = {1, 2}
    assert texts.spec(texts.of_spec(locked, OWNER), OWNER) == made


title = st.sampled_from(["a", 'say "sealed:v1:1:x:61"', "sealed:v1:1:x:61", "back\\slash", f"{SEALED}1:{OWNER}:61"])


@given(title, st.dictionaries(st.text(max_size=6), st.text(max_size=6) | st.just(f"{SEALED}1:{OWNER}:61"), max_size=3))
def test_sealing_anew_changes_the_seals_and_nothing_that_they_hold(shown: str, extra: dict[str, str]) -> None:
    """Also where a title, or a secret's own text, looks like a seal."""
    vault = Upside()
    texts = Texts(MODEL, DESTINATIONS, vault)
    made = spec(title=shown, extra=extra)
    text = texts.of_spec(made, OWNER)
    vault.key, vault.keys = 2, {1, 2}
    anew = texts.resealed(text, OWNER)
    vault.keys = {2}
    found = texts.spec(anew, OWNER)
    assert found.extra == SecretMap.of(extra)
    assert found.model_dump(exclude={"extra", "title"}) == made.model_dump(exclude={"extra", "title"})
    if not shown.startswith(SEALED):
        assert found.title == shown
