"""`attach`, and the appliance together with its terminal UI: two processes, so that neither can disturb the other."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from conduit_local.cli.common import FAILED, Failure, has_terminal


def ui_options(function: Any) -> Any:
    """The flags of the terminal UI."""
    for option in (
        click.option("--read-only", is_flag=True, help="Send no change."),
        click.option("--ascii", "ascii_only", is_flag=True, help="Print nothing but ASCII."),
        click.option("--rate", type=click.FloatRange(0.1, 4), help="Refreshes a second.  [default: 2, over ssh 1]"),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("url", required=False)
@click.option("--key", help="An API key (or CONDUIT_TOKEN; else that of the data folder).")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Its data folder (or CONDUIT_LOCAL_DATA_DIR).")
@ui_options
def attach(
    url: str | None, key: str | None, data_dir: Path | None, read_only: bool, ascii_only: bool, rate: float | None
) -> None:
    """Open the terminal UI on an appliance that is running. Closing it never disturbs the appliance."""
    from conduit_local.client.find import find_appliance

    place = find_appliance(url, key, data_dir, os.environ)
    require_terminal()
    run_ui(place.url, place.key, read_only=read_only, ascii_only=ascii_only, rate=rate)


def require_terminal() -> None:
    """Raises: Failure where there is none."""
    if not has_terminal():
        raise Failure(
            "the terminal UI needs a terminal (for input, output and errors; TERM=dumb is none); "
            "without one: conduit-local status",
            FAILED,
        )


def run_ui(
    url: str,
    key: str | None,
    *,
    read_only: bool = False,
    ascii_only: bool = False,
    rate: float | None = None,
    owns_appliance: bool = False,
) -> str | None:
    """Run the UI until it is quit; returns `stop`, `leave` or None. Raises: Failure when the UI itself fails."""
    from conduit_local.tui.app import ConduitApp, Options
    from conduit_local.tui.terminal import end_with_terminal

    end_with_terminal()
    hertz = rate or (1.0 if os.environ.get("SSH_CONNECTION") else 2.0)
    options = Options(
        url=url,
        key=key,
        interval_ms=max(250, round(1_000 / hertz)),
        read_only=read_only,
        ascii_only=ascii_only or "utf" not in sys.stderr.encoding.lower(),
        owns_appliance=owns_appliance,
        keys=_other_keys(),
    )
    app = ConduitApp(options)
    answer = app.run()
    if app.return_code:
        raise Failure("the terminal UI has failed, as said above; the appliance is not touched by that", FAILED)
    return answer


def _other_keys() -> Mapping[str, str] | None:
    """Other keys for actions: `keys.yaml` in the user's configuration folder, `action: key` a line."""
    import platformdirs

    path = platformdirs.user_config_path("conduit-local", appauthor=False) / "keys.yaml"
    if not path.exists():
        return None
    from conduit_local.config.documents import DocumentError, read_document
    from conduit_local.tui.actions import ACTIONS

    try:
        found = read_document(path, str(path), os.environ).value or {}
    except DocumentError as error:
        raise Failure(str(error)) from error
    known = {one.id for one in ACTIONS}
    unknown = sorted(found.keys() - known) if isinstance(found, dict) else ["the file itself"]
    if unknown:
        raise Failure(f"{path}: no such action: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return {str(name): str(key) for name, key in found.items()}


# The appliance as a child ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """An appliance that this process started."""

    process: "subprocess.Popen[str]"
    url: str

    def stop(self) -> int:
        """End it softly, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def start_appliance(arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
    """
    Start `serve` in a session of its own, so that a closed terminal does not reach it.

    Raises: Failure with what it said and its exit code, when it does not get as far as listening.
    """
    command = [sys.executable, "-m", "conduit_local", "serve", *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=dict(environment),
            start_new_session=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            code = process.wait()
            errors.seek(0)
            raise Failure(errors.read().strip().removeprefix("conduit-local: ") or "the appliance did not start", code)
    return Child(process=process, url=line.split()[-1])


def own_or_running() -> int:
    """
    Bare `conduit-local` in a terminal: attach to the appliance of the data folder if it runs, else start it.

    Returns the exit code.
    """
    from conduit_local.cli.serve import usual_data_folder
    from conduit_local.client.find import find_appliance, is_running

    folder = usual_data_folder()
    if is_running(folder):
        place = find_appliance(None, None, folder, os.environ)
        run_ui(place.url, place.key)
        return 0
    child = start_appliance([], {"CONDUIT_LOCAL_LOG_FILE": "appliance.log", **os.environ})
    place = find_appliance(child.url, None, folder, os.environ)
    try:
        answer = run_ui(child.url, place.key, owns_appliance=True)
    except Failure:
        end_of(child, None)
        raise
    return end_of(child, answer)


def end_of(child: Child, answer: str | None) -> int:
    """What becomes of the appliance once the UI has ended; returns the exit code."""
    if answer == "stop":
        click.echo("stopping; requests and batches in hand are ended first …")
        return child.stop()
    if child.process.poll() is None:
        click.echo(f"still running at {child.url} (process {child.process.pid})")
        click.echo(f"back to it: conduit-local attach {child.url}    stop it: kill {child.process.pid}")
        return 0
    raise Failure(f"the appliance has ended with exit code {child.process.returncode}", FAILED)
