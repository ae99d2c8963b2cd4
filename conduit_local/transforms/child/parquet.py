"""
Rows as Parquet.

The lines are cut into cells, each the JSON text of a value as it stands there, and DuckDB casts these: `read_json`
would guess, and write numbers and payloads anew. What all readers (DuckDB, pyarrow, polars) get back:

    BOOLEAN, integers up to 64 bits, FLOAT, DOUBLE, DECIMAL, DATE, TIME, TIMESTAMP…, BLOB, VARCHAR    as they are
    HUGEINT                             DECIMAL(38,0); a row with more than 38 digits is refused (Parquet: DOUBLE)
    UHUGEINT, BIGNUM                    VARCHAR, the digits (Parquet: DOUBLE, or nothing)
    UUID, ENUM, BIT, INTERVAL,
    TIME WITH TIME ZONE, GEOMETRY       VARCHAR, as DuckDB writes them (some readers: bytes, or another instant)
    JSON, VARIANT, UNION, TUPLE         VARCHAR, the JSON text (Parquet's own JSON is bytes for polars)
    LIST, ARRAY, STRUCT, MAP            nested, with items by this table; an ARRAY is a LIST; a MAP's key that is
                                        nested itself is VARCHAR

A row with a time that is `infinity` is refused: it has no place in Parquet, and readers show it as some year; in a
list, a struct or a map it is not looked for.
"""

import errno
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from conduit_local.core.content import Column
from conduit_local.transforms.child.failures import Failed, failure_of
from conduit_local.transforms.paths import quoted_name, quoted_text

_PIECE_BYTES = 1 << 20
_USUAL_LINE = 2 * 1024**2
_ROW_GROUP = 122_880
_SEPARATOR = b"\x01"  # no JSON holds it
_FORM = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE {_ROW_GROUP}, USE_TMP_FILE false"
_NESTED = {"list", "array", "struct", "map"}
_NUMBERS = {
    *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
    *("hugeint", "float", "double", "decimal"),
}
_ENDLESS = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_AS_THEY_ARE = {*_NUMBERS, *_ENDLESS, "time", "time_ns"}
_DIGITS = {"uhugeint", "bignum"}
_TEXTS = {*_DIGITS, "varchar", "uuid", "enum", "bit", "interval", "time with time zone", "geometry"}
_Rows = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Types(NamedTuple):
    """What JSON is read as, and what is written then."""

    read: str
    land: str


def write_parquet(db: duckdb.DuckDBPyConnection, columns: Sequence[Column], source: Path, target: Path) -> None:
    """The named fields of the lines in `source`, in `target`; the same lines give the same bytes. Raises: Failed."""
    cells = source.with_name("cells")
    try:
        longest = _cut(source, cells, [column.name for column in columns])
        values = [_value(db, f"c{place}", column) for place, column in enumerate(columns)]
        rows = _rows(cells, len(columns), longest)
        named = (f"{value} AS {quoted_name(column.name)}" for value, column in zip(values, columns, strict=True))
        try:
            db.execute(f"COPY (SELECT {', '.join(named)} FROM {rows}) TO {quoted_text(str(target))} ({_FORM})")
        except duckdb.ConversionException as error:
            _blame(db, columns, values, rows)
            raise error from None
    except OSError as error:
        raise Failed("output" if error.errno == errno.EFBIG else "disk", error.strerror or str(error)) from None
    except (duckdb.Error, MemoryError) as error:
        raise failure_of(error, 0, "") from None
    finally:
        cells.unlink(missing_ok=True)


def _rows(cells: Path, width: int, longest: int) -> str:
    """What reads the cells, as text; without the OFFSET the reader would cast them, in words of its own."""
    names = ", ".join(f"c{place}: 'VARCHAR'" for place in range(width))
    return (
        f"(FROM read_csv({quoted_text(str(cells))}, auto_detect = false, columns = {{{names}}}, header = false,"
        f" delim = '\x01', quote = '', escape = '', comment = '', nullstr = 'null', new_line = '\\n',"
        f" max_line_size = {max(longest, _USUAL_LINE)}, parallel = false) OFFSET 0)"
    )


def _blame(db: duckdb.DuckDBPyConnection, columns: Sequence[Column], values: Sequence[str], rows: str) -> None:
    """Raises: Failed, naming the first column with a value that cannot be cast."""
    for column, value in zip(columns, values, strict=True):
        try:
            db.execute(f"SELECT count({value}) FROM {rows}")
        except duckdb.ConversionException as error:
            failed = failure_of(error, 0, "")
            raise Failed(failed.kind, f"column {column.name}, {column.kind}: {failed.message}") from None


def _cut(source: Path, target: Path, names: Sequence[str]) -> int:
    """The fields of each line, side by side; returns the length of the longest line."""
    fields: Any = itemgetter(*names)
    longest = 0
    with source.open("rb") as lines, target.open("wb") as cells:
        while piece := lines.read(_PIECE_BYTES):
            if not piece.endswith(b"\n"):
                piece += lines.readline()
            try:
                rows = list(map(fields, _Rows.decode_lines(piece)))
            except (ValueError, KeyError) as error:  # msgspec's are ValueErrors
                raise Failed("rows", f"a row is no line of JSON with these columns: {error}") from None
            cut = [bytes(row) for row in rows] if len(names) == 1 else list(map(_SEPARATOR.join, rows))
            longest = max(longest, *map(len, cut))
            cells.writelines((b"\n".join(cut), b"\n"))
    return longest + 1


def _value(db: duckdb.DuckDBPyConnection, cell: str, column: Column) -> str:
    """The expression that makes the column's value of its cell."""
    try:
        kind = db.type(column.kind)
    except duckdb.Error:  # TUPLE(INTEGER, INTEGER)
        return cell
    types = _types(kind)
    if kind.id in _NESTED:
        return f"(({cell}::JSON)::{types.read})::{types.land}"
    if types.read == "JSON" or kind.id in _DIGITS:
        return cell
    if kind.id in _NUMBERS:
        return f"{cell}::{types.land}"
    text = f"CASE WHEN contains({cell}, '\\') THEN json_extract_string({cell}::JSON, '$') ELSE trim({cell}, '\"') END"
    value = text if types.land == "VARCHAR" else f"({text})::{types.land}"
    if kind.id in _ENDLESS:
        reason = quoted_text(f"{column.name} holds infinity, which no time in Parquet can be")
        return f"CASE WHEN isinf({value}) THEN error({reason}) ELSE {value} END"
    return value


def _types(kind: Any) -> _Types:
    """By the table above; `kind` is DuckDB's own description of a type."""
    match kind.id:
        case "list" | "array":
            item = _types(kind.children[0][1])
            return _Types(f"{item.read}[]", f"{item.land}[]")
        case "map":
            (_, key), (_, value) = kind.children
            key, value = _Types("VARCHAR", "VARCHAR") if key.id in _NESTED else _types(key), _types(value)
            return _Types(f"MAP({key.read}, {value.read})", f"MAP({key.land}, {value.land})")
        case "struct":
            fields = [(quoted_name(name), _types(field)) for name, field in kind.children]
            return _Types(
                f"STRUCT({', '.join(f'{name} {types.read}' for name, types in fields)})",
                f"STRUCT({', '.join(f'{name} {types.land}' for name, types in fields)})",
            )
        case "hugeint":
            return _Types("HUGEINT", "DECIMAL(38,0)")
        case "blob":
            return _Types("VARCHAR", "BLOB")
        case name if name in _AS_THEY_ARE:
            return _Types(str(kind), str(kind))
        case name if name in _TEXTS and str(kind) != "JSON":
            return _Types("VARCHAR", "VARCHAR")
        case _:
            return _Types("JSON", "VARCHAR")
