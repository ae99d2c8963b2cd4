"""Hypothesis on the wire: any bytes give a value or a Refused; what is accepted comes back as it went in."""

import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from backports import zstd
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.control import arriving
from conduit_local.control.wire import NDJSON
from conduit_local.core.errors import BodyTooLarge, InvalidJson, InvalidRequest, Refused
from conduit_local.dialects.s0 import wire as s0
from conduit_local.http.body import _gunzip, _unzstd
from conduit_local.http.decode import decode_object

Decode = Callable[[bytes], Any]

DECODERS: dict[str, Decode] = {
    "s0.decode_event": s0.decode_event,
    "s0.decode_configuration": s0.decode_configuration,
    "s0.decode_change": s0.decode_change,
    "control.decode_events": lambda body: arriving.decode_events(body, "application/json"),
    "control.decode_events (NDJSON)": lambda body: arriving.decode_events(body, NDJSON),
    "decode_object": decode_object,
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
near_misses = st.fixed_dictionaries(
    {},
    optional={
        "pipeline_id": json_values,
        "event_type": json_values | st.just("a.b"),
        "payload": json_values,
        "idempotency_key": json_values,
        "name": json_values,
        "batch_size": json_values,
        "batch": json_values,
        "status": json_values | st.just("paused"),
    },
)
bodies = (
    st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | near_misses.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | st.lists(near_misses, max_size=3).map(lambda value: json.dumps(value).encode())
)
NASTY = [
    b"",
    b"[" * 20_000,
    b'{"a":' * 5_000,
    b'{"pipeline_id":"p","event_type":"a","payload":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
    b'{"pipeline_id":"p","event_type":"a","payload":{"a":NaN}}',
    b'{"pipeline_id":"p","event_type":"a","payload":{"a":Infinity}}',
    b'{"pipeline_id":"p","event_type":"a","payload":{"a":"\\ud800"}}',
    b'{"pipeline_id":"p","event_type":"a","payload":{"a":"\xed\xa0\x80"}}',
    b'{"pipeline_id":"p","event_type":"a","payload":{}}\x00',
    '{"pipeline_id":"p","event_type":"a","payload":{}}'.encode("utf-16"),
    b"\xef\xbb\xbf{}",
    b'{"a":1e999}',
    b'{"a":' + b"9" * 5_000 + b"}",
    b'{"a":18446744073709551616}',
]


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("body", NASTY, ids=range(len(NASTY)))
def test_nasty_bodies_are_values_or_refused(name: str, body: bytes) -> None:
    with suppress(Refused):
        DECODERS[name](body)


@pytest.mark.parametrize("name", DECODERS)
@given(body=bodies)
def test_any_bytes_are_a_value_or_refused(name: str, body: bytes) -> None:
    with suppress(Refused):
        DECODERS[name](body)


@given(
    st.dictionaries(st.text(max_size=20), json_values.filter(lambda value: "NaN" not in json.dumps(value)), max_size=4),
    st.booleans(),
)
def test_an_accepted_payload_is_the_bytes_that_came(payload: dict[str, object], ascii_only: bool) -> None:
    raw = json.dumps(payload, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    body = b'{"pipeline_id":"p","event_type":"a.b","payload":%s}' % raw
    try:
        _, events, _ = s0.decode_event(body)
    except Refused:
        text = raw.decode("utf-8", "replace") + raw.decode("ascii", "replace")
        assert "Infinity" in text or "\\ud" in text.lower() or "\ufffd" in text
        return
    assert events.payloads == (raw,)
    assert json.loads(events.payloads[0]) == payload


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"pipeline_id":1}', InvalidRequest),
        (b'{"pipeline_id":1} x', InvalidJson),
        (b'{"pipeline_id":1,', InvalidJson),
        (b"[]", InvalidRequest),
        (b"[] []", InvalidJson),
    ],
)
def test_what_is_not_json_is_told_from_what_has_the_wrong_shape(body: bytes, kind: type[Refused]) -> None:
    with pytest.raises(Refused) as caught:
        s0.decode_event(body)
    assert type(caught.value) is kind


def test_a_culprit_in_an_array_or_on_a_line_is_named_by_its_place() -> None:
    for body, content_type in (
        (b'[{"event_type":"a","payload":{}},{"event_type":"b"}]', "application/json"),
        (b'{"event_type":"a","payload":{}}\n{"event_type":"b"}\n', NDJSON),
    ):
        with pytest.raises(InvalidRequest) as caught:
            arriving.decode_events(body, content_type)
        assert [problem.field for problem in caught.value.problems] == ["[1].payload"]


def test_lines_may_end_in_crlf_and_empty_ones_do_not_count() -> None:
    body = b'\r\n{"event_type":"a","payload":{"n":1}}\r\n\n  \n{"event_type":"a","payload":{\t"n":2}}'
    assert arriving.decode_events(body, NDJSON).payloads == [b'{"n":1}', b'{\t"n":2}']


LIMIT = 10_000


@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=5), st.integers(0, 60))
@example([b"x" * 3_000] * 5, 0)
def test_what_is_decompressed_is_what_was_compressed_or_refused(pieces: list[bytes], cut: int) -> None:
    whole = b"".join(pieces)
    for compress, expand in ((gzip.compress, _gunzip), (zstd.compress, _unzstd)):
        packed = b"".join(compress(piece) for piece in pieces)
        if len(whole) > LIMIT:
            with pytest.raises(BodyTooLarge):
                expand(packed, LIMIT)
        else:
            assert expand(packed, LIMIT) == whole
        with suppress(BodyTooLarge, EOFError, zlib.error, zstd.ZstdError):
            assert whole.startswith(expand(packed[: len(packed) - cut], LIMIT))


@given(st.binary(max_size=500))
def test_any_bytes_expand_or_are_an_error_that_is_known(body: bytes) -> None:
    for expand in (_gunzip, _unzstd):
        with suppress(BodyTooLarge, EOFError, zlib.error, zstd.ZstdError):
            expand(body, LIMIT)
