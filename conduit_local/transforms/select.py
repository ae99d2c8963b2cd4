"""`select`: takes columns, and fields out of the payload."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from conduit_local.transforms.paths import (
    EACH,
    check_column,
    check_not_empty,
    check_path,
    json_path,
    parse_path,
    quoted_name,
)
from conduit_local.transforms.transform import Transform, Variables, generated

_Path = Annotated[str, AfterValidator(check_path)]
_Column = Annotated[str, AfterValidator(check_column)]


def _one_name_each(
    fields: tuple[str, ...] | Mapping[str, str],
) -> tuple[str, ...] | Mapping[str, str]:
    seen: set[str] = set()
    for name, path in _pairs(fields):
        if EACH in parse_path(path).steps:
            raise ValueError(f"{path}: [*] can only be masked; use a sql transform to take lists apart")
        if name.lower() in seen:
            raise ValueError(f"two fields would be called {name!r}; write a mapping, new_name: path")
        seen.add(name.lower())
    return fields


def _pairs(fields: tuple[str, ...] | Mapping[str, str]) -> list[tuple[str, str]]:
    """Each new name, and the path to what it names."""
    if isinstance(fields, Mapping):
        return list(fields.items())
    return [(parse_path(path).name, path) for path in fields]


class SelectTransform(Transform):
    """Takes the columns, and the fields of the payload, that are named, in that order; all else is left out."""

    type: Literal["select"] = "select"
    fields: Annotated[
        Annotated[tuple[_Path, ...], Field(max_length=1_000), Tag("=list")]
        | Annotated[Mapping[_Column, _Path], Field(max_length=1_000), Tag("=mapping")],
        Discriminator(lambda fields: "=mapping" if isinstance(fields, Mapping) else "=list"),
        BeforeValidator(check_not_empty),
        AfterValidator(_one_name_each),
    ]
    """Paths like `event_id` and `payload.order.id` (which becomes the column `id`), or a mapping `new_name: path`. A
    field of the payload comes out as JSON, numbers as they were written; NULL where an event does not have it."""

    def compiled(self, variables: Variables) -> str:
        """`Transform.compiled`."""
        taken = ", ".join(f"{_taken(path)} AS {quoted_name(name)}" for name, path in _pairs(self.fields))
        return generated("select", f"SELECT {taken} FROM events")


def _taken(text: str) -> str:
    path = parse_path(text)
    column = quoted_name(path.column)
    return f"exact_extract({column}::JSON, {json_path(path.steps)})" if path.steps else column
