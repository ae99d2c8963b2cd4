"""A dry run: a sample of what a run would read, transformed; nothing is written or moved."""

from dataclasses import replace

from conduit_local.core.batch import Batch, Chunk
from conduit_local.core.dead import headline
from conduit_local.core.envelope import envelopes
from conduit_local.core.errors import TransformUnavailable
from conduit_local.core.pulling import SourceFailed
from conduit_local.core.run import Run, RunLine, RunStage, RunState
from conduit_local.engine.making import make
from conduit_local.engine.parts import Parts
from conduit_local.engine.topology import LivePipeline

SAMPLE = 1_000
_SAMPLE_BYTES = 4 * 1024**2
_SHOWN_ERRORS = 5


async def look(parts: Parts, live: LivePipeline, run: Run) -> tuple[Run, list[RunLine]]:
    """
    The run as it ended, and what its log says.

    Raises: StoreUnavailable.
    """
    said = _Said(parts)
    pipeline = live.pipeline
    given = pipeline.spec.given(parts.texts.variables(run.options.variables, pipeline.uuid))
    try:
        brought = await _from_sources(parts, live, run, given, said)
    except SourceFailed as error:
        return replace(run, stage=RunStage.EXTRACT, state=RunState.FAILED, error=error.message), said.lines
    chunks = await _from_log(parts, live, run, said) + brought
    lines = b"".join(chunk.lines for chunk in chunks)
    count = lines.count(b"\n")
    run = replace(run, extracted=sum(chunk.last_seq - chunk.first_seq + 1 for chunk in brought), events=count)
    names = ", ".join(pipeline.spec.routes())
    recipe = parts.transforms.recipe(pipeline.spec, given)
    if not recipe or not count:
        said.line(f"dry run: the sample's {count:,} {_rows(count)} would go to {names}")
        return replace(run, state=RunState.SUCCESS, rows=count), said.lines
    batch = Batch(
        number=0,
        pipeline=live.number,
        route="",
        run=run.number,
        first_seq=1,
        last_seq=count,
        key="",
        destination="",
        attempt=0,
    )
    sample = lines.splitlines(keepends=True)

    async def read(first: int, last: int) -> list[Chunk]:
        return [Chunk(first, last, 0, b"".join(sample[first - 1 : last]))]

    try:
        made = await make(parts.transforms, recipe, batch, read)
    except TransformUnavailable as error:
        return replace(run, stage=RunStage.TRANSFORM, state=RunState.FAILED, error=error.message), said.lines
    try:
        rows, dead = made.content.rows, len(made.dead)
        columns = made.content.columns
    finally:
        made.content.close()
    filtered = max(0, count - dead - rows)
    said.line(f"dry run: {count:,} events of the sample yield {rows:,} {_rows(rows)}, which would go to {names}")
    if columns is not None:
        said.line("columns: " + ", ".join(f"{one.name} {one.kind}" for one in columns))
    for one in made.dead[:_SHOWN_ERRORS]:
        said.line(f"event {one.seq} of the sample would die: {headline(one.error)}", "WARNING")
    if dead:
        said.line(f"{dead:,} of the sample would die", "WARNING")
    return replace(run, state=RunState.SUCCESS, rows=rows, filtered=filtered, dead=dead), said.lines


class _Said:
    def __init__(self, parts: Parts) -> None:
        self.lines: list[RunLine] = []
        self._clock = parts.clock

    def line(self, message: str, level: str = "INFO") -> None:
        self.lines.append(RunLine(at_us=self._clock.now_us(), level=level, message=message))


async def _from_log(parts: Parts, live: LivePipeline, run: Run, said: _Said) -> list[Chunk]:
    """The first events that the run would deliver of those that are on the log already."""
    again = run.options.full_refresh
    after = await parts.log.first_kept(live.pipeline) - 1 if again else live.slowest_cursor
    head = parts.log.head(live.pipeline).seq
    chunks = await parts.log.read(live.number, after, head, SAMPLE, _SAMPLE_BYTES) if after < head else []
    found: list[Chunk] = []
    room = SAMPLE
    for chunk in chunks:
        lines = chunk.lines.splitlines(keepends=True)[:room]
        if lines:
            found.append(
                Chunk(chunk.first_seq, chunk.first_seq + len(lines) - 1, chunk.received_at_us, b"".join(lines))
            )
        room -= len(lines)
    said.line(f"{max(0, head - after):,} events are on the log, to be delivered; {SAMPLE - room:,} of them are sampled")
    return found


async def _from_sources(parts: Parts, live: LivePipeline, run: Run, given: dict[str, str], said: _Said) -> list[Chunk]:
    """One look at each source, from where it stands. Raises: SourceFailed."""
    pipeline = live.pipeline
    cursors = {} if run.options.full_refresh else await parts.log.source_cursors(live.number)
    seq = parts.log.head(pipeline).seq
    found: list[Chunk] = []
    for name, spec in parts.sources.pulled(pipeline.spec).items():
        source = parts.sources.make(spec, given)
        try:
            pulled = await source.pull(cursors.get(name), SAMPLE)
        finally:
            await source.close()
        count = len(pulled.events) if pulled.events is not None else 0
        if pulled.events is not None and count:
            now_us = parts.clock.now_us()
            types, payloads = pulled.events.types, pulled.events.payloads
            lines = envelopes(parts.log.tag, live.number, pipeline.id, seq + 1, now_us, types, payloads)
            found.append(Chunk(seq + 1, seq + count, now_us, lines))
            seq += count
        said.line(f"{name}: {count:,} events{' and more' if pulled.more else ''}, {len(pulled.poison):,} that are none")
        for one in pulled.poison[:_SHOWN_ERRORS]:
            said.line(f"{one.origin}: {one.error}", "WARNING")
    return found


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
