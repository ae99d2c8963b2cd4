"""Models that say what an API takes and answers: nothing is built before the document is asked for."""

import subprocess
import sys
from typing import Generic, TypeVar

from pydantic import Field

from conduit_local.http.shape import Shape

T = TypeVar("T")


class Base(Shape):
    """A base."""

    name: str
    """Of the base."""
    kept: int = Field(default=1, description="given")
    """Not this one."""


class Derived(Base):
    """Derived."""

    name: str
    """Of the derived one."""
    renamed: str = Field(alias="Renamed")
    """Under
    its alias."""
    bare: bool


class Box(Shape, Generic[T]):
    """Anything."""

    inside: T
    """What is in it."""


def descriptions(model: type[Shape]) -> dict[str, str | None]:
    return {name: shown.get("description") for name, shown in model.model_json_schema()["properties"].items()}


def test_a_text_below_a_field_describes_it() -> None:
    assert descriptions(Base) == {"name": "Of the base.", "kept": "given"}
    assert descriptions(Derived) == {
        "name": "Of the derived one.",
        "kept": "given",
        "Renamed": "Under\nits alias.",
        "bare": None,
    }
    assert descriptions(Box[int]) == {"inside": "What is in it."}


def test_a_start_builds_hardly_a_model_that_the_document_needs() -> None:
    program = (
        "import conduit_local.app\n"
        "from conduit_local.http.shape import Shape\n"
        "def below(kind):\n"
        "    for one in kind.__subclasses__():\n"
        "        yield one\n"
        "        yield from below(one)\n"
        "models = list(below(Shape))\n"
        "print(len(models), sum(one.__pydantic_complete__ for one in models))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, built = map(int, done.stdout.split())
    assert count > 70
    assert built < 10
