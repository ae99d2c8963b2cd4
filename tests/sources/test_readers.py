"""Readers of files: wherever a file is cut while it grows, the records come that the standard library reads."""

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from conduit_local.formats.csv_rows import read_csv
from conduit_local.formats.json_document import read_json_document
from conduit_local.formats.json_lines import read_json_lines
from conduit_local.formats.pieces import Piece, Place, Reader
from conduit_local.sources.reading import PlainFile

VALUES = st.text(st.sampled_from('a",\n\r é\x00[]{}\\'), max_size=6)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=3),
    max_leaves=8,
)


@contextmanager
def growing(content: bytes, cuts: list[int]) -> Iterator[Iterator[tuple[PlainFile, bool]]]:
    """A file that grows from cut to cut, and whether it has come to its end."""
    fd, path = tempfile.mkstemp()
    file = PlainFile(fd)

    def states() -> Iterator[tuple[PlainFile, bool]]:
        ends = [*sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
        for start, end in zip([0, *ends], ends, strict=False):
            os.pwrite(fd, content[start:end], start)
            yield file, False
        yield file, True

    try:
        yield states()
    finally:
        file.close()
        Path(path).unlink()


def read(reader: Reader, content: bytes, cuts: list[int], stop_after: int = 3) -> list[Piece]:
    """What comes of a file that grows, read by a few pieces at a time."""
    found: list[Piece] = []
    place = Place()
    with growing(content, cuts) as states:
        for file, ended in states:
            while True:
                pieces = [
                    piece
                    for piece, _ in zip(reader(file, place, partial(bool, ended)), range(stop_after), strict=False)
                ]
                if not pieces or pieces[-1].end == place:
                    break
                place = pieces[-1].end
                found += [piece for piece in pieces if piece.content is not None]
    return found


@given(st.lists(st.tuples(VALUES, VALUES), max_size=6), st.lists(st.integers(0, 200), max_size=5), st.integers(1, 4))
@example([("a\n", '"\r\n"')], [5, 7, 9], 1)
def test_csv_is_read_as_it_was_written(rows: list[tuple[str, str]], cuts: list[int], stop_after: int) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([("x", "y"), *rows])
    found = read(read_csv, text.getvalue().encode(), cuts, stop_after)
    assert [(piece.error, json.loads(piece.content or b"")) for piece in found] == [
        (None, {"x": x, "y": y}) for x, y in rows
    ]


@given(
    st.lists(st.dictionaries(VALUES, JSON_VALUES, max_size=3), max_size=6), st.lists(st.integers(0, 300), max_size=5)
)
def test_json_lines_come_as_they_stand(records: list[Any], cuts: list[int]) -> None:
    written = [json.dumps(record).encode() for record in records]
    found = read(read_json_lines, b"\n".join(written), cuts)
    assert [(piece.content, piece.where) for piece in found] == [(line, f":{n}") for n, line in enumerate(written, 1)]


@given(st.lists(JSON_VALUES, max_size=6), st.integers(1, 3), st.sampled_from([None, 1]))
def test_elements_of_an_array_come_as_they_stand(values: list[Any], stop_after: int, indent: int | None) -> None:
    found = read(read_json_document, f" {json.dumps(values, indent=indent)}\n".encode(), [], stop_after)
    assert [json.loads(piece.content or b"") for piece in found] == values


@given(st.binary(max_size=60), st.sampled_from([read_csv, read_json_lines, read_json_document]), st.integers(1, 3))
@example(b"\n\r\nx\n1", read_csv, 1)
def test_any_bytes_come_to_an_end_and_are_passed_once(content: bytes, reader: Reader, stop_after: int) -> None:
    found = read(reader, content, [], stop_after)
    offsets = [piece.end.offset for piece in found]
    assert offsets == sorted(offsets)
    assert all(offset <= len(content) for offset in offsets)
