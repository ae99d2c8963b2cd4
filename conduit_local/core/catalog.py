"""
The catalog: everything but the events. What there is, and how far it came.

A part of `core.ports`, by subject; one store keeps all of it, and every write here is one commit.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from conduit_local.core.batch import Batch, Written
from conduit_local.core.keys import ApiKey
from conduit_local.core.pipeline import Pipeline, PipelineNumber
from conduit_local.core.run import Run, RunLine, RunState, Trigger
from conduit_local.core.webhook import Notice, NoticeKind, Telling, Webhook


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
    through_seq: int | None
    """Where it ends, once its destination was taken out of the configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchEnd:
    """A batch that was delivered: what is written when it is closed."""

    batch: Batch
    written: Written
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
        self, pipeline: Pipeline, routes: Sequence[tuple[str, str]], head_seq: int, given_up: Collection[str] = ()
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

    async def open_batch(self, batch: Batch, at_us: int, closing: BatchEnd | None = None) -> Batch:
        """Close the batch before, write the intent of the next, in one commit; return it with its numbers."""
        ...

    async def close_batch(self, end: BatchEnd) -> None:
        """Move the cursor behind the batch and close its run where that was its only batch, in one commit."""
        ...

    async def open_batches(self) -> list[Batch]:
        """Intents that a crash, or a pause, left open."""
        ...

    async def note_attempt(self, batch: Batch, error: str, line: RunLine, tells: Notice | None = None) -> None:
        """Keep that an attempt failed, and why."""
        ...

    async def begin_run(self, run: Run) -> Run:
        """Keep a new run; return it with its number."""
        ...

    async def keep_run(
        self, run: Run, lines: Sequence[RunLine] = (), tells: Notice | None = None, ends: Collection[str] = ()
    ) -> None:
        """
        Keep how far a run is (its state, end, times and error), with lines of its log; these routes of its own end
        with it, in the same commit.
        """
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
        """The batches of a run that were delivered, in order."""
        ...

    async def batch_of(self, pipeline: PipelineNumber, route: str, seq: int) -> tuple[Batch, int | None] | None:
        """The batch that took an event, and when it was closed; None when no longer kept."""
        ...

    async def prune_runs(self, pipeline: PipelineNumber, keep: int) -> int:
        """Drop ended runs but for the newest `keep`. Returns how many went; call again until 0."""
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


class WebhookCatalog(Protocol):
    """Webhooks, and what is on its way to them. Times are steady, but for those that end in `_at_us`."""

    async def webhooks(self) -> list[Webhook]:
        """All webhooks, the oldest first."""
        ...

    async def add_webhook(self, webhook: Webhook) -> None:
        """Keep a webhook: it is told of what happens from here on."""
        ...

    async def remove_webhook(self, webhook: str) -> None:
        """Drop a webhook with all that it was, or was to be, told."""
        ...

    def on_notice(self, tell: Callable[[Collection[str]], None]) -> None:
        """Have `tell` called, on the loop, after each commit that wrote down something, with those to be told."""
        ...

    async def take_due(self, webhook: str, now_us: int, limit: int) -> list[Telling]:
        """The tellings that are due, each counted as attempted from here on: what they say is fixed."""
        ...

    async def next_due(self, webhook: str) -> int | None:
        """When the next telling is due; None when none waits."""
        ...

    async def settle(self, tellings: Sequence[Telling]) -> None:
        """Keep what came of attempts: state, times, status, error."""
        ...

    async def tellings(self, webhook: str, before: int | None, limit: int) -> list[Telling]:
        """What a webhook was, or is to be, told, the newest first."""
        ...

    async def tell_again(self, webhook: str, number: int, now_us: int) -> Telling | None:
        """
        A telling of this webhook is due before all others of it, as if it was made now; None when there is no such
        telling.
        """
        ...

    async def give_up(self, webhook: str, made_before_us: int, at_us: int, error: str) -> int:
        """
        End what waits since `made_before_us` or longer as failed, for its last error, or `error` where it was never
        attempted. Returns how many ended; call again until 0.
        """
        ...

    async def prune_tellings(self, webhook: str, keep: int) -> int:
        """Drop ended tellings but for the newest `keep`. Returns how many went; call again until 0."""
        ...


class Catalog(PipelineCatalog, RunCatalog, KeyCatalog, WebhookCatalog, Protocol):
    """All of it."""
