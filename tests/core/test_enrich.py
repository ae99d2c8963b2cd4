"""What a pipeline adds to payloads: new fields at the end, and not a byte of the payload itself changed (S3.10)."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.enrich import enriched
from conduit_local.core.event import NewEvents
from conduit_local.core.spec import EnrichSpec

AT = "2026-06-21T14:09:33.000Z"
BOTH = EnrichSpec(timestamp_field="at", ip_field="ip")


def payload_of(text: str | bytes, spec: EnrichSpec = BOTH, client: str | None = "192.0.2.7") -> bytes:
    payload = text.encode() if isinstance(text, str) else text
    (found,) = enriched(NewEvents(["a"], [payload]), spec, AT, client).payloads
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"n":1}', f'{{"n":1,"at":"{AT}","ip":"192.0.2.7"}}'),
        ("{}", f'{{"at":"{AT}","ip":"192.0.2.7"}}'),
        ("{ }", f'{{ "at":"{AT}","ip":"192.0.2.7"}}'),
        ('{"n": 1.50e3 } ', f'{{"n": 1.50e3 ,"at":"{AT}","ip":"192.0.2.7"}}'),
        ('{"at":null}', '{"at":null,"ip":"192.0.2.7"}'),
        ('{"\\u0061t":0,"ip":""}', '{"\\u0061t":0,"ip":""}'),
        ('{"s":"}"}', f'{{"s":"}}","at":"{AT}","ip":"192.0.2.7"}}'),
        ('{"in":{"at":1}}', f'{{"in":{{"at":1}},"at":"{AT}","ip":"192.0.2.7"}}'),
    ],
)
def test_new_fields_come_last_and_those_that_are_there_stay(before: str, after: str) -> None:
    assert payload_of(before) == after.encode()


def test_an_address_that_is_not_known_is_not_added() -> None:
    assert payload_of("{}", client=None) == f'{{"at":"{AT}"}}'.encode()
    assert payload_of("{}", EnrichSpec(ip_field="ip"), None) == b"{}"


def test_where_nothing_is_wanted_the_events_are_the_same_ones() -> None:
    events = NewEvents(["a"], [b"{}"])
    assert enriched(events, EnrichSpec(), AT, "192.0.2.7") is events


names = st.text(st.characters(exclude_categories=["C"], exclude_characters='"\\'), min_size=1, max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(names | st.text(max_size=8), values, max_size=4), names, st.sampled_from([None, 1, 2]))
def test_any_payload_keeps_its_bytes_and_its_fields(document: dict[str, object], name: str, indent: int | None) -> None:
    before = json.dumps(document, indent=indent, ensure_ascii=indent is None).encode("utf-8", "surrogatepass")
    try:
        msgspec.json.decode(before)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # a lone surrogate, which no API takes
    after = payload_of(before, EnrichSpec(timestamp_field=name))
    assert after.startswith(before.rstrip()[:-1].rstrip() if document else b"{")
    assert json.loads(after) == {name: AT, **document}


def test_one_name_for_both_is_one_field() -> None:
    assert payload_of("{}", EnrichSpec(timestamp_field="x", ip_field="x")) == b'{"x":"192.0.2.7"}'
