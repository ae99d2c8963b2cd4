"""
YAML text to plain values, strictly, with the line of every field.

YAML 1.2's core schema: `on` and `yes` are text, dates are text. Duplicate keys, tags and runaway aliases are refused.
Read event by event: what composes whole trees recurses in C, and 100,000 open brackets end the process.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from conduit_local.core.event import MAX_DEPTH
from conduit_local.core.problems import Path

MAX_NODES = 20_000
MAX_CHARS = 1_048_576
"""Of all texts, each alias written out."""

_CORE = "tag:yaml.org,2002:"
_TOO_LARGE = f"is too large once its aliases are written out: at most {MAX_NODES:,} values and {MAX_CHARS:,} characters"
_TAG_LINE = re.compile(rb"^%TAG\b", re.MULTILINE)
_PLAIN: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("null", re.compile(r"~|null|Null|NULL|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    ("float", re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")),
    ("str", re.compile(r".*", re.DOTALL)),
)
"""What a scalar without quotes is, by the first pattern that fits."""

Edit = Callable[[str, int], str]
"""What becomes of a text that stands on a line."""


class YamlError(Exception):
    """It is no document; `message` says why, `line` where, as far as that is known."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, kw_only=True, slots=True)
class YamlText:
    """What a text says, and on which line it says it; what stands below an alias has the line of the alias."""

    value: Any
    lines: Mapping[Path, int]


def read_yaml(content: bytes, edit: Edit = lambda text, _line: text) -> YamlText:
    """
    The one document in `content`; None where it is empty. `edit` is given every text that is a value.

    Shape:  at most 20,000 values and 1,048,576 characters once aliases are written out, nested at most 100 deep.
    Raises: YamlError.
    """
    directive = _TAG_LINE.search(content)
    if directive is not None:  # libyaml compares each with all before it: 30,000 of them take seconds
        raise YamlError("tags are not known here", content.count(b"\n", 0, directive.start()) + 1)
    try:
        text = content.decode()
        reader = _Reader(yaml.parse(text, Loader=yaml.CSafeLoader), edit)
        value = reader.document()
    except UnicodeDecodeError as error:
        raise YamlError("is not UTF-8", content.count(b"\n", 0, error.start) + 1) from error
    except yaml.MarkedYAMLError as error:
        line = _line_of(error, len(content.splitlines()))
        raise YamlError(f"is not YAML: {error.problem or error.context}", line) from error
    except yaml.reader.ReaderError as error:
        raise YamlError(f"is not YAML: {error.reason}", content.count(b"\n", 0, error.position) + 1) from error
    return YamlText(value=value, lines=reader.lines)


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an anchor names, and how much it is."""

    value: Any
    nodes: int
    chars: int
    depth: int


class _Reader:
    """Values out of events."""

    def __init__(self, events: Iterator[yaml.Event], edit: Edit) -> None:
        self._events = events
        self._edit = edit
        self._nodes = 0
        self._chars = 0
        self._deepest = 0
        self._anchors: dict[str, _Anchored] = {}
        self.lines: dict[Path, int] = {}

    def document(self) -> Any:
        """The value of the whole stream."""
        value: Any = None
        documents = 0
        for event in self._events:
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise YamlError("is not YAML: a second document begins here", _line(event))
                    value = self._value(next(self._events), (), 0)
                case _:
                    pass
        return value

    def _value(self, event: yaml.Event, path: Path, depth: int) -> Any:
        """What begins with `event` and stands at `path`."""
        line = _line(event)
        self.lines[path] = line
        nodes, chars, deepest = self._nodes, self._chars, self._deepest
        self._deepest = depth
        self._add(1, 0, line)
        match event:
            case yaml.AliasEvent():
                value = self._alias(event, depth, line)
            case yaml.ScalarEvent():
                value = self._scalar(event, line)
            case yaml.MappingStartEvent():
                _require_core(event, "map", line)
                self._enter(depth + 1, line)
                value = self._mapping(path, depth + 1)
            case yaml.SequenceStartEvent():
                _require_core(event, "seq", line)
                self._enter(depth + 1, line)
                value = self._sequence(path, depth + 1)
            case _:
                raise YamlError("is not a value", line)
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(
                value, self._nodes - nodes, self._chars - chars, self._deepest - depth
            )
        self._deepest = max(self._deepest, deepest)
        return value

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found)), depth))
        return found

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise YamlError("a key must be plain text", line)
            key = str(event.value)
            self._add(0, len(key), line)
            _tag_of(event, line)
            if event.anchor is not None:
                self._anchors[event.anchor] = _Anchored(key, 1, len(key), 0)
            if key in found:
                raise YamlError(f"the key {key[:80]!r} stands here twice", line)
            found[key] = self._value(next(self._events), (*path, key), depth)
            self.lines[*path, key] = line
        return found

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Any:
        text = str(event.value)
        self._add(0, len(text), line)
        match _tag_of(event, line):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float" as kind:
                return _number(text, kind, line)
            case _:
                return self._edit(text, line)

    def _alias(self, event: yaml.AliasEvent, depth: int, line: int) -> Any:
        name = str(event.anchor)
        found = self._anchors.get(name)
        if found is None:
            raise YamlError(f"is not YAML: nothing before this is named &{name[:80]}", line)
        self._add(found.nodes, found.chars, line)
        self._enter(depth + found.depth, line)
        return found.value

    def _add(self, nodes: int, chars: int, line: int) -> None:
        self._nodes += nodes
        self._chars += chars
        if self._nodes > MAX_NODES or self._chars > MAX_CHARS:
            raise YamlError(_TOO_LARGE, line)

    def _enter(self, depth: int, line: int) -> None:
        """A collection whose items stand this deep."""
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            raise YamlError(f"is nested more than {MAX_DEPTH} deep", line)


def _tag_of(event: yaml.ScalarEvent, line: int) -> str:
    """What kind of value a scalar is: `null`, `bool`, `int`, `float` or `str`."""
    text = str(event.value)
    if event.tag is None and event.implicit[0]:
        return next(kind for kind, pattern in _PLAIN if pattern.fullmatch(text))
    if event.tag in {None, "!"}:
        return "str"
    kind = str(event.tag).removeprefix(_CORE)
    if kind not in dict(_PLAIN):
        raise YamlError(f"the tag {kind[:80]!r} is not known here", line)
    pattern = dict(_PLAIN)[kind]
    if not pattern.fullmatch(text):
        raise YamlError(f"{text[:80]!r} is no {kind}", line)
    return kind


def _require_core(event: yaml.CollectionStartEvent, kind: str, line: int) -> None:
    if event.tag not in {None, "!", _CORE + kind}:
        raise YamlError(f"the tag {str(event.tag)[:80]!r} is not known here", line)


def _number(text: str, kind: str, line: int) -> int | float:
    if kind == "float":
        number = float(text)
        if not math.isfinite(number):
            raise YamlError("the number is out of range", line)
        return number
    try:
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    except ValueError:  # more digits than Python reads
        raise YamlError("the number is out of range", line) from None


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark is not None else 1


def _line_of(error: yaml.MarkedYAMLError, last: int) -> int | None:
    """Where to look: where it went wrong, or, when that is the end of the text, where what is open there began."""
    mark = error.problem_mark or error.context_mark
    if mark is not None and mark.line >= last and error.context_mark is not None:
        mark = error.context_mark
    return min(mark.line + 1, last) if mark is not None else None
