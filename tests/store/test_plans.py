"""Hot queries seek; none of them scans a table that grows with events."""

import re
import sqlite3
from pathlib import Path

import pytest

from conduit_local.store import (
    along,
    batches,
    dead,
    ends,
    idempotency,
    log,
    pipelines,
    received,
    runs,
    secrets,
    trimming,
    webhooks,
)
from tests.making import store_at

GROWING = ("chunks", "idempotency", "batches", "runs", "run_lines", "tellings", "dead_letters")
HOT = {
    f"{module.__name__.rsplit('.', 1)[-1]}.{name}": statement
    for module in (
        along,
        batches,
        dead,
        ends,
        idempotency,
        log,
        pipelines,
        received,
        runs,
        secrets,
        trimming,
        webhooks,
    )
    for name, statement in vars(module).items()
    if isinstance(statement, str) and re.match(r"\s*(SELECT|UPDATE|DELETE)\b", statement)
}
PARTIAL = ("USING INDEX open_batches", "USING INDEX runs_under_way")
"""Indexes that hold only the few rows that are looked for."""
MAY_SCAN = {
    # both follow an index or the primary key from one end, and stop early
    "log._BACKWARDS",
    "idempotency._EXPIRED",
}


@pytest.mark.parametrize("name", sorted(HOT))
async def test_a_statement_seeks(tmp_path: Path, name: str) -> None:
    async with store_at(tmp_path):
        pass
    statement = HOT[name]
    numbered = set(re.findall(r"\?\d+", statement))
    db = sqlite3.connect(tmp_path / "conduit.db")
    try:
        values = (1,) * (len(numbered) or statement.count("?"))
        plan = db.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    finally:
        db.close()
    scans = [
        detail
        for *_, detail in plan
        if re.match(rf"SCAN ({'|'.join(GROWING)})\b", detail) and not detail.endswith(PARTIAL)
    ]
    assert not scans or name in MAY_SCAN, f"{statement}\n{plan}"


def test_the_statements_that_matter_are_among_those_looked_at() -> None:
    assert {
        "log._CHUNKS_AFTER",
        "log._CHUNK_AROUND",
        "ends._ENDS",
        "runs._UNDER_WAY",
        "webhooks._TAKE",
        "idempotency._LOOK_UP",
    } <= set(HOT)
