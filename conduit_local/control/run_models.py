"""The shapes of runs and dead letters in `/_local/`, for the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import Field

from conduit_local.control.models import Time
from conduit_local.core.dead import Stage
from conduit_local.core.run import RunStage, RunState, Trigger
from conduit_local.http.shape import Shape


class RunShown(Shape):
    """A run."""

    id: str
    pipeline_id: str
    pipeline: str
    trigger: Trigger
    state: RunState
    stage: RunStage
    destination: str | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    duration_ms: int | None
    extracted: int
    """Events that sources brought for it."""
    events: int
    """Events in its batches."""
    rows: int
    """Rows that landed; of a dry run, those that would."""
    filtered: int
    """Events that yielded no row of their own."""
    dead: int
    size_bytes: int
    batches: int
    attempts: int
    object_key: str | None
    error: str | None
    full_refresh: bool
    dry_run: bool
    variables: list[str]
    """The names of those that it was given; values are never shown."""


class RunLine(Shape):
    """A line of a run's log."""

    at: Time
    level: str
    message: str


class ObjectShown(Shape):
    """An object that a run has delivered: the evidence."""

    destination: str
    key: str
    place: str
    """Its address for people."""
    rows: int | None
    """Null where an older version delivered it, as what follows."""
    size_bytes: int
    sha256: str | None
    """Of its bytes; where rows went into a table, of the JSON lines that they were."""
    first_seq: int
    last_seq: int
    first_event: str | None
    last_event: str | None
    landed_at: Time


class RunDetail(RunShown):
    """A run with the last lines of its log, and what it has delivered."""

    log: list[RunLine]
    objects: list[ObjectShown]
    """The first of them."""
    objects_count: int | None
    """How many there are; null where none were asked for."""


class RunPage(Shape):
    """Runs, the newest first."""

    data: list[RunShown]
    has_more: bool
    next_cursor: str | None


class RunWanted(Shape):
    """What a run is asked for; nothing is needed."""

    full_refresh: bool | None = None
    """Deliver everything that is still kept once more, under keys of this run."""
    dry_run: bool | None = None
    """Look only."""
    variables: dict[str, str] | None = None


class Segment(Shape):
    """A run, or several that began one after the other."""

    id: str
    """The newest one's."""
    trigger: Trigger | None
    """Null where they differ."""
    state: RunState
    """The worst of theirs."""
    started_at: Time
    """When the first began, or was asked for while it waits."""
    finished_at: Time | None
    """Null while one of them is not over."""
    runs: int
    rows: int
    dead: int


class TimelineOfPipeline(Shape):
    """What ran on a pipeline, the oldest first."""

    pipeline_id: str
    pipeline: str
    has_more: bool
    """Whether there were so many runs that only the newest 5,000 are in here."""
    segments: Annotated[list[Segment], Field(max_length=200)]


class Timeline(Shape):
    """What ran when."""

    since: Time
    until: Time
    data: list[TimelineOfPipeline]


class LetterShown(Shape):
    """A dead letter."""

    id: str
    pipeline_id: str
    pipeline: str
    destination: str | None
    """The one that lacks it; null in the stage `extract`, where none got it."""
    stage: Stage
    event_id: str | None
    """Null in the stage `extract`: it was none."""
    seq: int | None
    event_type: str
    error: str
    reason: str
    """What errors of one kind have in common."""
    origin: str | None
    """Where a piece of input was found."""
    at: Time
    run_id: str | None
    """The run in which it died."""
    attempts: int
    """How often it died."""
    edited_at: Time | None
    replaying: str | None
    """The run that has it in hand."""


class LetterDetail(LetterShown):
    """A dead letter with what it holds."""

    payload: Any
    payload_kind: Literal["json", "text"]
    """`text` where it is no JSON; bytes that are no UTF-8 are then written `\\xff`."""


class LetterPage(Shape):
    """Dead letters, the newest first."""

    data: list[LetterShown]
    has_more: bool
    next_cursor: str | None


class LetterGroup(Shape):
    """Dead letters that died of the same reason."""

    pipeline_id: str
    pipeline: str
    destination: str | None
    stage: Stage
    reason: str
    count: int
    first_at: Time
    last_at: Time
    example: str
    """The newest of them."""


class LetterGroups(Shape):
    """The largest first."""

    data: list[LetterGroup]


class LetterEdit(Shape):
    """What a dead letter is to hold."""

    payload: dict[str, Any]
    event_type: str | None = None
    """Of input that was no event; an event keeps its own."""


class LettersChosen(Shape):
    """By `ids` alone; or those of a `pipeline`, narrowed down, or `all` of them."""

    ids: Annotated[list[str], Field(min_length=1, max_length=1_000)] | None = None
    pipeline: str | None = None
    destination: str | None = None
    stage: Stage | None = None
    reason: str | None = None
    all: bool | None = None


class OrderRefused(Shape):
    """The part of one pipeline that was refused, beside others that were not."""

    pipeline: str
    code: str
    message: str


class ReplayBegun(Shape):
    """A run that delivers dead letters of one pipeline once more."""

    run: RunShown
    letters: int
    left: int
    """How many that were meant it could not take: a replay takes 10,000 at once."""


class Replayed(Shape):
    """A run for each pipeline."""

    replays: list[ReplayBegun]
    letters: int
    left: int
    refused: list[OrderRefused]


class Discarded(Shape):
    """How many are gone for good."""

    discarded: int
    refused: list[OrderRefused]
