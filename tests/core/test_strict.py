"""What is JSON and what is an event: one rule for requests, files and other servers' pages."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.core.errors import InvalidJson, Refused
from conduit_local.core.event import NewEvent, one_event
from conduit_local.core.strict import NotAnEvent, payload_in
from conduit_local.core.variables import VariableMissing, with_variables
from conduit_local.http.decode import decode

DECODER = msgspec.json.Decoder(NewEvent)


def in_a_request(payload: bytes) -> bytes | None:
    """What becomes of a payload that is sent; None where it is refused."""
    try:
        return one_event(decode(b'{"event_type":"a.b","payload":' + payload + b"}", DECODER)).payloads[0]
    except Refused:
        return None


def in_a_file(payload: bytes) -> bytes | None:
    """And of one that is found."""
    try:
        return payload_in(payload)
    except NotAnEvent:
        return None


TEXTS = st.one_of(
    st.binary(max_size=30),
    st.lists(
        st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"a", b":", b",", b"1", b"\xff", b"\\ud800", b"NaN", b"\n"])
    ).map(b"".join),
)


@given(TEXTS)
@example(b'{"a":NaN}')
@example(b'{"a":"\xff"}')
@example(b'{"a":"\\ud800"}')
@example(b'{"a":\n1}')
@example(b'{"a":1}{"b":2}')
@example(b'{"a":' * 101 + b"1" + b"}" * 101)
@example(b'{"a":' * 100 + b"1" + b"}" * 100)
@example(b'{"a":"' + b"x" * 262_136 + b'"}')
@example(b'{"a":"' + b"x" * 262_137 + b'"}')
def test_a_file_may_hold_what_a_request_may(text: bytes) -> None:
    payload = text.strip(b" \t\r\n")
    sent, found = in_a_request(payload), in_a_file(text)
    if found is None and sent is not None:  # what goes on with the request's own object: `{},"a":1`
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(payload)
    else:
        assert sent == found


def test_a_request_says_what_it_always_said() -> None:
    for body, said in (
        (b"", "the body is not JSON: it is empty"),
        (b"\xff", "the body is not UTF-8: byte 0 is invalid start byte"),
        (b"[" * 100_000, "the body is nested too deeply"),
        (b"[1", "the body is not JSON: "),
    ):
        with pytest.raises(InvalidJson, match=said):
            decode(body, msgspec.json.Decoder(msgspec.Raw))


def test_variables_are_replaced_once_and_missing_ones_are_named() -> None:
    assert with_variables("a ${A}${B_2} ${} $A {A}", {"A": "${B_2}", "B_2": "x"}) == "a ${B_2}x ${} $A {A}"
    with pytest.raises(VariableMissing, match="the variable HOME is not given"):
        with_variables("${HOME}", {})
