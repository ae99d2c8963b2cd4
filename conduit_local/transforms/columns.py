"""The table `events` that the first query of a chain reads."""

from conduit_local.core.content import Column

EVENTS = (
    Column("event_id", "VARCHAR"),
    Column("pipeline_id", "VARCHAR"),
    Column("event_type", "VARCHAR"),
    Column("received_at", "TIMESTAMP WITH TIME ZONE"),
    Column("payload", "JSON"),
)
"""An envelope's fields, in the order in which they stand in a line."""
