"""
The catalog: everything but the events. What there is, and how far it came.

A part of `core.ports`, by subject; one store keeps all of it, and every write here is one commit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.batch import Batch, Written
from conduit_local.core.dead import NewDeadLetter
from conduit_local.core.dead_catalog import DeadCatalog
from conduit_local.core.keys import ApiKey
from conduit_local.core.landed import Landed
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.core.webhook import Notice, NoticeKind
from conduit_local.core.webhook_catalog import WebhookCatalog


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteRecord:
    """A route as the catalog has it."""

    pipeline: PipelineNumber
    name: str
    destination: str
    """Its configuration as JSON."""
    start_seq: int
    """The route delivers what comes behind this."""
    cursor: int
    delivered: int
    dead: int
    filtered: int = 0
    purged: int = 0
    through_seq: int | None
    """Where it ends, once its destination was taken out of the configuration."""
    replays: int | None = None
    """The run whose dead letters it reads instead of the log; its numbers are then their places in that run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchEnd:
    """A batch that was delivered: what is written when it is closed."""

    batch: Batch
    written: Written
    rows: int
    filtered: int = 0
    dead: Sequence[NewDeadLetter] = ()
    replays: int | None = None
    """The run whose dead letters it delivered."""
    events: tuple[str, str]
    """The ids of its first and its last event."""
    at_us: int
    line: RunLine
    tells: Notice | None = None


class PipelineCatalog(Protocol):
    """Pipelines, their routes, and the domains they belong to."""

    async def pipelines(self) -> list[Pipeline]:
        """All pipelines, those that are deleted and not yet purged among them."""
        ...

    async def routes(self) -> list[RouteRecord]:
        """All routes of all pipelines."""
        ...

    async def add_pipeline(self, pipeline: Pipeline, routes: Sequence[tuple[str, str]]) -> Pipeline:
        """
        Keep a new pipeline and its routes (name, destination as text); return it with its number and first seq.

        Raises: NameTaken when a live pipeline has its name, id or UUID.
        """
        ...

    async def change_pipeline(
        self,
        pipeline: Pipeline,
        routes: Sequence[tuple[str, str]],
        head_seq: int,
        given_up: Collection[str] = (),
        tells: NoticeKind | None = None,
    ) -> list[RouteRecord]:
        """
        Keep a changed specification. New routes begin behind `head_seq`; those that are no longer named end there,
        and those `given_up` end now, with all that they had still to deliver.

        Raises: NameTaken.
        """
        ...

    async def set_state(
        self, pipeline: Pipeline, *, begins: Run | None = None, ends: Run | None = None, tells: NoticeKind | None = None
    ) -> int | None:
        """Keep the pipeline's state, with a run that begins or ends by it; return the number of the one that begins."""
        ...

    async def delete_pipeline(self, pipeline: Pipeline, head_seq: int) -> None:
        """Mark it deleted; its numbering is kept for a successor in the same folder."""
        ...

    async def purge_pipeline(self, pipeline: PipelineNumber) -> None:
        """Drop a deleted pipeline, its routes, batches and runs."""
        ...

    async def start_run(self, run: Run, routes: Sequence[RouteRecord], lines: Sequence[RunLine]) -> None:
        """Keep that a run is under way, with routes of its own and lines of its log, in one commit."""
        ...

    async def end_route(self, pipeline: PipelineNumber, route: str) -> None:
        """Drop a route that has delivered all it was left with."""
        ...

    async def domains(self) -> dict[str, str]:
        """Every domain that was ever used, with its name."""
        ...

    async def name_domain(self, domain: str, name: str) -> None:
        """Give a domain its name, making it if need be."""
        ...

    async def reseal(self) -> int:
        """Seal every secret that can be opened anew, all in one commit; return how many rows changed."""
        ...


class RunCatalog(Protocol):
    """Batches (the intents) and runs."""

    async def open_batch(self, batch: Batch, at_us: int, closing: Sequence[BatchEnd] = ()) -> Batch:
        """Close batches before, as `close_batches`, and write an intent, in one commit; return it with its numbers."""
        ...

    async def close_batches(self, ends: Sequence[BatchEnd]) -> None:
        """
        Move the cursor behind these batches, and end their runs where those have no more, in one commit.

        Shape: batches of one route that follow one another, from its cursor on.
        """
        ...

    async def split_batch(self, batch: Batch, halves: Sequence[Batch], at_us: int, line: RunLine) -> list[Batch]:
        """Put other intents in the place of one, with a line of their run's log; return them with their numbers."""
        ...

    async def open_batches(self) -> list[Batch]:
        """Intents that a crash, or a pause, left open; those of a route in the order of its log."""
        ...

    async def note_attempt(self, batch: Batch, error: str, line: RunLine, tells: Notice | None = None) -> None:
        """Keep that an attempt failed, and why."""
        ...

    async def intend_anew(self, batch: Batch, line: RunLine) -> None:
        """
        Keep another recipe, destination or key in the batch's intent, with a line of its run's log: by what it had
        before nothing was written that counts.
        """
        ...

    async def begin_run(self, run: Run) -> Run:
        """Keep a new run; return it with its number."""
        ...

    async def keep_run(
        self,
        run: Run,
        lines: Sequence[RunLine] = (),
        tells: Notice | None = None,
        ends: Collection[str] = (),
        through: Mapping[str, int] | None = None,
        rewinds: bool = False,
    ) -> None:
        """
        Keep how far a run is (its state, stage, end, times and error), with lines of its log; these routes of its own
        end with it, and these behind the place `through`, in the same commit. The dead letters that an ended replay
        still has are released, but for those of an open batch. What it counted is kept as well where it was a dry run:
        no batch did. Where it `rewinds`, the pipeline's sources start over.
        """
        ...

    async def add_lines(self, run: int, lines: Sequence[RunLine]) -> None:
        """Keep lines of a run's log."""
        ...

    async def under_way(self) -> list[Run]:
        """Runs of several batches that have not ended, those that wait among them, the oldest first."""
        ...

    async def runs(
        self,
        pipelines: Sequence[PipelineNumber],
        *,
        before: int | None,
        limit: int,
        offset: int = 0,
        states: Collection[RunState] = (),
        trigger: Trigger | None = None,
    ) -> list[Run]:
        """
        Runs of these pipelines, the newest first, whose number is below `before`; `offset` of them are skipped.

        Shape: any state where `states` is empty.
        """
        ...

    async def count_runs(
        self, pipelines: Sequence[PipelineNumber], before: int | None, states: Collection[RunState] = ()
    ) -> int:
        """How many `runs` there are."""
        ...

    async def runs_between(self, pipeline: PipelineNumber, since_us: int, until_us: int, limit: int) -> list[Run]:
        """The newest `limit` runs of a pipeline that were asked for before `until_us` and not over by `since_us`."""
        ...

    async def last_runs(self, pipelines: Sequence[PipelineNumber]) -> dict[PipelineNumber, Run]:
        """The newest run of each pipeline that has one."""
        ...

    async def run(self, number: int) -> Run | None:
        """One run."""
        ...

    async def run_lines(self, number: int, limit: int) -> list[RunLine]:
        """The last `limit` lines of a run's log, the oldest first."""
        ...

    async def lines_of_runs(
        self, pipeline: PipelineNumber, limit: int, levels: Sequence[str], since_us: int
    ) -> list[tuple[int, RunLine]]:
        """The last `limit` lines of these levels in the logs of a pipeline's runs, each with its run's number."""
        ...

    async def batches_of(self, run: int) -> list[Batch]:
        """The batches of a run that were delivered and have an object, in order."""
        ...

    async def landed_by(self, run: int) -> list[Landed]:
        """The objects that a run has delivered, in order."""
        ...

    async def landed(self, pipeline: PipelineNumber, route: str, after_seq: int, limit: int) -> list[Landed]:
        """The objects that a route has delivered and that are kept, with events behind `after_seq`, by `last_seq`."""
        ...

    async def landed_routes(self, pipeline: PipelineNumber) -> list[str]:
        """The routes that batches are kept of, those that have ended among them."""
        ...

    async def batch_of(self, pipeline: PipelineNumber, route: str, seq: int) -> tuple[Batch, int | None] | None:
        """The batch that took an event, and when it was closed; None when no longer kept."""
        ...

    async def prune_runs(self, pipeline: PipelineNumber, keep: int) -> int:
        """Drop ended runs but for the newest `keep`. Returns how many went; call again until 0."""
        ...

    async def prune_batches(self, pipeline: PipelineNumber, keep: int) -> int:
        """Drop delivered batches whose run is gone, but for a route's newest `keep`. As `prune_runs`."""
        ...


class KeyCatalog(Protocol):
    """API keys."""

    async def keys(self) -> list[ApiKey]:
        """All keys, revoked ones among them."""
        ...

    async def add_key(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    async def revoke_key(self, key_id: str, at_us: int) -> None:
        """Mark a key as revoked."""
        ...

    async def touch_keys(self, used_at_us: dict[str, int]) -> None:
        """Keep when keys were last used."""
        ...


class Catalog(PipelineCatalog, RunCatalog, DeadCatalog, KeyCatalog, WebhookCatalog, Protocol):
    """All of it."""
