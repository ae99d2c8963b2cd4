"""CSV, read by readers that did not write it."""

import csv
import io
import json
from typing import Any

import polars
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.core.content import Column, Content, Envelopes
from conduit_local.formats.csv_text import csv_rows
from tests.formats.making import Rows, columns
from tests.transforms.making import lines_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\",\ufeff\0 ;\t'\\"))
HARD = [
    "",
    '"',
    '""',
    "a,b",
    "a\rb",
    "\n",
    "\r\n",
    "\0",
    "\ufeffa",
    " a ",
    "null",
    "NULL",
    "é\U0001f600",
    "\\n",
    "#",
    "\x1a",
]


def text_of(content: Content) -> str:
    """All of it."""
    return b"".join(csv_rows(content, "envelope")).decode()


def by_csv(text: str) -> list[list[str]]:
    """The rows as the standard library reads them, the header first."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def by_polars(text: str) -> list[tuple[Any, ...]]:
    """The rows as polars reads them, all of them as text; it tells NULL and the empty string apart."""
    return polars.read_csv(text.encode(), infer_schema=False).rows()


def lines(rows: list[dict[str, object]], *, ascii_only: bool = False) -> list[bytes]:
    """Rows as a transform makes them."""
    return [json.dumps(row, ensure_ascii=ascii_only, separators=(",", ":")).encode() for row in rows]


def test_envelopes_are_five_fields_with_the_payload_as_it_is() -> None:
    payloads = ['{"a": 1.10, "b": "x,\\"y\\"\\n"}', '{"a":{"b":[null, "é"]}}', "{}"]
    text = text_of(Envelopes(lines_of(payloads), 3))
    assert text.splitlines()[0] == "event_id,pipeline_id,event_type,received_at,payload"
    (_, *rows) = by_csv(text)
    assert rows == [
        [f"evt_abcde00010000000{n}", "pl_8f3a", "order.created", "2026-02-02T02:40:00Z", payload]
        for n, payload in enumerate(payloads, 1)
    ]
    assert by_polars(text) == [tuple(row) for row in rows]


def test_payloads_alone_are_one_field() -> None:
    payloads = ['{"a": "x,\\"y\\""}', "{}"]
    text = b"".join(csv_rows(Envelopes(lines_of(payloads), 2), "payload")).decode()
    assert text == 'payload\n"{""a"": ""x,\\""y\\""""}"\n"{}"\n'
    assert by_csv(text) == [["payload"], *([payload] for payload in payloads)]


def test_values_are_what_they_are_and_numbers_as_they_were_written() -> None:
    kinds = columns(
        n="DECIMAL(38,10)", t="VARCHAR", b="BOOLEAN", l="INTEGER[]", s="STRUCT(a VARCHAR)", j="JSON", d="DATE"
    )
    given_lines = [
        b'{"n":1.10,"t":"a\\u00e9\\n","b":true,"l":[1,2],"s":{"a":"x"},"j":{"x":1.50},"d":"2026-01-01"}',
        b'{"n":12345678901234567890.1234567890,"t":"","b":false,"l":[],"s":null,"j":"text","d":null}',
        b'{"n":null,"t":null,"b":null,"l":null,"s":{"a":null},"j":null,"d":null}',
    ]
    text = text_of(Rows(kinds, given_lines))
    assert text == (
        "n,t,b,l,s,j,d\n"
        '1.10,"aé\n",true,"[1,2]","{""a"":""x""}","{""x"":1.50}",2026-01-01\n'
        '12345678901234567890.1234567890,"",false,[],,"""text""",\n'
        ',,,,"{""a"":null}",,\n'
    )
    assert by_polars(text) == [
        ("1.10", "aé\n", "true", "[1,2]", '{"a":"x"}', '{"x":1.50}', "2026-01-01"),
        ("12345678901234567890.1234567890", "", "false", "[]", None, '"text"', None),
        (None, None, None, None, '{"a":null}', None, None),
    ]


@given(st.lists(st.tuples(st.none() | TEXTS, TEXTS), min_size=1, max_size=20), st.booleans())
@example([(text, text) for text in HARD], False)
@example([(None, ""), ("", "x")], True)
def test_any_text_comes_back(rows: list[tuple[str | None, str]], ascii_only: bool) -> None:
    made = lines([{"a": one, "b": other} for one, other in rows], ascii_only=ascii_only)
    text = text_of(Rows(columns(a="VARCHAR", b="VARCHAR"), made))
    assert by_csv(text) == [["a", "b"], *([one or "", other] for one, other in rows)]
    assert by_polars(text) == rows


@given(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
@example(["\ufeffa", 'b"', "c,d", "e\r\n"])
def test_any_names_come_back(names: list[str]) -> None:
    made = Rows(tuple(Column(name, "BIGINT") for name in names), lines([dict.fromkeys(names, 1)]))
    assert by_csv(text_of(made)) == [names, ["1"] * len(names)]


def test_a_single_column_loses_no_row() -> None:
    made = Rows(columns(a="VARCHAR"), lines([{"a": "x"}, {"a": None}, {"a": ""}, {"a": "y"}]))
    text = text_of(made)
    assert text == 'a\nx\n""\n""\ny\n'
    assert [row[0] for row in by_csv(text)] == ["a", "x", "", "", "y"]


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_how_lines_are_spread_over_pieces_does_not_show(size: int) -> None:
    every = b"".join(lines_of(f'{{"n":{n}}}' for n in range(50))).splitlines(keepends=True)
    spread = [b"".join(every[first : first + size]) for first in range(0, 50, size)]
    for form in ("envelope", "payload"):
        assert b"".join(csv_rows(Envelopes(spread, 50), form)) == b"".join(csv_rows(Envelopes(every, 50), form))
