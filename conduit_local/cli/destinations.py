"""`destinations`: list, test."""

import sys
from typing import Any

import click

from conduit_local.cli.common import Failure, as_json, print_json, print_table, reaches_appliance
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain

Json = dict[str, Any]

_WHERE = ("url", "endpoint_url", "host", "database", "bucket", "prefix", "path", "table", "pipeline")
"""Settings that say where a destination is, whatever its kind."""
_MARKS = {True: "✓", False: "✗", None: "·"}
_ASCII_MARKS = {True: "+", False: "x", None: "-"}


@click.group()
def destinations() -> None:
    """Destinations of a pipeline. PIPELINE is a name, an id or a UUID."""


@destinations.command("list")
@click.argument("pipeline")
@as_json
@reaches_appliance
def list_(client: ControlClient, pipeline: str, json_: bool) -> None:
    """The destinations of PIPELINE: where they are, and how."""
    found = client.destinations(pipeline)
    if json_:
        print_json(found)
        return
    if not found:
        click.echo("no destinations: its configuration names none")
        return
    print_table(
        ["DESTINATION", "TYPE", "HEALTH", "IN FLIGHT", "LAST OBJECT", "WHERE", "MESSAGE"],
        [
            (
                one["name"],
                one["type"],
                _health(one),
                one["in_flight"],
                one["last_object"],
                _where(one["settings"]),
                one["message"] or "",
            )
            for one in found
        ],
        right=("IN FLIGHT",),
    )


@destinations.command()
@click.argument("pipeline")
@click.argument("name", required=False)
@as_json
@reaches_appliance
def test(client: ControlClient, pipeline: str, name: str | None, json_: bool) -> None:
    """
    Try out the destinations of PIPELINE, or the one called NAME.

    What deliveries need is done to something of its own: written, read back, written over, removed, as far as the kind
    of destination allows. No batch is touched. Exit code 1 where something failed.
    """
    names = [name] if name is not None else _names(client, pipeline)
    results = []
    for one in names:
        results.append(client.test_destination(pipeline, one))
        if not json_:
            _show(results[-1])
    if json_:
        print_json(results)
    elif not results:
        click.echo("no destinations: its configuration names none")
    failed = [plain(one["destination"]) for one in results if not one["ok"]]
    if failed:
        raise Failure(f"{', '.join(failed)}: deliveries fail like this; see the line that failed")


def _names(client: ControlClient, pipeline: str) -> list[str]:
    """Those of the configuration: what is no longer in it is left as it is."""
    return [str(one["name"]) for one in client.destinations(pipeline) if not one["retiring"]]


def _health(one: Json) -> str:
    state = "held" if one["paused"] else one["health"]
    return f"{state}, retiring" if one["retiring"] else str(state)


def _where(settings: Json) -> str:
    """The settings that say where, in the words of the configuration."""
    return " ".join(f"{name}={settings[name]}" for name in _WHERE if settings.get(name))


def _show(result: Json) -> None:
    marks = _MARKS if "utf" in (sys.stdout.encoding or "utf-8").lower() else _ASCII_MARKS
    kind = "" if result["destination"] == result["type"] else f" ({result['type']})"
    click.echo(f"{plain(result['destination'])}{plain(kind)}")
    width = max((len(one["step"]) for one in result["findings"]), default=0)
    for one in result["findings"]:
        click.echo(f"  {marks[one['ok']]} {plain(one['step']):<{width}}  {plain(one['message'])}")
