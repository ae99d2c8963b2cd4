"""The table of commands. Nothing is imported before it is needed: `--help` answers in the time that click takes."""

import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

import click

from conduit_local import __version__

_COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve:serve", "Run the appliance alone, without a terminal UI."),
    "demo": ("demo:demo", "Run it on a throw-away data folder, with sample pipelines and live traffic."),
    "attach": ("attach:attach", "Open the terminal UI on an appliance that is running."),
    "status": ("status:status", "Show how everything stands."),
    "pipelines": ("pipelines:pipelines", "List, show, apply, test, pause, resume, drain, flush, delete."),
    "events": ("events:events", "Send, list, show, tail."),
    "replay": ("replay:replay", "Send the lines of a file as events."),
    "runs": ("runs:runs", "List, show, start, cancel, logs, download."),
    "dead": ("dead:dead", "Dead letters: list, groups, show, edit, replay, discard, export."),
    "destinations": ("destinations:destinations", "List the destinations of a pipeline, and test them."),
    "verify": ("verify:verify", "Compare what lies at a pipeline's destinations with what was delivered."),
    "keys": ("keys:keys", "List, create, revoke API keys."),
    "secrets": ("secrets:secrets", "Rotate the key that configurations are sealed with."),
    "check": ("check:check", "Validate settings, pipelines and the data folder."),
    "schema": ("check:schema", "Print the JSON Schema of settings or pipelines."),
    "completion": ("completion:completion", "Print the completion script for a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed from a table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name][0].split(":")
        found = getattr(importlib.import_module(f"conduit_local.cli.{module}"), name)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for what looks like a typing error."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if close:
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {close[0]!r}?", ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="conduit-local")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """
    A production event pipeline in one box.

    Without a command: the appliance with its terminal UI (without a terminal, the same as serve).
    """
    if ctx.invoked_subcommand is None:
        from conduit_local.cli.serve import appliance_with_ui

        ctx.invoke(appliance_with_ui)


def main(args: Sequence[str] | None = None) -> None:
    """The console script."""
    from conduit_local.cli.common import run_cli

    if isinstance(sys.stdout, TextIOWrapper):  # a terminal that lacks a letter is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run_cli(cli, args))


def command_table() -> dict[str, Any]:
    """What commands there are, for the tests of documentation and completion."""
    return dict(_COMMANDS)


if __name__ == "__main__":
    main()
