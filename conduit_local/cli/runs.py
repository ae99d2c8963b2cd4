"""`runs`: list, show, logs."""

from typing import Any

import click

from conduit_local.cli.common import as_json, print_json, print_table, reaches_appliance
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain
from conduit_local.core.units import size_text


@click.group()
def runs() -> None:
    """Runs: what was executed, and what came of it."""


@runs.command("list")
@click.option("--pipeline", help="Of this pipeline only.")
@click.option("--state", type=click.Choice(["running", "success", "cancelled"]))
@click.option("--trigger", type=click.Choice(["stream", "manual", "drain"]))
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@as_json
@reaches_appliance
def list_(client: ControlClient, json_: bool, **query: Any) -> None:
    """The newest runs."""
    page = client.runs(**query)
    if json_:
        print_json(page)
        return
    print_table(
        ["RUN", "PIPELINE", "TRIGGER", "STATE", "STARTED", "ROWS", "SIZE", "MS", "RETRIES", "OBJECT OR ERROR"],
        [
            (
                one["id"],
                one["pipeline"],
                one["trigger"],
                one["state"],
                one["started_at"],
                f"{one['rows']:,}",
                size_text(one["size_bytes"]),
                one["duration_ms"],
                max(0, one["attempts"] - one["batches"]),
                one["error"] or one["object_key"],
            )
            for one in page["data"]
        ],
        right=("ROWS", "SIZE", "MS", "RETRIES"),
    )


@runs.command()
@click.argument("run")
@reaches_appliance
def show(client: ControlClient, run: str) -> None:
    """One run, whole."""
    print_json(client.run(run))


@runs.command()
@click.argument("run")
@reaches_appliance
def logs(client: ControlClient, run: str) -> None:
    """A run's log."""
    for line in client.run(run)["log"]:
        click.echo(f"{line['at']} {line['level']:<7} {plain(line['message'])}")
