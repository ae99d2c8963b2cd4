"""S4.8: every error of the tree in S4's words; and any bytes at its decoders."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit_local.app import pipeline_model
from conduit_local.core import errors
from conduit_local.core.errors import Broken, ConduitError, Invalid, InvalidRequest, Refused, Unavailable
from conduit_local.core.kinds import parse_spec
from conduit_local.core.pipeline import State
from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.core.run import RunLine, RunState
from conduit_local.dialects.s4 import models, wire
from conduit_local.dialects.s4.errors import field_of, in_our_fields, words
from tests.house.test_wordings import MESSAGE, S0_CODES, every_leaf, made, shape


@every_leaf
def test_s4_8_every_error_has_a_status_a_code_and_a_message_as_in_s0(kind: type[ConduitError]) -> None:
    answer = words(made(kind))
    said = shape(answer)
    models.ErrorSaid.model_validate(said)
    assert said["code"] in S0_CODES[answer.status]
    assert (answer.status == 500) == issubclass(kind, Broken)
    assert (MESSAGE in str(said["message"])) == (answer.status != 500)
    assert (400 <= answer.status < 500) == issubclass(kind, Refused | errors.BodyTooSlow)
    assert ("Retry-After" in answer.headers) == issubclass(kind, Unavailable | errors.RateLimited)
    assert ("Allow" in answer.headers) == issubclass(kind, errors.MethodNotAllowed)
    assert ("WWW-Authenticate" in answer.headers) == issubclass(kind, errors.Unauthorized)
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (("schedule",), "schedule"),
        (("extra",), "config"),
        (("sources", 0, "type"), "config.source.name"),
        (("sources", 0, "connector"), "config.source.name"),
        (("sources", 0, "config"), "config.source"),
        (("destinations", 0, "path"), "config.destination.config.path"),
        (("destinations", 2, "path"), "config.destinations[2].config.path"),
        (("destinations",), "destinations"),
        (("domain_id",), "domain_id"),
    ],
)
def test_s4_8_what_is_wrong_is_named_in_the_words_of_the_body(path: Path, field: str) -> None:
    assert Problem(path=field_of(path), message="").field == field
    with pytest.raises(InvalidRequest) as caught, in_our_fields():
        raise refusal([Problem(path=path, message="is wrong"), Problem(path=("x",), message="is too")])
    assert shape(words(caught.value))["message"] == f"{field}: is wrong (and 1 more)"


# Any bytes -------------------------------------------------------------------------------------------------

MODEL = pipeline_model()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["push", "files", "hubspot", "connector", "Big Query", ""]) | st.text(max_size=5)
PARTS = st.fixed_dictionaries({"name": NAMES}, optional={"config": VALUES, "authentication": VALUES}) | VALUES
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=9),
        "source": PARTS,
        "destination": PARTS,
        "sources": st.lists(PARTS, max_size=2),
        "destinations": st.lists(PARTS, max_size=3),
        "extra": VALUES,
    },
)
BODIES = st.fixed_dictionaries(
    {"name": st.text(max_size=9), "config": CONFIGS},
    optional={
        "schedule": st.none() | st.just("0 0 * * *") | st.text(max_size=9),
        "enabled": st.booleans() | VALUES,
        "domain_id": st.text(max_size=5) | VALUES,
    },
)
BYTES = st.binary(max_size=200) | (BODIES | VALUES).map(msgspec.json.encode)


@settings(max_examples=60)
@given(BYTES)
def test_any_bytes_are_a_pipeline_or_refused(body: bytes) -> None:
    with suppress(Invalid):
        wanted = wire.decode_pipeline(body)
        spec = parse_spec(wanted.document(lambda _slug: True), MODEL)
        assert spec.label == wanted.name
        assert (spec.schedule, spec.domain) == (wanted.schedule, wanted.domain)


@given(BYTES)
def test_any_bytes_are_a_change_or_refused(body: bytes) -> None:
    with suppress(Invalid):
        changes, enabled = wire.decode_change(body)
        assert changes.keys() <= {"title", "schedule", "domain", "config"}
        assert enabled in {None, True, False}


@given(BYTES)
def test_any_bytes_are_the_name_of_a_copy_or_of_a_domain_or_refused(body: bytes) -> None:
    for decode in (wire.decode_copy, wire.decode_domain):
        with suppress(Invalid):
            name = decode(body)
            assert name is None or name.strip() == name


@given(st.text())
def test_any_status_is_one_or_refused(text: str) -> None:
    with suppress(Invalid):
        assert wire.decode_status(text) == [RunState(text)]


# Small ones ------------------------------------------------------------------------------------------------


def test_s4_8_all_five_states_of_a_run_can_be_asked_for() -> None:
    assert [wire.decode_status(str(state)) for state in RunState] == [[state] for state in RunState]
    assert wire.decode_status(None) == []


@pytest.mark.parametrize(
    ("enabled", "state", "wanted"),
    [
        (None, State.ACTIVE, None),
        (True, State.ACTIVE, None),
        (True, State.DRAINING, None),
        (True, State.PAUSED, State.ACTIVE),
        (True, State.STOPPED, State.ACTIVE),
        (False, State.ACTIVE, State.PAUSED),
        (False, State.DRAINING, State.PAUSED),
        (False, State.PAUSED, None),
        (False, State.STOPPED, None),
    ],
)
def test_s4_8_only_what_reads_otherwise_is_changed(enabled: bool | None, state: State, wanted: State | None) -> None:
    assert wire.change_to(enabled, state) is wanted
    assert enabled is None or wire.is_enabled(wanted or state) is enabled


def test_s4_5_a_copys_name_is_new_and_never_too_long() -> None:
    taken = {"A (Copy)", "A (Copy 2)"}
    assert wire.name_of_copy("A", lambda name: name not in taken) == "A (Copy 3)"
    assert wire.name_of_copy("A (Copy)", lambda name: name not in taken) == "A (Copy) (Copy)"
    long = wire.name_of_copy("x" * 200, lambda _name: True)
    assert (len(long), long[-8:]) == (200, "x (Copy)")


def test_s4_7_a_line_of_the_log_is_one_line() -> None:
    lines: list[Any] = [
        RunLine(at_us=1_705_334_400_999_999, level="INFO", message="Starting pipeline..."),
        RunLine(at_us=1_705_334_401_000_000, level="ERROR", message="two\nlines \x1b[31m"),
    ]
    assert wire.encode_logs(lines)["logs"] == (
        "2024-01-15 16:00:00 INFO Starting pipeline...\n2024-01-15 16:00:01 ERROR two\\x0alines \\x1b[31m"
    )
    assert wire.encode_logs([]) == {"logs": ""}
