"""What destinations that send over HTTP have in common: what an answer means, and what a delivery is known by."""

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.fetching import FetchRefused
from conduit_local.core.plain import plain
from conduit_local.core.ports import Answered, Sender, SendFailed


class Verdict(Enum):
    """What becomes of a batch after an answer."""

    DONE = auto()
    """It is there."""
    LATER = auto()
    """The same again, later."""
    PERSON = auto()
    """The same again, but somebody must do something first: no event is to blame."""
    REFUSED = auto()
    """The receiver understood, and will not have this content."""


_VERDICTS: Mapping[int, tuple[Verdict, str]] = {
    301: (Verdict.PERSON, "it has moved, and redirects are not followed: give the new URL"),
    308: (Verdict.PERSON, "it has moved, and redirects are not followed: give the new URL"),
    401: (Verdict.PERSON, "it does not take these credentials"),
    402: (Verdict.PERSON, "it wants to be paid"),
    403: (Verdict.PERSON, "it does not allow this with these credentials"),
    404: (Verdict.PERSON, "there is nothing at this URL"),
    405: (Verdict.PERSON, "there is nothing at this URL that takes a POST"),
    406: (Verdict.PERSON, "it has no answer in any form"),
    407: (Verdict.PERSON, "a proxy on the way wants credentials"),
    408: (Verdict.LATER, "the body came too slowly for it"),
    # draft-ietf-httpapi-idempotency-key-header-07, 2.7: 409 while the first request with this key is still under way,
    # which is so after a time-out. Halves, with keys of their own, would be taken beside it.
    409: (Verdict.PERSON, "it is still busy with an earlier attempt, or wants somebody to settle a conflict"),
    410: (Verdict.PERSON, "there is nothing at this URL any more"),
    411: (Verdict.PERSON, "something on the way loses the body's length"),
    414: (Verdict.PERSON, "the URL is too long for it"),
    415: (Verdict.PERSON, "it does not take this format or compression"),
    417: (Verdict.PERSON, "it expects another protocol"),
    421: (Verdict.PERSON, "this server does not answer for that name"),
    423: (Verdict.LATER, "it is locked"),
    424: (Verdict.LATER, "something that it needs has failed"),
    425: (Verdict.LATER, "it is too early for it"),
    426: (Verdict.PERSON, "it wants another protocol"),
    428: (Verdict.PERSON, "it wants a condition that is none of ours"),
    429: (Verdict.LATER, "it wants to be asked less often"),
    431: (Verdict.PERSON, "the headers are too large for it"),
    451: (Verdict.PERSON, "the law is against it"),
    501: (Verdict.PERSON, "it does not know POST"),
    505: (Verdict.PERSON, "it wants another version of HTTP"),
    511: (Verdict.PERSON, "the network wants somebody to sign in"),
}
"""Statuses that mean something else than their hundred does, and why."""

_HUNDREDS: Mapping[int, tuple[Verdict, str]] = {
    2: (Verdict.DONE, ""),
    3: (Verdict.LATER, "redirects are not followed"),  # a hotel's login page is gone tomorrow
    4: (Verdict.REFUSED, "it refuses this content"),
}


def verdict_of(status: int) -> tuple[Verdict, str]:
    """What a status means for the batch, and why."""
    return _VERDICTS.get(status) or _HUNDREDS.get(status // 100) or (Verdict.LATER, "it is in trouble")


def delivery_id(origin: str, key: str) -> str:
    """
    What a receiver knows a batch by: the same in every attempt, also those of a later life, and of no other batch.

    Shape: 36 letters, digits and `_`.
    """
    digest = hashlib.sha256(f"{origin}\n{key}".encode())
    return f"msg_{digest.hexdigest()[:32]}"


def address_of(url: str) -> str:
    """The URL as people may see it: without its query, which may hold secrets."""
    return plain(url.partition("?")[0].partition("#")[0])


async def posted(
    sender: Sender, url: str, headers: Mapping[str, str], body: Sequence[bytes], timeout_s: float
) -> Answered:
    """What was answered. Raises: DestinationUnavailable when nothing was."""
    try:
        return await sender.post(url, headers, body, timeout_s)
    except FetchRefused as error:
        raise DestinationUnavailable(error.message, needs_person=True) from error
    except SendFailed as error:
        raise DestinationUnavailable(error.message, unsent=error.unsent) from error


def told(url: str, answered: Answered, why: str) -> str:
    """An answer, for people: `POST https://…: 503, it is in trouble: …`."""
    said = f": {answered.excerpt}" if answered.excerpt else ""
    return f"POST {address_of(url)}: {answered.status}, {why}{said}"


def unavailable(url: str, answered: Answered, why: str, *, person: bool) -> DestinationUnavailable:
    """The error of an answer that is for another time."""
    return DestinationUnavailable(told(url, answered, why), needs_person=person, wait_s=answered.retry_after_s)
