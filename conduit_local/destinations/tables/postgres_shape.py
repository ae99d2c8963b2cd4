"""Whether a table has a place for the rows; what would mend it where it has none. It is never altered by us."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from conduit_local.core.content import Column
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.tables.postgres_statements import Names, quoted
from conduit_local.destinations.tables.postgres_types import Json, is_known, takes, type_for
from conduit_local.destinations.tables.rows import no_place
from conduit_local.destinations.tables.spec import MOST_NAME_BYTES


class TableColumn(NamedTuple):
    """A column of the table as it is."""

    type: str
    required: bool
    """It takes no NULL, and nothing stands in for it."""
    own: bool
    """The server gives the values itself, and takes none."""


def shape_of(records: Sequence[Mapping[str, Any]]) -> dict[str, TableColumn]:
    """The columns by name, of what the server tells."""
    return {row["name"]: TableColumn(row["type"], row["required"], row["own"]) for row in records}


def require_place(columns: Sequence[Column], shape: Mapping[str, TableColumn], names: Names, json: Json) -> None:
    """Raises: DestinationUnavailable, with the statement that would mend it, unless the table takes these columns."""
    require_known(columns)
    table, alter = f"{names.schema}.{names.table}", f"ALTER TABLE {names.rows_at}"
    for name, kind in columns:
        if len(name.encode()) > MOST_NAME_BYTES:
            raise _drift(f"the name of column {name[:20]}… has more than {MOST_NAME_BYTES} bytes; name it with AS")
        wanted, there = type_for(kind, json), shape.get(name)
        if there is None:
            raise _drift(f"{table} has no column {name!r}: {alter} ADD COLUMN {quoted(name)} {wanted}")
        if there.own:
            raise _drift(f"{table} makes the values of column {name!r} itself: {alter} DROP COLUMN {quoted(name)}")
        if not takes(there.type, wanted):
            change = f"ALTER COLUMN {quoted(name)} TYPE {wanted} USING {quoted(name)}::{wanted}"
            raise _drift(f"column {name!r} of {table} is {there.type}, and the rows bring {wanted}: {alter} {change}")
    brought = {column.name for column in columns}
    for name, there in shape.items():
        if there.required and name not in brought:
            change = f"ALTER COLUMN {quoted(name)} DROP NOT NULL"
            raise _drift(
                f"column {name!r} of {table} takes no NULL, and the rows bring no such column: {alter} {change}"
            )


def require_known(columns: Sequence[Column]) -> None:
    """Raises: DestinationUnavailable for a column whose values would land as something else."""
    for name, kind in columns:
        if not is_known(kind):
            raise _drift(no_place(name, kind, kind))


def _drift(said: str) -> DestinationUnavailable:
    return DestinationUnavailable(f"the table does not fit the rows: {said}", needs_person=True)
