"""S4.1, S4.2, S4.4: the `config` <-> the configuration, without an appliance."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit_local.core.errors import Conflict, InvalidRequest
from conduit_local.core.kinds import document_of, edited_spec, parse_spec
from conduit_local.core.secrets import REDACTED, opening, sealing
from conduit_local.core.spec import PipelineSpec
from conduit_local.dialects.s4.config import changed_spec, copied_document, new_document, shown_config
from tests.dialects.s4.asking import EXAMPLE, TOKEN
from tests.making import MODEL, spec

CONFIG: dict[str, Any] = EXAMPLE["config"]
HIDDEN = "hidden-7f3a"


def made(config: dict[str, Any], slug: str = "contacts") -> PipelineSpec:
    return parse_spec(new_document(copy.deepcopy(config), slug), MODEL)


def whole(found: PipelineSpec) -> dict[str, Any]:
    return shown_config(found, MODEL, whole=True)


def redacted(found: PipelineSpec) -> dict[str, Any]:
    return shown_config(found, MODEL, whole=False)


def changed(found: PipelineSpec, **config: Any) -> PipelineSpec:
    return changed_spec(found, {"config": config}, MODEL)


def without_its_key(found: PipelineSpec) -> PipelineSpec:
    """The same, read back where the key is missing."""
    sealed = found.model_dump(mode="json", serialize_as_any=True, context=sealing(lambda text: f"sealed:v1:{text}"))
    return parse_spec(sealed, MODEL, opening(lambda _sealed: None))


# As it was given -------------------------------------------------------------------------------------------


def test_s4_1_connectors_and_what_is_built_in_are_told_apart_by_name() -> None:
    found = document_of(made(CONFIG))
    assert [(one["type"], one["connector"]) for one in found["sources"]] == [("connector", "hubspot")]
    (destination,) = found["destinations"]
    assert (destination["type"], destination["connector"], destination["name"]) == ("connector", "bigquery", "bigquery")
    assert destination["config"] == {"config": CONFIG["destination"]["config"]}
    ours = made({"source": {"name": "push"}, "destination": {"name": "files", "config": {"path": "there"}}})
    assert ours.sources[0].type == "push"
    assert document_of(ours)["destinations"][0]["path"] == "there"


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        {"source": {"name": "push", "stream": "a", "more": [1]}, "destination": {"name": "files", "batch": {}}},
        {"destination": {"name": "files", "config": {"path": "p", "name": "mine"}}, "transforms": [{"sql": None}]},
        {"name": "Not A Slug", "source": {"name": "my source", "config": "text"}, "extra": 1, "config": {"config": {}}},
        {"source": {"name": "connector", "type": "x", "connector": "y"}, "destination": {"name": "type"}},
        {"destinations": [{"name": "files"}, {"name": "files", "config": {"path": "b"}}, {"name": "s 3"}]},
        {"sources": [{"name": "a"}, {"name": "a"}], "source": {"name": "a"}},
        {"big": 10**30, "float": 1.5e300, "deep": {"a": [{"b": [None, True, "é\u2028"]}]}},
    ],
)
def test_s4_2_it_comes_back_as_it_was_given_and_what_was_left_out_beside_it(config: dict[str, Any]) -> None:
    found = whole(made(config))
    assert {name: found[name] for name in config} == config
    assert {"name", "source", "destination"} <= found.keys()
    assert whole(made(found)) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), st.text(min_size=1, max_size=9))
def test_s4_2_whatever_a_connector_takes_comes_back(taken: dict[str, Any], name: str) -> None:
    one = {**taken, "name": f"x{name}"}
    found = whole(made({"source": one, "destination": one}))
    assert (found["source"], found["destination"]) == (one, one)
    same = changed(made({"source": one, "destination": one}), name="n")
    assert {**whole(same), "name": ""} == {**found, "name": ""}


def test_s4_2_without_admin_secrets_read_redacted() -> None:
    config = {
        **CONFIG,
        "api_key": HIDDEN,
        "source": {
            "name": "x",
            "authentication": {"type": "basic", "params": {"user": HIDDEN, "deep": [{"a": HIDDEN}], "pin": 7}},
            "headers": {"X-Api-Key": HIDDEN},
            "dsn": HIDDEN,
            "url": f"postgres://me:{HIDDEN}@db/x",
            "credentials": {"anything": HIDDEN},
        },
    }
    found = redacted(made(config))
    assert HIDDEN not in json.dumps(found)
    assert found["api_key"] == REDACTED
    assert found["source"]["authentication"] == {
        "type": "basic",
        "params": {"user": REDACTED, "deep": [{"a": REDACTED}], "pin": REDACTED},
    }
    assert (found["name"], found["destination"]) == (CONFIG["name"], CONFIG["destination"])
    assert HIDDEN not in repr(made(config))
    assert HIDDEN not in json.dumps(document_of(made(config)))


# Merged ----------------------------------------------------------------------------------------------------


def test_s4_4_config_is_merged_mapping_by_mapping() -> None:
    before = made({**CONFIG, "owner": {"team": "a", "mail": "b"}})
    after = whole(changed(before, source={"stream": "deals"}, owner={"team": "c"}, more=[1]))
    assert after == {
        **CONFIG,
        "owner": {"team": "c", "mail": "b"},
        "more": [1],
        "source": {**CONFIG["source"], "stream": "deals"},
    }
    params = {"authentication": {"params": {"token": "new"}}}
    assert whole(changed(before, source=params))["source"]["authentication"] == {
        "type": "api_key",
        "params": {"token": "new"},
    }


@pytest.mark.parametrize("sent", [REDACTED, ""])
def test_s4_4_a_secret_that_comes_back_as_it_is_shown_or_empty_stays(sent: str) -> None:
    before = made(CONFIG)
    params = {"authentication": {"type": "oauth", "params": {"token": sent}}}
    after = whole(changed(before, source=params))
    assert after["source"]["authentication"] == {"type": "oauth", "params": {"token": TOKEN}}
    assert whole(changed(before, **redacted(before))) == CONFIG


def test_s4_4_a_connector_of_another_name_takes_the_place_and_gets_no_secret_of_the_old_one() -> None:
    before = made(CONFIG)
    other = {"name": "salesforce", "authentication": {"params": {"token": ""}}}
    after = changed(before, source=other)
    assert whole(after)["source"] == other
    assert TOKEN not in json.dumps(whole(after))
    with pytest.raises(InvalidRequest, match=r"config\.source\.authentication\.params\.token: reads \[redacted\]"):
        changed(before, source={**other, "authentication": {"params": {"token": REDACTED}}})
    with pytest.raises(InvalidRequest, match=r"config\.sources\[0\]\.authentication\.params\.token"):
        changed(before, sources=[{"name": "other", "authentication": {"params": {"token": REDACTED}}}])


def test_s4_1_what_reads_redacted_is_no_secret() -> None:
    with pytest.raises(InvalidRequest, match=r"config\.source\.authentication\.params\.token: .*the secret itself"):
        made(redacted(made(CONFIG)))


def test_s4_4_the_destinations_route_stays_when_its_settings_change() -> None:
    before = made({"destination": {"name": "files", "config": {"path": "a"}}})
    paused = edited_spec(
        before,
        lambda document: {**document, "destinations": [{**document["destinations"][0], "paused": True, "title": "T"}]},
        MODEL,
    )
    assert whole(paused) == whole(before)
    (after,) = changed(paused, destination={"config": {"path": "b"}}).destinations
    assert (after.name, after.paused, after.title) == ("files", True, "T")
    (other,) = changed(paused, destination={"name": "big query", "dataset": "d"}).destinations
    assert (other.name, other.paused, other.title) == ("big-query", False, None)


def test_s4_4_several_destinations_are_given_as_a_list() -> None:
    several = [{"name": "files", "config": {"path": "a"}}, {"name": "big"}, {"name": "big"}]
    found = made({"destinations": several})
    assert [one.name for one in found.destinations] == ["files", "big", "big-2"]
    assert whole(found)["destination"] == several[0]
    first = changed(found, destination={"config": {"path": "c"}})
    assert whole(first)["destinations"] == [{"name": "files", "config": {"path": "c"}}, *several[1:]]
    one = changed(found, destinations=several[:1])
    assert [one.name for one in one.destinations] == ["files"]
    with pytest.raises(InvalidRequest, match=r"config\.destination: differs from destinations\[0\]"):
        made({"destinations": several, "destination": several[1]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"source": {"stream": "a"}}, r"config\.source\.name: is required"),
        ({"destination": {"name": "files", "config": [1]}}, r"config\.destination\.config: must be an object"),
        ({"destination": {"name": "files", "config": {"type": "x"}}}, r"config\.destination\.config\.type: is what"),
        ({"destination": {"name": "files", "config": {"pth": "x"}}}, r"destinations\[0\]\.pth: .* did you mean 'path'"),
        ({"source": {"name": "push", "config": {"x": 1}}}, r"sources\[0\]\.x: unknown field"),
        ({"more": "x" * 70_000}, r"extra: must be at most 65,536 characters"),
    ],
)
def test_s4_1_what_cannot_be_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        made(config)


# Changed elsewhere -----------------------------------------------------------------------------------------


def test_s4_2_what_another_api_changed_is_shown_as_it_is_now() -> None:
    before = made({**CONFIG, "destination": {"name": "files", "config": {"path": "a"}}})
    moved = edited_spec(
        before, lambda document: {**document, "destinations": [{"type": "files", "path": "moved"}]}, MODEL
    )
    assert whole(moved)["destination"]["config"]["path"] == "moved"
    assert whole(moved)["source"] == CONFIG["source"]
    again = changed(moved, destination={"config": {"path": "back"}})
    assert whole(again)["destination"]["config"]["path"] == "back"
    assert whole(again)["source"] == CONFIG["source"]


def test_s4_2_a_pipeline_that_was_made_elsewhere_has_a_config_too() -> None:
    plain = spec("orders", destinations=[{"type": "files", "path": "a"}])
    found = whole(plain)
    assert (found["name"], found["source"]) == ("orders", {"name": "push"})
    assert (found["destination"]["name"], found["destination"]["config"]["path"]) == ("files", "a")
    assert whole(changed(plain, **found)) == found
    several = spec(
        "orders",
        extra={"theirs": "kept"},
        destinations=[
            {"type": "files", "path": "a"},
            {"type": "files", "path": "b"},
            {"type": "connector", "connector": "big", "config": {"token": HIDDEN, "set": 1}},
        ],
    )
    shown = redacted(several)
    assert [one["name"] for one in shown["destinations"]] == ["files", "files", "big"]
    assert shown["destinations"][2] == {"name": "big", "token": REDACTED, "set": 1}
    same = changed(several, **shown)
    assert document_of(same)["destinations"] == document_of(several)["destinations"]
    assert whole(same)["destinations"][2]["token"] == HIDDEN
    assert document_of(same)["extra"]["theirs"] == "kept"


# Without the key -------------------------------------------------------------------------------------------


def test_s4_2_what_cannot_be_opened_is_shown_redacted_and_kept() -> None:
    locked = without_its_key(made(CONFIG))
    assert whole(locked) == {
        "name": "contacts",
        "source": {"name": "hubspot", "config": REDACTED},
        "destination": {"name": "bigquery", "config": REDACTED},
    }
    renamed = changed_spec(locked, {"title": "Renamed"}, MODEL)
    assert (renamed.title, renamed.extra, renamed.sources) == ("Renamed", locked.extra, locked.sources)


def test_s4_4_what_cannot_be_opened_is_given_anew_whole_or_not_at_all() -> None:
    locked = without_its_key(made(CONFIG))
    with pytest.raises(Conflict, match="sealed with a key that is not here"):
        changed(locked, source={"stream": "deals"})
    with pytest.raises(InvalidRequest, match=r"config\.source\.config: reads \[redacted\]"):
        changed(locked, **whole(locked))
    assert whole(changed(locked, **CONFIG)) == CONFIG
    with pytest.raises(Conflict, match="cannot be copied"):
        copied_document(locked, "copy", "Copy")


def test_s4_5_a_copy_has_all_of_it() -> None:
    before = made({**CONFIG, "owner": "me"})
    after = parse_spec(copied_document(before, "copy", "A copy"), MODEL)
    assert (after.name, after.title, after.id) == ("copy", "A copy", None)
    assert {**whole(after), "name": ""} == {**whole(before), "name": ""}
