"""`serve`: the appliance alone. Bare `conduit-local`: the appliance as a child, and the terminal UI on it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conduit_local.cli.common import FAILED, FOLDER_IN_USE, IO_ERROR, USAGE, Failure, has_terminal

if TYPE_CHECKING:
    from conduit_local.config.settings import LoadedSettings

_OPTIONS = {
    "host": ("host", "CONDUIT_LOCAL_HOST"),
    "port": ("port", "CONDUIT_LOCAL_PORT"),
    "auth": ("auth", "CONDUIT_LOCAL_AUTH"),
    "testing": ("testing", "CONDUIT_LOCAL_TESTING"),
    "log_format": ("log.format", "CONDUIT_LOCAL_LOG_FORMAT"),
    "log_file": ("log.file", "CONDUIT_LOCAL_LOG_FILE"),
}


def serve_options(function: Any) -> Any:
    """The flags of `serve`; each has an environment variable."""
    options = (
        click.option("--host", envvar="CONDUIT_LOCAL_HOST", help="Where to listen.  [default: 127.0.0.1]"),
        click.option(
            "--port",
            envvar="CONDUIT_LOCAL_PORT",
            type=click.IntRange(0, 65535),
            help="0: any that is free.  [default: 8642]",
        ),
        click.option(
            "--data-dir",
            envvar="CONDUIT_LOCAL_DATA_DIR",
            type=click.Path(path_type=Path, file_okay=False),
            help="Where the log, the key and relative outputs are kept.",
        ),
        click.option(
            "--config-dir",
            envvar="CONDUIT_LOCAL_CONFIG_DIR",
            type=click.Path(path_type=Path, file_okay=False),
            help="The folder of conduit-local.yaml and pipelines/.",
        ),
        click.option(
            "--auth",
            envvar="CONDUIT_LOCAL_AUTH",
            type=click.Choice(["required", "off"]),
            help="off: no API keys; on loopback only.",
        ),
        click.option(
            "--testing", envvar="CONDUIT_LOCAL_TESTING", is_flag=True, default=None, help="Offer /_local/test/."
        ),
        click.option(
            "--log-format",
            envvar="CONDUIT_LOCAL_LOG_FORMAT",
            type=click.Choice(["text", "json"]),
            help="Of the log.",
        ),
        click.option(
            "--log-file",
            envvar="CONDUIT_LOCAL_LOG_FILE",
            help="Log to a file in the data folder instead of standard error.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command(short_help="Run the appliance alone.")
@serve_options
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> None:
    """
    Run the appliance alone: HTTP in, events on disk, routes out. Its log goes to standard error.

    SIGTERM and SIGINT end it softly: requests and batches in hand are ended first.
    """
    run_in_foreground(ctx, options)


def run_in_foreground(ctx: click.Context, options: dict[str, Any]) -> None:
    """Run the appliance in this process, and word what can keep it from running."""
    from conduit_local.cli.logs import handler_for
    from conduit_local.config.settings import InvalidSettings
    from conduit_local.core.errors import Broken, StoreUnavailable

    try:
        start = prepare(ctx, options)
    except InvalidSettings as error:
        raise Failure(f"the configuration is not valid\n{error}", USAGE) from error
    log = start.loaded.settings.log

    from conduit_local.app import run, set_up_logging
    from conduit_local.http.server import CannotListen
    from conduit_local.store.folder import FolderInUse
    from conduit_local.store.migrate import StoreTooNew

    set_up_logging(log.level, handler_for(log.format, start.data_folder / log.file if log.file else None))
    try:
        run(start, _say_ready)
    except InvalidSettings as error:
        raise Failure(f"the configuration is not valid\n{error}", USAGE) from error
    except FolderInUse as error:
        raise Failure(str(error), FOLDER_IN_USE) from error
    except (CannotListen, StoreTooNew) as error:
        raise Failure(str(error), FAILED) from error
    except (Broken, StoreUnavailable) as error:
        raise Failure(str(error), IO_ERROR) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Failure("stopped at once; what was in hand is repeated at the next start", FAILED) from None


def prepare(ctx: click.Context, options: dict[str, Any]) -> Any:
    """What `serve` starts with, out of flags, environment and files. Raises: InvalidSettings."""
    from conduit_local.app import Start

    loaded, data, folder = settings_and_folders(ctx, options)
    return Start(loaded=loaded, data_folder=data, configuration_folder=folder, environment=dict(os.environ))


def settings_and_folders(ctx: click.Context, options: dict[str, Any]) -> tuple["LoadedSettings", Path, Path]:
    """The settings, the data folder and the configuration folder. Raises: InvalidSettings."""
    from conduit_local.client.find import default_data_folder
    from conduit_local.config.settings import Given, load_settings

    given = []
    for name, (field, variable) in _OPTIONS.items():
        if options.get(name) is not None:
            flag = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
            source = f"flag --{name.replace('_', '-')}" if flag else f"environment {variable}"
            given.append(Given(field=field, value=options[name], source=source))
    if tag := os.environ.get("CONDUIT_LOCAL_STORE_TAG"):
        given.append(Given(field="storage.tag", value=tag, source="environment CONDUIT_LOCAL_STORE_TAG"))
    folder = Path(options.get("config_dir") or default_configuration_folder()).absolute()
    loaded = load_settings(folder, given, os.environ)
    data = options.get("data_dir")
    if data is None:
        said = loaded.settings.data_dir
        data = folder / said if said else default_data_folder()
    data = Path(data).absolute()
    if (
        options.get("config_dir") and not folder.is_dir() and not data.exists()
    ):  # a later start goes on with what it knows
        raise Failure(
            f"--config-dir {folder}: there is no such folder; it holds conduit-local.yaml and pipelines/", USAGE
        )
    return loaded, data, folder


def usual_data_folder() -> Path:
    """The data folder of a `serve` without flags, started here and now. Raises: Failure."""
    from conduit_local.config.settings import InvalidSettings

    with serve.make_context("serve", []) as context:
        try:
            return settings_and_folders(context, context.params)[1]
        except InvalidSettings as error:
            raise Failure(f"the configuration is not valid\n{error}", USAGE) from error


def default_configuration_folder() -> Path:
    """Here, when there is a configuration here; else the user's."""
    here = Path.cwd()
    if (here / "conduit-local.yaml").is_file() or (here / "pipelines").is_dir():
        return here
    import platformdirs

    return platformdirs.user_config_path("conduit-local", appauthor=False)


@click.command()
@click.pass_context
def appliance_with_ui(ctx: click.Context) -> None:
    """The appliance as a child of this process, and the terminal UI on it."""
    if not has_terminal():
        with serve.make_context("serve", [], parent=ctx.parent) as context:  # reads the environment, as `serve` does
            serve.invoke(context)
        return
    from conduit_local.cli.attach import own_or_running

    sys.exit(own_or_running())


def _say_ready(url: str) -> None:
    click.echo(f"listening on {url}")
    sys.stdout.flush()
