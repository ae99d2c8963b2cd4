"""Where the log ends."""

import sqlite3

from conduit_local.core.batch import Mark
from conduit_local.core.pipeline import Pipeline

_ENDS = """
    SELECT pipeline, max(last_seq), max(bytes_through) FROM (
        SELECT p.number AS pipeline, c.last_seq, c.bytes_through FROM pipelines p JOIN chunks c ON c.rowid = (
            SELECT rowid FROM chunks WHERE pipeline = p.number ORDER BY last_seq DESC LIMIT 1)
        UNION ALL SELECT pipeline, last_seq, bytes_through FROM trimmed)
    GROUP BY pipeline"""
POSITION = """
    SELECT max(coalesce((SELECT max(position) FROM chunks), 0),
               coalesce((SELECT CAST(value AS INTEGER) FROM store WHERE name = 'position'), 0))"""
_LAST_RECEIVED = "SELECT received_at_us FROM chunks WHERE pipeline = ? ORDER BY last_seq DESC LIMIT 1"


class Ends:
    """Where the log ends: on disk, per pipeline. Changed only after a commit, so a failed group leaves no trace."""

    def __init__(self, marks: dict[int, Mark], position: int) -> None:
        self.marks = marks
        self.position = position

    def of(self, pipeline: Pipeline) -> Mark:
        """The end of a pipeline's log; a new pipeline's is just before its first seq."""
        return self.marks.get(pipeline.number) or Mark(pipeline.first_seq - 1, 0, 0)


def load_ends(db: sqlite3.Connection) -> Ends:
    """Where the log ends, read at start: one index seek a pipeline, whatever the backlog."""
    marks = {}
    for pipeline, last_seq, bytes_through in db.execute(_ENDS).fetchall():
        row = db.execute(_LAST_RECEIVED, (pipeline,)).fetchone()
        marks[pipeline] = Mark(last_seq, bytes_through, row[0] if row else 0)
    (position,) = db.execute(POSITION).fetchone()
    return Ends(marks, position)
