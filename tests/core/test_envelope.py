import json

from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.envelope import envelopes, payload_of, type_of
from conduit_local.core.ids import event_id

AT_US = 1_782_050_973_120_000

types = st.from_regex(r"[A-Za-z0-9_-]{1,5}(\.[A-Za-z0-9_-]{1,5}){0,2}", fullmatch=True)
payloads = st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
)


@given(st.integers(1, 5_000), st.lists(st.tuples(types, payloads), min_size=1, max_size=20))
def test_an_envelope_is_json_that_holds_the_payload_untouched(first: int, made: list[tuple[str, bytes]]) -> None:
    lines = envelopes("abcde", 3, "pl_8f3a", first, AT_US, [one for one, _ in made], [raw for _, raw in made])
    rows = lines.splitlines(keepends=True)
    assert len(rows) == len(made)
    for place, (row, (event_type, raw)) in enumerate(zip(rows, made, strict=True)):
        found = json.loads(row)
        assert list(found) == ["event_id", "pipeline_id", "event_type", "received_at", "payload"]
        assert found["event_id"] == event_id("abcde", 3, first + place)
        assert (found["pipeline_id"], found["event_type"]) == ("pl_8f3a", event_type)
        assert found["received_at"] == "2026-06-21T14:09:33Z"
        assert payload_of(row) == raw
        assert payload_of(row.rstrip(b"\n")) == raw
        assert type_of(row) == event_type


def test_ids_go_on_over_the_edges_of_the_table() -> None:
    count = 3_000
    lines = envelopes("abcde", 1, "pl_1", 500, AT_US, ["a"] * count, [b"{}"] * count)
    assert [json.loads(row)["event_id"] for row in lines.splitlines()] == [
        event_id("abcde", 1, seq) for seq in range(500, 500 + count)
    ]


def test_a_payload_that_looks_like_an_envelope_is_still_found() -> None:
    raw = b'{"event_type":"x","payload":{"payload":"}\\"payload\\":"}}'
    line = envelopes("abcde", 1, "pl_1", 1, AT_US, ["a.b"], [raw])
    assert payload_of(line) == raw
    assert type_of(line) == "a.b"
