"""
S1's bytes <-> core. Pure: any bytes give a value or a Refused.

Source: S1.1, S1.2, S1.3, S1.4.
"""

from collections.abc import Mapping
from typing import Any

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.kinds import document_of
from conduit_local.core.pipeline import Health, Pipeline, State
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.run import Run, RunStage, RunState
from conduit_local.core.times import rfc3339
from conduit_local.dialects.s1.errors import InvalidYaml
from conduit_local.engine.topology import LivePipeline, LiveRoute
from conduit_local.formats.yaml_text import YamlError, read_yaml
from conduit_local.http.decode import decode_object

Json = dict[str, Any]

MAX_BODY_BYTES = 1_048_576
JSON = ("application/json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml")

_NOT_CONFIGURED = ("status", "last_run", "next_run_at", "tests")
_ORDERS: Mapping[object, State | None] = {
    "active": State.ACTIVE,
    "paused": State.PAUSED,
    "error": None,
    None: None,
}
_RUN_STATUS = {state: "running" if state is RunState.PENDING else str(state) for state in RunState}
_MS_US = 1_000


# Pipelines -------------------------------------------------------------------------------------------------


def decode_document(body: bytes, content_type: str) -> Json:
    """A mapping, in JSON or YAML. Raises: Invalid."""
    return _decode_yaml(body) if content_type.partition(";")[0].strip().lower() in YAML else decode_object(body)


def definition_of(document: Json) -> tuple[Json, State | None]:
    """
    A pipeline's configuration, and the state that is asked for with it.

    What only answers have (`last_run`, `next_run_at`) may come back, and what only files have (`tests`) may come with
    them; both are passed over. Raises: InvalidRequest.
    """
    rest = {name: value for name, value in document.items() if name not in _NOT_CONFIGURED}
    status = document.get("status")
    if isinstance(status, list | dict) or status not in _ORDERS:
        raise _invalid("status", "must be active or paused")
    return rest, _ORDERS[status]


def _decode_yaml(body: bytes) -> Json:
    try:
        value = read_yaml(body).value
    except YamlError as error:
        where = f"line {error.line}" if error.line is not None else "the body"
        raise InvalidYaml(f"{where}: {error.message}") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a YAML mapping")
    return value


def replacing(pipeline: Pipeline, document: Json) -> Json:
    """
    `document` as the new configuration of `pipeline`: under its name and id.

    Raises: InvalidRequest where it names others; what is pushed to the wrong path replaces nothing.
    """
    ours = {"name": pipeline.name, "id": pipeline.id}
    others = [
        Problem(path=(what,), message=f"must be {value!r}, that of the pipeline in the path, or be left out")
        for what, value in ours.items()
        if document.get(what) not in (None, value)
    ]
    if others:
        raise refusal(others)
    return {**document, **ours}


def change_to(wanted: State | None, state: State) -> State | None:
    """The state to enter, where another one is wanted than is shown (S1.1): drained pipelines read `paused`, too."""
    return wanted if wanted is not None and _shown(state) != wanted else None


def _shown(state: State) -> State:
    return State.PAUSED if state in {State.PAUSED, State.STOPPED} else State.ACTIVE


def status_of(live: LivePipeline) -> str:
    """`active`, `paused` or `error` (S1.1)."""
    state = live.pipeline.state
    if state is State.ACTIVE and live.health is not Health.OK:
        return "error"
    return str(_shown(state))


def encode_listed(live: LivePipeline, last: Run | None, next_run_us: int | None) -> Json:
    """`{name, version, status, schedule, last_run, next_run_at}` (S1.1)."""
    spec = live.pipeline.spec
    return {
        "name": spec.name,
        "version": spec.version,
        "status": status_of(live),
        "schedule": spec.schedule,
        "last_run": _last_run(last) if last is not None else None,
        "next_run_at": rfc3339(next_run_us) if next_run_us is not None else None,
    }


def encode_pipeline(live: LivePipeline, last: Run | None, next_run_us: int | None) -> Json:
    """The above, with the whole configuration (S1.2)."""
    document = document_of(live.pipeline.spec)
    first = {name: document[name] for name in ("sources", "transforms", "destinations")}
    return {**document, **encode_listed(live, last, next_run_us), **first}


def encode_page(data: list[Json], total: int, page: int, per_page: int) -> Json:
    """`{data, meta}` (S1.1)."""
    return {"data": data, "meta": {"total": total, "page": page, "per_page": per_page}}


def decode_status(text: str | None) -> str | None:
    """The `status` that a list of pipelines is asked for. Raises: InvalidRequest."""
    if text not in (None, "active", "paused", "error"):
        raise _invalid("status", f"must be active, paused or error, not {text[:40]!r}")
    return text


# Runs ------------------------------------------------------------------------------------------------------


def decode_run_status(text: str | None) -> list[RunState]:
    """The states that a list of runs is asked for; none: all of them. Raises: InvalidRequest."""
    found = [state for state, status in _RUN_STATUS.items() if status == text]
    if text is not None and not found:
        raise _invalid("status", f"must be running, success, failed or cancelled, not {text[:40]!r}")
    return found


def encode_started(run: Run, live: LivePipeline) -> Json:
    """`{id, pipeline, status, started_at, progress}` (S1.3)."""
    return {
        "id": run.id,
        "pipeline": live.pipeline.name,
        "status": _RUN_STATUS[run.state],
        "started_at": rfc3339(_started_us(run)),
        "progress": _progress(run, live),
    }


def encode_run(run: Run, live: LivePipeline) -> Json:
    """The above, with what became of it (S1.4)."""
    return {
        **encode_started(run, live),
        "finished_at": rfc3339(run.finished_at_us) if run.finished_at_us is not None else None,
        "duration_ms": _duration_ms(run),
        "rows_loaded": _loaded(run),
        "error": run.error,
        "trigger": str(run.trigger),
        "dry_run": run.options.dry_run,
        "full_refresh": run.options.full_refresh,
    }


def _last_run(run: Run) -> Json:
    return {
        "id": run.id,
        "status": _RUN_STATUS[run.state],
        "started_at": rfc3339(_started_us(run)),
        "duration_ms": _duration_ms(run),
        "rows_loaded": _loaded(run),
    }


def _progress(run: Run, live: LivePipeline) -> Json:
    """`{stage, rows_processed}`: rows that sources brought; then events that are through, of all destinations."""
    if run.state is RunState.PENDING:
        return {"stage": str(RunStage.EXTRACT), "rows_processed": 0}
    if run.stage is RunStage.EXTRACT:
        return {"stage": str(run.stage), "rows_processed": run.extracted}
    transforms = run.state is RunState.RUNNING and any(route.transforming for route in _routes_of(run, live))
    return {"stage": str(RunStage.TRANSFORM if transforms else run.stage), "rows_processed": run.events}


def _routes_of(run: Run, live: LivePipeline) -> list[LiveRoute]:
    """The routes that deliver for a run just now."""
    return [route for route in live.routes.values() if any(batch.run == run.number for batch in route.hands.batches)]


def _loaded(run: Run) -> int:
    """Rows that landed; those of a dry run only would have."""
    return 0 if run.options.dry_run else run.rows


def _started_us(run: Run) -> int:
    return run.started_at_us if run.started_at_us is not None else run.created_at_us


def _duration_ms(run: Run) -> int | None:
    return max(0, run.finished_at_us - _started_us(run)) // _MS_US if run.finished_at_us is not None else None


def _invalid(field: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(field,), message=message)])
