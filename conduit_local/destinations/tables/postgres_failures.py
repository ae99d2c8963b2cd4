"""
What a PostgreSQL server answers, by who must act.

    nobody: waiting     no connection, starting up, shutting down, full, locked, a deadlock: whatever is not below
    a person            wrong password, no such database, no right, no table, no column: 0A 28 3D 3F 42; and what can
                        only be a mistake of ours: rows that are no COPY text or no UTF-8
    nobody: content     a value that the table refuses: 22 23 44 54 and a trigger's own word, while rows are taken

Source: PostgreSQL, appendix A, "PostgreSQL Error Codes".
"""

import re
import ssl
from typing import Any, Literal

from conduit_local.core.delivering import Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.plain import plain, shorten

Step = Literal["connect", "make", "rows"]

_PERSON = {"0A", "28", "3D", "3F", "42", "0P"}
_CONTENT = {"22", "23", "44", "54"}
_BY_TRIGGER = "P0001"
_CHECK = "23514"
_TOO_MANY_COLUMNS = "54011"
_NOT_OUR_FORM = {"22P04", "22021", "08P01"}
"""What we sent is no COPY text, no UTF-8 or not the protocol: our own mistake, which no event may die of."""
_NUL = "0x00"
"""The one character of UTF-8 that PostgreSQL keeps in no text; it says so as of bytes that are none."""
_TELL_DETAIL = {"23503", "23505"}
_COLUMN = re.compile(r", column ([^,:\n]+)")
_MOST_CHARACTERS = 600


class AddressRefused(Exception):
    """The guard does not let the server's address pass."""


class TlsRefused(Exception):
    """The server does not speak TLS, and the settings ask for it."""


def failure(doing: str, error: Exception, step: Step) -> DestinationUnavailable | Rejected | None:
    """
    What `error` of the driver or of the network means for a batch; None for one that is neither's. `doing` says what
    was attempted.
    """
    state = getattr(error, "sqlstate", None)
    if not isinstance(state, str):
        return _of_the_network(doing, error)
    said = _said(error, state)
    if step == "rows" and _is_content(error, state):
        return Rejected(said)
    person = (
        (state[:2] in _PERSON or _needs_partition(error, state))
        or (step == "make" and state[:2] in _CONTENT)
        or (step == "rows" and state in _NOT_OUR_FORM)
    )
    return DestinationUnavailable(f"{doing}: {said}", needs_person=person)


def _is_content(error: Any, state: str) -> bool:
    if state in _NOT_OUR_FORM:
        return state == "22021" and _NUL in str(error)
    if state == _TOO_MANY_COLUMNS or _needs_partition(error, state):
        return False
    return state[:2] in _CONTENT or state == _BY_TRIGGER


def _needs_partition(error: Any, state: str) -> bool:
    """There is none for these rows, which is what PostgreSQL calls a failed check too; that check has no name."""
    return state == _CHECK and not getattr(error, "constraint_name", None)


def _of_the_network(doing: str, error: Exception) -> DestinationUnavailable | None:
    match error:
        case TimeoutError():
            return DestinationUnavailable(f"{doing}: timed out")
        case ssl.SSLCertVerificationError():
            return DestinationUnavailable(f"{doing}: its certificate: {error.verify_message}", needs_person=True)
        case PermissionError() | AddressRefused() | TlsRefused():
            said = getattr(error, "strerror", None) or error
            return DestinationUnavailable(f"{doing}: {_shown(str(said))}", needs_person=True)
        case OSError():
            return DestinationUnavailable(f"{doing}: {_shown(error.strerror or str(error) or type(error).__name__)}")
        case _ if not type(error).__module__.startswith("asyncpg"):
            return None
        case _:
            return DestinationUnavailable(f"{doing}: {_shown(str(error) or type(error).__name__)}")


def _said(error: Any, state: str) -> str:
    said = str(getattr(error, "message", None) or error)
    column = _COLUMN.search(getattr(error, "context", None) or "")
    if column and column[1] not in said:
        said = f"column {column[1]}: {said}"
    detail = getattr(error, "detail", None)
    if state in _TELL_DETAIL and detail:
        said = f"{said}: {detail}"
    return f"{_shown(said)} (SQLSTATE {state})"


def _shown(text: str) -> str:
    return shorten(plain(text), _MOST_CHARACTERS)
