"""
JSON functions that leave numbers as they were written.

DuckDB's own write every number anew: 1.10 becomes 1.1, and past 17 digits a decimal is another number. These put
numbers in quotes before, and take them out of the quotes after. Only documents with numbers that would change pay for
it (3 us each); what else is in a document is never touched by the expressions, as they read whole strings in one step.
"""

import duckdb

_MARK = "\ue000"
_QUOTED = r"""((?:[^"0-9-]|"(?:[^"\\]|\\.)*")*)(-?[0-9][-+.0-9eE]*)"""
_TAIL = len(f' "{_MARK}0"')

MACROS = (
    # A number after the end makes each match begin where the last one ended: none can begin inside of a string.
    f"""exact_quoted(doc) AS
        regexp_replace(doc || ' 0', '{_QUOTED}', '\\1"{_MARK}\\2"', 'g')[:-{_TAIL + 1}]""",
    # What holds the mark itself, plain or escaped, is left to the plain functions.
    rf"""exact_needed(doc) AS
        regexp_matches(doc, '[0-9][.eE]|[0-9]{{16}}|-0') AND NOT contains(doc, '{_MARK}')
        AND NOT regexp_matches(doc, '(?i)\\ue000')""",
    """exact_before(doc) AS
        CASE WHEN exact_needed(doc) THEN exact_quoted(doc)::JSON ELSE doc END""",
    f"""exact_after(doc, made) AS
        (CASE WHEN exact_needed(doc) THEN regexp_replace(made, '"{_MARK}([^"]*)"', '\\1', 'g') ELSE made END)::JSON""",
    """exact_extract(doc, place) AS
        exact_after(doc, json_extract(exact_before(doc), place))""",
)


def add_macros(db: duckdb.DuckDBPyConnection) -> None:
    """Makes them known to every schema of the database."""
    for macro in MACROS:
        db.execute(f"CREATE TEMP MACRO {macro}")
