"""Routes that end: what they leave."""

import sqlite3

from conduit_local.core.pipeline import PipelineNumber

_CANCEL_ITS_RUN = (
    "UPDATE runs SET state = 'cancelled', finished_at_us = ? WHERE trigger = 'stream' AND state = 'running'"
    " AND number IN (SELECT run FROM batches WHERE pipeline = ? AND route = ? AND closed_at_us IS NULL)"
)
_DROP_OPEN_BATCH = "DELETE FROM batches WHERE pipeline = ? AND route = ? AND closed_at_us IS NULL"
_ORPHAN_LETTERS = "UPDATE dead_letters SET route = ? WHERE pipeline = ? AND route = ? AND replay IS NULL"
_END_ROUTE = "DELETE FROM routes WHERE pipeline = ? AND name = ?"


def give_up_route(db: sqlite3.Connection, pipeline: PipelineNumber, route: str, at_us: int) -> None:
    """Forget a route, and the batch that it had in hand; where that was a run of its own, it ends."""
    db.execute(_CANCEL_ITS_RUN, (at_us, pipeline, route))
    db.execute(_DROP_OPEN_BATCH, (pipeline, route))
    end_route(db, pipeline, route)


def end_route(db: sqlite3.Connection, pipeline: PipelineNumber, route: str) -> None:
    """Drop a route; what died on it is no longer counted anywhere, for a namesake has an account of its own."""
    db.execute(_END_ROUTE, (pipeline, route))
    if "@" not in route:
        db.execute(_ORPHAN_LETTERS, (f"{route}@", pipeline, route))
