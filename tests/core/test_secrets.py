"""A secret is shown to nobody who did not ask for it by name, and an edit that sends back what was shown keeps it."""

import dataclasses
import json
import time
import traceback
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.kept_secrets import with_kept_secrets
from conduit_local.core.kinds import document_of, edited_spec, patched_spec
from conduit_local.core.secrets import (
    MAX_LENGTH,
    REDACTED,
    REVEAL,
    SEALED,
    Secret,
    SecretMap,
    locked_in,
    opening,
    redacted,
    same_but_for_secrets,
    sealing,
)
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from tests.making import MODEL, spec

HIDDEN = "hunter2-hunter2"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
documents = st.dictionaries(st.sampled_from(["password", "api_key", "host", "list", "name", "key"]), json_values)


class Bucket(DestinationSpec):
    type: Literal["bucket"] = "bucket"
    token: Secret = Secret("")
    more: SecretMap = SecretMap("{}")


def turned(text: str) -> str:
    return SEALED + text[::-1]


def turned_back(text: str) -> str:
    return text.removeprefix(SEALED)[::-1]


@given(st.text(max_size=40).filter(lambda text: not text.startswith(SEALED)), documents)
def test_what_is_sealed_opens_to_what_it_was(token: str, more: dict[str, Any]) -> None:
    made = Bucket.model_validate({"name": "b", "token": token, "more": more})
    kept = made.model_dump(context=sealing(turned))
    assert kept["token"].startswith(SEALED)
    assert kept["more"].startswith(SEALED)
    assert Bucket.model_validate(kept, context=opening(turned_back)) == made
    assert Bucket.model_validate(made.model_dump(context=REVEAL)) == made


def test_by_default_a_secret_is_in_no_dump_text_or_schema() -> None:
    made = Bucket(name="b", token=Secret(HIDDEN), more=SecretMap.of({"password": HIDDEN, "host": "db"}))
    every = [made.model_dump(), made.model_dump_json(), made.model_dump_json(serialize_as_any=True), repr(vars(made))]
    assert HIDDEN not in str([*every, made, f"{made} {made.token}", to_jsonable_python(made.token)])
    assert made.model_dump()["token"] == REDACTED
    assert made.model_dump()["more"] == {"password": REDACTED, "host": "db"}
    assert HIDDEN not in json.dumps(Bucket.model_json_schema())
    assert Bucket(name="b").model_dump()["token"] == "", "that there is none is no secret"


def test_what_knows_nothing_of_secrets_fails_rather_than_write_one_down() -> None:
    """`dataclasses.asdict`, msgspec and json are what answers, logs and rows are made with."""
    writers: list[Callable[[Any], object]] = [
        json.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
        dataclasses.asdict,
    ]
    for write in writers:
        for made in (Secret(HIDDEN), SecretMap.of({"password": HIDDEN})):
            with pytest.raises(TypeError):
                write(made)


def test_a_traceback_and_a_refusal_hold_no_secret() -> None:
    made = Bucket(name="b", token=Secret(HIDDEN))
    try:
        raise RuntimeError(made)
    except RuntimeError:
        assert HIDDEN not in traceback.format_exc()
    with pytest.raises(ValidationError) as caught:
        Bucket.model_validate({"name": "b", "token": [HIDDEN]})
    assert "must be text" in str(caught.value)


@pytest.mark.parametrize("value", [7, None, ["x"], {"a": 1}, "x" * (MAX_LENGTH + 1), SEALED + "x"])
def test_what_is_no_secret_text_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"must be text of at most|must not begin with"):
        Bucket.model_validate({"name": "b", "token": value})


@pytest.mark.parametrize("value", [7, None, "text", ["x"], SEALED + "x", {"a": "x" * MAX_LENGTH}])
@pytest.mark.parametrize("context", [None, REVEAL])
def test_what_is_no_secret_mapping_is_refused(value: object, context: dict[str, Any] | None) -> None:
    with pytest.raises(ValidationError, match=r"must be (a mapping|at most)"):
        Bucket.model_validate({"name": "b", "more": value}, context=context)


def test_without_its_key_it_stays_as_it_is_kept() -> None:
    kept = Bucket(name="b", token=Secret(HIDDEN), more=SecretMap.of({"a": 1})).model_dump(context=sealing(turned))
    locked = Bucket.model_validate(kept, context=opening(lambda _: None))
    assert locked_in(locked)
    assert not locked_in(Bucket(name="b", token=Secret(HIDDEN)))
    assert (locked.token.is_open, locked.more.value) == (False, {})
    assert locked.model_dump() == {**kept, "token": REDACTED, "more": REDACTED}
    assert locked.model_dump(context=sealing(lambda _: "lost")) == kept
    assert Bucket.model_validate(locked.model_dump(context=sealing(turned)), context=opening(turned_back)).token == (
        Secret(HIDDEN)
    )


def test_two_settings_that_differ_in_their_secrets_alone_name_the_same_place() -> None:
    one = Bucket(name="b", token=Secret("old"))
    assert same_but_for_secrets(one, Bucket(name="b", token=Secret("new"), more=SecretMap.of({"a": 1})))
    assert not same_but_for_secrets(one, Bucket(name="c", token=Secret("old")))
    assert not same_but_for_secrets(one, DestinationSpec(type="bucket", name="b"))


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"password": HIDDEN}, {"password": REDACTED}),
        ({"db_password": HIDDEN, "passwd": HIDDEN}, {"db_password": REDACTED, "passwd": REDACTED}),
        ({"API_KEY": HIDDEN, "apiKey": HIDDEN}, {"API_KEY": REDACTED, "apiKey": REDACTED}),
        ({"client_secret": HIDDEN, "client_id": "me"}, {"client_secret": REDACTED, "client_id": "me"}),
        ({"private_key_id": "7", "public_key": "k"}, {"private_key_id": "7", "public_key": "k"}),
        ({"token_url": "https://a", "token": HIDDEN}, {"token_url": "https://a", "token": REDACTED}),
        ({"tokens": [HIDDEN, ""]}, {"tokens": [REDACTED, ""]}),
        ({"auth": {"user": "me", "pin": 1234}}, {"auth": {"user": "me", "pin": REDACTED}}),
        ({"use_token": True, "password": None}, {"use_token": True, "password": None}),
        ({"x-api-key": HIDDEN, "key-id": "7"}, {"x-api-key": REDACTED, "key-id": "7"}),
        ({"authentication": HIDDEN}, {"authentication": REDACTED}),
        ({"credentials": {"type": "a", "b": [HIDDEN]}}, {"credentials": {"type": REDACTED, "b": [REDACTED]}}),
        ({"url": f"postgres://me:{HIDDEN}@db/x"}, {"url": REDACTED}),
        ({"url": f"postgres://me:a/{HIDDEN}@db/x"}, {"url": REDACTED}),
        ({"url": f"see amqp://:{HIDDEN}@db"}, {"url": REDACTED}),
        ({"url": f"https://a/?access_token={HIDDEN}&b"}, {"url": REDACTED}),
        ({"url": f"https://a/x?b=1&sig={HIDDEN}"}, {"url": REDACTED}),
        ({"db": f"Server=db;User Id=me;Password={HIDDEN}"}, {"db": REDACTED}),
        ({"db": f"DefaultEndpointsProtocol=https;AccountKey={HIDDEN}"}, {"db": REDACTED}),
        ({"conn_str": f"db:{HIDDEN}"}, {"conn_str": REDACTED}),
        (
            {"jwt": HIDDEN, "bearer": HIDDEN, "Cookie": HIDDEN},
            {"jwt": REDACTED, "bearer": REDACTED, "Cookie": REDACTED},
        ),
        ({"sas": HIDDEN, "design": "x"}, {"sas": REDACTED, "design": "x"}),
        ({"file": f"-----BEGIN RSA PRIVATE KEY-----\n{HIDDEN}"}, {"file": REDACTED}),
        ({"url": "https://a.example:80/@me", "x": "a=b;c=d"}, {"url": "https://a.example:80/@me", "x": "a=b;c=d"}),
        ({"url": "https://a.example/@me:x", "q": "design=1"}, {"url": "https://a.example/@me:x", "q": "design=1"}),
        (
            {"url": "https://a.example:80/?at=b@c", "mail": "a@b"},
            {"url": "https://a.example:80/?at=b@c", "mail": "a@b"},
        ),
        (
            {"authentication": {"type": "custom", "params": {"anything": HIDDEN, "deep": [HIDDEN]}}},
            {"authentication": {"type": "custom", "params": {"anything": REDACTED, "deep": [REDACTED]}}},
        ),
    ],
)
def test_what_stands_under_a_telling_name_is_redacted(document: object, shown: object) -> None:
    assert redacted(document) == shown


@given(json_values)
def test_redacting_twice_changes_no_more_and_keeps_the_shape(value: Any) -> None:
    once = redacted(value, "password")
    assert redacted(once, "password") == once
    assert HIDDEN not in json.dumps(redacted({"secret": [HIDDEN, {"token": HIDDEN}]}))


@given(documents)
def test_sent_back_as_it_was_shown_a_document_keeps_every_secret(document: dict[str, Any]) -> None:
    assert with_kept_secrets(redacted(document), redacted(document), document) == document


@given(documents, json_values)
def test_whatever_is_sent_gets_no_secret_of_another_field(document: dict[str, Any], sent: Any) -> None:
    """Only where the old document had a secret can one come back: `host: [redacted]` stays that text."""
    kept = {**document, "hidden": {"password": HIDDEN}}
    found = with_kept_secrets({"other": sent, **document}, redacted(kept), kept)
    assert HIDDEN not in json.dumps(found)


def test_items_that_change_places_keep_their_own_secrets() -> None:
    kept = [{"name": "a", "password": "of a"}, {"name": "b", "password": "of b"}]
    shown = redacted(kept)
    assert with_kept_secrets(shown[::-1], shown, kept) == kept[::-1]
    assert with_kept_secrets([{"name": "new", "password": ""}], shown, kept) == [{"name": "new", "password": ""}]


def connector(**config: Any) -> list[dict[str, Any]]:
    return [{"type": "connector", "name": "c", "connector": "bigquery", "config": config}]


def test_an_edit_keeps_secrets_that_come_back_as_shown_and_takes_new_ones() -> None:
    old = spec(destinations=connector(password=HIDDEN, host="a"))
    shown = document_of(old)
    assert HIDDEN not in json.dumps(shown)
    assert edited_spec(old, lambda document: {**document, "title": "Other"}, MODEL).destinations == old.destinations
    moved = patched_spec(old, {"destinations": connector(password="", host="b")}, MODEL)
    assert moved.destinations == spec(destinations=connector(password=HIDDEN, host="b")).destinations
    new = patched_spec(old, {"destinations": connector(password="new")}, MODEL)
    assert new.destinations == spec(destinations=connector(password="new")).destinations


@pytest.mark.parametrize("sent", ["text", "", REDACTED, SEALED + "k:x", 7, ["a"], None])
def test_an_edit_cannot_put_a_text_where_a_mapping_belongs(sent: object) -> None:
    old = spec(destinations=connector(password=HIDDEN))
    with pytest.raises(InvalidRequest):
        patched_spec(old, {"destinations": [{**connector()[0], "config": sent}]}, MODEL)
    with pytest.raises(InvalidRequest):
        patched_spec(spec(), {"extra": sent if sent is not None else 7}, MODEL)


def test_an_edit_keeps_what_is_sealed_under_a_key_that_is_not_here_and_takes_no_other_sealed_text() -> None:
    document = json.loads(spec(extra={"a": 1}).model_dump_json(serialize_as_any=True, context=sealing(turned)))
    old = MODEL.model_validate(document, context=opening(lambda _: None))
    assert old.extra is not None
    assert not old.extra.is_open
    assert patched_spec(old, {"title": "New"}, MODEL).extra == old.extra
    assert patched_spec(old, {"extra": REDACTED}, MODEL).extra == old.extra
    assert patched_spec(old, {"extra": {"b": 2}}, MODEL).extra == SecretMap.of({"b": 2})
    with pytest.raises(InvalidRequest):
        patched_spec(old, {"extra": f"{SEALED}k:other"}, MODEL)


def test_a_model_of_any_kind_can_hold_secrets() -> None:
    class Plain(BaseModel):
        of: Secret

    assert Plain(of=Secret("x")).model_dump(context=REVEAL) == {"of": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "@://" + ":" * 1_000_000,
        "://:" * 250_000,
        "://a:@" * 160_000,
        "token" * 200_000,
        "=" * 1_000_000,
        "-----BEGIN " * 90_000,
        "&token =" * 120_000,
        "a" * 1_000_000 + "=",
        "://@?" * 200_000,
        " " * 1_000_000 + "=@://",
    ],
    ids=range(10),
)
def test_a_nasty_text_is_looked_through_in_no_time(text: str) -> None:
    began = time.process_time()
    redacted({"x": text})
    assert time.process_time() - began < 0.5


HTTP = {"type": "http", "name": "there", "url": "https://a.example/in", "headers": {"Authorization": "Bearer abc"}}


@pytest.mark.parametrize("back", ["[redacted]", ""])
def test_a_secret_is_not_taken_along_to_another_server(back: str) -> None:
    old = spec(destinations=[HTTP])

    def to(url: str, header: str) -> list[dict[str, Any]]:
        return [{**HTTP, "url": url, "headers": {"Authorization": header}}]

    def edited(url: str, header: str) -> PipelineSpec:
        return edited_spec(old, lambda document: {**document, "destinations": to(url, header)}, MODEL)

    with pytest.raises(InvalidRequest) as caught:
        edited("https://b.example/in", back)
    assert [problem.field for problem in caught.value.problems] == ["destinations[0].headers.Authorization"]
    assert edited("https://b.example/in", "Bearer def").destinations[0] != old.destinations[0]
    assert edited("https://a.example/in", back).destinations == old.destinations
