"""
The `config` of a pipeline <-> its configuration here. Pure.

What was given is kept whole in `extra`, sealed, and is what comes back. Sources and destinations are made of it: one
that is built in takes the settings under its `config`; any other is a connector, known by its name, and keeps all else
that its object holds. Where another API changed them since, they are shown as they are now.

Source: S4.1, S4.2, S4.4.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conduit_local.core.errors import Conflict, InvalidRequest
from conduit_local.core.kept_secrets import with_kept_secrets
from conduit_local.core.kinds import parse_spec
from conduit_local.core.names import slug_of
from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.core.secrets import REDACTED, REVEAL, as_dumped, locked_in
from conduit_local.core.spec import PipelineSpec
from conduit_local.destinations.kinds import DESTINATIONS
from conduit_local.sources.kinds import SOURCES

MAX_CONNECTOR = 100
"""Characters of a connector's name."""
_CONNECTOR = "connector"
_APART = ("name", "title", "paused")
"""What a destination has that is no matter of `config`; it stays when the settings change."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Role:
    """A source or a destination: its words in `config`, and what is built in."""

    one: str
    many: str
    usual: str
    built_in: frozenset[str]


_ROLES = (
    _Role(one="source", many="sources", usual="push", built_in=frozenset(SOURCES) - {_CONNECTOR}),
    _Role(one="destination", many="destinations", usual="files", built_in=frozenset(DESTINATIONS) - {_CONNECTOR}),
)


def new_document(config: Json, slug: str) -> Json:
    """A new pipeline's configuration, its name `slug`. Raises: InvalidRequest."""
    _require_open(config, ("config",))
    return {"name": slug, **_components(config, {}), "extra": {"config": config}}


def changed_spec(spec: PipelineSpec, changes: Json, model: type[PipelineSpec]) -> PipelineSpec:
    """
    `spec` with `changes` (fields of a configuration, and `config`, merged mapping by mapping).

    Secrets that come back as they are shown, or empty, stay what they were. A source or destination of another name
    takes the place of the old one. Raises: InvalidRequest; Conflict where `config` is sealed with a key that is not
    here, and not all of it is given anew.
    """
    whole = _dumped(spec, whole=True)
    document = {**whole, **changes}
    given = document.pop("config", None)
    if given is not None:
        config = _merged_config(spec, given, model)
        _require_open(config, ("config",))
        kept = whole["extra"] if isinstance(whole["extra"], dict) else {}
        document |= _components(config, whole)
        document["extra"] = {**kept, "config": config}
    return parse_spec(document, model, as_dumped(whole))


def shown_config(spec: PipelineSpec, model: type[PipelineSpec], *, whole: bool) -> Json:
    """`config` as `GET` shows it; `whole`: with its secrets (S4.2), but for those that cannot be opened."""
    document = _dumped(spec, whole=whole and not _is_locked(spec))
    given = _given(document)
    if given is None or not _is_what_runs(spec, model):
        return _composed(document)
    shown: Json = {"name": spec.name}
    for role in _ROLES:
        several = given.get(role.many)
        shown[role.one] = several[0] if several else {"name": role.usual}
    return {**shown, **given}


def copied_document(spec: PipelineSpec, slug: str, title: str) -> Json:
    """
    A copy's configuration, secrets included.

    Raises: Conflict where they cannot be opened.
    """
    if _is_locked(spec):
        raise Conflict(f"the secrets of {spec.name!r} are sealed with a key that is not here: they cannot be copied")
    return {**_dumped(spec, whole=True), "id": None, "name": slug, "title": title if title != slug else None}


# Sources and destinations ----------------------------------------------------------------------------------


def _components(config: Json, old: Mapping[str, Any]) -> Json:
    """`sources` and `destinations` out of `config`; `old` is the configuration until now. Raises: InvalidRequest."""
    return {role.many: _of_role(role, config, list(old.get(role.many) or ())) for role in _ROLES}


def _of_role(role: _Role, config: Json, old: Sequence[Json]) -> list[Json]:
    several = config.get(role.many)
    if not several:
        path: Path = ("config", role.one)
        return [_component(role, config.get(role.one, {"name": role.usual}), path, [], old[:1])]
    if role.one in config and config[role.one] != several[0]:
        raise _wrong(("config", role.one), f"differs from {role.many}[0]; send one of them")
    made: list[Json] = []
    for place, one in enumerate(several):
        made.append(_component(role, one, ("config", role.many, place), made, old[place : place + 1]))
    return made


def _component(role: _Role, given: Json, path: Path, before: Sequence[Json], old: Sequence[Json]) -> Json:
    """A source or destination as we keep it; `old` is the one in its place until now, if any."""
    name = given.get("name")
    if not isinstance(name, str):
        raise _wrong((*path, "name"), "is required")
    if name in role.built_in:
        settings = given.get("config")
        settings = {} if settings is None else settings
        if not isinstance(settings, dict):
            raise _wrong((*path, "config"), "must be an object")
        if "type" in settings:
            raise _wrong((*path, "config", "type"), f"is what the {role.one}'s name says; leave it out")
        made: Json = {"type": name, **settings}
    else:
        made = {"type": _CONNECTOR, "connector": name, "config": {k: v for k, v in given.items() if k != "name"}}
    if old and _name_of(old[0]) == name:
        made |= {field: old[0][field] for field in _APART if field in old[0] and field not in made}
    elif made["type"] == _CONNECTOR and role.one == "destination":
        taken = {one.get("name") for one in before}
        made["name"] = slug_of(name, lambda slug: slug not in taken, otherwise="destination")
    return made


def _name_of(component: Mapping[str, Any]) -> str:
    return str(component["connector"] if component["type"] == _CONNECTOR else component["type"])


# Merged ----------------------------------------------------------------------------------------------------


def _merged_config(spec: PipelineSpec, given: Json, model: type[PipelineSpec]) -> Json:
    """What `config` becomes, secrets included."""
    if _is_locked(spec):
        if all(given.get(role.one) or given.get(role.many) for role in _ROLES):
            return given
        raise Conflict(
            f"the config of {spec.name!r} is sealed with a key that is not here: put that back, or give source and "
            "destination anew"
        )
    shown, whole = shown_config(spec, model, whole=False), shown_config(spec, model, whole=True)
    for role in _ROLES:
        new, old = given.get(role.one), shown.get(role.one)
        if role.many in given or (new is not None and old is not None and new.get("name", old["name"]) != old["name"]):
            del shown[role.one], whole[role.one]
    merged = with_kept_secrets(_merged(shown, given), shown, whole)
    for role in _ROLES:
        several = merged.get(role.many)
        if several and role.many not in given:
            merged[role.many] = [merged[role.one], *several[1:]]
        elif several and role.one not in given:
            merged[role.one] = several[0]
    found: Json = merged
    return found


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    found = dict(old)
    for name, value in changes.items():
        before = found.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = _merged(before, value)
        found[name] = value
    return found


def _require_open(value: object, path: Path) -> None:
    """Raises: InvalidRequest where `value` holds what is shown in place of a secret, and no secret stands for it."""
    problems = [
        Problem(path=where, message=f"reads {REDACTED}; give the secret itself") for where in _redacted_in(value, path)
    ]
    if problems:
        raise refusal(problems)


def _redacted_in(value: object, path: Path) -> Iterator[Path]:
    if value == REDACTED:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _redacted_in(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _redacted_in(inner, (*path, place))


# Shown -----------------------------------------------------------------------------------------------------


def _dumped(spec: PipelineSpec, *, whole: bool) -> Json:
    return spec.model_dump(mode="json", serialize_as_any=True, context=REVEAL if whole else None)


def _given(document: Mapping[str, Any]) -> Json | None:
    """The config as it was given to this API, or None."""
    extra = document["extra"]
    given = extra.get("config") if isinstance(extra, dict) else None
    return given if isinstance(given, dict) else None


def _is_locked(spec: PipelineSpec) -> bool:
    return any(map(locked_in, (spec, *spec.sources, *spec.destinations)))


def _is_what_runs(spec: PipelineSpec, model: type[PipelineSpec]) -> bool:
    """Whether the config as it was given still makes the sources and destinations that there are."""
    whole = _dumped(spec, whole=True)
    given = _given(whole)
    if given is None:
        return False
    try:
        made = parse_spec({**whole, **_components(given, whole)}, model, as_dumped(whole))
    except InvalidRequest:
        return False
    return (made.sources, made.destinations) == (spec.sources, spec.destinations)


def _composed(document: Json) -> Json:
    """`config` out of the configuration, where it did not come from this API, or is not what it was."""
    config: Json = {"name": document["name"]}
    for role in _ROLES:
        shown = [_shown(one) for one in document[role.many]] or [{"name": role.usual}]
        config[role.one] = shown[0]
        if len(shown) > 1:
            config[role.many] = shown
    return config


def _shown(component: Json) -> Json:
    kind, settings = component["type"], component.get("config")
    if kind == _CONNECTOR:
        rest = settings if isinstance(settings, dict) else {"config": settings}
        return {**rest, "name": component["connector"]}
    usual = {"name": kind, "title": None, "paused": False}
    settings = {
        field: value
        for field, value in component.items()
        if field != "type" and (field not in usual or value != usual[field])
    }
    return {"name": kind, **({"config": settings} if settings else {})}


def _wrong(path: Path, message: str) -> InvalidRequest:
    return refusal([Problem(path=path, message=message)])
