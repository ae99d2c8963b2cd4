"""What goes wrong with a bucket, in words, and who must act."""

import http.client
import ssl
from collections.abc import Mapping

from conduit_local.core.plain import plain, shorten

_SHOWN_CHARS = 200
_PASSES = {408, 409, 425, 429}
"""Statuses of clients' errors that waiting mends."""
_CODES_THAT_PASS = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "NoSuchUpload",  # somebody has cleared it away; the next attempt begins a new one
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",
}
_HINTS = {
    "AccessDenied": "give these keys the right to do this, or take other keys",
    "AuthorizationHeaderMalformed": "correct `region`",
    "ExpiredToken": "get new temporary keys",
    "InvalidAccessKeyId": "correct `access_key_id`",
    "InvalidToken": "correct `session_token`",
    "NoSuchBucket": "make the bucket, or correct `bucket`",
    "RequestTimeTooSkewed": "set this machine's clock",
    "SignatureDoesNotMatch": "correct `secret_access_key` (or `region`)",
}
_BY_STATUS = {
    403: "look at the keys and at what they may do with the bucket",
    404: "look at `bucket` and `endpoint_url`",
}
_LONGEST_WAIT_S = 86_400.0


class Failure(Exception):
    """It did not work: `reason` in words for people, without secrets."""

    def __init__(
        self,
        reason: str,
        *,
        needs_person: bool = False,
        wait_s: float | None = None,
        status: int | None = None,
        code: str = "",
        unsent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unsent = unsent
        """Whether there was nobody to send it to."""
        self.needs_person = needs_person
        self.wait_s = wait_s
        self.status = status
        """Of the server's answer; None where there was none, so that what was asked for may have been done."""
        self.code = code
        """The server's word for it: `NoSuchBucket`."""


class Present(Exception):
    """The server refuses to write over what is there."""


def of_network(error: Exception, timeout_s: float) -> Failure:
    """Why there was no whole answer."""
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"the server's certificate is not valid: {plain(error.verify_message)}; name its CA in `ca_file`"
            return Failure(reason, needs_person=True)
        case TimeoutError():
            return Failure(f"nothing came for {timeout_s:g}s")
        case http.client.RemoteDisconnected() | ConnectionError():
            return Failure(f"the connection broke: {_words(error)}")
        case http.client.HTTPException():
            return Failure(f"the answer is broken: {type(error).__name__}")
        case ValueError():  # its own text has the header in it, which may be a key
            reason = "there is something in the keys or the settings that HTTP cannot say: a line break, perhaps"
            return Failure(reason, needs_person=True)
        case _:
            return Failure(_words(error))


def _words(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shorten(plain(said), _SHOWN_CHARS)


def of_answer(status: int, headers: Mapping[str, str], code: str, message: str) -> Failure:
    """Why the server did not do it: its status, the code and the words that came with it, and what helps."""
    code = "" if code == str(status) else shorten(plain(code), 64)  # botocore's, where there is none
    message = shorten(plain(message).rstrip(". "), _SHOWN_CHARS) if code else ""
    said = f"{status} {code or http.client.responses.get(status, '')}".rstrip() + (f": {message}" if message else "")

    def failure(hint: str | None = None, *, needs_person: bool) -> Failure:
        wait_s = _retry_after_s(headers.get("retry-after"))
        reason = f"{said}; {hint}" if hint else said
        return Failure(reason, needs_person=needs_person, wait_s=wait_s, status=status, code=code)

    if 300 <= status < 400:
        region = headers.get("x-amz-bucket-region")
        hint = f"the bucket is in {plain(region)[:64]}: set `region`" if region else "it points elsewhere: not followed"
        return failure(hint, needs_person=status != http.client.TEMPORARY_REDIRECT)
    passes = status >= http.client.INTERNAL_SERVER_ERROR and status != http.client.NOT_IMPLEMENTED
    if passes or status in _PASSES or code in _CODES_THAT_PASS:
        return failure(needs_person=False)
    return failure(_HINTS.get(code) or _BY_STATUS.get(status), needs_person=True)


def _retry_after_s(text: str | None) -> float | None:
    """Seconds; at most a day. A date is none: whoever sends one here is not known."""
    return min(float(text[:9]), _LONGEST_WAIT_S) if text and text.isascii() and text.isdigit() else None
