"""The process that opens a DuckDB file: a crash in there, or memory it takes, is none of the appliance's."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from conduit_local.core.content import Content
from conduit_local.core.errors import DestinationUnavailable

_START = (
    "import sys; sys.path.append(sys.argv.pop());"
    " from conduit_local.destinations.tables import duckdb_child; duckdb_child.run()"
)
_PACKAGE_AT = Path(__file__).parents[3]
_PASSED_ON = ("LD_LIBRARY_PATH", "PATH")
"""Of the environment; the rest may hold secrets, and the child needs none of it."""
_START_DEADLINE_S = 30.0
_LONGEST_ANSWER = 16 * 1024**2
_IDLE_S = 30.0


class Child:
    """
    One process, one request at a time; started when it is needed, ended when it was not for half a minute.

    Whoever is cut short while it works has it killed: what it had not committed is gone with it.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._bedtime: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def ask(self, request: Mapping[str, Any], deadline_s: float, content: Content | None = None) -> Any:
        """
        What it answers to `request`, which the lines of `content` follow.

        Raises: DestinationUnavailable when it does not start, ends, or takes longer than `deadline_s`.
        """
        async with self._turn:
            self._stay_awake()
            try:
                process = await self._running()
                async with asyncio.timeout(deadline_s):
                    assert process.stdin is not None
                    try:
                        process.stdin.write(json.dumps(request).encode() + b"\n")
                        if content is not None:
                            await _send(process.stdin, content)
                    except ConnectionError:
                        return await _answer(process)  # it has ended: this says how
                    return await _answer(process)
            except TimeoutError:
                await self._end()
                raise DestinationUnavailable(f"took longer than {deadline_s:g}s") from None
            except BaseException:
                await self._end()
                raise
            finally:
                self._bedtime = asyncio.get_running_loop().call_later(_IDLE_S, self._kill)

    async def close(self) -> None:
        """Ends it."""
        self._stay_awake()
        await self._end()

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _START, str(os.getpid()), str(_PACKAGE_AT)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                limit=_LONGEST_ANSWER,
                start_new_session=True,  # a Ctrl-C in the terminal is meant for the appliance
            )
        except OSError as error:
            raise DestinationUnavailable(f"start DuckDB's process: {error.strerror or error}") from error
        async with asyncio.timeout(_START_DEADLINE_S):
            await _answer(self._process)
        return self._process

    def _stay_awake(self) -> None:
        if self._bedtime is not None:
            self._bedtime.cancel()
            self._bedtime = None

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _send(stdin: asyncio.StreamWriter, content: Content) -> None:
    lines = content.pieces()
    step: Callable[[], bytes | None] = lambda: next(lines, None)  # noqa: E731 - for a thread
    while (piece := await asyncio.to_thread(step)) is not None:
        if piece:  # a length of 0 is the end
            stdin.write(len(piece).to_bytes(4, "big") + piece)
            await stdin.drain()
    stdin.write(bytes(4))
    await stdin.drain()


async def _answer(process: Process) -> Any:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        assert process.stderr is not None
        said = (await process.stderr.read()).decode(errors="replace").strip().rpartition("\n")[2]
        raise DestinationUnavailable(f"DuckDB's process ended with status {await process.wait()}: {said[:300]}")
    return json.loads(line)
