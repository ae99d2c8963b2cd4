"""
Secrets inside configurations: shown as `[redacted]` unless somebody says what else is wanted.

A field of type `Secret` (text) or `SecretMap` (a whole mapping) keeps its value out of every dump, log and traceback by
default. Two contexts of pydantic's serialization ask for more: `REVEAL` for the value itself, which never leaves the
process, and `sealing(…)` for what may be kept on disk. Read back with `opening(…)`; where the key for that is missing,
the field stays sealed: it can be kept and moved, but not used.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, Final, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, SchemaSerializer, core_schema

REDACTED = "[redacted]"
SEALED = "sealed:v1:"
"""What a sealed value begins with."""
MAX_LENGTH = 65_536

REVEAL: dict[str, Any] = {"reveal": True}
"""Context for a dump that holds the secrets themselves."""

Seal = Callable[[str], str]
Open = Callable[[str], str | None]

_TELLING = re.compile(
    r"secret|passw|passphrase|token|api[_-]?key|private[_-]?key|access[_-]?key|credential|authenticat|authorization|dsn"
    r"|conn(ection)?[_-]?str|jwt|bearer|cookie|signature|(^|[_-])(key|pat|auth|pwd|pin|cert|sas|sig)([_-]|$)",
    re.IGNORECASE,
)
_WHOLLY = re.compile(r"(secret|credential|password|token)s?", re.IGNORECASE)
"""Names of mappings that hold nothing else."""
_PUBLIC = re.compile(r"(^|[_-])(public[_-]?key|key[_-]?id|token[_-]?url|type)$", re.IGNORECASE)
_SETTING = re.compile(
    r"(?:^|[?&;,\s])"
    r"(?:\w{0,20}(?:token|secret|passw(?:or)?d|pwd|signature|api[_-]?key|account ?key|access ?key)|sig)"
    r"\s?=\s?[^\s&;]",
    re.IGNORECASE,
)
"""A secret inside a text: `…?access_token=…`, `Server=db;Password=…`."""
_SPACE = re.compile(r"[?#\s]+")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")


def sealing(seal: Seal) -> dict[str, Any]:
    """Context for a dump whose secrets are sealed."""
    return {"seal": seal}


def opening(unseal: Open) -> dict[str, Any]:
    """Context for reading what was dumped so, or with `REVEAL`; `unseal` answers None where the key is missing."""
    return {"open": unseal}


class _Kept:
    """
    A value that is open, or sealed under a key that is not here.

    No dataclass on purpose: whoever encodes any dataclass by its fields would write the value down.
    """

    __slots__ = ("sealed", "text")

    __pydantic_serializer__: ClassVar[SchemaSerializer]
    """Used where a model is dumped with `serialize_as_any`, which asks the value instead of the field."""

    def __init__(self, text: str | None, sealed: str | None = None) -> None:
        """`text` is the value: text, or JSON."""
        self.text: Final = text
        self.sealed: Final = sealed

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self.text, self.sealed) == (other.text, other.sealed)

    def __hash__(self) -> int:
        return hash((self.text, self.sealed))

    @property
    def is_open(self) -> bool:
        """Whether the value can be used."""
        return self.text is not None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({REDACTED})"

    __str__ = __repr__

    @classmethod
    def _from_text(cls, text: str, context: Mapping[str, Any]) -> Self:
        unseal = context.get("open")
        if not text.startswith(SEALED):
            return cls(text)
        if unseal is None:
            raise ValueError(f"must not begin with {SEALED}")
        opened = unseal(text)
        return cls(None, text) if opened is None else cls(opened)

    def _dumped(self, context: Mapping[str, Any]) -> Any:
        if "seal" in context:
            return self.sealed if self.text is None else context["seal"](self.text)
        if "reveal" in context:
            return self.sealed if self.text is None else self._value()
        return self._redacted()

    def _value(self) -> Any:
        return self.text

    def _redacted(self) -> Any:
        return REDACTED if self.text != "" else ""


class Secret(_Kept):
    """A secret text, at most 65,536 characters."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object, info: core_schema.ValidationInfo) -> "Secret":
            if isinstance(value, Secret):
                return value
            if not isinstance(value, str) or len(value) > MAX_LENGTH:
                raise ValueError(f"must be text of at most {MAX_LENGTH:,} characters")
            return cls._from_text(value, info.context or {})

        return core_schema.with_info_plain_validator_function(read, serialization=_serialization())

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "password", "description": f"A secret; reads `{REDACTED}`."}


class SecretMap(_Kept):
    """A mapping that is sealed whole; shown with each value redacted whose name tells of a secret."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "SecretMap":
        """A mapping of JSON values. Raises: ValueError when it is too large."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if len(text) > MAX_LENGTH:
            raise ValueError(f"must be at most {MAX_LENGTH:,} characters as JSON")
        return cls(text)

    @property
    def value(self) -> dict[str, Any]:
        """The mapping; empty where it is sealed."""
        return dict(json.loads(self.text)) if self.text is not None else {}

    def _value(self) -> Any:
        return self.value

    def _redacted(self) -> Any:
        return REDACTED if self.text is None else redacted(self.value)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object, info: core_schema.ValidationInfo) -> "SecretMap":
            context = info.context or {}
            if isinstance(value, SecretMap):
                return value
            if isinstance(value, str) and value.startswith(SEALED) and "open" in context:
                return cls._from_text(value, context)
            if not isinstance(value, Mapping):
                raise ValueError("must be a mapping")
            return cls.of(value)

        return core_schema.with_info_plain_validator_function(read, serialization=_serialization())

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "object", "description": f"Kept sealed; secrets in it read `{REDACTED}`."}


def _serialization() -> core_schema.SerSchema:
    def write(value: _Kept, info: core_schema.SerializationInfo) -> Any:
        return value._dumped(info.context or {})

    return core_schema.plain_serializer_function_ser_schema(write, info_arg=True, when_used="always")


_Kept.__pydantic_serializer__ = SchemaSerializer(core_schema.any_schema(serialization=_serialization()))


def redacted(value: Any, name: str = "", below: bool = False) -> Any:
    """
    `value` (JSON) with every secret replaced: what stands under a telling name, all below `params` of an
    `authentication` or below `credentials` and their like, and texts that have a password, token or private key in
    them.
    """
    if isinstance(value, Mapping):
        below = below or bool(_WHOLLY.fullmatch(name))
        return {
            key: redacted(inner, key, below or (name == "authentication" and key == "params"))
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted(inner, name, below) for inner in value]
    telling = below or (_TELLING.search(name) and not _PUBLIC.search(name)) or _holds_secret(value)
    return REDACTED if telling and value not in (None, "") and not isinstance(value, bool) else value


def _holds_secret(value: object) -> bool:
    """Whether a text has a secret in it, whatever it stands under. In time that grows with the text, and no more."""
    if not isinstance(value, str):
        return False
    if "=" in value and _SETTING.search(value):
        return True
    if "://" in value and "@" in value and any(map(_has_password, _SPACE.split(value))):
        return True
    return "-----BEGIN " in value and _PRIVATE_KEY.search(value) is not None


def _has_password(url: str) -> bool:
    """As in `postgres://user:password@host/db`; what looks like a port, as in `https://host:80/@me`, is none."""
    _, found, rest = url.partition("://")
    user, colon, behind = rest.partition(":")
    first, _, _ = behind.partition("/")
    is_port = "@" not in first and first.isdigit()
    return bool(found and colon) and "@" in behind and "@" not in user and "/" not in user and not is_port


def as_dumped(document: Any) -> dict[str, Any]:
    """Context for reading an edit of `document`, which was dumped with `REVEAL`: no other sealed text than its own."""
    sealed = set(_sealed_in(document))

    def unseal(text: str) -> None:
        if text not in sealed:
            raise ValueError(f"must not begin with {SEALED}")

    return opening(unseal)


def _sealed_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(SEALED):
            yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _sealed_in(inner)


def same_but_for_secrets(one: Any, other: Any, besides: Collection[str] = ()) -> bool:
    """Whether two components are of one kind and differ at most in what their secrets are, and in these fields."""
    return type(one) is type(other) and all(
        mine == theirs or isinstance(mine, _Kept) or name in besides
        for (name, mine), (_, theirs) in zip(one, other, strict=True)
    )


def locked_in(model: Any) -> bool:
    """Whether a component holds a secret that is sealed under a key that is not here."""
    return any(isinstance(value, _Kept) and not value.is_open for _, value in model)
