"""`Encoder` for the destinations: Parquet, written by DuckDB in children of their own."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from conduit_local.core.content import Column, Content, Envelopes
from conduit_local.core.delivering import Rejected
from conduit_local.core.encoding import Record
from conduit_local.core.errors import DestinationUnavailable, TransformUnavailable
from conduit_local.core.times import duration_text
from conduit_local.transforms.columns import EVENTS
from conduit_local.transforms.lanes import IDLE_S, Lane
from conduit_local.transforms.process import Child, ChildGone
from conduit_local.transforms.scratch import emptied, fresh_names, in_thread, write
from conduit_local.transforms.settings import TransformSettings

_MIB = 1024**2
_PIECE_BYTES = 1 << 20
_TRIES = 3
_NICE = 2
"""The appliance itself comes first, what may be hostile (`running`) after this."""
_PAYLOAD = tuple(column for column in EVENTS if column.name == "payload")
_TRIAL = Envelopes((b'{"payload":{}}\n',), 1)


@asynccontextmanager
async def open_encoder(
    settings: TransformSettings, *, scratch: Path, idle_s: float = IDLE_S
) -> AsyncIterator["ParquetEncoder"]:
    """
    An encoder that keeps its files in the folder `scratch`, which is made or emptied now, and emptied at the end.

    No child is started before the first batch; all are ended, and waited for, at the end.
    """
    scratch = await asyncio.to_thread(emptied, scratch)
    encoder = ParquetEncoder(settings, scratch, idle_s)
    try:
        yield encoder
    finally:
        await encoder.close()
        await asyncio.to_thread(emptied, scratch)


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """`EncodedFile` over a file of its own, which goes when it is closed; open only while it is read."""

    path: Path
    size_bytes: int

    def pieces(self) -> Iterator[bytes]:
        """`EncodedFile.pieces`."""
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def close(self) -> None:
        """`EncodedFile.close`."""
        self.path.unlink(missing_ok=True)


class _Failure(Exception):
    """A child did not do it, which may be the fault of the rows or of the machine. `message` says why, for people."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.message = message
        self.again = again


class ParquetEncoder:
    """
    Makes Parquet, out of harm's way (`Encoder` for the destinations).

    The children are apart from those that run people's SQL, which cannot hold up what lands; what they may take of
    the machine is the same (`transforms` in the settings).

    A batch that breaks its child, again and again, or takes too long, is Rejected only once a child has made Parquet
    of a trial row after that: then it is the batch, of which halves need less, and in the end it is a single row.
    Otherwise it is the machine, and the batch waits.
    """

    def __init__(self, settings: TransformSettings, scratch: Path, idle_s: float) -> None:
        self._settings = settings
        self._scratch = scratch
        self._names = fresh_names()
        self._lane = Lane(self._start, settings.children, idle_s)

    async def parquet(self, content: Content, record: Record) -> ParquetFile:
        """`Encoder.parquet`."""
        columns = content.columns or (EVENTS if record == "envelope" else _PAYLOAD)
        try:
            failure = None
            for _ in range(_TRIES):
                try:
                    return await self._made(content, columns)
                except _Failure as error:
                    failure = error
                    if not error.again:
                        break
            assert failure is not None
            rows = "a row" if content.rows == 1 else f"{content.rows:,} rows"
            message = f"make Parquet of {rows}: {failure.message}"
            try:
                (await self._made(_TRIAL, _PAYLOAD)).close()
            except _Failure as error:
                raise DestinationUnavailable(f"{message}; and of a trial row: {error.message}") from error
            raise Rejected(message)
        except TransformUnavailable as error:
            raise DestinationUnavailable(f"make Parquet: {error.message}", needs_person=error.needs_person) from error

    async def close(self) -> None:
        """Ends all children."""
        await self._lane.close()

    async def _made(self, content: Content, columns: Sequence[Column]) -> ParquetFile:
        """What a child makes of it. Raises: _Failure, Rejected, DestinationUnavailable, TransformUnavailable."""
        try:
            async with self._lane.child() as child:
                source, target = child.folder / "source", child.folder / "target"
                try:
                    await in_thread(partial(write, source, content.pieces()))
                    request = {"columns": columns, "source": str(source), "target": str(target)}
                    answer = await child.ask(request, self._settings.time_limit)
                    if "failed" in answer:
                        child.spent = answer["failed"]["kind"] != "rows"
                        raise self._failure(answer["failed"])
                    kept = self._scratch / f"{next(self._names)}.parquet"
                    target.replace(kept)
                    return ParquetFile(kept, kept.stat().st_size)
                finally:
                    if child.usable:  # else its whole folder goes
                        source.unlink(missing_ok=True)
                        target.unlink(missing_ok=True)
        except TimeoutError:
            limit = duration_text(self._settings.time_limit)
            raise _Failure(
                f"it took longer than {limit} (transforms.time_limit in the settings)", again=False
            ) from None
        except ChildGone as error:
            if self._lane.closed:
                raise DestinationUnavailable("make Parquet: the appliance is stopping") from error
            raise _Failure(f"the process that did it {error.how}; {self._memory_limit()}", again=True) from error
        except OSError as error:
            raise DestinationUnavailable(f"make Parquet: keep the rows in {self._scratch}: {error.strerror}") from error

    def _failure(self, failed: dict[str, Any]) -> Exception:
        message = failed["message"]
        match failed["kind"]:
            case "rows":
                return Rejected(f"make Parquet: {message}")
            case "memory":
                return _Failure(f"it took more memory than it may; {self._memory_limit()}", again=True)
            case "output":
                most = f"{self._settings.max_output / _MIB:g} MiB (transforms.max_output in the settings)"
                return Rejected(f"make Parquet: the rows take more than {most}")
            case "disk":
                return DestinationUnavailable(f"make Parquet: {message}")
            case "query":
                return DestinationUnavailable(f"make Parquet: {message}", needs_person=True)
            case _:
                return _Failure(f"the database broke down: {message}", again=True)

    def _memory_limit(self) -> str:
        return f"a batch has {self._settings.memory / _MIB:g} MiB (transforms.memory in the settings)"

    async def _start(self) -> Child:
        return await Child.start(self._scratch / f"child-{next(self._names)}", self._settings, _NICE)
