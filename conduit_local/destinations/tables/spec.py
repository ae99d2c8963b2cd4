"""What destinations that keep rows in a table are told."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from conduit_local.core.encoding import Record
from conduit_local.core.spec import DestinationSpec, Duration

_NAME = re.compile(r"[^\W\d][\w$ -]*")
MOST_NAME_BYTES = 63
"""PostgreSQL cuts longer names off, two of them to one."""


def check_name(name: str) -> str:
    """The name itself. Raises: ValueError when it cannot be that of a table or a schema."""
    if not _NAME.fullmatch(name) or len(name.encode()) > MOST_NAME_BYTES:
        raise ValueError(
            f"{name[:80]!r} must begin with a letter; letters, digits, _, $, - at most {MOST_NAME_BYTES} bytes"
        )
    return name


def _table(value: str) -> str:
    parts = value.split(".")
    if len(parts) > 2:
        raise ValueError("must be a table, or schema.table")
    for part in parts:
        check_name(part)
    return value


class TableSpec(DestinationSpec):
    """Lands batches as rows of a table."""

    table: Annotated[str, AfterValidator(_table)] = "events"
    """`table` or `schema.table`, capital letters as they are written."""
    ledger: Annotated[str, AfterValidator(check_name)] = "conduit_batches"
    """The table beside it, in the same schema, that has a row for each batch; made when it is not there."""
    record: Record = "envelope"
    """
    `envelope` (columns event_id, pipeline_id, event_type, received_at, payload) or the `payload` alone; a transform's
    rows have columns of their own.
    """
    timeout: Annotated[Duration, Field(ge=0.1, le=3_600)] = 60.0
    """How long a batch's transaction may take."""

    @model_validator(mode="after")
    def _two_tables(self) -> Self:
        if self.ledger.lower() == self.place("")[1].lower():
            raise ValueError("the ledger must be another table than that of the rows")
        return self

    def place(self, default_schema: str) -> tuple[str, str]:
        """Schema and table."""
        schema, _, table = self.table.rpartition(".")
        return schema or default_schema, table
