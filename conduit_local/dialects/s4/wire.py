"""
S4's bytes <-> core. Pure: any bytes give a value or a Refused.

Source: S4.1, S4.3, S4.4, S4.5, S4.6, S4.7, S4.8.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.ids import run_uuid
from conduit_local.core.names import MAX_TITLE, slug_of
from conduit_local.core.pipeline import Pipeline, State
from conduit_local.core.plain import plain
from conduit_local.core.problems import Problem, refusal
from conduit_local.core.run import Run, RunLine, RunState
from conduit_local.core.times import SECOND_US, rfc3339
from conduit_local.dialects.s4 import models
from conduit_local.dialects.s4.config import new_document
from conduit_local.engine.topology import LivePipeline
from conduit_local.http.decode import decode_object, validated

MAX_BODY_BYTES = 1_048_576

_COPY = "(Copy)"

Json = dict[str, Any]
IsFree = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewPipeline:
    """A pipeline that is wanted."""

    name: str
    config: Json
    schedule: str | None
    enabled: bool
    domain: str | None

    def document(self, is_free: IsFree) -> Json:
        """Its configuration; the slug is `config.name`, or made of that or of the name. Raises: InvalidRequest."""
        slug = slug_of(self.config.get("name") or self.name, is_free)
        return {
            **new_document(self.config, slug),
            "title": self.name if self.name != slug else None,
            "schedule": self.schedule,
            "domain": self.domain,
        }


# Pipelines -------------------------------------------------------------------------------------------------


def decode_pipeline(body: bytes) -> NewPipeline:
    """The body of `POST /api/pipelines` (S4.1). Raises: Invalid."""
    document = decode_object(body)
    found = validated(document, models.PipelineToCreate)
    return NewPipeline(
        name=found.name,
        config=document["config"],
        schedule=found.schedule,
        enabled=found.enabled,
        domain=found.domain_id,
    )


def decode_change(body: bytes) -> tuple[Json, bool | None]:
    """The body of `PUT /api/pipelines/{id}`: what changes, by our names, and whether it is enabled. Raises: Invalid."""
    document = decode_object(body)
    found = validated(document, models.PipelineChange)
    changes: Json = {
        ours: getattr(found, theirs)
        for theirs, ours in (("name", "title"), ("schedule", "schedule"), ("domain_id", "domain"))
        if theirs in document
    }
    if "config" in document:
        changes["config"] = document["config"]
    return changes, document.get("enabled")


def decode_copy(body: bytes) -> str | None:
    """The body of `POST …/duplicate`, which may be empty: what the copy is to be called. Raises: Invalid."""
    return validated(decode_object(body), models.PipelineCopy).name if body else None


def decode_domain(body: bytes) -> str:
    """The body of `PUT /api/domains/{id}`. Raises: Invalid."""
    return validated(decode_object(body), models.DomainName).name


def name_of_copy(name: str, is_free: IsFree) -> str:
    """`<name> (Copy)`, or `<name> (Copy 2)` where a pipeline is called so already (S4.5)."""
    found, count = _with_suffix(name, _COPY), 1
    while not is_free(found):
        count += 1
        found = _with_suffix(name, f"(Copy {count})")
    return found


def _with_suffix(name: str, suffix: str) -> str:
    return f"{name[: MAX_TITLE - len(suffix) - 1].rstrip()} {suffix}"


def change_to(enabled: bool | None, state: State) -> State | None:
    """The state to enter, where another one is wanted than is shown (S4.8)."""
    if enabled is None or enabled == is_enabled(state):
        return None
    return State.ACTIVE if enabled else State.PAUSED


def is_enabled(state: State) -> bool:
    """What is paused or stopped reads `enabled: false`."""
    return state in {State.ACTIVE, State.DRAINING}


def encode_pipeline(pipeline: Pipeline) -> Json:
    """`{id, name, schedule, enabled, domain_id, created_at, updated_at}`, no config (S4.1)."""
    return {**_common(pipeline), "updated_at": _time(pipeline.updated_at_us)}


def encode_detail(pipeline: Pipeline, config: Json) -> Json:
    """The above with its config (S4.2)."""
    return {**encode_pipeline(pipeline), "config": config}


def encode_listed(live: LivePipeline, last: Run | None, domain_name: str | None) -> Json:
    """`{…, domain_name, last_run_status, last_run_at}` (S4.3)."""
    return {
        **_common(live.pipeline),
        "domain_name": domain_name,
        "last_run_status": str(last.state) if last is not None else None,
        "last_run_at": rfc3339(_began_us(last)) if last is not None else None,
    }


def _common(pipeline: Pipeline) -> Json:
    spec = pipeline.spec
    return {
        "id": pipeline.uuid,
        "name": spec.label,
        "schedule": spec.schedule,
        "enabled": is_enabled(pipeline.state),
        "domain_id": spec.domain,
        "created_at": rfc3339(pipeline.created_at_us),
    }


# Runs ------------------------------------------------------------------------------------------------------


def decode_status(text: str | None) -> list[RunState]:
    """The states that a list of runs is asked for; none: all of them (S4.6). Raises: InvalidRequest."""
    if text is None:
        return []
    if text not in set(RunState):
        raise _invalid("status", f"must be one of: {', '.join(RunState)}; not {text[:40]!r}")
    return [RunState(text)]


def encode_queued(run: Run, pipeline: Pipeline, tag: str) -> Json:
    """`{id, pipeline_id, status, triggered_by, created_at}` (S4.5)."""
    return {
        "id": run_uuid(tag, run.number),
        "pipeline_id": pipeline.uuid,
        "status": str(run.state),
        "triggered_by": str(run.trigger),
        "created_at": rfc3339(run.created_at_us),
    }


def encode_run(run: Run, pipeline: Pipeline, tag: str) -> Json:
    """`{…, started_at, finished_at, error}` (S4.6)."""
    return {
        **encode_queued(run, pipeline, tag),
        "started_at": _time(run.started_at_us),
        "finished_at": _time(run.finished_at_us),
        "error": run.error,
    }


def encode_run_detail(run: Run, pipeline: Pipeline, tag: str, keys: Sequence[str]) -> Json:
    """`{…, output_file, output_file_size}` (S4.7); of several objects, the zip that they are downloaded as."""
    return {
        **encode_run(run, pipeline, tag),
        "output_file": f"{run.id}.zip" if len(keys) > 1 else keys[0] if keys else None,
        "output_file_size": run.size_bytes if keys else None,
    }


def encode_logs(lines: Sequence[RunLine]) -> Json:
    """`{logs}`, a line each: `2024-01-15 16:00:00 INFO Starting pipeline...` (S4.7)."""
    return {"logs": "\n".join(f"{_log_time(line.at_us)} {line.level} {plain(line.message)}" for line in lines)}


def _began_us(run: Run) -> int:
    return run.started_at_us if run.started_at_us is not None else run.created_at_us


def _time(at_us: int | None) -> str | None:
    return rfc3339(at_us) if at_us is not None else None


def _log_time(at_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_us // SECOND_US))


def _invalid(field: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(field,), message=message)])
