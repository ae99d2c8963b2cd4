"""
Every error that crosses a floor, by who must act.

    ConduitError
    ├── Refused            the caller changes something
    │   ├── Invalid            InvalidJson, InvalidRequest, KeysDiffer
    │   ├── TooLarge           PayloadTooLarge, BodyTooLarge, TooManyRecords
    │   ├── UnsupportedMediaType, UnsupportedEncoding, HeaderMismatch
    │   ├── Unauthorized, Forbidden
    │   ├── NotFound           PipelineNotFound, EventNotFound, RunNotFound, KeyNotFound, WebhookNotFound,
    │   │                      DestinationNotFound, OriginNotFound, DomainNotFound, ObjectNotFound, PathNotFound,
    │   │                      DeadLetterNotFound
    │   ├── MethodNotAllowed
    │   ├── Conflict           NotAccepting, NameTaken, ManagedByFile, KeyInUse, RunEnded, NotStoppable,
    │   │                      DeadLetterInHand, OutOfOrder
    │   ├── PreconditionFailed
    │   ├── IdempotencyMismatch
    │   └── RateLimited
    ├── Unavailable        the caller repeats
    │   ├── StoreUnavailable   disk full, database locked
    │   ├── QuotaSpent
    │   ├── BodyTooSlow, TimedOut
    │   └── Undelivered        TransformUnavailable, DestinationUnavailable
    └── Broken             we act

Core and the floors above raise these; `http/boundary.py` alone catches them, and each dialect words them.
A leaf's `code` is stable; its message says what was attempted.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from conduit_local.core.problems import Problem


class ConduitError(Exception):
    """The root: `code` never changes, `message` is for people."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Refused(ConduitError):
    """The caller must change something; repeating is useless."""

    code = "refused"


class Unavailable(ConduitError):
    """The caller may repeat the same call after `retry_after_s` seconds; nothing was kept."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Broken(ConduitError):
    """Something that we must mend: a bug, a corrupt file, a failing disk."""

    code = "broken"


# Refused -----------------------------------------------------------------------------------------------


class Invalid(Refused):
    """The content of the request is wrong; `problems` lists each field that is."""

    code = "invalid_request"

    def __init__(self, message: str, *, problems: "Sequence[Problem]" = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class InvalidJson(Invalid):
    """The body is not JSON in UTF-8."""

    code = "invalid_json"


class InvalidRequest(Invalid):
    """The body is JSON, but a field is missing, unknown or out of range."""


class KeysDiffer(Invalid):
    """Two different idempotency keys in one request."""

    code = "idempotency_keys_differ"


class TooLarge(Refused):
    """Too many bytes or records."""

    code = "too_large"


class PayloadTooLarge(TooLarge):
    """One event's payload is over 262,144 bytes."""

    code = "payload_too_large"


class BodyTooLarge(TooLarge):
    """The whole body is over what the route takes."""

    code = "body_too_large"


class TooManyRecords(TooLarge):
    """More events in one request than the pipeline takes."""

    code = "batch_too_large"


class UnsupportedMediaType(Refused):
    """The `Content-Type` is not one that the route reads."""

    code = "unsupported_media_type"


class UnsupportedEncoding(UnsupportedMediaType):
    """The `Content-Encoding` is neither gzip nor zstd, or names more than one."""

    code = "unsupported_encoding"


class HeaderMismatch(Refused):
    """The `Host` is not one of ours: a name that was rebound to this machine."""

    code = "host_not_allowed"


class Unauthorized(Refused):
    """No key, or none that is alive."""

    code = "unauthorized"


class Forbidden(Refused):
    """The key lacks the scope, or the origin may not ask."""

    code = "forbidden"


class NotFound(Refused):
    """There is no such thing."""

    code = "not_found"


class PipelineNotFound(NotFound):
    """No live pipeline answers to that id, UUID or name."""

    code = "pipeline_not_found"


class EventNotFound(NotFound):
    """No such event, or it is no longer kept."""

    code = "event_not_found"


class RunNotFound(NotFound):
    """No such run, or it is no longer kept."""

    code = "run_not_found"


class KeyNotFound(NotFound):
    """No such API key."""

    code = "key_not_found"


class WebhookNotFound(NotFound):
    """No such webhook, or no such delivery of it."""

    code = "webhook_not_found"


class DestinationNotFound(NotFound):
    """The pipeline has no such destination."""

    code = "destination_not_found"


class OriginNotFound(NotFound):
    """The pipeline has no such allowed origin."""

    code = "origin_not_found"


class DomainNotFound(NotFound):
    """No pipeline was ever in that domain."""

    code = "domain_not_found"


class ObjectNotFound(NotFound):
    """The run has written nothing, or what it wrote is not there any more."""

    code = "output_not_found"


class DeadLetterNotFound(NotFound):
    """No such dead letter: it was replayed or discarded, or is no longer kept."""

    code = "dead_letter_not_found"


class PathNotFound(NotFound):
    """No route has that path."""


class MethodNotAllowed(Refused):
    """The path exists, the method does not; `allowed` lists those that do."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class Conflict(Refused):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class NotAccepting(Conflict):
    """The pipeline drains or is stopped: it takes no new events."""

    code = "pipeline_not_accepting"


class NameTaken(Conflict):
    """Another live pipeline has that name or id."""

    code = "name_taken"


class ManagedByFile(Conflict):
    """The pipeline comes from a file and is changed there."""

    code = "pipeline_managed_by_file"


class KeyInUse(Conflict):
    """A key cannot revoke itself."""

    code = "key_in_use"


class RunEnded(Conflict):
    """The run has ended already."""

    code = "run_ended"


class NotStoppable(Conflict):
    """A run that is one batch of a stream cannot be cancelled; the pipeline can be paused."""

    code = "run_not_cancellable"


class DeadLetterInHand(Conflict):
    """A run is replaying the dead letter just now."""

    code = "dead_letter_in_hand"


class OutOfOrder(Conflict):
    """Forwarded events whose numbers lie before what their origin has sent already: it was set back."""

    code = "events_out_of_order"


class PreconditionFailed(Refused):
    """`If-Match` names a version that is no longer the newest."""

    code = "precondition_failed"


class IdempotencyMismatch(Refused):
    """Under `idempotency: strict`: the same key came with another body."""

    code = "idempotency_mismatch"


class RateLimited(Refused):
    """Over the rate limit; the next token comes in `retry_after_s` seconds."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: int, limit: int, reset_at_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.limit = limit
        self.reset_at_s = reset_at_s


# Unavailable -------------------------------------------------------------------------------------------


class StoreUnavailable(Unavailable):
    """The store could not commit: the disk is full, or another process holds the database."""

    code = "store_unavailable"


class QuotaSpent(Unavailable):
    """The storage quota is used up, or the disk is nearly full."""

    code = "quota_spent"


class BodyTooSlow(Unavailable):
    """The body did not arrive within its deadline."""

    code = "request_timeout"


class TimedOut(Unavailable):
    """The caller's own deadline passed before there was an answer; what was asked may still be done."""

    code = "timeout"


class Undelivered(Unavailable):
    """
    A batch cannot be delivered now; the same batch is tried again, for ever.

    `needs_person` is true where waiting alone will not help (permission, a path in the way, a wrong query): the route
    is then `blocked` instead of `retrying`, and still tries again.
    """

    def __init__(self, message: str, *, needs_person: bool = False, retry_after_s: int = 1) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.needs_person = needs_person


class TransformUnavailable(Undelivered):
    """A transform cannot be run now: its child does not start, or its query is wrong whatever the events are."""

    code = "transform_unavailable"


class DestinationUnavailable(Undelivered):
    """
    A destination cannot take the batch now.

    `wait_s` is how long it asked to be left alone, at least: a `Retry-After`. `unsent` is true where it was not even
    reached: no such name, nobody listening.
    """

    code = "destination_unavailable"

    def __init__(
        self,
        message: str,
        *,
        needs_person: bool = False,
        retry_after_s: int = 1,
        wait_s: float | None = None,
        unsent: bool = False,
    ) -> None:
        super().__init__(message, needs_person=needs_person, retry_after_s=retry_after_s)
        self.wait_s = wait_s
        self.unsent = unsent


def only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """
    The one error that a group of them stands for: the first Broken among its leaves, else the first leaf.

    Parts that run tasks raise through a TaskGroup; whoever called them wants the cause, not the wrapping.
    """
    leaves: list[BaseException] = []
    rest: list[BaseException] = [group]
    while rest:
        error = rest.pop(0)
        if isinstance(error, BaseExceptionGroup):
            rest[:0] = error.exceptions
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, Broken)), leaves[0])
