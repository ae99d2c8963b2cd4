"""JSON, strictly: what a request may not hold, a file or a page of another server may not hold either."""

import re
from typing import TypeVar

import msgspec

from conduit_local.core.errors import InvalidRequest, PayloadTooLarge
from conduit_local.core.event import check_payload, on_one_line

T = TypeVar("T")

_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_WHOLE = msgspec.json.Decoder(msgspec.Raw)


class NotJson(ValueError):
    """Why something is not JSON in UTF-8; worded to follow what it is said of: `is not JSON: …`."""


class NotAnEvent(ValueError):
    """Why a piece of input can be no event's payload, for people."""


def parse(text: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """
    The value in `text`.

    msgspec does not look at the UTF-8 inside raw values and strings that it skips, so that is checked first.
    Raises: NotJson; msgspec.ValidationError where it is JSON of another shape than the decoder's.
    """
    try:
        if not text.isascii():
            text.decode()
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8: byte {error.start} is {error.reason}") from None
    except RecursionError:
        raise NotJson("is nested too deeply") from None
    except (msgspec.DecodeError, ValueError) as error:
        said = str(error).removeprefix("JSON is malformed: ")
        if "truncated" in said and _HALF_PAIR.search(text):
            said = "a string holds half of a surrogate pair, like \\ud800"
        raise NotJson(f"is not JSON: {said if text else 'it is empty'}") from None


def check_json(text: bytes) -> None:
    """Raises: NotJson unless `text` is one JSON value in UTF-8."""
    parse(text, _WHOLE)


def payload_in(text: bytes) -> bytes:
    """
    The payload that a piece of input is, byte for byte but for line breaks and the space around it.

    Raises: NotAnEvent unless it is one JSON object in UTF-8, at most 262,144 bytes and 100 deep.
    """
    found = text.strip(b" \t\r\n")
    try:
        check_json(found)
        check_payload(found)
    except NotJson as error:
        raise NotAnEvent(f"it {error}") from None
    except InvalidRequest as error:
        raise NotAnEvent("; ".join(f"it {problem.message}" for problem in error.problems)) from None
    except PayloadTooLarge as error:
        raise NotAnEvent(error.message) from None
    return on_one_line(found)
