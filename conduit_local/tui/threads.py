"""From the threads of feed and questions onto the loop of the UI."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress


class Bridge:
    """
    Runs functions on the loop of the UI, for other threads, which wait for them: a slow terminal slows its feed.

    Textual's own way leaves a coroutine behind that nobody awaits when the UI ends at that moment.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: contextvars.Context | None = None

    def open(self) -> None:
        """The loop that runs now is that of the UI."""
        self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()

    def close(self) -> None:
        """The UI has ended: nothing is run any more, nobody waits."""
        self._ended.set()

    def run(self, function: Callable[[], object]) -> None:
        """Run `function` on the loop of the UI, and wait for it; not once the UI has ended."""
        done = threading.Event()

        def guarded() -> None:
            try:
                if not self._ended.is_set():
                    function()
            finally:
                done.set()

        with suppress(RuntimeError):  # the loop is closed
            if self._loop is not None:
                self._loop.call_soon_threadsafe(guarded, context=self._context)
                while not done.wait(0.5) and not self._ended.is_set():
                    pass
