"""`status`: how everything stands."""

import time
from typing import Any

import click

from conduit_local.cli.common import ago, as_json, print_json, print_table, reaches_appliance
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain
from conduit_local.core.units import size_text, span_text


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every second, until interrupted.")
@as_json
@reaches_appliance
def status(client: ControlClient, watch: bool, json_: bool) -> None:
    """Show how everything stands. Exit code 3 when no appliance answers."""
    while True:
        snapshot = client.snapshot()
        if json_:
            print_json(snapshot)
        else:
            if watch:
                click.clear()
            _show(snapshot)
        if not watch:
            return
        time.sleep(1)


def _show(snapshot: dict[str, Any]) -> None:
    appliance, store, totals = snapshot["appliance"], snapshot["store"], snapshot["totals"]
    ledger = "ok" if snapshot["ledger_closes"] else "DOES NOT CLOSE"
    up = span_text(appliance["uptime_s"])
    click.echo(f"conduit-local {appliance['version']} | {appliance['url']} | up {up} | ledger {ledger}")
    click.echo(
        f"in {totals['in_per_s']:,.0f}/s  out {totals['out_per_s']:,.0f}/s  pending {totals['pending']:,}"
        f"  store {size_text(store['used_bytes'])} of {size_text(store['quota_bytes'])}"
        f"  disk free {size_text(store['free_bytes'])}"
    )
    if store["trouble"]:
        click.echo(f"EVENTS ARE REFUSED: {plain(store['trouble'])}")
    for alarm in snapshot["alarms"]:
        click.echo(f"ALARM: {plain(alarm['pipeline'])}: {plain(alarm['text'])}")
    for problem in snapshot["configuration"]["problems"]:
        line = f":{problem['line']}" if problem["line"] else ""
        field = f"{problem['field']}: " if problem["field"] else ""
        click.echo(plain(f"CONFIGURATION: {problem['file']}{line}: {field}{problem['message']}"))
    if not snapshot["pipelines"]:
        click.echo("\nno pipelines yet; put one into pipelines/NAME.yaml, or: conduit-local pipelines apply FILE")
        return
    click.echo()
    scheduled = any(one["schedule"] for one in snapshot["pipelines"])
    next_run = ["NEXT RUN"] if scheduled else []
    print_table(
        ["STATE", "PIPELINE", "IN/s", "OUT/s", "PENDING", "OLDEST", "ERR/m", "LAST WRITTEN", *next_run, "MESSAGE"],
        [
            (
                one["state"] if one["health"] == "ok" else one["health"],
                one["name"],
                f"{one['in_per_s']:,.0f}",
                f"{one['out_per_s']:,.0f}",
                f"{one['pending']:,}",
                span_text(one["oldest_s"]),
                one["errors_per_minute"],
                ago(one["last_written_at"], snapshot["time"]),
                *([one["next_run_at"] or ""] if scheduled else []),
                one["message"] or "",
            )
            for one in snapshot["pipelines"]
        ],
        right=("IN/s", "OUT/s", "PENDING", "OLDEST", "ERR/m"),
    )
