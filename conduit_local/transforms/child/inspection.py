"""
What a query may name and call, found by walking what DuckDB itself parsed.

A batch is repeated after a crash and must give the same bytes: nothing may depend on the clock, on chance, or on the
process. And a query reads `events`, nothing else; that DuckDB reaches no file and no network is held by its
configuration besides.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from conduit_local.transforms.child.failures import Failed, failure_of, place_in

_Node = dict[str, Any]
_TABLE_FUNCTIONS = {"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"}
_HARMLESS = {"error", "current_database", "current_schema", "current_schemas", "in_search_path", "current_catalog"}
"""What changes by DuckDB's own list, and yet may be called: `error` is how people make an event a dead letter."""
_CHANGING = {
    *(
        "current_timestamp",
        "current_time",
        "localtime",
        "localtimestamp",
        "current_localtime",
        "current_localtimestamp",
    ),
}
"""What changes besides: DuckDB's list has these under other names."""
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_CLOCK = re.compile("now|today|time|date|ago|age")


class Inspector:
    """Knows which functions change from call to call."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._db = db
        self._changing = _changing_functions(db)

    def check(self, query: str, step: int) -> None:
        """Raises: Failed unless `query` is one SELECT that reads `events` and gives the same each time."""
        nodes = list(_nodes(self._parsed(query, step)))
        tables = {"events", *(str(node["key"]).lower() for node in nodes if "key" in node and "value" in node)}
        for node in nodes:
            reason = self._reason_against(node, tables)
            if reason is not None:
                raise Failed("query", reason, step, place_in(query, node.get("query_location", -1)))

    def _parsed(self, query: str, step: int) -> Any:
        """What DuckDB makes of the query; it writes down SELECTs only, and no WITH before a COPY."""
        try:
            written = self._db.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
            parsed = json.loads(written[0] if written else "{}")
        except (duckdb.Error, MemoryError) as error:
            raise failure_of(error, step, query) from None
        except RecursionError:
            raise Failed("query", "is nested too deep", step) from None
        if parsed.get("error"):
            if parsed.get("error_type") == "not implemented":
                raise Failed("query", "must be a SELECT", step)
            message = " ".join(str(parsed.get("error_message", "cannot be read")).split())
            raise Failed("query", message, step, place_in(query, int(parsed.get("position", -1))))
        count = len(parsed["statements"])
        if count != 1:
            raise Failed("query", f"must be one SELECT; it holds {count} statements", step)
        return parsed["statements"]

    def _reason_against(self, node: _Node, tables: set[str]) -> str | None:
        if node.get("sample") is not None:
            return "a sample takes other rows each time; filter by a condition"
        match node.get("type"):
            case "BASE_TABLE":
                return _reason_against_table(node, tables)
            case "SHOW_REF":
                return "must be a SELECT, without DESCRIBE, SHOW or SUMMARIZE"
            case "TABLE_FUNCTION":
                name = str(node["function"].get("function_name", "")).lower()
                if name not in _TABLE_FUNCTIONS:
                    return f"{name}() cannot be read from: a query reads the table events, nothing else"
            case "VALUE_PARAMETER":
                return "holds a parameter; write ${NAME} for what a run is given"
            case "FUNCTION":
                arguments = node.get("arguments") or node.get("children") or []
                return self._reason_against_call(str(node["function_name"]).lower(), len(arguments))
            case "COLUMN_REF" if len(node["column_names"]) == 1:
                name = str(node["column_names"][0]).lower()
                return self._reason_against_call(name, 0) if name.startswith(("current_", "local")) else None
        return None

    def _reason_against_call(self, name: str, arguments: int) -> str | None:
        if name not in self._changing and (name, arguments) != ("age", 1):
            return None
        instead = "; use received_at for the time" if _CLOCK.search(name) else ""
        return (
            f"{name} gives something else each time, and a batch that is repeated after a crash must come out the "
            f"same{instead}"
        )


def _reason_against_table(node: _Node, tables: set[str]) -> str | None:
    path = node.get("qualified_name", {}).get("path", [])
    name = str(node["table_name"])
    if name.lower() in tables and not node["schema_name"] and len(path) <= 1:
        return None
    return f"there is no table {'.'.join(path) or name}: a query reads the table events, nothing else"


def _nodes(parsed: Any) -> Iterator[_Node]:
    """Every mapping in it, in the order of the text."""
    rest = [parsed]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            yield one
            rest.extend(reversed(one.values()))
        elif isinstance(one, list):
            rest.extend(reversed(one))


def _changing_functions(db: duckdb.DuckDBPyConnection) -> set[str]:
    """By DuckDB's own list; a macro changes when a word of its definition does."""
    rows = db.execute("SELECT function_name, stability, macro_definition FROM duckdb_functions()").fetchall()
    changing = {name for name, stability, _ in rows if stability not in {None, "CONSISTENT"}} | _CHANGING
    changing -= _HARMLESS
    macros = {
        name: set(_WORD.findall(definition.lower()))
        for name, _, definition in rows
        if definition and name not in _HARMLESS
    }
    while added := {name for name, words in macros.items() if name not in changing and words & changing}:
        changing |= added
    return changing
