"""
The stages of a run that was asked for: it waits, its sources are read to their end, what is then on the log is
delivered. A run that replays has routes of its own, and so has one that delivers everything once more.

Each step is in the catalog before the next is begun; a crash finds the run at the stage that it was at.
"""

import logging
from dataclasses import replace

from conduit_local.core.catalog import RouteRecord
from conduit_local.core.errors import ConduitError, Refused, Unavailable
from conduit_local.core.event import NewEvents, check_event_type
from conduit_local.core.log import Along
from conduit_local.core.run import Run, RunLine, RunStage, RunState, Trigger
from conduit_local.core.strict import NotAnEvent, payload_in
from conduit_local.core.webhook import NoticeKind, notice_of
from conduit_local.engine.journal import LOGGER, say
from conduit_local.engine.parts import Parts
from conduit_local.engine.topology import Extraction, LivePipeline
from conduit_local.engine.trial import look

_LETTERS_AT_ONCE = 500


class Stages:
    """Takes runs from one stage to the next; called by `Completion`, which holds the pipeline's lock."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def go_on(self, live: LivePipeline) -> None:
        """The next stage of the run under way, if it has come to that; else the run that waits longest begins."""
        extraction = live.extraction
        if extraction is not None:
            if extraction.error is not None:
                await self._fail(live, extraction.run, extraction.error)
                live.extraction = None
                self._parts.pull_bell.ring(live.number)
            elif not extraction.left or not live.pipeline.state.accepts:
                await self._load(live, extraction.run)
        while live.waiting and not live.is_running:
            run = live.waiting[0]
            await self._begin(live, run)
            live.waiting.remove(run)

    def resume(self, live: LivePipeline, run: Run) -> None:
        """A run that a crash left under way: where it stood."""
        if run.options.dry_run or run.state is RunState.PENDING:
            live.waiting.append(run)
        elif run.stage is RunStage.EXTRACT:
            live.extraction = Extraction(run=run, left=set(live.sources))
        else:
            live.runs.append(run)

    # Begin -----------------------------------------------------------------------------------------------

    async def _begin(self, live: LivePipeline, run: Run) -> None:
        parts, pipeline = self._parts, live.pipeline
        now_us = parts.clock.now_us()
        run = replace(run, started_at_us=now_us, state=RunState.RUNNING)
        missing = parts.destinations.missing(pipeline.spec)
        if missing is not None:
            await self._fail(live, run, missing)
            return
        lines = self._first_lines(live, run, now_us)
        say(logging.INFO, f"run {run.id} begun", pipeline.name, run.id)
        if run.trigger is Trigger.REPLAY:
            await self._replay(live, run, lines)
        elif run.options.dry_run:
            await parts.catalog.keep_run(run, lines)
            live.looking = run
            live.stop_looking = parts.spawn(self._look(live, run), f"dry run {run.id}")
        elif live.sources and pipeline.state.accepts:
            await self._extract(live, replace(run, stage=RunStage.EXTRACT), lines)
        else:
            await self._load(live, run, lines)

    def _first_lines(self, live: LivePipeline, run: Run, now_us: int) -> list[RunLine]:
        lines = [_line(now_us, f"started: {run.trigger}")]
        unknown = sorted(run.options.variables.keys() - live.pipeline.spec.variables.keys())
        if unknown:
            names = ", ".join(unknown)
            lines.append(
                _line(now_us, f"variables given: {names}; the configuration declares none so named", "WARNING")
            )
        lines += [
            _line(now_us, f"{name} is paused, and keeps its events until it goes on", "WARNING")
            for name, one in live.pipeline.spec.routes().items()
            if one.paused
        ]
        return lines

    async def _extract(self, live: LivePipeline, run: Run, lines: list[RunLine]) -> None:
        """Have the sources read to their end; from the beginning, if all is wanted once more."""
        parts = self._parts
        live.rewinding = run.options.full_refresh  # nothing is taken from here until that is kept
        try:
            await parts.catalog.keep_run(run, lines, rewinds=run.options.full_refresh)
        finally:
            for source in live.sources.values():
                source.epoch += live.rewinding
            live.rewinding = False
        for source in live.sources.values():
            source.retry_at_us, source.attempt = None, 0
        live.extraction = Extraction(run=run, left=set(live.sources))
        parts.pull_bell.ring(live.number)

    async def _load(self, live: LivePipeline, run: Run, lines: list[RunLine] | None = None) -> None:
        """Deliver what is on the log now."""
        parts = self._parts
        extracted = run.stage is RunStage.EXTRACT
        through_seq = await parts.log.settled(live.pipeline)
        begun = replace(run, stage=RunStage.LOAD, through_seq=through_seq)
        records: list[RouteRecord] = []
        if run.options.full_refresh and not extracted:
            first_seq = await parts.log.first_kept(live.pipeline)
            records = [
                self._own_route(live, begun, name, start_seq=first_seq - 1, through_seq=through_seq)
                for name in live.pipeline.spec.routes()
            ]
        await self._start(live, begun, records, lines or [])
        live.extraction = None

    async def _start(self, live: LivePipeline, begun: Run, records: list[RouteRecord], lines: list[RunLine]) -> None:
        parts = self._parts
        await parts.catalog.start_run(begun, records, lines)
        live.runs.append(begun)
        live.behind_at_begin[begun.number] = live.pending(begun.through_seq)
        for record in records:  # from here on: what they deliver belongs to the run, which they look up in `live.runs`
            parts.take_up(live, record)
        parts.hurry(live)

    def _own_route(
        self, live: LivePipeline, run: Run, name: str, *, start_seq: int, through_seq: int, replays: int | None = None
    ) -> RouteRecord:
        """A route for this run alone, under keys of its own, to the destination that `name` begins with."""
        destination = live.pipeline.spec.routes()[name.partition("@")[0]]
        return RouteRecord(
            pipeline=live.number,
            name=f"{name}@{run.id}",
            destination=self._parts.texts.of_destination(destination, live.pipeline.uuid),
            start_seq=start_seq,
            cursor=start_seq,
            delivered=0,
            dead=0,
            through_seq=through_seq,
            replays=replays,
        )

    async def _fail(self, live: LivePipeline, run: Run, error: str) -> None:
        parts, pipeline = self._parts, live.pipeline
        now_us = parts.clock.now_us()
        failed = replace(run, state=RunState.FAILED, finished_at_us=now_us, error=error)
        tells = notice_of(NoticeKind.FAILED, pipeline, now_us, run_id=run.id, error=error)
        await parts.catalog.keep_run(failed, [_line(now_us, error, "ERROR")], tells)
        say(logging.ERROR, f"run {run.id} failed: {error}", pipeline.name, run.id)

    # Look only -------------------------------------------------------------------------------------------

    async def _look(self, live: LivePipeline, run: Run) -> None:
        """A dry run, outside the pipeline's lock: a query may take its time."""
        parts = self._parts
        try:
            ended, lines = await look(parts, live, run)
        except Unavailable as error:
            ended, lines = replace(run, state=RunState.FAILED, error=error.message), []
        except Exception as error:  # noqa: BLE001 - shown in the run, which must not stand for ever
            LOGGER.error("dry run %s", run.id, exc_info=error)
            ended, lines = replace(run, state=RunState.FAILED, error=str(error) or type(error).__name__), []
        async with live.changing:
            if live.looking is not run or live.pipeline.deleted:
                return
            now_us = parts.clock.now_us()
            if ended.error is not None:
                lines = [*lines, RunLine(at_us=now_us, level="ERROR", message=ended.error)]
            try:
                await parts.catalog.keep_run(replace(ended, finished_at_us=now_us), lines)
            except ConduitError as error:  # it is begun again, for it still waits in the catalog as under way
                LOGGER.error("dry run %s: %s", run.id, error.message)
                live.waiting.insert(0, run)
            live.looking = live.stop_looking = None
        parts.completion.tell(live)

    # Replay ----------------------------------------------------------------------------------------------

    async def _replay(self, live: LivePipeline, run: Run, lines: list[RunLine]) -> None:
        """Input that was no event becomes one, if it can by now; events go to the destinations that refused them."""
        parts = self._parts
        in_hand = await parts.catalog.in_hand(run.number)
        through_seq = 0
        if in_hand.pop("", 0) or run.extracted:  # begun before: what it has made events of belongs to it
            await self._append_inputs(live, run)
            through_seq = await parts.log.settled(live.pipeline)
        destinations = live.pipeline.spec.routes()
        for name in [one for one in in_hand if one.partition("@")[0] not in destinations]:
            letters = await parts.catalog.letters_in_hand(run.number, name, 0, in_hand.pop(name))
            error = f"the pipeline has no destination {name.partition('@')[0]!r} any more"
            await parts.catalog.letters_failed([(one.number, error) for _, one in letters], parts.clock.now_us())
        records = [
            self._own_route(live, run, name, start_seq=0, through_seq=last, replays=run.number)
            for name, last in in_hand.items()
        ]
        await self._start(live, replace(run, stage=RunStage.LOAD, through_seq=through_seq), records, lines)

    async def _append_inputs(self, live: LivePipeline, run: Run) -> None:
        parts = self._parts
        while found := await parts.catalog.letters_in_hand(run.number, "", 0, _LETTERS_AT_ONCE):
            numbers: list[int] = []
            types: list[str] = []
            payloads: list[bytes] = []
            failed: list[tuple[int, str]] = []
            for _, letter in found:
                try:
                    if not live.pipeline.state.accepts:
                        raise Refused(f"the pipeline is {live.pipeline.state} and takes no new events")
                    check_event_type(letter.event_type)
                    payload = payload_in(letter.content)
                except Refused as error:
                    failed.append((letter.number, error.message))
                except NotAnEvent as error:
                    failed.append((letter.number, str(error)))
                else:
                    numbers.append(letter.number)
                    types.append(letter.event_type)
                    payloads.append(payload)
            if payloads:
                along = Along(replayed=numbers, run=run.number)
                await parts.log.append(live.pipeline, NewEvents(types, payloads), None, along)
                live.dead_inputs -= len(numbers)
            if failed:
                await parts.catalog.letters_failed(failed, parts.clock.now_us())


def _line(at_us: int, message: str, level: str = "INFO") -> RunLine:
    return RunLine(at_us=at_us, level=level, message=message)
