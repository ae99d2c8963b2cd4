"""
Idempotency keys: a key's first use is kept for 24 hours, in the transaction that keeps its events.

The usual case is that all keys of a group are new: they are inserted in one statement that skips what is there, and
counting the inserted rows tells whether any was. Only then is each key looked up.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from conduit_local.core.errors import IdempotencyMismatch
from conduit_local.core.log import Keyed, Receipt
from conduit_local.core.pipeline import Pipeline

KEPT_US = 24 * 3_600 * 1_000_000

_ROWS_AT_ONCE = 64
_COLUMNS = 10
_ROW = f"({', '.join('?' * _COLUMNS)})"
_INSERT = {
    rows: f"INSERT INTO idempotency VALUES {', '.join([_ROW] * rows)} ON CONFLICT DO NOTHING"
    for rows in range(1, _ROWS_AT_ONCE + 1)
}
_UNDO = "DELETE FROM idempotency WHERE number > ?"
_LOOK_UP = (
    "SELECT first_seq, count, received_at_us, pipeline_ref, event_type, expires_us, fingerprint"
    " FROM idempotency WHERE pipeline = ? AND key = ?"
)
_DROP = "DELETE FROM idempotency WHERE pipeline = ? AND key = ?"
_LAST = "SELECT coalesce(max(number), 0) FROM idempotency"
_EXPIRED = (
    "DELETE FROM idempotency WHERE number IN"
    " (SELECT number FROM idempotency ORDER BY number LIMIT 1000) AND expires_us <= ?"
)


@dataclass(slots=True, kw_only=True)
class Use:
    """A key in use by one `append`, with the receipt that it will get if the key is new."""

    pipeline: Pipeline
    keyed: Keyed
    receipt: Receipt


class KeyBook:
    """The table of used keys; all of it runs in the writer's thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        (self._last,) = db.execute(_LAST).fetchone()

    def take(self, db: sqlite3.Connection, uses: Sequence[Use], steady_us: int) -> bool:
        """Keep all keys if all are new; False, with nothing kept, when any is known."""
        number = self._last
        values: list[object] = []
        for use in uses:
            number += 1
            values += _row(number, use, steady_us)
        kept = 0
        for start in range(0, len(uses), _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, len(uses) - start)
            kept += db.execute(_INSERT[rows], values[start * _COLUMNS : (start + rows) * _COLUMNS]).rowcount
        if kept == len(uses):
            return True
        db.execute(_UNDO, (self._last,))
        return False

    def committed(self, count: int) -> None:
        """`count` keys are on disk."""
        self._last += count

    @staticmethod
    def first_use(db: sqlite3.Connection, use: Use, steady_us: int) -> Receipt | None:
        """
        The receipt of the key's first use; None when it is new, or expired and now forgotten.

        Raises: IdempotencyMismatch for a strict key that comes with other events.
        """
        row = db.execute(_LOOK_UP, (use.pipeline.number, use.keyed.key)).fetchone()
        if row is None:
            return None
        first_seq, count, received_at_us, pipeline_ref, event_type, expires_us, fingerprint = row
        if expires_us <= steady_us:
            db.execute(_DROP, (use.pipeline.number, use.keyed.key))
            return None
        wanted = use.keyed.fingerprint
        if wanted is not None and fingerprint is not None and fingerprint != wanted:
            raise IdempotencyMismatch(f"the idempotency key {use.keyed.key!r} was used with another body")
        return Receipt(
            pipeline=use.pipeline.number,
            first_seq=first_seq,
            count=count,
            received_at_us=received_at_us,
            replayed=True,
            pipeline_ref=pipeline_ref,
            event_type=event_type,
        )


def drop_expired(db: sqlite3.Connection, steady_us: int) -> int:
    """Drop up to 1,000 of the oldest keys, if they are expired."""
    return db.execute(_EXPIRED, (steady_us,)).rowcount


def _row(number: int, use: Use, steady_us: int) -> tuple[object, ...]:
    receipt = use.receipt
    return (
        number,
        use.pipeline.number,
        use.keyed.key,
        receipt.first_seq,
        receipt.count,
        receipt.received_at_us,
        steady_us + KEPT_US,
        receipt.pipeline_ref,
        receipt.event_type,
        use.keyed.fingerprint,
    )
