"""One place of a destination, compared with the ledger."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing

from conduit_local.core.delivering import Destination, Found, ObjectContent
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.engine.evidence import Deviation, Entry, Ledger, Place, Progress, Verified, Wrong
from conduit_local.engine.strangers import Strangers

Tell = Callable[[Progress | Deviation], Awaitable[None]]

READ_AT_ONCE = 4
"""Objects that are read at once, over all that is verified."""
_JUDGED_AT_ONCE = 1_000
_UNREADABLE_AT_MOST = 5
"""So many in a row that cannot be read: it is not them, it is the destination."""


class Look:
    """One place of a destination, looked at."""

    def __init__(
        self,
        folder: str,
        place: Place,
        destination: Destination,
        ledger: Ledger,
        strangers: Strangers | None,
        verified: Verified,
        tell: Tell,
        turns: asyncio.Semaphore,
    ) -> None:
        """
        `folder` is the pipeline's. Without `strangers`, nobody asks what else lies there. Whoever has a turn of `turns`
        may read an object.
        """
        self._folder = folder
        self._root = place.root
        self._destination = destination
        self._ledger = ledger
        self._strangers = strangers
        self._verified = verified
        self._tell = tell
        self._turns = turns
        self._rest = place.entries
        """What was not found yet."""
        self._to_read: list[Entry] = []
        self._unknown: list[str] = []
        self._seen = 0
        self._unreadable_in_a_row = 0
        for entry in place.entries.values():
            verified.objects += 1
            verified.rows += entry.rows or 0
            verified.size_bytes += entry.size_bytes

    # What lies there -------------------------------------------------------------------------------------

    async def listed(self) -> bool:
        """Compare what is listed; False where this kind cannot be looked at. Raises: DestinationUnavailable."""
        pages = self._destination.objects(self._folder)
        if pages is None:
            return False
        self._verified.is_lookable = True
        async for page in pages:
            for place in range(0, len(page), _JUDGED_AT_ONCE):
                await self._compare_all(page[place : place + _JUDGED_AT_ONCE])
        await self._judge()
        return True

    async def _compare_all(self, some: Sequence[Found]) -> None:
        for found in some:
            if (entry := self._rest.pop(found.key, None)) is not None:
                await self._compare(entry, found)
            elif self._strangers is not None and found.key not in self._ledger.keys:
                self._unknown.append(found.key)
        self._seen += len(some)
        await self._note("list", self._seen)
        if len(self._unknown) >= _JUDGED_AT_ONCE:
            await self._judge()

    def routes_of_the_rest(self) -> list[str]:
        """The routes of runs whose objects were not found: tables keep apart what each route has landed."""
        return list(dict.fromkeys(entry.route for entry in self._rest.values() if "@" in entry.route))

    async def listed_of(self, route: str, own: Destination) -> None:
        """Compare what is listed to a run's own route. Raises: DestinationUnavailable."""
        pages = own.objects(f"{self._folder}/{route.partition('@')[2]}")
        if pages is None:
            return
        async for page in pages:
            for found in page:
                if (entry := self._rest.pop(found.key, None)) is not None:
                    await self._compare(entry, found)

    async def _compare(self, entry: Entry, found: Found) -> None:
        if found.size_bytes != entry.size_bytes:
            await self._say(Wrong.ALTERED, entry, _sizes(entry, found.size_bytes))
        elif entry.sha256 is None:
            self._verified.compared_by_size += 1
        elif found.sha256 is None:
            self._to_read.append(entry)
        else:
            await self._compare_sums(entry, found.sha256)

    async def _compare_sums(self, entry: Entry, sha256: str) -> None:
        self._verified.compared += 1
        if sha256 != entry.sha256:
            message = f"it has the SHA-256 {sha256}; what was delivered had {entry.sha256}"
            await self._say(Wrong.ALTERED, entry, message)

    async def _judge(self) -> None:
        judged, self._unknown = self._unknown, []
        if self._strangers is None or not judged:
            return
        extra, older = await self._strangers.judged(judged, self._root)
        self._verified.older += older
        for key in extra:
            await self._say(Wrong.EXTRA, key, "it lies there, and the pipeline has not delivered it")

    # What does not ---------------------------------------------------------------------------------------

    async def told_missing(self) -> None:
        """
        What was not listed is asked for by its key before it is called missing: a list may lag behind.

        Raises: DestinationUnavailable, as `read`.
        """
        for entry in self._rest.values():
            await self._note("list", self._seen)
            try:
                content = await self._destination.read(entry.key)
            except DestinationUnavailable as error:
                await self._cannot_read(entry, error)
                continue
            self._unreadable_in_a_row = 0
            if content is None:
                await self._say(Wrong.MISSING, entry, "it was delivered, and is not there")
                continue
            content.close()
            await self._compare(entry, Found(entry.key, content.size_bytes))

    # What is in it ---------------------------------------------------------------------------------------

    async def read(self, *, quick: bool) -> None:
        """
        Compare the bytes of those whose size is right; `quick` takes their size for it.

        Raises: DestinationUnavailable, once several in a row cannot be read.
        """
        if quick:
            self._verified.compared_by_size += len(self._to_read)
            return
        count = len(self._to_read)
        for done in range(0, count, READ_AT_ONCE):
            await self._note("read", done, count)
            entries = self._to_read[done : done + READ_AT_ONCE]
            async with asyncio.TaskGroup() as tasks:
                under_way = [tasks.create_task(self._read(entry)) for entry in entries]
            for entry, task in zip(entries, under_way, strict=True):
                await self._take(entry, task.result())

    async def _read(self, entry: Entry) -> tuple[int, str] | DestinationUnavailable | OSError | None:
        """The size and the SHA-256 of what is there; None where it is gone, or why it cannot be read."""
        async with self._turns:
            try:
                content = await self._destination.read(entry.key)
                return None if content is None else await _summed(content)
            except (DestinationUnavailable, OSError) as error:
                return error

    async def _take(self, entry: Entry, read: tuple[int, str] | DestinationUnavailable | OSError | None) -> None:
        match read:
            case None:
                await self._say(Wrong.MISSING, entry, "it was delivered, and has vanished while it was looked at")
            case (size_bytes, sha256):
                self._unreadable_in_a_row = 0
                if size_bytes == entry.size_bytes:
                    await self._compare_sums(entry, sha256)
                else:
                    await self._say(Wrong.ALTERED, entry, _sizes(entry, size_bytes))
            case error:
                await self._cannot_read(entry, error)

    async def _cannot_read(self, entry: Entry, error: DestinationUnavailable | OSError) -> None:
        if isinstance(error, OSError):
            error = DestinationUnavailable(f"read {entry.place or entry.key}: {error.strerror or error}")
        self._unreadable_in_a_row += 1
        if self._unreadable_in_a_row >= _UNREADABLE_AT_MOST:
            raise error
        await self._say(Wrong.UNREADABLE, entry, error.message)

    async def _note(self, step: str, done: int, of: int | None = None) -> None:
        """Say how far it is, and let others go first. Raises: PipelineNotFound."""
        self._ledger.require_live()
        await self._tell(Progress(destination=self._verified.destination, step=step, done=done, of=of))
        await asyncio.sleep(0)

    async def _say(self, wrong: Wrong, what: Entry | str, message: str) -> None:
        self._verified.wrong[wrong] += 1
        entry, key = (None, what) if isinstance(what, str) else (what, what.key)
        await self._tell(
            Deviation(destination=self._verified.destination, wrong=wrong, key=key, message=message, entry=entry)
        )


async def _summed(content: ObjectContent) -> tuple[int, str]:
    """Size and SHA-256, piece by piece in a thread. Raises: DestinationUnavailable, OSError."""
    total, sha256 = 0, hashlib.sha256()

    def take() -> int | None:
        piece = next(content.pieces, None)
        if piece is not None:
            sha256.update(piece)
        return None if piece is None else len(piece)

    with closing(content):
        while (size := await asyncio.to_thread(take)) is not None:
            total += size
    return total, sha256.hexdigest()


def _sizes(entry: Entry, size_bytes: int) -> str:
    return f"it has {size_bytes:,} bytes; {entry.size_bytes:,} were delivered"
