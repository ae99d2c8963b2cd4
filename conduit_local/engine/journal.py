"""The last log lines, in memory, for those who look at the appliance: CLI, TUI, `/_local/logs`."""

import logging
import threading
from collections import deque
from dataclasses import dataclass

from conduit_local.core.plain import plain
from conduit_local.core.ports import Clock

LOGGER = logging.getLogger("conduit_local")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the appliance's log. `number` counts up from 1."""

    number: int
    at_us: int
    level: str
    pipeline: str | None
    message: str
    run: str | None = None
    """The run in whose log the same is written down."""


class Journal(logging.Handler):
    """
    Keeps the newest lines of everything that is logged.

    A handler of the standard library's logging, so that nothing is said twice; any thread may log.
    """

    def __init__(self, clock: Clock, size: int = 5_000) -> None:
        super().__init__(logging.INFO)
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=size)
        self._number = 0
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; what came from outside is made plain here, once."""
        message = plain(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            message = f"{message}: {type(error).__name__}: {plain(str(error))}"
        with self._guard:
            self._number += 1
            self._lines.append(
                Line(
                    number=self._number,
                    at_us=self._clock.now_us(),
                    level=record.levelname,
                    pipeline=getattr(record, "pipeline", None),
                    message=message,
                    run=getattr(record, "run", None),
                )
            )

    @property
    def newest(self) -> int:
        """The number of the newest line, 0 when there is none."""
        return self._number

    def after(
        self,
        number: int,
        limit: int,
        *,
        level: int = logging.INFO,
        pipeline: str | None = None,
        of_runs: bool = True,
    ) -> list[Line]:
        """The newest `limit` lines behind `number`, the oldest first; `of_runs`: also those that runs' logs have."""
        names = logging.getLevelNamesMapping()
        found: list[Line] = []
        with self._guard:
            for line in reversed(self._lines):
                if line.number <= number or len(found) == limit:
                    break
                if names.get(line.level, 0) < level or pipeline not in {None, line.pipeline}:
                    continue
                if of_runs or line.run is None:
                    found.append(line)
        return found[::-1]


def say(level: int, message: str, pipeline: str | None = None, run: str | None = None) -> None:
    """Log a line, about a pipeline if one is named; `run` is the run whose own log has it too."""
    LOGGER.log(level, message, extra={"pipeline": pipeline, "run": run})
