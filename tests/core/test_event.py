import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.errors import ConduitError, InvalidRequest, PayloadTooLarge
from conduit_local.core.event import (
    MAX_PAYLOAD_BYTES,
    NewEvent,
    check_event_type,
    check_idempotency_key,
    check_payload,
    many_events,
    one_event,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(), json_values, max_size=5)


def event(payload: str | bytes, event_type: str = "order.created") -> NewEvent:
    raw = payload.encode() if isinstance(payload, str) else payload
    return NewEvent(event_type=event_type, payload=msgspec.Raw(raw))


@pytest.mark.parametrize("event_type", ["order.created", "a", "A-b_c.D1", "x" * 255, "1.2.3", "-._"])
def test_a_dot_namespaced_type_passes(event_type: str) -> None:
    check_event_type(event_type)


@pytest.mark.parametrize(
    "event_type", ["", ".", "a.", ".a", "a..b", "a b", "a/b", "ä.b", "a\n", "a\x00", "x" * 256, "a.b\u202e", "a:b"]
)
def test_any_other_type_is_refused_naming_the_field(event_type: str) -> None:
    with pytest.raises(InvalidRequest, match="event_type") as caught:
        check_event_type(event_type)
    assert [problem.field for problem in caught.value.problems] == ["event_type"]


@given(objects)
def test_a_payload_passes_as_the_bytes_that_came(value: dict[str, object]) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert one_event(event(raw)).payloads == (raw,)


@pytest.mark.parametrize("payload", ["[]", "1", '"x"', "null", "true", "[{}]"])
def test_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    with pytest.raises(InvalidRequest, match="payload: must be a JSON object"):
        one_event(event(payload))


def test_a_payload_of_exactly_256_kib_passes_and_one_more_byte_does_not() -> None:
    shell = len('{"a":""}')
    check_payload(b'{"a":"' + b"x" * (MAX_PAYLOAD_BYTES - shell) + b'"}')
    with pytest.raises(PayloadTooLarge, match="payload exceeds the 256KB limit"):
        check_payload(b'{"a":"' + b"x" * (MAX_PAYLOAD_BYTES - shell + 1) + b'"}')


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_100_levels_pass_and_101_do_not() -> None:
    check_payload(nested(100))
    with pytest.raises(InvalidRequest, match="100 deep"):
        check_payload(nested(101))


def test_many_brackets_that_are_not_nested_pass() -> None:
    check_payload(json.dumps({"a": [[]] * 500, "b": "[[{{" * 100 + '\\"['}).encode())


def test_nesting_cannot_hide_behind_brackets_in_strings() -> None:
    hidden = b'{"a":' + b'["]",' * 110 + b"0" + b"]" * 110 + b"}"
    json.loads(hidden)
    with pytest.raises(InvalidRequest, match="100 deep"):
        check_payload(hidden)


@given(json_values)
def test_the_depth_that_is_refused_is_the_real_one(value: object) -> None:
    def depth(one: object) -> int:
        if isinstance(one, dict):
            return 1 + max(map(depth, one.values()), default=0)
        if isinstance(one, list):
            return 1 + max(map(depth, one), default=0)
        return 0

    inner = value
    for _ in range(96):
        inner = [inner]
    payload = json.dumps({"a": inner, "pad": "x" * 200}).encode()
    if depth(inner) + 1 <= 100:
        check_payload(payload)
    else:
        with pytest.raises(InvalidRequest):
            check_payload(payload)


def test_line_breaks_in_a_payload_become_spaces_and_nothing_else_changes() -> None:
    raw = '{\r\n  "a" : [1,\n2],\t"b":"x\\ny"\n}'
    (kept,) = one_event(event(raw)).payloads
    assert b"\n" not in kept
    assert b"\r" not in kept
    assert len(kept) == len(raw)
    assert json.loads(kept) == json.loads(raw)
    assert many_events([event(raw)], raw.encode()).payloads == [kept]


def test_a_culprit_among_many_is_named_by_its_place() -> None:
    good, bad = event("{}"), event("{}", "no good")
    with pytest.raises(InvalidRequest, match=r"\[2\]\.event_type"):
        many_events([good, good, bad], b"")
    with pytest.raises(InvalidRequest, match=r"\[1\]\.payload"):
        many_events([good, event("[]")], b"")
    with pytest.raises(PayloadTooLarge, match="event 1"):
        many_events([good, event(b'{"a":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}')], b"")


@given(st.lists(st.tuples(st.text(max_size=8), json_values), min_size=1, max_size=8))
def test_events_are_taken_all_or_none(given_events: list[tuple[str, object]]) -> None:
    made = [event(json.dumps(value), event_type) for event_type, value in given_events]
    try:
        taken = many_events(made, b"")
    except ConduitError:
        return
    assert len(taken) == len(made)
    assert all(isinstance(value, dict) for _, value in given_events)


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_has_1_to_255_characters(key: str) -> None:
    check_idempotency_key("x" * 255)
    with pytest.raises(InvalidRequest, match="idempotency_key"):
        check_idempotency_key(key)
