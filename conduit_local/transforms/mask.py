"""`mask`: covers what should not be seen."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from conduit_local.transforms.paths import EACH, Step, check_not_empty, json_path, parse_path, quoted_name, quoted_text
from conduit_local.transforms.transform import Transform, Variables, generated


def _maskable(field: str) -> str:
    if any(isinstance(step, int) for step in parse_path(field).steps):
        raise ValueError(f"{field}: a single item of a list cannot be masked; write [*] for all of them")
    return field


class MaskTransform(Transform):
    """Puts a text in the place of fields, at any depth; an event that does not have a field is left as it is."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["mask"] = "mask"
    fields: Annotated[
        tuple[Annotated[str, AfterValidator(_maskable)], ...], Field(max_length=100), BeforeValidator(check_not_empty)
    ]
    """Paths like `payload.email`, `payload.customer.phone`, `payload.items[*].note` (in each item of a list), or a
    column. In a payload that has the field, its key, and the keys that lead to it, go to the end of their objects; of
    a key that stands there twice one is kept; all values stay, numbers as they were written."""
    with_: Annotated[str, Field(alias="with", max_length=1_000)] = "***"
    """What is put there instead."""

    def compiled(self, variables: Variables) -> str:
        """`Transform.compiled`: a query around a query for each field, since each reads its document thrice."""
        text = variables.in_text("with", self.with_)
        source = "events"
        for number, field in enumerate(self.fields):
            path = parse_path(field)
            column = quoted_name(path.column)
            masked = _in_document(f"{column}::JSON", path.steps, text) if path.steps else _in_column(column, text)
            source = f"(SELECT * REPLACE ({masked} AS {column}) FROM {source}) AS masked_{number}"
        return generated("mask", f"SELECT * FROM {source}")


def _in_column(column: str, text: str) -> str:
    return f"CASE WHEN {column} IS NOT NULL THEN {quoted_text(text)} END"


def _in_document(document: str, steps: tuple[Step, ...], text: str) -> str:
    """Numbers are texts for as long as the JSON functions have the document: they would write them anew."""
    patched = _patched(f"exact_before({document})", steps, text, 0)
    return f"CASE WHEN {_has(document, steps)} THEN exact_after({document}, {patched}) ELSE {document} END"


def _has(document: str, steps: tuple[Step, ...]) -> str:
    """Whether there is something to mask: the field, or the list on the way to it."""
    keys, beyond = _split(steps)
    if beyond is None:
        return f"json_exists({document}, {json_path(keys)})"
    return f"json_type({document}, {json_path(keys)}) = 'ARRAY'"


def _patched(document: str, steps: tuple[Step, ...], text: str, depth: int) -> str:
    """`document`, which has the field, with `text` in its place; `depth` tells the lambdas' names apart."""
    keys, beyond = _split(steps)
    if beyond is None:
        return f"json_merge_patch({document}, {quoted_text(json.dumps(_nested(keys, text), ensure_ascii=False))})"
    item = f"item_{depth}"
    masked = f"{quoted_text(json.dumps(text, ensure_ascii=False))}::JSON"
    if beyond:
        masked = f"CASE WHEN {_has(item, beyond)} THEN {_patched(item, beyond, text, depth + 1)} ELSE {item} END"
    items = f"json_extract(json_extract({document}, {json_path(keys)}), '$[*]')"
    patch = f"to_json(list_transform({items}, lambda {item}: {masked}))"
    for key in reversed(keys):
        patch = f"json_object({quoted_text(str(key))}, {patch})"
    return f"json_merge_patch({document}, {patch})" if keys else patch


def _split(steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...] | None]:
    """The keys up to the first list, and the steps in its items; None when there is no list."""
    if EACH not in steps:
        return steps, None
    place = steps.index(EACH)
    return steps[:place], steps[place + 1 :]


def _nested(keys: tuple[Step, ...], text: str) -> Any:
    nested: Any = text
    for key in reversed(keys):
        nested = {str(key): nested}
    return nested
