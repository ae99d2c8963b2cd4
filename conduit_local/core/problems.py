"""What is wrong with a configuration or a request body, field by field and in plain words."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from conduit_local.core.errors import InvalidRequest

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what would be right."""

    path: Path
    message: str

    @property
    def field(self) -> str:
        """The path as people write it: `destinations[0].path`."""
        text = ""
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
        return text

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.path else self.message


def refusal(problems: Sequence[Problem]) -> InvalidRequest:
    """The error that carries `problems` (at least one); its message is the first, and how many more there are."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidRequest(f"{problems[0]}{more}", problems=problems)


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """A pydantic error in our words; `model` is asked which fields it knows."""
    found: dict[Path, Problem] = {}
    for details in error.errors(include_url=False):
        path = tuple(step for step in details["loc"] if not _is_tag(step))
        found.setdefault(path, Problem(path=path, message=_worded(details, model)))
    return list(found.values())


def _is_tag(step: int | str) -> bool:
    """pydantic puts the branch of a union in the path (`destinations.0.=files.path`); people did not write that."""
    return isinstance(step, str) and step.startswith("=")


def _worded(details: ErrorDetails, model: type[BaseModel]) -> str:
    context = details.get("ctx", {})
    given = details.get("input")
    match details["type"]:
        case "extra_forbidden":
            return _unknown(details["loc"], model)
        case "missing":
            return "is required"
        case "value_error":
            return str(context.get("error", details["msg"]))
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping, not {_shown(given)}"
        case "list_type" | "tuple_type":
            return f"must be a list, not {_shown(given)}"
        case "too_short":
            return f"must hold at least {context.get('min_length')}, not {context.get('actual_length')}"
        case "too_long":
            return f"must hold at most {context.get('max_length')}, not {context.get('actual_length')}"
        case "string_type":
            return f"must be text, not {_shown(given)}; put it in quotes"
        case "literal_error" | "enum":
            return f"must be {context.get('expected')}, not {_shown(given)}"
        case "greater_than_equal":
            return f"must be at least {context.get('ge')}, not {_shown(given)}"
        case "less_than_equal":
            return f"must be at most {context.get('le')}, not {_shown(given)}"
        case _:
            message = details["msg"]
            return f"{message[0].lower()}{message[1:]}, not {_shown(given)}"


def _unknown(path: Path, model: type[BaseModel]) -> str:
    known = sorted(_fields_at(path[:-1], model))
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown field; {hint}known here: {', '.join(known)}" if known else "unknown field"


def _fields_at(path: Iterable[str | int], model: type[BaseModel]) -> set[str]:
    """The names of all fields that the models at `path` take; a step `=files` picks the branch of that type."""
    models = {model}
    for step in path:
        if isinstance(step, int):
            continue
        if _is_tag(step):
            models = {found for found in models if step[1:] in get_args(found.model_fields["type"].annotation)}
        else:
            models = {
                inner
                for outer in models
                for name, field in outer.model_fields.items()
                if step in {name, field.alias}
                for inner in _models_in(field)
            }
    return {field.alias or name for found in models for name, field in found.model_fields.items()}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, FieldInfo):
        annotation = annotation.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for part in get_args(annotation) for found in _models_in(part)}


def _shown(given: object) -> str:
    text = {True: "true", False: "false", None: "null"}.get(given) if given is None or isinstance(given, bool) else None
    if text is None:
        match given:
            case dict():
                text = "a mapping"
            case list() | tuple():
                text = "a list"
            case _:
                text = repr(given)
    return text if len(text) <= 60 else text[:59] + "…"
