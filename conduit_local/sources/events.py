"""What an event out of a record is called, and where its type comes from."""

import re
from typing import Annotated

import msgspec
from pydantic import AfterValidator, Field

from conduit_local.core.errors import InvalidRequest
from conduit_local.core.event import MAX_TYPE_LENGTH, NewEvents, check_event_type
from conduit_local.core.pulling import Poison
from conduit_local.core.spec import Component
from conduit_local.core.strict import NotAnEvent, payload_in

MAX_LOOK_BYTES = 8 * 1024**2
"""Of payloads and poison in one look."""
_NOT_IN_A_TYPE = re.compile(r"[^A-Za-z0-9_-]+")


def _event_type(value: str) -> str:
    try:
        check_event_type(value)
    except InvalidRequest as error:
        raise ValueError(error.problems[0].message) from None
    return value


EventType = Annotated[str, AfterValidator(_event_type)]


class PulledSpec(Component):
    """What all sources that are pulled from have in common."""

    event_type: EventType | None = None
    """The type of all events; when left out, one made of the source's own name."""
    event_type_field: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """A field of each record that holds the event's type; where it holds none, `event_type` is taken."""


def type_out_of(name: str) -> str:
    """An event type made of a name: `Orders 2024 (new)` becomes `Orders_2024_new`."""
    parts = (_NOT_IN_A_TYPE.sub("_", part).strip("_") for part in name.split("."))
    return ".".join(part for part in parts if part)[:MAX_TYPE_LENGTH].strip(".") or "record"


class Look:
    """What one look at a source brings, as it comes together."""

    def __init__(self, spec: PulledSpec, most: int) -> None:
        self._decoder: msgspec.json.Decoder[dict[str, object]] | None = None
        self._field = spec.event_type_field
        self._fixed = spec.event_type
        self._most = most
        self.types: list[str] = []
        self.payloads: list[bytes] = []
        self.poison: list[Poison] = []
        self.size_bytes = 0
        if self._field is not None:
            chosen = msgspec.defstruct("Chosen", [("kind", object, None)], rename={"kind": self._field})
            self._decoder = msgspec.json.Decoder(chosen)

    @property
    def full(self) -> bool:
        """Whether there is no room for another record."""
        return len(self.payloads) + len(self.poison) >= self._most or self.size_bytes >= MAX_LOOK_BYTES

    @property
    def events(self) -> NewEvents | None:
        """The events, or None where there are none."""
        return NewEvents(self.types, self.payloads) if self.payloads else None

    def take(self, content: bytes, origin: str, otherwise: str, error: str | None = None) -> None:
        """A record: an event, or poison. `otherwise` is its type where the settings name none."""
        self.size_bytes += len(content)
        if error is None:
            try:
                payload = payload_in(content)
            except NotAnEvent as problem:
                error = str(problem)
            else:
                self.types.append(self._type_of(payload) or self._fixed or otherwise)
                self.payloads.append(payload)
                return
        self.poison.append(Poison(origin=origin, error=error, content=content[:262_144]))

    def back_to(self, state: tuple[int, int, int]) -> None:
        """Forget what was taken since `state`."""
        events, poison, self.size_bytes = state
        del self.types[events:], self.payloads[events:], self.poison[poison:]

    @property
    def state(self) -> tuple[int, int, int]:
        """For `back_to`."""
        return len(self.payloads), len(self.poison), self.size_bytes

    def _type_of(self, payload: bytes) -> str | None:
        if self._decoder is None:
            return None
        found = getattr(self._decoder.decode(payload), "kind", None)
        if not isinstance(found, str):
            return None
        try:
            check_event_type(found)
        except InvalidRequest:  # said in the docstring of `event_type_field`
            return None
        return found
