"""`rename`: gives columns other names."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from conduit_local.transforms.paths import check_column, check_not_empty, quoted_name
from conduit_local.transforms.transform import Transform, Variables, generated


def _column_to_rename(name: str) -> str:
    if name.startswith("payload."):
        raise ValueError(f"{name} is a field of the payload, not a column; use select: {{new_name: {name}}}")
    return check_column(name)


def _one_name_each(fields: Mapping[str, str]) -> Mapping[str, str]:
    names = [name.lower() for name in fields.values()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns would be called {twice!r}")
    return fields


class RenameTransform(Transform):
    """Gives columns other names; their order, and all other columns, stay as they are."""

    type: Literal["rename"] = "rename"
    fields: Annotated[
        Mapping[Annotated[str, AfterValidator(_column_to_rename)], Annotated[str, AfterValidator(check_column)]],
        Field(max_length=1_000),
        BeforeValidator(check_not_empty),
        AfterValidator(_one_name_each),
    ]
    """`old_name: new_name`, columns of what the step before made."""

    def compiled(self, variables: Variables) -> str:
        """`Transform.compiled`; RENAME itself passes over names that are not there, the condition does not."""
        renamed = ", ".join(f"{quoted_name(old)} AS {quoted_name(new)}" for old, new in self.fields.items())
        there = " AND ".join(f"events.{quoted_name(old)} IS NULL" for old in self.fields)
        return generated("rename", f"SELECT * RENAME ({renamed}) FROM events WHERE ({there}) OR true")
