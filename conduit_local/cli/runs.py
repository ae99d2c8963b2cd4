"""`runs`: list, show, start, cancel, logs, download."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from conduit_local.cli.common import USAGE, Failure, as_json, print_json, print_table, reaches_appliance
from conduit_local.cli.saving import save, saves
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain
from conduit_local.core.units import size_text

_POLL_S = 0.1


@click.group()
def runs() -> None:
    """Runs: what was executed, and what came of it."""


@runs.command("list")
@click.option("--pipeline", help="Of this pipeline only.")
@click.option("--state", type=click.Choice(["pending", "running", "success", "failed", "cancelled"]))
@click.option("--trigger", type=click.Choice(["stream", "schedule", "manual", "drain", "replay"]))
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
        ["RUN", "PIPELINE", "TRIGGER", "STATE", "STARTED", "ROWS", "DEAD", "SIZE", "MS", "RETRIES", "OBJECT OR ERROR"],
        [
            (
                one["id"],
                one["pipeline"],
                "dry run" if one["dry_run"] else one["trigger"],
                one["state"],
                one["started_at"] or "waits",
                f"{one['rows']:,}",
                f"{one['dead']:,}",
                size_text(one["size_bytes"]),
                one["duration_ms"],
                max(0, one["attempts"] - one["batches"]),
                one["error"] or one["object_key"],
            )
            for one in page["data"]
        ],
        right=("ROWS", "DEAD", "SIZE", "MS", "RETRIES"),
    )


@runs.command()
@click.argument("run")
@click.option("--objects", type=click.IntRange(0, 1000), default=100, help="How many of its objects, the first ones.")
@reaches_appliance
def show(client: ControlClient, run: str, objects: int) -> None:
    """One run, whole: with its log, and rows, bytes, SHA-256, first and last event of each object it delivered."""
    print_json(client.run(run, objects=objects))


@runs.command()
@click.argument("run")
@reaches_appliance
def logs(client: ControlClient, run: str) -> None:
    """A run's log."""
    _say_log(client.run(run))


@runs.command()
@click.argument("pipeline")
@click.option("--full-refresh", is_flag=True, help="Deliver everything that is still kept once more.")
@click.option("--dry-run", is_flag=True, help="Look only: nothing is written or moved.")
@click.option("--var", "given", multiple=True, metavar="NAME=VALUE", help="Stands for ${NAME} in this run.")
@click.option("--wait", type=float, metavar="SECONDS", help="Wait until it has ended; fail where it does not succeed.")
@as_json
@reaches_appliance
def start(
    client: ControlClient, pipeline: str, given: tuple[str, ...], wait: float | None, json_: bool, **options: bool
) -> None:
    """Start a run of PIPELINE: its name, id or UUID. It waits while another one is under way."""
    variables = dict(_variable(one) for one in given)
    run = client.start_run(pipeline, {**options, "variables": variables})
    if wait is not None:
        run = ended(client, run, wait)
    if json_:
        print_json(run)
    else:
        click.echo(f"{run['pipeline']}: run {run['id']} {run['state']}")
        if wait is not None and run["dry_run"]:
            _say_log(client.run(run["id"]))
    if wait is not None and run["state"] != "success":
        raise Failure(f"the run {run['id']} has {run['state']}{': ' + plain(run['error']) if run['error'] else ''}")


@runs.command()
@click.argument("run")
@as_json
@reaches_appliance
def cancel(client: ControlClient, run: str, json_: bool) -> None:
    """End a run that waits or is under way. What it has not delivered stays pending."""
    found = client.cancel_run(run)
    if json_:
        print_json(found)
    else:
        click.echo(f"{found['pipeline']}: run {found['id']} {found['state']}")


@runs.command()
@click.argument("run")
@saves
@reaches_appliance
def download(client: ControlClient, run: str, output: Path | None, force: bool) -> None:
    """Download what a run has written: one object as it is, several as a zip. Named as the appliance says."""
    with closing(client.download_run(run)) as found:
        save(found, output, force=force)


def _variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise Failure(f"--var takes NAME=VALUE, not {plain(text)!r}", USAGE)
    return name, value


def _say_log(run: dict[str, Any]) -> None:
    for line in run["log"]:
        click.echo(f"{line['at']} {line['level']:<7} {plain(line['message'])}")


def ended(client: ControlClient, run: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The run once it has ended. Raises: Failure when that takes longer."""
    until = time.monotonic() + seconds
    while run["state"] in {"pending", "running"}:
        if time.monotonic() > until:
            raise Failure(f"the run {run['id']} is still {run['state']} after {seconds:g} seconds; it goes on")
        time.sleep(_POLL_S)
        found = client.run(run["id"], objects=0)
        run = {name: found[name] for name in run}
    return run
