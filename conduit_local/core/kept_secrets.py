"""Edits of a configuration that send back what was shown of it: a secret stays what it was."""

from collections.abc import Iterator, Mapping
from typing import Any

from conduit_local.core.secrets import REDACTED

_SERVERS = ("url", "endpoint_url", "host", "port")
"""What components call the server that they send their secrets to."""


def with_kept_secrets(new: Any, shown: Any, kept: Any) -> Any:
    """
    `new` with the old value wherever it sends back what was shown of a secret, or an empty text for one (S3.3).

    `shown` and `kept` are the old document, redacted and revealed; both may have more than `new`.
    """
    if isinstance(new, str) and shown == REDACTED and new in {"", REDACTED}:
        return kept
    if isinstance(new, Mapping) and isinstance(shown, Mapping) and isinstance(kept, Mapping):
        return {key: with_kept_secrets(inner, shown.get(key), kept.get(key)) for key, inner in new.items()}
    if isinstance(new, list) and isinstance(shown, list) and isinstance(kept, list):
        return [with_kept_secrets(inner, *_same_in(inner, place, shown, kept)) for place, inner in enumerate(new)]
    return new


def sent_elsewhere(new: Any, shown: Any) -> Iterator[tuple[str | int, ...]]:
    """
    Where components keep a secret, as `with_kept_secrets` has it, and lead to another server than before: whoever may
    change a pipeline must not learn by that what it keeps sealed.
    """
    for role in ("sources", "destinations"):
        before = shown.get(role) or []
        for place, one in enumerate(new.get(role) or []):
            old, _ = _same_in(one, place, before, before)
            if isinstance(one, Mapping) and isinstance(old, Mapping) and any(_moved(one, old)):
                yield from (((role, place, *path)) for path in _kept_in(one, old))


def _moved(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[bool]:
    for name in _SERVERS:
        yield old.get(name) not in (None, "", REDACTED) and new.get(name) != old[name]


def _kept_in(new: Any, shown: Any) -> Iterator[tuple[str | int, ...]]:
    if shown == REDACTED:
        if new in ("", REDACTED):
            yield ()
    elif isinstance(new, Mapping) and isinstance(shown, Mapping):
        for name, inner in new.items():
            yield from ((name, *path) for path in _kept_in(inner, shown.get(name)))


def _same_in(item: Any, place: int, shown: list[Any], kept: list[Any]) -> tuple[Any, Any]:
    """The old item that `item` is a new version of: of the same name where it has one, else in the same place."""
    name = item.get("name") if isinstance(item, Mapping) else None
    for before, whole in zip(shown, kept, strict=True):
        if name and isinstance(before, Mapping) and before.get("name") == name:
            return before, whole
    return (shown[place], kept[place]) if not name and place < len(shown) else (None, None)
