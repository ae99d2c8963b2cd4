"""What every command needs: finding the appliance, printing, exit codes."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from conduit_local.core.plain import plain, shorten
from conduit_local.core.units import span_text

FAILED, USAGE, NOT_REACHABLE, FOLDER_IN_USE, IO_ERROR = 1, 2, 3, 4, 74

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PIPELINES = ("PIPELINE", "the pipeline's name, id or UUID")

_CELL_CHARS, _LAST_CELL_CHARS = 100, 1_000


class Failure(click.ClickException):
    """A command that failed: one plain sentence, and the exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click has one a class, we have one a failure

    def show(self, file: Any = None) -> None:
        """On standard error, with nothing around it."""
        click.echo(f"conduit-local: {self.format_message()}", file=file or sys.stderr)


def has_terminal() -> bool:
    """Whether the terminal UI can run: keys come from standard input, and Textual draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return os.environ.get("TERM") != "dumb" and all(stream is not None and stream.isatty() for stream in streams)


def run_cli(command: click.Command, args: Sequence[str] | None) -> int:
    """Run a command and say what came of it as an exit code."""
    from conduit_local.client.errors import Refusal, Unreachable

    try:
        result = command.main(args, prog_name="conduit-local", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        click.echo("Aborted.", err=True)
        return FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Unreachable as error:
        click.echo(f"conduit-local: {error}", err=True)
        return NOT_REACHABLE
    except Refusal as error:
        click.echo(f"conduit-local: {plain(error.message)} ({error.code})", err=True)
        for field, text in error.details.items():
            click.echo(f"  {plain(field)}: {plain(text)}", err=True)
        return FAILED
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        click.echo(f"conduit-local: {error.strerror or error}{where}", err=True)
        return IO_ERROR


def reaches_appliance(function: Callable[..., T]) -> Callable[..., T]:
    """The options that say which appliance, and `client`, a ControlClient for it, as the first argument."""
    import functools

    from conduit_local.client.control import ControlClient
    from conduit_local.client.find import find_appliance

    @click.option("--url", help="The appliance's URL (or CONDUIT_URL; else that of the data folder).")
    @click.option("--key", help="An API key (or CONDUIT_TOKEN; else that of the data folder).")
    @click.option("--data-dir", type=click.Path(path_type=Path), help="Its data folder (or CONDUIT_LOCAL_DATA_DIR).")
    @functools.wraps(function)
    def wrapped(*args: Any, url: str | None, key: str | None, data_dir: Path | None, **options: Any) -> T:
        place = find_appliance(url, key, data_dir, os.environ)
        with ControlClient(place.url, place.key) as client:
            return function(client, *args, **options)

    return wrapped


def as_json(function: F) -> F:
    """The option `--json`."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON, for scripts.")(function)


def read_json(content: bytes) -> Any:
    """
    JSON as the appliance will read it, to look at its shape; numbers are left as text. Raises: ValueError.
    """
    try:
        return json.loads(content.decode(), parse_int=str, parse_float=str, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def print_json(value: Any) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Iterable[str] = ()) -> None:
    """A table whose columns are as wide as what is in them; foreign text is made plain."""
    last = len(columns) - 1  # has nothing beside it: what to do about an error stands at the end of its message
    texts = [
        [
            shorten(plain("-" if cell is None else str(cell)), _CELL_CHARS if place < last else _LAST_CELL_CHARS)
            for place, cell in enumerate(row)
        ]
        for row in rows
    ]
    widths = [max([len(column), *(len(row[place]) for row in texts)]) for place, column in enumerate(columns)]
    flush = set(right)
    for row in [list(columns), *texts]:
        cells = [
            cell.rjust(width) if column in flush else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def ago(at: str | None, now: str) -> str:
    """How long ago a time of the API was: `3s`, `41m`, `2h`, `5d`."""
    if at is None:
        return "-"
    from datetime import datetime

    return span_text((datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds())
