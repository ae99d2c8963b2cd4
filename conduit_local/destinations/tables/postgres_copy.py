"""Rows as COPY takes them: text, a row a line, values with tabs between them."""

import re
from collections.abc import Callable, Sequence

from conduit_local.core.content import Column
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.tables.rows import ENVELOPE_LINE, Texts, texts_of, uncounted

_HEX = re.compile(r"\\x([0-9A-F]{2})")
_Shown = Callable[[str], str]


def copier(columns: Sequence[Column], *, envelopes: bool) -> Callable[[bytes], bytes]:
    """
    What turns a piece of lines into COPY's text; to be called in a thread.

    Raises: Rejected, for a line that is no row; DestinationUnavailable, for an envelope that is none of ours.
    """
    if envelopes:
        row = rb"\1\t\2\t\3\t\4\t\5\n" if len(columns) > 1 else rb"\5\n"
        return lambda piece: _envelopes(row, piece)
    split = texts_of(columns)
    shown = [_shown(column.kind) for column in columns]

    def lines(piece: bytes) -> bytes:
        return "".join([_line(texts, shown) for texts in split(piece)]).encode()

    return lines


def _envelopes(row: bytes, piece: bytes) -> bytes:
    copied, found = ENVELOPE_LINE.subn(row, piece.replace(b"\\", rb"\\").replace(b"\t", rb"\t"))
    if found != (lines := piece.count(b"\n")):
        raise DestinationUnavailable(uncounted(found, lines), needs_person=True)
    return copied


def _line(texts: Texts, shown: Sequence[_Shown]) -> str:
    values = ["\\N" if text is None else show(text) for text, show in zip(texts, shown, strict=True)]
    return "\t".join(values) + "\n"


def _shown(kind: str) -> _Shown:
    match kind:
        case "BLOB":
            return _bytea
        case "DATE" | "TIMESTAMP" | "TIMESTAMP_S" | "TIMESTAMP_MS" | "TIMESTAMP_NS" | "TIMESTAMP WITH TIME ZONE":
            return _with_era
        case _:
            return _escaped


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _with_era(text: str) -> str:
    return text.replace(" (BC)", " BC")


def _bytea(text: str) -> str:
    """DuckDB shows bytes as ASCII where they are, and as `\\xAA` else, a backslash too."""
    return "\\\\x" + _HEX.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1").hex()
