"""Which kinds of components there are, and the full model of a pipeline's configuration made out of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, create_model

from conduit_local.core.problems import problems_of, refusal
from conduit_local.core.spec import Component, DestinationSpec, PipelineSpec

RESERVED_NAMES = frozenset({"runs"})

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ID = re.compile(r"pl_[a-z0-9]{1,32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kinds:
    """The components that there are: their `type` and the model of their settings."""

    sources: Mapping[str, type[Component]]
    transforms: Mapping[str, type[Component]]
    destinations: Mapping[str, type[DestinationSpec]]


def spec_model(kinds: Kinds) -> type[PipelineSpec]:
    """`PipelineSpec` with its components narrowed to `kinds`; the first destination kind is the default one."""
    default = next(iter(kinds.destinations))
    destinations: Any = Annotated[_list_of("destination", kinds.destinations), BeforeValidator(_with_names)]
    model = create_model(
        "Pipeline",
        __base__=PipelineSpec,
        __doc__=PipelineSpec.__doc__,
        name=(Annotated[str, BeforeValidator(_checked(check_name))], ...),
        id=(Annotated[str | None, BeforeValidator(_checked(check_public_id))], None),
        sources=(_list_of("source", kinds.sources), ()),
        transforms=(_list_of("transform", kinds.transforms), ()),
        destinations=(destinations, Field(default=[{"type": default}], validate_default=True)),
    )
    return cast("type[PipelineSpec]", model)


def parse_spec(document: object, model: type[PipelineSpec]) -> PipelineSpec:
    """The configuration in `document`. Raises: InvalidRequest with every problem found."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise refusal(problems_of(error, model)) from None


def patched_spec(spec: PipelineSpec, changes: Mapping[str, Any], model: type[PipelineSpec]) -> PipelineSpec:
    """`spec` with `changes` merged in, mapping by mapping. Raises: InvalidRequest with every problem found."""
    return parse_spec(_merged(spec.model_dump(mode="json", serialize_as_any=True), changes), model)


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **old,
        **{
            name: _merged(old[name], value)
            if isinstance(value, Mapping) and isinstance(old.get(name), Mapping)
            else value
            for name, value in changes.items()
        },
    }


def _checked(check: Any) -> Any:
    def validate(value: object) -> object:
        return check(value) if isinstance(value, str) else value

    return validate


def _list_of(role: str, kinds: Mapping[str, type[Component]]) -> Any:
    """A list of any of `kinds`, told apart by `type`."""

    def of_a_kind(value: object) -> object:
        kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        if isinstance(value, Mapping) and not isinstance(kind, str):
            raise ValueError(f"needs a type; this version has {known}")
        if isinstance(kind, str) and kind not in kinds:
            raise ValueError(f"this version has no {role} of type {kind!r}; it has {known}")
        return value

    known = ", ".join(kinds) or f"no {role}s yet: leave the list empty"
    if not kinds:
        item: Any = Component
    elif len(kinds) == 1:
        item = next(iter(kinds.values()))
    else:
        branches = tuple(Annotated[model, Tag(f"={kind}")] for kind, model in kinds.items())
        item = Annotated[Union[branches], Discriminator(_tag_of)]  # noqa: UP007
    return tuple[Annotated[item, BeforeValidator(of_a_kind)], ...]


def _tag_of(value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return f"={kind}"


def _with_names(value: object) -> object:
    """Gives each destination that has no name its type, numbered where that is taken."""
    if not isinstance(value, list | tuple):
        return value
    if not value:
        raise ValueError("needs at least one destination; leave the field out for files in the folder `out`")
    named: list[object] = []
    taken = {str(entry["name"]) for entry in value if isinstance(entry, Mapping) and entry.get("name")}
    used: set[str] = set()
    for entry in value:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
            named.append(entry)
            continue
        name = entry.get("name")
        if not name:
            name, count = entry["type"], 1
            while name in taken:
                count += 1
                name = f"{entry['type']}-{count}"
            taken.add(name)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"destination name {name!r} must be 1 to 63 lowercase letters, digits, _ or -")
        if name in used:
            raise ValueError(f"two destinations are named {name!r}")
        used.add(name)
        named.append({**entry, "name": name})
    return named


def check_name(name: str) -> str:
    """The name itself. Raises: ValueError when it cannot be a pipeline's name."""
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is reserved")
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 63 lowercase letters, digits, _ or -, and begin with a letter or digit")
    if _ID.fullmatch(name) or _UUID.fullmatch(name):
        raise ValueError("must not look like an id (pl_… or a UUID)")
    return name


def check_public_id(public_id: str | None) -> str | None:
    """The id itself. Raises: ValueError when it cannot be a pipeline's id."""
    if public_id is not None and not _ID.fullmatch(public_id):
        raise ValueError("must be pl_ and 1 to 32 lowercase letters or digits, like pl_8f3a")
    return public_id
