"""The models that only say what an API takes and answers."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler


class Shape(BaseModel):
    """
    A body, as the OpenAPI document shows it; a text below a field describes the field.

    Nothing is built, and no text read, before somebody asks for the document: done when they are imported, the models
    of all APIs cost every start 140 ms.
    """

    model_config = ConfigDict(defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema, its fields described."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in dict(_texts(cls)).items():
            field = cls.model_fields[name]
            for key in (name, field.alias, field.serialization_alias):
                if key in properties:
                    properties[key].setdefault("description", text)
        return schema


def _texts(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The fields that have a text below them, those of base classes first."""
    for base in reversed(model.__mro__):
        if issubclass(base, Shape) and base is not Shape and _is_written_down(base):
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(body, ast.ClassDef)
            for field, below in zip(body.body, body.body[1:], strict=False):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        yield name, inspect.cleandoc(text)


def _is_written_down(model: type[BaseModel]) -> bool:
    """Whether it stands in a module; `create_model` makes others, and so does `Generic[…]`."""
    return getattr(inspect.getmodule(model), model.__name__, None) is model
