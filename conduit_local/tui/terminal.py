"""
The UI and its terminal end well: SIGTERM restores the terminal, and the end of the terminal is the end of the UI.

That is so by SIGHUP, but some shells and `nohup` ignore it. Textual then goes on reading a terminal that is gone, which
takes a whole core, and cannot be ended any more once it waits for such a terminal to take what it writes. So a thread
looks, and ends the process as the signal would have.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_EVERY_S = 1.0
_AS_BY_SIGHUP = 129


def on_sigterm(leave: Callable[[], object]) -> None:
    """Leave as if asked to, which restores the terminal; until the running loop ends."""
    with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread: somebody else's process
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)


def end_with_terminal() -> None:
    """Look from now on, if there is a terminal now. Nothing is kept here that would have to be saved first."""
    if sys.stdin is not None and sys.stdin.isatty():
        threading.Thread(target=_watch, args=(sys.stdin.fileno(),), name="terminal", daemon=True).start()


def _watch(terminal: int) -> None:
    while os.isatty(terminal):
        time.sleep(_EVERY_S)
    os._exit(_AS_BY_SIGHUP)
