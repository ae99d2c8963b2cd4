"""Names: unique slugs, and slugs out of what people call a thing."""

import re
import unicodedata
from collections.abc import Callable

from conduit_local.core.plain import is_visible

MAX_NAME = 63
MAX_TITLE = 200
RESERVED_NAMES = frozenset({"runs"})

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ID = re.compile(r"pl_[a-z0-9]{1,32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9_]+")


def check_name(name: str) -> str:
    """The name itself. Raises: ValueError when it cannot be a pipeline's name."""
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is reserved")
    if not _NAME.fullmatch(name):
        raise ValueError("must be 1 to 63 lowercase letters, digits, _ or -, and begin with a letter or digit")
    if _ID.fullmatch(name) or _UUID.fullmatch(name):
        raise ValueError("must not look like an id (pl_… or a UUID)")
    return name


def check_public_id(public_id: str | None) -> str | None:
    """The id itself. Raises: ValueError when it cannot be a pipeline's id."""
    if public_id is not None and not _ID.fullmatch(public_id):
        raise ValueError("must be pl_ and 1 to 32 lowercase letters or digits, like pl_8f3a")
    return public_id


def check_title(title: str | None) -> str | None:
    """The title itself. Raises: ValueError when people could not read it."""
    if title is not None and (not 0 < len(title) <= MAX_TITLE or not is_visible(title) or title != title.strip()):
        raise ValueError(f"must be 1 to {MAX_TITLE} visible characters, without space around them")
    return title


def is_name(text: str) -> bool:
    """Whether `text` can be a name as it stands."""
    try:
        check_name(text)
    except ValueError:
        return False
    return True


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its usual form, in lowercase."""
    return _UUID.fullmatch(text) is not None


def slug_of(title: str, is_free: Callable[[str], bool], otherwise: str = "pipeline") -> str:
    """A free name made of `title`: `HubSpot to BigQuery` becomes `hubspot-to-bigquery`, or `…-2` if that is taken."""
    if is_name(title) and is_free(title):
        return title
    ascii_text = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    base = _NOT_IN_A_SLUG.sub("-", ascii_text).strip("-_")[: MAX_NAME - 8].strip("-_") or otherwise
    if not is_name(base):
        base = f"{otherwise}-{base}"[: MAX_NAME - 8].strip("-_")
    name, count = base, 1
    while not is_free(name):
        count += 1
        name = f"{base}-{count}"
    return name
