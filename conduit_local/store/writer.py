"""
The one writing connection: group commit.

All that waits is taken at once and committed together: `BEGIN IMMEDIATE`, the work of each, `COMMIT`, and only then
is anybody answered. While one group is on its way to the disk the next one gathers, so the number of fsyncs follows
the disk, not the number of callers.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

from conduit_local.core.errors import ConduitError, StoreUnavailable
from conduit_local.store.connection import Connection, StoreBroken, close, meaning

T = TypeVar("T")


class Work(Protocol):
    """A piece of a group. Made and settled on the loop; applied in the writer's thread, inside the transaction."""

    counts_on: bool
    """Whether it counts on from where the last commit ended: only one such piece fits in a group."""

    def seal(self) -> None:
        """The group is taken: nothing joins any more."""
        ...

    def prepare(self) -> bool:
        """
        Do what needs no transaction, in the writer's thread. Returns whether `apply` is one statement, which needs no
        transaction around it when the work is alone: two fewer times that the thread must wait for the interpreter.
        """
        ...

    def apply(self, db: sqlite3.Connection) -> None:
        """Write. Any error that is not this work's own takes the whole group down."""
        ...

    def settle(self, error: ConduitError | None) -> None:
        """The group is on disk, or `error` says why nothing of it is."""
        ...


class Call:
    """
    One function, in a savepoint of its own: when it raises a ConduitError, its writes are undone and its caller gets
    the error, while the rest of the group goes on.
    """

    counts_on = False

    def __init__(self, function: Callable[[sqlite3.Connection], T], answer: "asyncio.Future[T]") -> None:
        self._function = function
        self._answer = answer
        self._result: object = None
        self._refusal: ConduitError | None = None

    def seal(self) -> None:
        """Nothing joins a call."""

    def prepare(self) -> bool:
        """A call may be any number of statements."""
        return False

    def apply(self, db: sqlite3.Connection) -> None:
        """Run the function between SAVEPOINT and RELEASE."""
        db.execute("SAVEPOINT call")
        try:
            self._result = self._function(db)
        except ConduitError as error:
            db.execute("ROLLBACK TO call")
            self._refusal = error
        db.execute("RELEASE call")

    def settle(self, error: ConduitError | None) -> None:
        """Hand over the result, unless the caller went away."""
        if self._answer.done():
            return
        failure = error or self._refusal
        if failure:
            self._answer.set_exception(failure)
        else:
            self._answer.set_result(self._result)  # type: ignore[arg-type]


class Writer:
    """
    Takes work and commits it in groups, in the order in which it came.

    `run` must be running for anything to happen; it ends when cancelled (after the group under way) or with
    StoreBroken.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[Work] = []
        self._bell: asyncio.Future[None] | None = None
        self._closing = False
        self._broken: StoreBroken | None = None
        self.groups = 0
        """How many groups were committed."""
        self.committed: Callable[[], None] = lambda: None
        """Called on the loop after each commit, before the next one begins."""

    def enlist(self, work: Work) -> None:
        """Put `work` in the next group. Raises: StoreUnavailable when the store is closing or broken."""
        if self._closing or self._broken:
            raise StoreUnavailable("write to the store: it is closing")
        self._waiting.append(work)
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` in the next group and return what it returned, once that is on disk."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.enlist(Call(function, answer))
        return await answer

    async def run(self) -> None:
        """Commit groups until `finish` was called and nothing waits. Raises: StoreBroken."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                if self._closing:
                    return
                self._bell = loop.create_future()
                await self._bell
                continue
            group, self._waiting = _first_group(self._waiting)
            for work in group:
                work.seal()
            error = await self._commit(group)
            for work in group:
                work.settle(error)
            if error is None:
                self.committed()
            if self._broken:
                self._settle_rest(self._broken)
                raise self._broken

    def finish(self) -> None:
        """Take no more work; `run` returns once what waits is committed."""
        self._closing = True
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def close(self) -> None:
        """Close the connection. The last to close checkpoints, so readers are closed before."""
        self._settle_rest(StoreUnavailable("write to the store: it is closed"))
        await close(self._connection)

    async def _commit(self, group: list[Work]) -> ConduitError | None:
        try:
            await self._connection.call(lambda db: _commit_together(db, group))
        except sqlite3.Error as error:
            failure = meaning(error, "write to the store")
            if isinstance(failure, StoreBroken):
                self._broken = failure
            return failure
        except Exception as error:  # noqa: BLE001 - a bug in one piece of work must not end the writer silently
            self._broken = StoreBroken(f"write to the store: {type(error).__name__}: {error}")
            self._broken.__cause__ = error
            return self._broken
        self.groups += 1
        return None

    def _settle_rest(self, error: ConduitError) -> None:
        rest, self._waiting = self._waiting, []
        for work in rest:
            work.seal()
            work.settle(error)


def _first_group(waiting: list[Work]) -> tuple[list[Work], list[Work]]:
    """What is committed now, and what waits for the next time: from the second piece on that counts on."""
    counting = [place for place, work in enumerate(waiting) if work.counts_on]
    return (waiting, []) if len(counting) < 2 else (waiting[: counting[1]], waiting[counting[1] :])


def _commit_together(db: sqlite3.Connection, group: list[Work]) -> None:
    single = [work.prepare() for work in group]
    if single == [True]:
        group[0].apply(db)
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for work in group:
            work.apply(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
