"""`Transforms` for the engine: people's SQL, run by children that may be killed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from conduit_local.core.content import Column, Content, Envelopes
from conduit_local.core.errors import TransformUnavailable
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.spec import PipelineSpec
from conduit_local.core.times import duration_text
from conduit_local.core.transforming import Overstepped, QueryRefused, Recipe, RowsRefused
from conduit_local.transforms.columns import EVENTS
from conduit_local.transforms.compile import compiled
from conduit_local.transforms.content import TransformedContent
from conduit_local.transforms.lanes import IDLE_S, PATIENCE_S, Lane, LaneName, Standings
from conduit_local.transforms.process import Child, ChildGone
from conduit_local.transforms.scratch import emptied, fresh_names, in_thread, write
from conduit_local.transforms.settings import TransformSettings
from conduit_local.transforms.transform import place_as_written

_MIB = 1024**2
_TRIES = 3
_NICE: dict[LaneName, int] = {"proven": 2, "fresh": 5, "slow": 15}
"""The appliance itself comes first; what may be hostile comes last."""
_Result = TypeVar("_Result")
_Ask = Callable[[Child, float], Awaitable[_Result]]


@asynccontextmanager
async def open_transforms(
    settings: TransformSettings, *, scratch: Path, idle_s: float = IDLE_S
) -> AsyncIterator["SqlTransforms"]:
    """
    Transforms that keep their files in the folder `scratch`, which is made or emptied now, and emptied at the end.

    No child is started before it is needed; all are ended, and waited for, at the end.
    """
    scratch = await asyncio.to_thread(emptied, scratch)
    transforms = SqlTransforms(settings, scratch, idle_s)
    try:
        yield transforms
    finally:
        await transforms.close()
        await asyncio.to_thread(emptied, scratch)


class _TookLong(Exception):
    """A query was not done when its lane's patience was."""


class SqlTransforms:
    """Runs people's SQL, out of harm's way (`Transforms` for the engine)."""

    def __init__(self, settings: TransformSettings, scratch: Path, idle_s: float) -> None:
        self._settings = settings
        self._scratch = scratch
        self._names = fresh_names()
        self._standings = Standings()
        self._lanes: dict[LaneName, Lane] = {
            name: Lane(partial(self._start, nice), settings.children, None if name == "proven" else idle_s)
            for name, nice in _NICE.items()
        }

    def recipe(self, spec: PipelineSpec, variables: Mapping[str, str] | None = None) -> Recipe:
        """`Transforms.recipe`. Raises: InvalidRequest when `variables` lacks one that is named."""
        return compiled(spec, variables) if spec.transforms else ()

    async def check(self, recipe: Recipe) -> tuple[Column, ...]:
        """`Transforms.check`; in the fresh lane, as nobody knows the query yet."""
        if not recipe:
            return EVENTS
        ask = partial(self._asked, {"queries": recipe})
        try:
            try:
                answer = await self._in_lane("fresh", ask)
            except _TookLong:
                answer = await self._in_lane("slow", ask)
        except QueryRefused as error:
            error.line, error.column = place_as_written(recipe[error.step], error.line, error.column)
            raise
        return _columns(answer)

    async def apply(
        self, owner: PipelineNumber, recipe: Recipe, read: Callable[[], Awaitable[Sequence[bytes]]]
    ) -> Content:
        """`Transforms.apply`; in the lane of the owner's standing."""
        if not recipe:
            parts = await read()
            return Envelopes(parts, sum(part.count(b"\n") for part in parts))
        try:
            try:
                return await self._applied(self._standings.lane(owner, recipe), owner, recipe, read)
            except _TookLong:
                self._standings.note_slow(owner, recipe)
                return await self._applied("slow", owner, recipe, read)
        except Overstepped:
            self._standings.note_overstepped(owner, recipe)
            raise

    async def close(self) -> None:
        """Ends all children."""
        for lane in self._lanes.values():
            await lane.close()

    async def _applied(
        self, lane: LaneName, owner: PipelineNumber, recipe: Recipe, read: Callable[[], Awaitable[Sequence[bytes]]]
    ) -> TransformedContent:
        took_s = 0.0

        async def ask(child: Child, deadline_s: float) -> TransformedContent:
            nonlocal took_s
            source, target = child.folder / "source", child.folder / "target"
            parts = await read()
            try:
                try:
                    await in_thread(partial(write, source, parts))
                except OSError as error:
                    raise TransformUnavailable(f"hand the events to the SQL process: {error.strerror}") from error
                begun_at = asyncio.get_running_loop().time()
                request = {"queries": recipe, "source": str(source), "target": str(target)}
                try:
                    answer = await self._asked(request, child, deadline_s)
                finally:
                    took_s = asyncio.get_running_loop().time() - begun_at
                kept = self._scratch / f"content-{next(self._names)}"
                target.replace(kept)
                return TransformedContent(kept, answer["rows"], _columns(answer) or None)
            finally:
                if child.usable:  # else its whole folder goes
                    source.unlink(missing_ok=True)
                    target.unlink(missing_ok=True)

        try:
            content = await self._in_lane(lane, ask)
        except RowsRefused:
            self._standings.note_done(owner, recipe, took_s)
            raise
        self._standings.note_done(owner, recipe, took_s)
        return content

    async def _in_lane(self, name: LaneName, ask: _Ask[_Result]) -> _Result:
        """What `ask` makes of a child of the lane. Raises: _TookLong, the query's failures, TransformUnavailable."""
        limit_s = self._settings.time_limit
        deadline_s = limit_s if name == "slow" else min(limit_s, PATIENCE_S)
        for _ in range(_TRIES):
            try:
                async with self._lanes[name].child() as child:
                    return await ask(child, deadline_s)
            except TimeoutError:
                if deadline_s < limit_s:
                    raise _TookLong from None
                raise Overstepped(
                    f"took longer than {duration_text(limit_s)} (transforms.time_limit in the settings)"
                ) from None
            except ChildGone as error:
                if error.begun and not self._lanes[name].closed:
                    raise Overstepped(f"the process that ran it {error.how}; {self._memory_limit()}") from None
        raise TransformUnavailable("the SQL process ends before it is asked, again and again")

    async def _asked(self, request: Mapping[str, Any], child: Child, deadline_s: float) -> dict[str, Any]:
        """The answer of a child. Raises: as `Child.ask`; the failures of the query."""
        answer = await child.ask(request, deadline_s)
        failed = answer.get("failed")
        if failed is None:
            return answer
        child.spent = failed["kind"] not in {"query", "rows"}
        raise self._failure(**failed)

    def _failure(self, kind: str, message: str, step: int, place: Sequence[int] | None) -> Exception:
        match kind:
            case "query":
                line, column = place or (None, None)
                return QueryRefused(message, step=step, line=line, column=column)
            case "rows":
                return RowsRefused(message, step=step)
            case "memory":
                return Overstepped(f"took more memory than it may; {self._memory_limit()}", step=step)
            case "output":
                most = f"{self._settings.max_output / _MIB:g} MiB (transforms.max_output in the settings)"
                return Overstepped(f"its rows take more than {most}", step=step)
            case "disk":
                return TransformUnavailable(f"run the SQL: {message}")
            case _:
                return Overstepped(f"brought the database down: {message}", step=step)

    def _memory_limit(self) -> str:
        return f"a batch has {self._settings.memory / _MIB:g} MiB (transforms.memory in the settings)"

    async def _start(self, nice: int) -> Child:
        return await Child.start(self._scratch / f"child-{next(self._names)}", self._settings, nice)


def _columns(answer: Mapping[str, Any]) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in answer["columns"])
