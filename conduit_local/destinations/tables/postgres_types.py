"""
DuckDB's types in PostgreSQL's words, and what else may stand in their place.

| a transform's column                        | made as                       | also taken                          |
|---------------------------------------------|-------------------------------|-------------------------------------|
| BOOLEAN                                     | boolean                       |                                     |
| TINYINT, UTINYINT, SMALLINT                 | smallint                      | integer, bigint, numeric            |
| USMALLINT, INTEGER                          | integer                       | bigint, numeric                     |
| UINTEGER, BIGINT                            | bigint                        | numeric                             |
| UBIGINT                                     | numeric(20,0)                 | wider numeric                       |
| HUGEINT, UHUGEINT                           | numeric(39,0)                 | wider numeric                       |
| BIGNUM                                      | numeric                       |                                     |
| DECIMAL(p,s)                                | numeric(p,s)                  | wider numeric                       |
| FLOAT                                       | real                          | double precision, numeric           |
| DOUBLE                                      | double precision              | numeric                             |
| VARCHAR, ENUM, "NULL"                       | text                          | character varying, citext, an enum  |
| UUID                                        | uuid                          | text, character varying             |
| DATE                                        | date                          |                                     |
| TIME, TIME_NS                               | time without time zone        |                                     |
| TIME WITH TIME ZONE                         | time with time zone           |                                     |
| TIMESTAMP, TIMESTAMP_S, _MS, _NS            | timestamp without time zone   |                                     |
| TIMESTAMP WITH TIME ZONE                    | timestamp with time zone      |                                     |
| INTERVAL                                    | interval                      |                                     |
| BLOB                                        | bytea                         |                                     |
| BIT                                         | bit varying                   |                                     |
| JSON, VARIANT, lists, STRUCT, MAP, …        | json or jsonb, as is set      | json, jsonb, text                   |

PostgreSQL keeps microseconds: it rounds nanoseconds. What is not in this table, as GEOMETRY, is refused.
"""

import re
from typing import Literal

from conduit_local.destinations.tables.rows import is_nested

Json = Literal["json", "jsonb"]

_SMALLER = ("smallint", "integer", "bigint", "numeric")
_PLAIN = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "SMALLINT": "smallint",
    "USMALLINT": "integer",
    "INTEGER": "integer",
    "UINTEGER": "bigint",
    "BIGINT": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(39,0)",
    "UHUGEINT": "numeric(39,0)",
    "BIGNUM": "numeric",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "UUID": "uuid",
    "DATE": "date",
    "TIME": "time without time zone",
    "TIME_NS": "time without time zone",
    "TIME WITH TIME ZONE": "time with time zone",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMP_S": "timestamp without time zone",
    "TIMESTAMP_MS": "timestamp without time zone",
    "TIMESTAMP_NS": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "INTERVAL": "interval",
    "BLOB": "bytea",
    "BIT": "bit varying",
}
_TEXTS = ("text", "character varying", "citext", "enum")
_TEXTUAL = ("VARCHAR", "ENUM(", '"NULL"', "DECIMAL(")
_ALSO: dict[str, tuple[str, ...]] = {
    **{name: _SMALLER[place + 1 :] for place, name in enumerate(_SMALLER)},
    "real": ("double precision", "numeric"),
    "double precision": ("numeric",),
    "text": _TEXTS[1:],
    "uuid": _TEXTS[:2],
    "json": ("jsonb", "text"),
    "jsonb": ("json", "text"),
}
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_LENGTH = re.compile(r"\(\d+\)$")


def type_for(kind: str, json: Json) -> str:
    """What a column for DuckDB's type `kind` is made as."""
    if is_nested(kind):
        return json
    if found := _DECIMAL.fullmatch(kind):
        return f"numeric({found[1]},{found[2]})"
    return _PLAIN.get(kind, "text")


def is_known(kind: str) -> bool:
    """Whether values of DuckDB's type `kind` land as they are."""
    return is_nested(kind) or kind in _PLAIN or kind.startswith(_TEXTUAL)


def takes(has: str, wanted: str) -> bool:
    """
    Whether a column of the type `has` takes every value of the type `wanted`, and gives it back as it was; texts that
    are too long, and those that are not in an enum, are refused one by one.
    """
    if has == wanted:
        return True
    mine, theirs = _NUMERIC.fullmatch(wanted), _NUMERIC.fullmatch(has)
    if mine:
        return has == "numeric" or (theirs is not None and _is_wider(theirs, mine))
    return _LENGTH.sub("", has) in _ALSO.get(wanted, ())


def _is_wider(one: re.Match[str], other: re.Match[str]) -> bool:
    scale, least = int(one[2]), int(other[2])
    return scale >= least and int(one[1]) - scale >= int(other[1]) - least
