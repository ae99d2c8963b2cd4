"""A real pseudo-terminal with a program in it, and a screen that understands what the program writes."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pyte

_ALTERNATE, _NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"
_NOT_UNDERSTOOD = re.compile(rb"\x1b\[[<>=?][\d;]*(?:u|\$p|m)")
"""Questions and modes that pyte would print: the kitty keyboard, synchronized output."""
_START = """
import fcntl, os, signal, sys, termios
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "conduit_local", *sys.argv[2:]])
"""
KEYS = {"enter": b"\r", "tab": b"\t", "escape": b"\x1b"}


class Terminal:
    """`conduit-local ...` in a session of its own, with this terminal as its controlling one."""

    def __init__(
        self,
        *arguments: str,
        home: Path,
        environment: Mapping[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
        deaf: bool = False,
    ) -> None:
        columns, lines = size
        self.raw = b""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._modes = termios.tcgetattr(self._slave)
        kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "SSH_CONNECTION"}}
        private = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_DATA_HOME": str(home / "data")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, "deaf" if deaf else "hears", *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            env={**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **private, **(environment or {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.close()

    def close(self) -> None:
        """The window is closed: SIGHUP, and nobody reads or writes any more."""
        for place in (self._slave, self._master):
            with suppress(OSError):  # closed before
                os.close(place)

    def type(self, *keys: str) -> None:
        """Press keys: characters, and names of `KEYS`."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key.encode()))

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self._screen.display)

    @property
    def is_restored(self) -> bool:
        """Whether the shell would find its screen and its line discipline as they were."""
        left = self.raw.rfind(_NORMAL) > self.raw.rfind(_ALTERNATE) >= 0
        return left and termios.tcgetattr(self._slave) == self._modes

    def until(self, condition: Callable[[str], bool], within_s: float = 20.0) -> str:
        """Read until the screen fits."""
        end = time.monotonic() + within_s
        while not condition(self.text):
            assert time.monotonic() < end, f"exit code {self.process.poll()}\n{self.text}"
            self._read(0.05)
        return self.text

    def until_shown(self, *words: str, within_s: float = 20.0) -> str:
        """Read until all these words are on the screen."""
        return self.until(lambda text: all(word in text for word in words), within_s)

    def ended(self, within_s: float = 20.0) -> int:
        """Read until the program has ended; returns its exit code."""
        end = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < end, self.text
            self._read(0.05)
        while self._read(0):
            pass
        return self.process.returncode

    def signal(self, number: signal.Signals) -> None:
        """To the program alone."""
        self.process.send_signal(number)

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        try:
            block = os.read(self._master, 65_536)
        except OSError:  # nobody has the other side open
            return False
        self.raw += block
        self._stream.feed(_NOT_UNDERSTOOD.sub(b"", block))
        return bool(block)


def run_in_terminal(arguments: Sequence[str], home: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """A command that needs no keys: its exit code, and what it said."""
    with Terminal(*arguments, home=home, environment=environment) as terminal:
        return terminal.ended(), terminal.raw.decode(errors="replace")
