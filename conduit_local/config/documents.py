"""Configuration files: YAML, with the line of every field, and variables out of the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conduit_local.core.problems import Path as FieldPath
from conduit_local.core.problems import Problem
from conduit_local.formats.yaml_text import YamlError, read_yaml

MAX_FILE_BYTES = 1_048_576

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileProblem:
    """Something wrong in a file: where, and what would be right."""

    file: str
    line: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class DocumentError(Exception):
    """The file is not a document at all; `problem` says why."""

    def __init__(self, problem: FileProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a file says, and on which line it says it."""

    file: str
    value: Any
    lines: Mapping[FieldPath, int]

    def problem(self, problem: Problem) -> FileProblem:
        """A problem with a field, at the line of that field or of the nearest one around it."""
        path = problem.path
        while path and path not in self.lines:
            path = path[:-1]
        return FileProblem(file=self.file, line=self.lines.get(path), field=problem.field, message=problem.message)


def read_document(path: Path, name: str, environment: Mapping[str, str], *, declares: str | None = None) -> Document:
    """
    The document in `path`, called `name` in messages; `${NAME}` and `${NAME:-default}` are taken from `environment`.

    Names that the document itself declares, in its mapping `declares`, are left as they stand.

    Raises: DocumentError when the file cannot be read, is not YAML, or names a variable that is not set.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _error(name, None, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _error(name, None, f"is larger than {MAX_FILE_BYTES:,} bytes")
    try:
        if declares is not None:
            environment = {**environment, **_declared(read_yaml(content, lambda text, _: text).value, declares)}
        found = read_yaml(content, lambda text, line: _with_variables(text, line, environment))
    except YamlError as error:
        raise _error(name, error.line, error.message) from error
    return Document(file=name, value=found.value, lines=found.lines)


def _declared(value: object, field: str) -> dict[str, str]:
    names = value.get(field) if isinstance(value, dict) else None
    return {str(name): f"${{{name}}}" for name in names} if isinstance(names, dict) else {}


def _with_variables(text: str, line: int, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        found: str | None = environment.get(match[1], match[2])
        if found is None:
            said = f"the environment has no {match[1]}; set it, or write ${{{match[1]}:-default}}"
            raise YamlError(said, line)
        return found

    return _VARIABLE.sub(value, text)


def _error(name: str, line: int | None, message: str) -> DocumentError:
    return DocumentError(FileProblem(file=name, line=line, field="", message=message))
