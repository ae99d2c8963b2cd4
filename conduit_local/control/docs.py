"""What the OpenAPI document says of `/_local/`, route by route."""

from collections.abc import Mapping
from typing import Any

from conduit_local.control import destination_models, models, run_models
from conduit_local.core.dead import Stage
from conduit_local.core.headers import ORIGIN, RANGE
from conduit_local.core.run import RunState, Trigger
from conduit_local.http.router import IF_MATCH, Doc, Param, Schema

STATUSES = (400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503)
ERRORS: Mapping[int, Schema | None] = dict.fromkeys(STATUSES, models.Failure)

_PIPELINE = {"pipeline": "The pipeline's id, UUID or name."}
_RUN = {"run": "The run's id."}
_LETTER = {"letter": "The dead letter's id, like `dead_12`."}
_WHICH_LETTERS = (
    Param(name="pipeline"),
    Param(name="destination"),
    Param(name="stage", schema={"type": "string", "enum": list(Stage)}),
    Param(name="reason", about="As a group has it."),
)
_ONE = "/_local/pipelines/{pipeline}"


def _number(name: str, least: int, most: int, default: int | None = None, about: str = "") -> Param:
    schema: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    return Param(name=name, schema=schema if default is None else {**schema, "default": default}, about=about)


def _time(name: str, about: str) -> Param:
    return Param(name=name, schema={"type": "string", "format": "date-time"}, about=about)


def _order(summary: str) -> Doc:
    return Doc(summary=summary, path=_PIPELINE, answers={200: models.PipelineShown})


DOCS: Mapping[tuple[str, str], Doc] = {
    ("GET", "/_local/health/live"): Doc(summary="Whether it lives", answers={200: models.Live}),
    ("GET", "/_local/health/ready"): Doc(
        summary="Whether it takes events",
        answers={200: models.Ready},
        errors={**dict.fromkeys((400, 403, 500), models.Failure), 503: models.NotReady},
    ),
    ("GET", "/_local/snapshot"): Doc(summary="How everything stands", answers={200: models.Snapshot}),
    ("GET", "/_local/stream"): Doc(
        summary="The same, pushed",
        about="Server-sent events, coalesced for clients that read slowly.",
        query=(
            Param(name="topics", about="Some of `snapshot`, `log`, `events`, with commas between."),
            _number("interval_ms", 100, 60_000, 500),
            _number("after", 0, 1 << 53, about="The number of the last known log line."),
            Param(name="pipeline", about="Events of one pipeline only."),
        ),
        answers={200: {"type": "string"}},
        answer_type="text/event-stream",
    ),
    ("GET", "/_local/pipelines"): Doc(summary="All pipelines, whole", answers={200: models.PipelineList}),
    ("GET", _ONE): Doc(summary="One pipeline, whole", path=_PIPELINE, answers={200: models.PipelineDetail}),
    ("PUT", _ONE): Doc(
        summary="Make a pipeline, or replace its configuration",
        path=_PIPELINE,
        headers=(IF_MATCH,),
        body={"type": "object"},
        example={"batch": {"max_events": 100}},
        answers={200: models.PipelineShown, 201: models.PipelineShown},
    ),
    ("DELETE", _ONE): Doc(summary="Delete a pipeline", path=_PIPELINE, answers={200: models.PipelineDeleted}),
    ("POST", f"{_ONE}/pause"): _order("Stop delivering, go on accepting"),
    ("POST", f"{_ONE}/resume"): _order("Make it active"),
    ("POST", f"{_ONE}/drain"): _order("Refuse new events, deliver all, stop"),
    ("POST", f"{_ONE}/flush"): Doc(
        summary="Deliver what is pending now", path=_PIPELINE, answers={202: run_models.RunShown}
    ),
    ("POST", f"{_ONE}/runs"): Doc(
        summary="Ask for a run",
        about="It begins as soon as no other is under way.",
        path=_PIPELINE,
        body=run_models.RunWanted,
        example={"full_refresh": False},
        answers={202: run_models.RunShown},
    ),
    ("POST", f"{_ONE}/events"): Doc(
        summary="Send events, all or none",
        about="An array, or one on each line.",
        path=_PIPELINE,
        headers=(
            Param(name="Idempotency-Key", about="Repeated within 24 hours, it gets the first answer."),
            Param(name=ORIGIN, about="A route of another appliance, which forwards its events in order."),
            Param(
                name=RANGE, about="What the origin calls these events, like `101-200`. Repeated, they are not taken."
            ),
        ),
        body={"type": "array", "items": models.NewEvent, "minItems": 1, "maxItems": 10_000},
        example=[{"event_type": "order.created", "payload": {"n": 1}}],
        answers={200: models.EventsAccepted},
    ),
    ("GET", f"{_ONE}/rates"): Doc(
        summary="Events a second", path=_PIPELINE, query=(_number("seconds", 1, 600, 120),), answers={200: models.Rates}
    ),
    ("GET", f"{_ONE}/destinations"): Doc(
        summary="Its destinations, and how they are", path=_PIPELINE, answers={200: destination_models.DestinationList}
    ),
    ("POST", f"{_ONE}/destinations/{{destination}}/test"): Doc(
        summary="Try a destination out",
        about="It writes, reads back and removes something of its own where the kind allows; no batch is touched.",
        path={**_PIPELINE, "destination": "The destination's name."},
        answers={200: destination_models.DestinationTested},
    ),
    ("GET", f"{_ONE}/verify"): Doc(
        summary="Compare its destinations with the ledger",
        about="A line of JSON for each thing found; `kind` is `progress`, `problem`, `destination`, and at last `end` "
        "or `error`. What is missing, altered or extra is a `problem`.",
        path=_PIPELINE,
        query=(
            Param(name="destination", about="This one alone; left out, all."),
            Param(
                name="quick",
                schema={"type": "string", "enum": ["true", "false"], "default": "false"},
                about="Whether to go by sizes, and read no object.",
            ),
        ),
        answers={200: {"type": "string"}},
        answer_type="application/x-ndjson",
    ),
    ("GET", "/_local/events"): Doc(
        summary="Look for events",
        query=(
            Param(name="pipeline"),
            Param(name="type"),
            _time("since", "Received then or later."),
            _time("until", "Received before then."),
            Param(name="text", about="Bytes that the payload contains."),
            _number("limit", 1, 1_000, 50),
            Param(name="cursor"),
        ),
        answers={200: models.EventPage},
    ),
    ("GET", "/_local/events/{event}"): Doc(
        summary="One event, and what became of it", path={"event": "The event's id."}, answers={200: models.EventDetail}
    ),
    ("GET", "/_local/runs"): Doc(
        summary="Runs",
        query=(
            Param(name="pipeline"),
            Param(name="state", schema={"type": "string", "enum": list(RunState)}),
            Param(name="trigger", schema={"type": "string", "enum": list(Trigger)}),
            _number("limit", 1, 1_000, 50),
            _number("cursor", 1, 1 << 53),
        ),
        answers={200: run_models.RunPage},
    ),
    ("GET", "/_local/runs/timeline"): Doc(
        summary="What ran when",
        about="Of each pipeline at most 200 segments: where there were more runs, neighbours are folded into one.",
        query=(Param(name="pipeline"), _number("hours", 1, 168, 24)),
        answers={200: run_models.Timeline},
    ),
    ("GET", "/_local/runs/{run}"): Doc(
        summary="One run with its log, and the objects it has delivered",
        path=_RUN,
        query=(_number("objects", 0, 1_000, 100, "How many of them to show, the first ones."),),
        answers={200: run_models.RunDetail},
    ),
    ("POST", "/_local/runs/{run}/cancel"): Doc(summary="Cancel a run", path=_RUN, answers={200: run_models.RunShown}),
    ("GET", "/_local/runs/{run}/download"): Doc(
        summary="What a run has written",
        about="One object as it is, several as a zip.",
        path=_RUN,
        answers={200: {"type": "string", "format": "binary"}},
        answer_type="*/*",
    ),
    ("GET", "/_local/dead"): Doc(
        summary="Dead letters",
        query=(*_WHICH_LETTERS, _number("limit", 1, 1_000, 50), _number("cursor", 1, 1 << 53)),
        answers={200: run_models.LetterPage},
    ),
    ("GET", "/_local/dead/groups"): Doc(
        summary="Dead letters by reason", query=_WHICH_LETTERS, answers={200: run_models.LetterGroups}
    ),
    ("GET", "/_local/dead/export"): Doc(
        summary="Dead letters as a file",
        about="One on each line, whole, as `/_local/dead/{letter}` shows it.",
        query=_WHICH_LETTERS,
        answers={200: {"type": "string"}},
        answer_type="application/x-ndjson",
    ),
    ("POST", "/_local/dead/replay"): Doc(
        summary="Deliver dead letters once more",
        about="By the transforms of now, to the destination that lacks them, as a run for each pipeline.",
        body=run_models.LettersChosen,
        example={"pipeline": "orders", "all": True},
        answers={202: run_models.Replayed},
    ),
    ("POST", "/_local/dead/discard"): Doc(
        summary="Drop dead letters for good",
        about="They count as purged from then on.",
        body=run_models.LettersChosen,
        example={"ids": ["dead_12"]},
        answers={200: run_models.Discarded},
    ),
    ("GET", "/_local/dead/{letter}"): Doc(
        summary="One dead letter with what it holds", path=_LETTER, answers={200: run_models.LetterDetail}
    ),
    ("PATCH", "/_local/dead/{letter}"): Doc(
        summary="Mend a dead letter",
        about="The event keeps its id and its place.",
        path=_LETTER,
        body=run_models.LetterEdit,
        example={"payload": {"n": 1}},
        answers={200: run_models.LetterDetail},
    ),
    ("GET", "/_local/logs"): Doc(
        summary="The appliance's log",
        query=(
            _number("after", 0, 1 << 53),
            _number("limit", 1, 5_000, 200),
            Param(name="level", schema={"type": "string", "enum": ["debug", "info", "warning", "error"]}),
            Param(name="pipeline"),
        ),
        answers={200: models.LogLines},
    ),
    ("GET", "/_local/keys"): Doc(summary="All API keys", answers={200: models.KeyList}),
    ("POST", "/_local/keys"): Doc(
        summary="Make an API key",
        body=models.KeyWanted,
        example={"name": "laptop", "scopes": ["ingest"]},
        answers={201: models.KeyMade},
    ),
    ("DELETE", "/_local/keys/{key}"): Doc(
        summary="Revoke an API key", path={"key": "The key's id."}, answers={200: models.KeyShown}
    ),
    ("POST", "/_local/secrets/rotate"): Doc(summary="Seal secrets with a new key", answers={200: models.Resealed}),
    ("GET", "/_local/config"): Doc(summary="Settings and files", answers={200: models.Report}),
    ("POST", "/_local/config/reload"): Doc(summary="Read the files again", answers={200: models.Reloaded}),
    ("GET", "/metrics"): Doc(summary="Prometheus", answers={200: {"type": "string"}}, answer_type="text/plain"),
    ("POST", "/_local/test/clock"): Doc(
        summary="Set the clock (only with --testing)",
        body=models.ClockWanted,
        example={"advance": 60},
        answers={200: models.ClockShown},
    ),
}
