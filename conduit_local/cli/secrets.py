"""`secrets`: rotate the key that they are sealed with."""

import click

from conduit_local.cli.common import as_json, print_json, reaches_appliance
from conduit_local.client.control import ControlClient


@click.group()
def secrets() -> None:
    """Secrets in configurations, which are kept sealed."""


@secrets.command()
@as_json
@reaches_appliance
def rotate(client: ControlClient, json_: bool) -> None:
    """Seal every secret with a new key. The old one is of no use any more."""
    count = client.rotate_secrets()
    if json_:
        print_json({"resealed": count})
    else:
        click.echo(f"sealed anew with a new key: {count:,} {'record' if count == 1 else 'records'}")
