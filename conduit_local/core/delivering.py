"""What the engine needs of destinations; a part of `core.ports`, by subject."""

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.problems import Problem
from conduit_local.core.spec import DestinationSpec, PipelineSpec


class Rejected(Exception):
    """
    The destination understood, and refuses this content for good; other content it may take. `message` says why.

    Never for what waiting or a person mends (`DestinationUnavailable`): the events that stand alone with it die.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Found(NamedTuple):
    """An object as it lies at a destination."""

    key: str
    size_bytes: int
    sha256: str | None = None
    """In hexadecimal digits, where the destination keeps it; else the object's own bytes must be read for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that a look at a destination brought to light."""

    step: str
    """What was tried: `write`, `read back`, `overwrite`, `list`, `remove`."""
    ok: bool | None
    """None: it works, and people should know how."""
    message: str


class Destination(Protocol):
    """
    Where a route lands batches. Made for one route, used by it alone.

    The docstring of each kind's module says how it keeps the promise: every batch once.
    """

    extension: str
    """What object keys end with: `jsonl.zst`."""

    in_flight: int
    """How many batches may be on their way at once: `write` is called for so many at a time, in any order."""

    def partition(self, received_at_us: int) -> str:
        """The folder, below the pipeline's, of an event that was received then."""
        ...

    async def write(self, key: str, content: Content) -> Written:
        """
        Put the rows at `key`; return once they are there for good. The content stays the caller's to close.

        Order:  the same key with the same rows twice leaves one object, whatever interrupted the first call.
        Raises: DestinationUnavailable, the caller repeats the same call later; Rejected, nothing of it is there.
        """
        ...

    async def read(self, key: str) -> "ObjectContent | None":
        """
        The object at `key`, or None when it is not there, or this kind cannot be read back.

        Raises: DestinationUnavailable.
        """
        ...

    def objects(self, folder: str) -> AsyncIterator[Sequence[Found]] | None:
        """
        The objects whose keys lie below `folder`, in pages, in any order; None where this kind cannot be looked at.

        Raises: DestinationUnavailable.
        """
        ...

    async def probe(self) -> list[Finding]:
        """
        Try out what delivering needs, in a place where no object of a batch can be, and leave nothing behind.

        Whatever goes wrong is a finding, in the order of the steps; after the first one that fails no more is tried.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds. Objects stay."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectContent:
    """An object's bytes, to be read in a thread, once. Shape: pieces of at most 1 MiB, `size_bytes` in all."""

    size_bytes: int
    pieces: Generator[bytes, None, None]

    def close(self) -> None:
        """Let go of it; what a thread is reading just now lets go by itself, at its end."""
        with suppress(ValueError):
            self.pieces.close()


class Destinations(Protocol):
    """Makes destinations out of their settings."""

    def make(self, spec: DestinationSpec, origin: str = "") -> Destination:
        """
        The destination that `spec` describes; one that answers Unavailable where it cannot be had here.

        `origin` names the route among those of all appliances, for ever: receivers tell by it what they have already.
        """
        ...

    def missing(self, spec: PipelineSpec) -> str | None:
        """Why no run of this pipeline can come to anything (a connector that is not here), or None."""
        ...

    def refused_to_apis(self, spec: PipelineSpec) -> list[Problem]:
        """What a configuration file may have, but a pipeline that is made through an API may not."""
        ...


def origin_of(tag: str, pipeline_uuid: str, route: str) -> str:
    """What names a route among those of all appliances (`Destinations.make`). `tag` is the store's."""
    return f"{tag}/{pipeline_uuid}/{route}"


@asynccontextmanager
async def opened(destinations: Destinations, spec: DestinationSpec, origin: str = "") -> AsyncIterator[Destination]:
    """A destination for a block."""
    destination = destinations.make(spec, origin)
    try:
        yield destination
    finally:
        await destination.close()
