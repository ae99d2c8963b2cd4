"""How the appliance's log looks: text or JSON, a line a record, nothing that drives a terminal."""

import json
import logging
import sys
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from textwrap import indent
from typing import IO

from conduit_local.core.plain import plain, plain_lines

_ROTATE_BYTES = 10 * 1024**2
_KEPT_FILES = 3


class _Text(logging.Formatter):
    """
    `2026-06-21T14:09:33.120Z INFO  orders 100 rows …`; tracebacks follow, indented, so that none of their lines passes
    for a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        pipeline = getattr(record, "pipeline", None)
        about = f"{pipeline}: " if pipeline else ""
        text = f"{_time(record)} {record.levelname:<7} {about}{plain(record.getMessage())}"
        if record.exc_info:
            text += "\n" + indent(plain_lines(self.formatException(record.exc_info)), "  ", lambda _: True)
        return text


class _Json(logging.Formatter):
    """One JSON object a line: `{at, level, pipeline, message, traceback}`."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": _time(record),
            "level": record.levelname,
            "pipeline": getattr(record, "pipeline", None),
            "message": plain(record.getMessage()),
        }
        if record.exc_info:
            said["traceback"] = plain_lines(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


class _Quiet:
    """A full disk behind the log must not end the appliance: lines that cannot be written are dropped."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the line; the journal in memory still has it."""


class _ToStream(_Quiet, logging.StreamHandler[IO[str]]):
    """Standard error."""


class _ToFile(_Quiet, RotatingFileHandler):
    """A file that is rotated. It is opened at the first line: the data folder it may lie in is made before."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()


def handler_for(form: str, path: Path | None) -> logging.Handler:
    """The handler for a log in `form` (`text` or `json`), to a file or to standard error."""
    if path is None:
        handler: logging.Handler = _ToStream(sys.stderr)
    else:
        handler = _ToFile(path, maxBytes=_ROTATE_BYTES, backupCount=_KEPT_FILES, encoding="utf-8", delay=True)
    handler.setFormatter(_Json() if form == "json" else _Text())
    return handler


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
