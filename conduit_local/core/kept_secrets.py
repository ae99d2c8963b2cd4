"""Edits of a configuration that send back what was shown of it: a secret stays what it was."""

from collections.abc import Mapping
from typing import Any

from conduit_local.core.problems import Path, Problem, refusal
from conduit_local.core.secrets import REDACTED

_SERVERS = ("url", "endpoint_url", "host", "port")
"""What components call the server that they send their secrets to."""


def with_kept_secrets(new: Any, shown: Any, kept: Any) -> Any:
    """
    `new` with the old value wherever it sends back what was shown of a secret, or an empty text for one (S3.3); but not
    where it would go to another server than before: whoever may change a pipeline must not learn by that what it keeps
    sealed.

    `shown` and `kept` are the old document, redacted and revealed; both may have more than `new`.
    Raises: InvalidRequest, naming each secret that must be sent anew.
    """
    keeper = _Keeper()
    found = keeper.kept(new, shown, kept, ())
    if keeper.problems:
        raise refusal(keeper.problems)
    return found


class _Keeper:
    """Walks through the three side by side."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def kept(self, new: Any, shown: Any, kept: Any, at: Path, *, is_sent: bool = True, elsewhere: bool = False) -> Any:
        """`is_sent`: whether secrets here go to any server; `elsewhere`: whether to another one than before."""
        if isinstance(new, str) and shown == REDACTED and new in {"", REDACTED}:
            if elsewhere:
                message = "send it anew: a secret is not taken along to another server"
                self.problems.append(Problem(path=at, message=message))
            return kept
        if isinstance(new, Mapping) and isinstance(shown, Mapping) and isinstance(kept, Mapping):
            is_sent = is_sent and "connector" not in shown  # known by its name alone
            elsewhere = is_sent and (elsewhere or _leads_elsewhere(new, shown))
            return {
                key: self.kept(inner, shown.get(key), kept.get(key), (*at, key), is_sent=is_sent, elsewhere=elsewhere)
                for key, inner in new.items()
            }
        if isinstance(new, list) and isinstance(shown, list) and isinstance(kept, list):
            return [
                self.kept(
                    inner, *_same_in(inner, place, shown, kept), (*at, place), is_sent=is_sent, elsewhere=elsewhere
                )
                for place, inner in enumerate(new)
            ]
        return new


def _leads_elsewhere(new: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    """Whether a component, or its settings, name another server."""
    return any(shown.get(name) not in (None, "", REDACTED) and new.get(name) != shown[name] for name in _SERVERS)


def _same_in(item: Any, place: int, shown: list[Any], kept: list[Any]) -> tuple[Any, Any]:
    """The old item that `item` is a new version of: of the same name where it has one, else in the same place."""
    name = item.get("name") if isinstance(item, Mapping) else None
    for before, whole in zip(shown, kept, strict=True):
        if name and isinstance(before, Mapping) and before.get("name") == name:
            return before, whole
    return (shown[place], kept[place]) if not name and place < len(shown) else (None, None)
