"""The catalog's webhooks; a part of `core.catalog`, by subject."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from conduit_local.core.webhook import Telling, Webhook


class WebhookCatalog(Protocol):
    """Webhooks, and what is on its way to them. Times are steady, but for those that end in `_at_us`."""

    async def webhooks(self) -> list[Webhook]:
        """All webhooks, the oldest first."""
        ...

    async def add_webhook(self, webhook: Webhook) -> None:
        """Keep a webhook: it is told of what happens from here on."""
        ...

    async def remove_webhook(self, webhook: str) -> None:
        """Drop a webhook with all that it was, or was to be, told."""
        ...

    def on_notice(self, tell: Callable[[Collection[str]], None]) -> None:
        """Have `tell` called, on the loop, after each commit that wrote down something, with those to be told."""
        ...

    async def take_due(self, webhook: str, now_us: int, limit: int) -> list[Telling]:
        """The tellings that are due, each counted as attempted from here on: what they say is fixed."""
        ...

    async def next_due(self, webhook: str) -> int | None:
        """When the next telling is due; None when none waits."""
        ...

    async def settle(self, tellings: Sequence[Telling]) -> None:
        """Keep what came of attempts: state, times, status, error."""
        ...

    async def tellings(self, webhook: str, before: int | None, limit: int) -> list[Telling]:
        """What a webhook was, or is to be, told, the newest first."""
        ...

    async def tell_again(self, webhook: str, number: int, now_us: int) -> Telling | None:
        """
        A telling of this webhook is due before all others of it, as if it was made now; None when there is no such
        telling.
        """
        ...

    async def give_up(self, webhook: str, made_before_us: int, at_us: int, error: str) -> int:
        """
        End what waits since `made_before_us` or longer as failed, for its last error, or `error` where it was never
        attempted. Returns how many ended; call again until 0.
        """
        ...

    async def prune_tellings(self, webhook: str, keep: int) -> int:
        """Drop ended tellings but for the newest `keep`. Returns how many went; call again until 0."""
        ...
