"""
Follows the appliance in a thread of its own. What enters is made plain here, once; nothing foreign reaches a widget
otherwise.
"""

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conduit_local.client.control import ControlClient
from conduit_local.client.errors import ClientError, Refusal
from conduit_local.core.plain import plain

_LOG_LINES = 20_000
_EVENTS = 500
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0


def made_plain(value: Any) -> Any:
    """`value` with every text in it made plain."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [made_plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(name): made_plain(one) for name, one in value.items()}
    return value


@dataclass(slots=True)
class Seen:
    """What the feed has seen. Written by its thread, read by the screens, which see a whole value or the one before."""

    snapshot: dict[str, Any] | None = None
    at_s: float = 0.0
    """When the snapshot came, in monotonic seconds."""
    number: int = 0
    lost: str | None = None
    """Why there is no connection, or None."""
    again_at_s: float | None = None
    """When the connection is tried again, in monotonic seconds; None while it is tried."""
    log: "deque[dict[str, Any]]" = field(default_factory=lambda: deque(maxlen=_LOG_LINES))
    """Lines as the appliance has them, but for their numbers: those count up here, in whatever life of it."""
    missed: int = 0
    events: "deque[dict[str, Any]]" = field(default_factory=lambda: deque(maxlen=_EVENTS))
    events_known: bool = False
    """Whether the appliance has said which events there are, be it none."""
    accepted: int = 0
    """How many events arrived while events were followed; the sample in `events` may be fewer."""


class Feed:
    """
    Reads the stream, and tells `changed` (from its own thread) with every snapshot.

    A lost connection is tried again with backoff; until then `seen.lost` says why.
    """

    def __init__(self, url: str, key: str | None, interval_ms: int, changed: Callable[[], None]) -> None:
        self.url = url
        self.key = key
        self.interval_ms = interval_ms
        self.seen = Seen()
        self._changed = changed
        self._topics = "snapshot,log"
        self._after = 0
        """The number of the last line that came, by the appliance's count."""
        self._lines = 0
        self._again = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def end(self) -> None:
        """Stop following; a read under way ends with the process."""
        self._ended = True
        self._again.set()

    def follow(self, *, events: bool) -> None:
        """Whether to follow events too; only the screen that shows them asks for that."""
        topics = "snapshot,log,events" if events else "snapshot,log"
        if topics != self._topics:
            self._topics = topics
            self._again.set()

    def set_interval(self, interval_ms: int) -> None:
        """How often the appliance sends."""
        if interval_ms != self.interval_ms:
            self.interval_ms = interval_ms
            self._again.set()

    def client(self) -> ControlClient:
        """A connection of its own, for one order or question."""
        return ControlClient(self.url, self.key, timeout_s=15.0)

    def _run(self) -> None:
        failures = 0
        while not self._ended:
            self._again.clear()
            try:
                with ControlClient(self.url, self.key, timeout_s=max(5.0, self.interval_ms / 250)) as client:
                    self._meet(client)
                    for name, value in client.stream(self._topics, self.interval_ms, after=self._after):
                        failures = 0
                        self._take(name, value)
                        if self._again.is_set():
                            break
                    else:
                        raise ClientError("the appliance ended the connection")
            except ClientError as error:
                failures += 1
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures - 1, 6))
                wait_s *= random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
                self.seen.lost, self.seen.again_at_s = _reason(error), time.monotonic() + wait_s
                self._changed()
                self._again.wait(wait_s)
                self.seen.again_at_s = None

    def _meet(self, client: ControlClient) -> None:
        """Look whether it is the appliance that was left, or another life of it: there, lines count from one."""
        try:
            snapshot = client.snapshot()
            now = snapshot["appliance"]["pid"], snapshot["appliance"]["uptime_s"]
        except (KeyError, TypeError, ValueError) as error:
            raise ClientError(f"what answers at {self.url} is no appliance") from error
        if self.seen.snapshot is not None:
            before = self.seen.snapshot["appliance"]
            if now[0] != before["pid"] or now[1] < before["uptime_s"]:
                self._after = 0
        self._take("snapshot", snapshot)

    def _take(self, name: str, raw: dict[str, Any]) -> None:
        value = made_plain(raw)
        seen = self.seen
        match name:
            case "snapshot":
                seen.snapshot, seen.at_s, seen.lost = value, time.monotonic(), None
                seen.number += 1
            case "log":
                self._after = value["lines"][-1]["number"]
                for line in value["lines"]:
                    self._lines += 1
                    seen.log.append({**line, "number": self._lines})
                seen.missed += value["missed"]
            case "events":
                seen.events_known = True
                known = {one["event_id"] for one in seen.events}
                seen.events.extend(one for one in reversed(value["events"]) if one["event_id"] not in known)
                seen.accepted += value["accepted"]
        if name == "snapshot":  # it comes last of what is sent at once
            self._changed()


def _reason(error: ClientError) -> str:
    if isinstance(error, Refusal):
        hint = "; give a key with --key" if error.status in {401, 403} else ""
        return plain(f"{error.message}{hint}")
    return plain(re.sub(r"\[Errno -?\d+\] ", "", str(error)))
