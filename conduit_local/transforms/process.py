"""One child: a process that runs people's SQL, one request at a time."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from conduit_local.core.errors import TransformUnavailable
from conduit_local.transforms.settings import TransformSettings

_START = (
    "import sys; sys.path.append(sys.argv.pop()); from conduit_local.transforms.child import program; program.run()"
)
_PACKAGE_AT = Path(__file__).parents[2]
_START_DEADLINE_S = 30.0
_BUSY = 6
_LOOK_S = 0.1
_LONGEST_ANSWER = 64 * 1024**2
_PASSED_ON = ("LD_LIBRARY_PATH", "PATH")
"""Of the environment; the rest may hold secrets, and the child needs none of it."""


class ChildGone(Exception):
    """The child ended before its answer. `begun`: the request had reached it. `how` says how it ended, for people."""

    def __init__(self, how: str, *, begun: bool) -> None:
        super().__init__(how)
        self.how = how
        self.begun = begun


class Child:
    """
    A running child with a folder of its own.

    Once a request was cut short, or the database is `spent`, it may not be asked again: only ended.
    """

    def __init__(self, process: Process, folder: Path) -> None:
        self._process = process
        self.folder = folder
        self.spent = False

    @classmethod
    async def start(cls, folder: Path, settings: TransformSettings, nice: int) -> "Child":
        """Makes `folder` and a child that works in it, so nice to others. Raises: TransformUnavailable."""
        try:
            with _made(folder) as stderr:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-c", _START),
                    *map(str, (folder, settings.memory, settings.max_output, nice, os.getpid(), _PACKAGE_AT)),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=stderr,
                    cwd=folder,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    limit=_LONGEST_ANSWER,
                    start_new_session=True,  # a Ctrl-C in the terminal is meant for the appliance
                )
        except OSError as error:
            raise TransformUnavailable(f"start the SQL process: {error.strerror or error}") from error
        child = cls(process, folder)
        try:
            async with asyncio.timeout(_START_DEADLINE_S):
                ready = await child._answer()
        except (TimeoutError, ChildGone) as error:
            how = error.how if isinstance(error, ChildGone) else f"was not ready within {_START_DEADLINE_S:g}s"
            said = child._said()
            await child.end()
            raise TransformUnavailable(f"start the SQL process: it {how}{said}") from error
        except BaseException:
            await child.end()
            raise
        assert ready == {"ready": True}
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can be asked."""
        return not self.spent and self._process.returncode is None

    async def ask(self, request: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        """
        What it answers to `request`.

        `deadline_s` is what it may compute: on a busy machine, where it hardly gets to, it may take six times as long.

        Raises: TimeoutError once that is over; ChildGone. After either, and when cancelled, it is spent.
        """
        begun = False
        loop = asyncio.get_running_loop()
        latest, before_s = loop.time() + _BUSY * deadline_s, self._computed_s()
        try:
            async with asyncio.timeout(deadline_s) as deadline:

                def look() -> None:
                    left_s = deadline_s - (self._computed_s() - before_s)
                    if left_s > 0 and loop.time() < latest - _LOOK_S:
                        when = min(loop.time() + max(_LOOK_S, left_s), latest)
                        deadline.reschedule(when)
                        looks.append(loop.call_at(when - _LOOK_S / 2, look))

                looks = [loop.call_later(deadline_s - min(_LOOK_S, deadline_s) / 2, look)]
                try:
                    self._send(request)
                    begun = "begun" in await self._answer()
                    return await self._answer()
                finally:
                    looks[-1].cancel()
        except ChildGone as error:
            self.spent = True
            raise ChildGone(error.how, begun=begun) from None
        except BaseException:
            self.spent = True
            raise

    def _computed_s(self) -> float:
        """CPU seconds it has used; where that cannot be told, the time that has passed."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return time.monotonic()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """Ends it at once; `end` must still be called."""
        self.spent = True
        if self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """Ends it, and removes its folder."""
        self.kill()
        await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")  # a broken pipe shows when we read

    async def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ChildGone(_how(await self._process.wait()), begun=False)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _said(self) -> str:
        """The last line that it wrote to its standard error."""
        lines = (self.folder / "stderr").read_bytes()[-2_000:].decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {last[:300]}" if last else ""


def _made(folder: Path) -> BinaryIO:
    """The folder of a child, and in it the file for what it says when it fails."""
    folder.mkdir(mode=0o700)
    return (folder / "stderr").open("wb")


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
