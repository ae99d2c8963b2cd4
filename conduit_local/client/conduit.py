"""
`Conduit` and `AsyncConduit`: send events; pipelines and their runs under `pipelines`.

    from conduit_local import Conduit

    conduit = Conduit(token="ck_live_…")
    result = conduit.emit(pipeline_id="pl_8f3a", event_type="order.created", payload={"orderId": "ord_1042"})
    print(result.event_id)

Every call carries an idempotency key, its own where none is given, so a call that is repeated after a lost answer
makes no second event. Repeated are: no answer, 408, 429 and 503; what has no such key, like starting a run, not after a
lost answer.

Source: S0.11, S1.5.
"""

import asyncio
import os
import random
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from conduit_local.client.errors import Refusal, Unreachable
from conduit_local.client.find import DEFAULT_URL
from conduit_local.client.pipelines import AsyncPipelines, Pipelines
from conduit_local.client.wire import Wire, header_value, value_of, with_query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

_PATH = "/v1/events"
T = TypeVar("T")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The answer to `emit`: the event is on disk."""

    event_id: str
    pipeline_id: str
    event_type: str
    status: str
    received_at: str


class Conduit:
    """A client that blocks. For one thread at a time."""

    def __init__(
        self, token: str | None = None, base_url: str | None = None, *, timeout_s: float = 30.0, retries: int = 5
    ) -> None:
        """
        `token` is taken from `CONDUIT_TOKEN`, `base_url` from `CONDUIT_URL` when left out.

        Raises: Unreachable when `base_url` is no URL.
        """
        self._wire = Wire(_url(base_url), token or os.environ.get("CONDUIT_TOKEN"), timeout_s)
        self._retries = retries
        self.pipelines = Pipelines(self._ask)
        """List, get and run pipelines, and look at their runs."""

    def emit(
        self, *, pipeline_id: str, event_type: str, payload: "Mapping[str, Any]", idempotency_key: str | None = None
    ) -> Accepted:
        """
        Send one event; return once it is on disk.

        Raises: Refusal with the API's code; Unreachable. Both after `retries` repeats where repeating may help.
        """
        return self._ask("POST", _PATH, _accepted, _body(pipeline_id, event_type, payload, idempotency_key))

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self,
        method: str,
        path: str,
        read: "Callable[[Any], T]",
        body: "dict[str, Any] | None" = None,
        *,
        query: "Mapping[str, object] | None" = None,
        once: bool = False,
    ) -> T:
        for attempt in range(self._retries + 1):
            try:
                return read(self._wire.ask(method, path, body, query=query))
            except (Refusal, Unreachable) as error:
                if attempt == self._retries or not _may_help(error, once=once):
                    raise
                time.sleep(_wait_s(attempt, error))
        raise AssertionError("unreachable")


class AsyncConduit:
    """The same for asyncio; any number of calls at once."""

    def __init__(
        self, token: str | None = None, base_url: str | None = None, *, timeout_s: float = 30.0, retries: int = 5
    ) -> None:
        self._url = Wire(_url(base_url), None).url
        self._token = token or os.environ.get("CONDUIT_TOKEN")
        self._timeout_s = timeout_s
        self._retries = retries
        self._session: aiohttp.ClientSession | None = None
        self.pipelines = AsyncPipelines(self._ask)
        """List, get and run pipelines, and look at their runs."""

    async def emit(
        self, *, pipeline_id: str, event_type: str, payload: "Mapping[str, Any]", idempotency_key: str | None = None
    ) -> Accepted:
        """As `Conduit.emit`."""
        return await self._ask("POST", _PATH, _accepted, _body(pipeline_id, event_type, payload, idempotency_key))

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(
        self,
        method: str,
        path: str,
        read: "Callable[[Any], T]",
        body: "dict[str, Any] | None" = None,
        *,
        query: "Mapping[str, object] | None" = None,
        once: bool = False,
    ) -> T:
        for attempt in range(self._retries + 1):
            try:
                return read(await self._exchange(method, with_query(path, query), body))
            except (Refusal, Unreachable) as error:
                if attempt == self._retries or not _may_help(error, once=once):
                    raise
                await asyncio.sleep(_wait_s(attempt, error))
        raise AssertionError("unreachable")

    async def _exchange(self, method: str, target: str, body: "dict[str, Any] | None") -> Any:
        import aiohttp
        from yarl import URL

        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            header_value("Authorization", headers.get("Authorization", ""))
            self._session = aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(total=self._timeout_s), trust_env=False
            )
        url = URL(self._url + target, encoded=True)
        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"no appliance answers at {self._url}: {str(error) or 'timed out'}") from error
        return value_of(self._url, response.status, response.reason, response.headers, content)


def _url(base_url: str | None) -> str:
    return base_url or os.environ.get("CONDUIT_URL") or DEFAULT_URL


def _body(
    pipeline_id: str, event_type: str, payload: "Mapping[str, Any]", idempotency_key: str | None
) -> dict[str, Any]:
    return {
        "pipeline_id": pipeline_id,
        "event_type": event_type,
        "payload": payload,
        "idempotency_key": idempotency_key or str(uuid.uuid4()),
    }


def _accepted(value: "Mapping[str, Any]") -> Accepted:
    """The fields that are promised; an answer may hold more."""
    try:
        return Accepted(
            event_id=value["event_id"],
            pipeline_id=value["pipeline_id"],
            event_type=value["event_type"],
            status=value["status"],
            received_at=value["received_at"],
        )
    except KeyError as error:
        raise Unreachable("what answers is no appliance") from error


def _may_help(error: Refusal | Unreachable, *, once: bool) -> bool:
    """Whether the same request may succeed when it is repeated, and does nothing twice."""
    return error.repeatable if isinstance(error, Refusal) else not once


def _wait_s(attempt: int, error: Refusal | Unreachable) -> float:
    ceiling = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**attempt)
    asked = (error.retry_after_s or 0) if isinstance(error, Refusal) else 0
    return max(random.uniform(0, ceiling), min(float(asked), _LONGEST_WAIT_S))  # noqa: S311 - jitter, not a secret
