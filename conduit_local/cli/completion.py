"""`completion`: the script that teaches a shell to complete this command."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """
    Print the completion script for a shell.

    bash: conduit-local completion bash > ~/.local/share/bash-completion/completions/conduit-local.
    zsh: into a file _conduit-local on your fpath. fish: into ~/.config/fish/completions/conduit-local.fish.
    """
    from conduit_local.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "conduit-local", "_CONDUIT_LOCAL_COMPLETE").source())
