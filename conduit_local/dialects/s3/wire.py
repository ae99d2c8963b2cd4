"""
S3's pipes, limits, origins and keys: bytes <-> core. Pure.

Source: S3.1 to S3.5.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel

from conduit_local.core.batch import Mark
from conduit_local.core.errors import Invalid, OriginNotFound
from conduit_local.core.ids import part_uuid
from conduit_local.core.keys import ApiKey, Scope
from conduit_local.core.names import slug_of
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.core.spec import LimitsSpec
from conduit_local.core.times import rfc3339_ms
from conduit_local.dialects.s3.destination_wire import config_problems, encode_destination, new_document
from conduit_local.dialects.s3.models import LimitsChange, NewKey, NewPipe, PipeChange
from conduit_local.engine.topology import LivePipeline
from conduit_local.http.decode import decode_object, validated

MAX_BODY_BYTES = 1_048_576

M = TypeVar("M", bound=BaseModel)
IsFree = Callable[[str], bool]

_GROUPED: Mapping[str, tuple[str, str]] = {
    "requires_api_key": ("access", "requires_api_key"),
    "allow_any_origin": ("access", "allow_any_origin"),
    "enrich_timestamp_field": ("enrich", "timestamp_field"),
    "enrich_ip_field": ("enrich", "ip_field"),
}
"""Where the configuration has the settings of a pipe."""


# Asked -------------------------------------------------------------------------------------------------------


def decode_new_pipe(body: bytes) -> NewPipe:
    """A pipe to make. Raises: Invalid, with every problem."""
    document = decode_object(body)
    listed = document.get("destinations")
    found = [
        problem
        for place, one in enumerate(listed if isinstance(listed, list) else [])
        for problem in config_problems(one, ("destinations", place))
    ]
    try:
        asked = validated(document, NewPipe)
    except Invalid as error:
        raise refusal([*error.problems, *found]) from None
    if found:
        raise refusal(found)
    return asked


def decode_change(body: bytes, model: type[M]) -> M:
    """A body of which one field at least must be given. Raises: Invalid."""
    found = validated(decode_object(body), model)
    if not found.model_fields_set:
        raise refusal([Problem(path=(), message=f"must name at least one of: {', '.join(model.model_fields)}")])
    return found


def configuration_of(asked: NewPipe, is_free: IsFree) -> dict[str, Any]:
    """The configuration of a pipe to make; `is_free` says which names are."""
    found = _grouped(asked.model_dump(include=set(_GROUPED)))
    found |= _named(asked.pipe_name, is_free)
    found["access"]["allowed_origins"] = list(dict.fromkeys(one.origin_domain for one in asked.allowed_origins))
    if asked.limits is not None:
        found["limits"] = limits_of(asked.limits)
    if asked.destinations is not None:
        found["destinations"] = made = list[dict[str, Any]]()
        for one in asked.destinations:
            made.append(new_document(one, {entry["name"] for entry in made}))
    return found


def changes_of(change: PipeChange, is_free: IsFree) -> dict[str, Any]:
    """What changes in the configuration of a pipe; its status is no part of that."""
    asked = change.model_dump(exclude_unset=True)
    found = _grouped({name: value for name, value in asked.items() if name in _GROUPED})
    return found | (_named(asked["pipe_name"], is_free) if "pipe_name" in asked else {})


def limits_of(change: LimitsChange) -> dict[str, int | None]:
    """The limits that are named, as the configuration has them."""
    return {name.removeprefix("pl_"): value for name, value in change.model_dump(exclude_unset=True).items()}


def find_origin(pipeline: Pipeline, ref: str) -> str:
    """An allowed origin by its id, or as it is written. Raises: OriginNotFound."""
    for origin in pipeline.spec.access.allowed_origins:
        if ref == origin or ref.lower() == _origin_id(pipeline, origin):
            return origin
    raise OriginNotFound(f"the pipe has no allowed origin {ref[:80]!r}")


@contextmanager
def own_fields(name: str = "pipe_name", *, of_one_destination: bool = False) -> Iterator[None]:
    """Names the problems that the engine finds in a configuration as this API names its fields."""
    try:
        yield
    except Invalid as error:
        if not error.problems:
            raise
        raise refusal(
            [Problem(path=_own(one.path, name, of_one_destination), message=one.message) for one in error.problems]
        ) from None


def _own(path: Path, name: str, of_one_destination: bool) -> Path:
    match path:
        case ("name" | "title",):
            return (name,)
        case ("destinations", int() as place, *rest):
            below = ("destination_config", *(step for step in rest if step != "config"))
            return below if of_one_destination else ("destinations", place, *below)
        case ("access", *rest):
            return tuple(rest)
        case _:
            return path


def _grouped(asked: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in asked.items():
        group, field = _GROUPED[name]
        found.setdefault(group, {})[field] = value
    return found


def _named(label: str, is_free: IsFree) -> dict[str, str | None]:
    name = slug_of(label, is_free, "pipe")
    return {"name": name, "title": label if label != name else None}


# Told --------------------------------------------------------------------------------------------------------


def encode_pipe(live: LivePipeline, head: Mark, recent: int) -> dict[str, Any]:
    """A pipe; `head` is the end of its log, `recent` how many records came in the last 24 hours (S3.2)."""
    pipeline, spec = live.pipeline, live.pipeline.spec
    return {
        "pipe_id": pipeline.uuid,
        "pipe_name": spec.label,
        "pipe_status": "active" if pipeline.state.accepts else "inactive",
        "requires_api_key": spec.access.requires_api_key,
        "allow_any_origin": spec.access.allow_any_origin,
        "enrich_timestamp_field": spec.enrich.timestamp_field,
        "enrich_ip_field": spec.enrich.ip_field,
        "destinations": [encode_destination(pipeline, one) for one in spec.destinations],
        "limits": encode_limits(spec.limits),
        "allowed_origins": [encode_origin(pipeline, origin) for origin in spec.access.allowed_origins],
        "usage": {
            "records_total": head.seq - pipeline.first_seq + 1,
            "bytes_total": head.bytes_before,
            "records_24h": recent,
            "pending": live.pending(head.seq),
        },
        "created_at": rfc3339_ms(pipeline.created_at_us),
        "updated_at": rfc3339_ms(pipeline.updated_at_us or pipeline.created_at_us),
    }


def encode_limits(limits: LimitsSpec) -> dict[str, int | None] | None:
    """A pipe's limits, or None where it has none."""
    if limits == LimitsSpec():
        return None
    return {f"pl_{name}": value for name, value in limits.model_dump().items()}


def encode_origin(pipeline: Pipeline, origin: str) -> dict[str, str]:
    """An allowed origin."""
    return {"origin_id": _origin_id(pipeline, origin), "origin_domain": origin}


def encode_key(key: ApiKey) -> dict[str, Any]:
    """What is known of a key; never its secret (S3.4)."""
    return {
        "api_key_id": key.id,
        "api_key_name": key.name,
        "prefix": key.prefix,
        "scopes": [scope.value for scope in Scope if scope in key.scopes],
        "created_at": rfc3339_ms(key.created_at_us),
        "last_used_at": rfc3339_ms(key.last_used_at_us) if key.last_used_at_us is not None else None,
    }


def decode_key(body: bytes) -> NewKey:
    """A key to make. Raises: Invalid."""
    return validated(decode_object(body), NewKey)


def _origin_id(pipeline: Pipeline, origin: str) -> str:
    return part_uuid(pipeline.uuid, "origin", origin)
