"""
YAML documents, with the line of every field.

YAML 1.2's core schema: `on` and `yes` are text, dates are text. Duplicate keys, tags and runaway aliases are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conduit_local.core.problems import Path as FieldPath
from conduit_local.core.problems import Problem

MAX_FILE_BYTES = 1_048_576
MAX_NODES = 20_000
MAX_DEPTH = 50

_CORE = "tag:yaml.org,2002:"
_COLLECTIONS = {_CORE + "map", _CORE + "seq"}
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


class _Loader(yaml.CSafeLoader):
    """libyaml's parser with the resolvers of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - pyyaml's way


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
):
    _Loader.add_implicit_resolver(
        _CORE + _tag, re.compile(_pattern), [*_first] if _first != "~nN\0" else ["~", "n", "N", ""]
    )


def read_document(path: Path, name: str, environment: Mapping[str, str]) -> Document:
    """
    The document in `path`, called `name` in messages; `${NAME}` and `${NAME:-default}` are taken from `environment`.

    Raises: DocumentError when the file cannot be read, is not YAML, or names a variable that is not set.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_FILE_BYTES:
            raise _error(name, None, f"is larger than {MAX_FILE_BYTES:,} bytes")
        node = yaml.compose(content.decode(), Loader=_Loader)
    except OSError as error:
        raise _error(name, None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _error(name, content.count(b"\n", 0, error.start) + 1, "is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = _line_of(error, len(content.splitlines()))
        raise _error(name, line, f"is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _error(name, None, f"is not YAML: {error}") from error
    builder = _Builder(name, environment)
    value = builder.build(node, (), 0) if node is not None else None
    return Document(file=name, value=value, lines=builder.lines)


class _Builder:
    """Values out of nodes."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._environment = environment
        self._nodes = 0
        self.lines: dict[FieldPath, int] = {}

    def build(self, node: yaml.Node, path: FieldPath, depth: int) -> Any:
        """The value of `node`, which stands at `path`. An alias counts each time it is used."""
        line = node.start_mark.line + 1
        self.lines[path] = line
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise _error(self._name, line, "is too large once its aliases are written out")
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            raise _error(self._name, line, f"the tag {node.tag!r} is not known here")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path, depth)
            case yaml.SequenceNode():
                return [self.build(item, (*path, place), depth + 1) for place, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, line)
        raise _error(self._name, line, "is not a value")

    def _mapping(self, node: yaml.MappingNode, path: FieldPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _error(self._name, line, "a key must be plain text")
            key = str(key_node.value)
            if key in found:
                raise _error(self._name, line, f"the key {key!r} stands here twice")
            found[key] = self.build(value_node, (*path, key), depth + 1)
            self.lines[*path, key] = line
        return found

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        text = str(node.value)
        match str(node.tag).removeprefix(_CORE):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
            case "float":
                return float(text)
            case "str":
                return self._with_variables(text, line)
            case tag:
                raise _error(self._name, line, f"the tag {tag!r} is not known here")

    def _with_variables(self, text: str, line: int) -> str:
        def value(match: re.Match[str]) -> str:
            if match[0] == "$$":
                return "$"
            found = self._environment.get(match[1], match[2])
            if found is None:
                raise _error(
                    self._name, line, f"the environment has no {match[1]}; set it, or write ${{{match[1]}:-default}}"
                )
            return found

        return _VARIABLE.sub(value, text)


def _line_of(error: yaml.MarkedYAMLError, last: int) -> int | None:
    """Where to look: where it went wrong, or, when that is the end of the file, where what is open there began."""
    mark = error.problem_mark or error.context_mark
    if mark is not None and mark.line >= last and error.context_mark is not None:
        mark = error.context_mark
    return min(mark.line + 1, last) if mark is not None else None


def _error(name: str, line: int | None, message: str) -> DocumentError:
    return DocumentError(FileProblem(file=name, line=line, field="", message=message))
