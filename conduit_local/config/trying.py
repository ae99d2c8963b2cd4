"""
A pipeline's transforms on sample events: in a real child process, without an appliance, a log or a destination.

Ids and times are always the same, so that the same sample gives the same rows wherever and whenever it is tried.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from conduit_local.core.batch import Batch, Chunk
from conduit_local.core.content import Content
from conduit_local.core.envelope import envelopes
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.times import SECOND_US, parse_rfc3339
from conduit_local.core.transforming import Transforms
from conduit_local.engine.checks import checked
from conduit_local.engine.making import make
from conduit_local.transforms.running import open_transforms
from conduit_local.transforms.settings import TransformSettings

RECEIVED_AT = "2026-01-01T00:00:00Z"
"""When every sample event was received."""
TAG = "tests"
PIPELINE_ID = "pl_test"
"""Of a pipeline that has no id yet."""
_RECEIVED_AT_US = parse_rfc3339(RECEIVED_AT) // SECOND_US * SECOND_US
_PIPELINE = PipelineNumber(1)


class Sample(NamedTuple):
    """An event to try."""

    event_type: str
    payload: bytes
    """A JSON object, on one line."""


class Died(NamedTuple):
    """An event that became a dead letter, by its place in the sample, from 0."""

    place: int
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What became of a sample."""

    rows: list[dict[str, Any]]
    are_events: bool
    """Whether the rows are envelopes again."""
    dead: list[Died]


@asynccontextmanager
async def trial() -> AsyncIterator[Transforms]:
    """Transforms to try with; their child and their files are gone at the end."""
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="conduit-local-")
    try:
        async with open_transforms(TransformSettings(), scratch=Path(folder.name)) as transforms:
            yield transforms
    finally:
        await asyncio.to_thread(folder.cleanup)


async def try_out(
    transforms: Transforms, spec: PipelineSpec, sample: Sequence[Sample], variables: Mapping[str, str] | None = None
) -> Tried:
    """
    What the pipeline's transforms make of the sample, which is one batch; `variables` are those of a run.

    Raises: InvalidRequest when a query is wrong, or names a variable that has no value; TransformUnavailable when
            it takes too much, or cannot be run.
    """
    recipe = transforms.recipe(spec, spec.given(variables or {}))
    await checked(transforms, recipe)
    lines = _lines(spec.id or PIPELINE_ID, sample)

    async def read(first: int, last: int) -> list[Chunk]:
        return [Chunk(first, last, _RECEIVED_AT_US, b"".join(lines[first - 1 : last]))]

    batch = Batch(
        number=0,
        pipeline=_PIPELINE,
        route="",
        run=0,
        first_seq=1,
        last_seq=len(sample),
        key="",
        destination="",
        attempt=0,
    )
    made = await make(transforms, recipe, batch, read)
    try:
        are_events = made.content.columns is None
        rows = await asyncio.to_thread(_rows, made.content)
    finally:
        made.content.close()
    return Tried(rows=rows, are_events=are_events, dead=[Died(one.seq - 1, one.error) for one in made.dead])


def _lines(pipeline_id: str, sample: Sequence[Sample]) -> list[bytes]:
    if not sample:
        return []
    types, payloads = [one.event_type for one in sample], [one.payload for one in sample]
    return envelopes(TAG, _PIPELINE, pipeline_id, 1, _RECEIVED_AT_US, types, payloads).splitlines(keepends=True)


def _rows(content: Content) -> list[dict[str, Any]]:
    return [json.loads(line) for piece in content.pieces() for line in piece.splitlines()]
