"""Which kinds of components there are, and the full model of a pipeline's configuration made out of them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, create_model

from conduit_local.core.kept_secrets import with_kept_secrets
from conduit_local.core.names import check_name, check_public_id
from conduit_local.core.problems import problems_of, refusal
from conduit_local.core.secrets import REVEAL, as_dumped
from conduit_local.core.spec import Component, DestinationSpec, PipelineSpec

_ROUTE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


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


def parse_spec(document: object, model: type[PipelineSpec], context: Mapping[str, Any] | None = None) -> PipelineSpec:
    """
    The configuration in `document`; `context` says how secrets in it are written (`core.secrets`).

    Raises: InvalidRequest with every problem found.
    """
    try:
        return model.model_validate(document, context=dict(context) if context else None)
    except ValidationError as error:
        raise refusal(problems_of(error, model)) from None


def edited_spec(
    spec: PipelineSpec, edit: Callable[[dict[str, Any]], dict[str, Any]], model: type[PipelineSpec]
) -> PipelineSpec:
    """
    What becomes of `spec` when its document, secrets shown as `[redacted]`, is edited.

    A secret that comes back as it was shown, or as an empty text, stays what it was (S3.3), unless it would go to
    another server then.

    Raises: InvalidRequest with every problem found.
    """
    shown = document_of(spec)
    edited = edit(document_of(spec))
    whole = spec.model_dump(mode="json", serialize_as_any=True, context=REVEAL)
    return parse_spec(with_kept_secrets(edited, shown, whole), model, as_dumped(whole))


def patched_spec(spec: PipelineSpec, changes: Mapping[str, Any], model: type[PipelineSpec]) -> PipelineSpec:
    """`spec` with `changes` merged in, mapping by mapping. Raises: InvalidRequest with every problem found."""
    return edited_spec(spec, lambda document: _merged(document, changes), model)


def document_of(spec: PipelineSpec) -> dict[str, Any]:
    """The configuration as people write it, secrets redacted."""
    return spec.model_dump(mode="json", serialize_as_any=True)


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
        item = Annotated[Union[branches], Discriminator(_tag_of)]  # noqa: UP007 - how many there are is known here only
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
        if not isinstance(name, str) or not _ROUTE_NAME.fullmatch(name):
            raise ValueError(f"destination name {name!r} must be 1 to 63 lowercase letters, digits, _ or -")
        if name in used:
            raise ValueError(f"two destinations are named {name!r}")
        used.add(name)
        named.append({**entry, "name": name})
    return named
