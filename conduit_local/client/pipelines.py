"""
`conduit.pipelines`: pipelines and their runs, for `Conduit` and, awaited, for `AsyncConduit`.

    run = conduit.pipelines.run("user-analytics", full_refresh=True)
    result = run.wait(timeout=300)
    print(result.status, result.rows_loaded)

Lists page through by themselves. All methods raise Refusal with the API's code, and Unreachable.

Source: S1.5.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conduit_local.client.asking import Ask, AsyncAsk, Json, Pages, data_of, made
from conduit_local.client.errors import RunTimeout
from conduit_local.client.wire import segment

_PATH = "/api/v1/pipelines"
_FIRST_PAUSE_S, _SLOWER_BY, _LONGEST_PAUSE_S = 0.1, 1.5, 5.0


# What there is ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class LastRun:
    """A pipeline's newest run, in short."""

    id: str
    status: str
    started_at: str
    duration_ms: int | None
    rows_loaded: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """A pipeline; its parts are None in a list."""

    name: str
    version: str
    status: str
    """`active`, `paused` or `error`."""
    schedule: str | None
    last_run: LastRun | None
    next_run_at: str | None
    sources: list[Json] | None = None
    transforms: list[Json] | None = None
    destinations: list[Json] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run as it was when it was asked for; what is not known of one that has just begun is None."""

    id: str
    pipeline: str
    status: str
    """`running`, `success`, `failed` or `cancelled`."""
    started_at: str
    progress: Json
    """`{stage, rows_processed}`: what it was at (`extract`, `transform` or `load`), and how far."""
    finished_at: str | None = None
    duration_ms: int | None = None
    rows_loaded: int | None = None
    error: str | None = None
    trigger: str | None = None
    dry_run: bool | None = None
    full_refresh: bool | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status != "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(RunRecord):
    """A run that can be waited for."""

    ask: Ask = field(repr=False, compare=False)

    def wait(self, timeout: float = 300) -> "Run":
        """
        The run once it has ended, also where it failed: `status` and `error` say so.

        Raises: RunTimeout where it has not ended after `timeout` seconds; it goes on. Refusal, Unreachable.
        """
        pauses = _Pauses(timeout)
        while True:
            found = self.ask("GET", _run_path(self), _run_of(self.ask))
            if found.has_ended:
                return found
            time.sleep(pauses.next_s(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class AsyncRun(RunRecord):
    """A run that can be waited for."""

    ask: AsyncAsk = field(repr=False, compare=False)

    async def wait(self, timeout: float = 300) -> "AsyncRun":  # noqa: ASYNC109 - the document's name
        """As `Run.wait`."""
        pauses = _Pauses(timeout)
        while True:
            found = await self.ask("GET", _run_path(self), _async_run_of(self.ask))
            if found.has_ended:
                return found
            await asyncio.sleep(pauses.next_s(found))


class _Pauses:
    """How long to wait before the next look: shortly at first, then ever longer, until the time is up."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s
        self._pause_s = _FIRST_PAUSE_S

    def next_s(self, run: RunRecord) -> float:
        """Seconds; the last pause ends with the time. Raises: RunTimeout once it is up."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise RunTimeout(run.id, run.pipeline, self._timeout_s)
        pause_s = min(self._pause_s, left_s)
        self._pause_s = min(self._pause_s * _SLOWER_BY, _LONGEST_PAUSE_S)
        return pause_s


# What can be done ------------------------------------------------------------------------------------------

_Listed = list[Pipeline]
_Runs = list[Run]
_AsyncRuns = list[AsyncRun]


class Pipelines:
    """`Conduit.pipelines`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def list(self, status: str | None = None) -> _Listed:
        """All pipelines, or those that are `active`, `paused` or in `error`; the oldest first."""
        pages = Pages(_pipeline, None, status=status)
        while pages.query:
            pages.take(self._ask("GET", _PATH, pages.read, query=pages.query))
        return pages.found

    def get(self, name: str) -> Pipeline:
        """One pipeline, with its sources, transforms and destinations."""
        return self._ask("GET", _path(name), _pipeline_of_data)

    def run(
        self,
        name: str,
        *,
        full_refresh: bool = False,
        dry_run: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run; it begins as soon as no other is under way. After a lost answer it is not asked for again."""
        body = _options(full_refresh, dry_run, variables)
        return self._ask("POST", f"{_path(name)}/runs", _run_of(self._ask), body, once=True)

    def runs(self, name: str, limit: int | None = None) -> _Runs:
        """The newest `limit` runs, or all that are kept; the newest first."""
        pages = Pages(_run(self._ask), limit)
        while pages.query:
            pages.take(self._ask("GET", f"{_path(name)}/runs", pages.read, query=pages.query))
        return pages.found


class AsyncPipelines:
    """`AsyncConduit.pipelines`."""

    def __init__(self, ask: AsyncAsk) -> None:
        self._ask = ask

    async def list(self, status: str | None = None) -> _Listed:
        """As `Pipelines.list`."""
        pages = Pages(_pipeline, None, status=status)
        while pages.query:
            pages.take(await self._ask("GET", _PATH, pages.read, query=pages.query))
        return pages.found

    async def get(self, name: str) -> Pipeline:
        """As `Pipelines.get`."""
        return await self._ask("GET", _path(name), _pipeline_of_data)

    async def run(
        self,
        name: str,
        *,
        full_refresh: bool = False,
        dry_run: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> AsyncRun:
        """As `Pipelines.run`."""
        body = _options(full_refresh, dry_run, variables)
        return await self._ask("POST", f"{_path(name)}/runs", _async_run_of(self._ask), body, once=True)

    async def runs(self, name: str, limit: int | None = None) -> _AsyncRuns:
        """As `Pipelines.runs`."""
        pages = Pages(_async_run(self._ask), limit)
        while pages.query:
            pages.take(await self._ask("GET", f"{_path(name)}/runs", pages.read, query=pages.query))
        return pages.found


# Bytes to what there is ------------------------------------------------------------------------------------


def _path(name: str) -> str:
    return f"{_PATH}/{segment(name)}"


def _run_path(run: RunRecord) -> str:
    return f"{_path(run.pipeline)}/runs/{segment(run.id)}"


def _options(full_refresh: bool, dry_run: bool, variables: Mapping[str, str] | None) -> Json:
    options: Json = {"full_refresh": full_refresh, "dry_run": dry_run}
    return options if variables is None else {**options, "variables": dict(variables)}


def _pipeline_of_data(answer: Any) -> Pipeline:
    return _pipeline(data_of(answer, dict))


def _run_of(ask: Ask) -> Callable[[Any], Run]:
    return lambda answer: _run(ask)(data_of(answer, dict))


def _async_run_of(ask: AsyncAsk) -> Callable[[Any], AsyncRun]:
    return lambda answer: _async_run(ask)(data_of(answer, dict))


def _run(ask: Ask) -> Callable[[Json], Run]:
    return lambda said: made(Run, said, ask=ask)


def _async_run(ask: AsyncAsk) -> Callable[[Json], AsyncRun]:
    return lambda said: made(AsyncRun, said, ask=ask)


def _pipeline(said: Any) -> Pipeline:
    last = said.get("last_run") if isinstance(said, dict) else None
    return made(Pipeline, said, last_run=None if last is None else made(LastRun, last))
