"""
What can go wrong, from a caller's point of view.

    ClientError
    ├── Unreachable     no answer: not running, refused, cut off
    ├── Refusal         an answer that is an error: status, code, message
    └── RunTimeout      a run that was waited for has not ended yet
"""


class ClientError(Exception):
    """The root."""


class Unreachable(ClientError):
    """There was no answer. Whether the request took effect is not known; with an idempotency key, repeat it."""


class Refusal(ClientError):
    """The appliance answered with an error."""

    def __init__(
        self, status: int, code: str, message: str, details: dict[str, str], retry_after_s: int | None
    ) -> None:
        super().__init__(f"{message} ({code}, {status})")
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s

    @property
    def repeatable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in {408, 429, 503}


class RunTimeout(ClientError, TimeoutError):
    """A run that was waited for has not ended in time. It goes on."""

    def __init__(self, run_id: str, pipeline: str, timeout_s: float) -> None:
        super().__init__(f"the run {run_id} of {pipeline} has not ended after {timeout_s:g} s; it goes on")
        self.run_id = run_id
