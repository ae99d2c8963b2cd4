"""
S3's destinations: bytes <-> core. Pure.

A destination is a route: it is known by the route's name, which never changes, and shown under a UUID made of it. A
`destination_type` that is not built in is a connector, kept with whatever settings it takes.

Source: S3.2, S3.3, S3.5.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from conduit_local.core.errors import Conflict, DestinationNotFound, Invalid
from conduit_local.core.ids import part_uuid
from conduit_local.core.names import slug_of
from conduit_local.core.pipeline import Pipeline
from conduit_local.core.problems import Path, Problem, problems_of, refusal
from conduit_local.core.secrets import REDACTED
from conduit_local.core.spec import OVERRIDES, DestinationSpec, without_unset
from conduit_local.destinations.absent import ConnectorSpec
from conduit_local.destinations.kinds import DESTINATIONS
from conduit_local.dialects.s3.models import DestinationChange, NewDestination
from conduit_local.http.decode import validated

Document = dict[str, Any]

_CONNECTOR: Final = "connector"
_BUILT_IN = {name: model for name, model in DESTINATIONS.items() if name != _CONNECTOR}
_OWN = {
    "type": "is destination_type here",
    "name": "is destination_name here",
    "title": "is destination_name here",
    "paused": "is destination_status here",
}
"""What every destination has beside its own settings, and how this API calls it."""


# Asked -------------------------------------------------------------------------------------------------------


def decode_destination(document: object) -> NewDestination:
    """A destination to make. Raises: Invalid, with every problem."""
    found: list[Problem] = config_problems(document)
    try:
        asked = validated(document, NewDestination)
    except Invalid as error:
        raise refusal([*error.problems, *found]) from None
    if found:
        raise refusal(found)
    return asked


def config_problems(document: object, at: Path = ()) -> list[Problem]:
    """What is wrong with the settings of a destination to make, whatever else is wrong with it."""
    if not isinstance(document, Mapping):
        return []
    kind, config = document.get("destination_type"), document.get("destination_config")
    if not isinstance(kind, str) or not isinstance(config, Mapping):
        return []
    return [*_setting_problems(kind, config, at), *_placeholders(config, {}, (*at, "destination_config"))]


def new_document(asked: NewDestination, taken: Collection[str]) -> Document:
    """The configuration of a new destination; its name is none of those `taken`."""
    label = asked.destination_name or asked.destination_type
    name = slug_of(label, lambda free: free not in taken, "destination")
    return {
        **_settings(asked.destination_type, asked.destination_config),
        "name": name,
        "title": asked.destination_name if asked.destination_name != name else None,
        "paused": asked.destination_status == "blocked",
    }


def changed_document(old: Document, change: DestinationChange) -> Document:
    """
    The configuration of a destination, secrets redacted, with `change` in it.

    Raises: InvalidRequest when its settings are then wrong.
    """
    asked = change.model_dump(exclude_unset=True)
    new = dict(old)
    if "destination_status" in asked:
        new["paused"] = asked["destination_status"] == "blocked"
    if "destination_name" in asked:
        new["title"] = asked["destination_name"] if asked["destination_name"] != old["name"] else None
    old_kind, old_config = _kind_of(old), _config_of(old)
    kind = asked.get("destination_type", old_kind)
    changes = asked.get("destination_config", {})
    if kind == old_kind and not changes:
        return new
    shown = old_config if kind == old_kind else {}
    config = _merged(shown, changes)
    problems = [*_setting_problems(kind, config, ()), *_placeholders(config, shown, ("destination_config",))]
    if problems:
        raise refusal(problems)
    return {**_settings(kind, config), **{name: new[name] for name in ("name", "title", "paused")}}


def place_of(documents: list[Document], owner: str, ref: str) -> int:
    """Where in `documents` the destination stands, by id or name. Raises: DestinationNotFound."""
    for place, document in enumerate(documents):
        if ref == document["name"] or ref.lower() == _id(owner, document["name"]):
            return place
    raise DestinationNotFound(f"the pipe has no destination {ref[:80]!r}")


def without(documents: list[Document], place: int) -> list[Document]:
    """All destinations but one. Raises: Conflict when none would be left."""
    if len(documents) == 1:
        raise Conflict("a pipe keeps one destination at least; add another before removing this one")
    return documents[:place] + documents[place + 1 :]


# Told --------------------------------------------------------------------------------------------------------


def encode_destination(pipeline: Pipeline, spec: DestinationSpec) -> Document:
    """A destination, secrets redacted (S3.2, S3.3)."""
    document = spec.model_dump(mode="json")
    return {
        "destination_id": _id(pipeline.uuid, spec.name),
        "destination_name": spec.title or spec.name,
        "destination_type": _kind_of(document),
        "destination_config": _config_of(document),
        "destination_status": "blocked" if spec.paused else "active",
    }


def find(pipeline: Pipeline, ref: str) -> DestinationSpec:
    """A pipe's destination by id or name. Raises: DestinationNotFound."""
    specs = pipeline.spec.destinations
    return specs[place_of([{"name": spec.name} for spec in specs], pipeline.uuid, ref)]


# --------------------------------------------------------------------------------------------------------------


def _id(owner: str, name: str) -> str:
    return part_uuid(owner, "destination", name)


def _kind_of(document: Document) -> str:
    return str(document["connector"] if document["type"] == _CONNECTOR else document["type"])


def _config_of(document: Document) -> Document:
    """Its own settings; none where they are sealed under a key that is not here."""
    if document["type"] == _CONNECTOR:
        return dict(document["config"]) if isinstance(document["config"], Mapping) else {}
    return without_unset({name: value for name, value in document.items() if name not in _OWN})


def _settings(kind: str, config: Mapping[str, Any]) -> Document:
    """The settings of a destination of that type, as the configuration has them."""
    if kind in _BUILT_IN:
        return {**config, "type": kind}
    return {"type": _CONNECTOR, "connector": kind, "config": dict(config)}


def _setting_problems(kind: str, config: Mapping[str, Any], at: Path) -> Iterator[Problem]:
    if kind not in _BUILT_IN:
        return
    at = (*at, "destination_config")
    for name in _OWN.keys() & config.keys():
        yield Problem(path=(*at, name), message=_OWN[name])
    own = {name: value for name, value in config.items() if name not in _OWN}
    model = _BUILT_IN[kind]
    try:
        model.model_validate({**own, "type": kind})
    except ValidationError as error:
        for problem in problems_of(error, model):
            yield Problem(path=(*at, *problem.path), message=problem.message)


def _placeholders(new: object, shown: object, at: Path) -> Iterator[Problem]:
    """Where `[redacted]` stands and no secret was shown so: it would become the secret."""
    if new == REDACTED and shown != REDACTED:
        yield Problem(path=at, message=f"{REDACTED} stands for a secret that there is not; send the secret itself")
    elif isinstance(new, Mapping):
        for name, value in new.items():
            yield from _placeholders(value, shown.get(name) if isinstance(shown, Mapping) else None, (*at, name))
    elif isinstance(new, list):
        for place, value in enumerate(new):
            same = isinstance(shown, list) and place < len(shown)
            yield from _placeholders(value, shown[place] if same and isinstance(shown, list) else None, (*at, place))


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> Document:
    """As RFC 7396 merges: mapping by mapping, `null` drops."""
    found = dict(old)
    for name, value in changes.items():
        before = found.get(name)
        if value is None:
            found.pop(name, None)
        elif isinstance(value, Mapping):
            found[name] = _merged(before if isinstance(before, Mapping) else {}, value)
        else:
            found[name] = value
    return found


assert {*_OWN, *OVERRIDES} == set(ConnectorSpec.model_fields) - {"connector", "config"}, (
    "a destination has a setting that this API has no word for"
)
