"""
Which of DuckDB's types come back exactly from the JSON of a row, in a table of DuckDB's own.

Left out are, in lists, structs, maps and unions, BLOB (JSON shows its bytes as escapes, which nothing reads), BIT and
BIGNUM (not read from JSON); VARIANT (JSON has fewer types) and GEOMETRY everywhere; keys of a map that are documents.
"""

import re
from collections.abc import Iterator

from conduit_local.destinations.tables.rows import is_nested

_EXACT = {
    *("BOOLEAN", "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT"),
    *("HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE", "UUID", "DATE", "TIME", "TIME_NS", "TIME WITH TIME ZONE"),
    *("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "INTERVAL", '"NULL"'),
}
_EXACT_AT_TOP = {"BLOB", "BIT", "BIGNUM"}
_WITH_MORE = ("VARCHAR", "DECIMAL(", "ENUM(")
_PIECE = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*'|[(),]|[^"'(),]+)""")
_FIELD = re.compile(r"""^(?:"(?:[^"]|"")*"|\S+) (.*)$""", re.DOTALL)


def inexact(kind: str, *, nested: bool = False, key: bool = False) -> str | None:
    """What in the type `kind` does not come back exactly; None where all of it does."""
    if key and is_nested(kind):
        return f"{kind} as a key"
    if kind.endswith("]"):
        return inexact(kind[: kind.rindex("[")], nested=True)
    name, bracket, rest = kind.partition("(")
    inner = list(_parts(rest.removesuffix(")"))) if bracket else []
    match name:
        case "MAP":
            return inexact(inner[0], nested=True, key=True) or inexact(inner[1], nested=True)
        case "STRUCT" | "UNION":
            types = [_FIELD.sub(r"\1", one) for one in inner]
        case "TUPLE":
            types = inner
        case _:
            exact = kind in _EXACT or kind == "JSON" or kind.startswith(_WITH_MORE)
            return None if exact or (kind in _EXACT_AT_TOP and not nested) else kind
    return next(filter(None, (inexact(one, nested=True) for one in types)), None)


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas that are in no brackets and no quotes."""
    depth, part = 0, ""
    for piece in _PIECE.findall(text):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and not depth:
            yield part.strip()
            part = ""
        else:
            part += piece
    yield part.strip()
