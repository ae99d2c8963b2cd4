"""`pipelines`: list, show, apply, test, pause, resume, drain, flush, delete."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conduit_local.cli.cases import test
from conduit_local.cli.common import FAILED, USAGE, Failure, as_json, print_json, print_table, reaches_appliance
from conduit_local.client.control import ControlClient
from conduit_local.client.errors import Refusal
from conduit_local.core.plain import plain

if TYPE_CHECKING:
    from conduit_local.config.documents import Document

_POLL_S = 0.1


@click.group()
def pipelines() -> None:
    """Pipelines. PIPELINE is a name, an id or a UUID."""


@pipelines.command("list")
@as_json
@reaches_appliance
def list_(client: ControlClient, json_: bool) -> None:
    """All pipelines."""
    found = client.pipelines()
    if json_:
        print_json(found)
        return
    print_table(
        ["NAME", "ID", "STATE", "BATCH", "DESTINATIONS", "FROM"],
        [
            (
                one["name"],
                one["id"],
                one["state"],
                one["configuration"]["batch"]["max_events"],
                ", ".join(destination["name"] for destination in one["configuration"]["destinations"]),
                one["managed_by"] or "API",
            )
            for one in found
        ],
        right=("BATCH",),
    )


@pipelines.command()
@click.argument("pipeline")
@as_json
@reaches_appliance
def show(client: ControlClient, pipeline: str, json_: bool) -> None:
    """One pipeline: its whole configuration and how it stands."""
    found = client.pipeline(pipeline)
    now = next((one for one in client.snapshot()["pipelines"] if one["id"] == found["id"]), None)
    if json_:
        print_json({**found, "now": now})
        return
    import yaml

    click.echo(f"# {found['id']}  {found['state']}  made {found['created_at']}  from {found['managed_by'] or 'API'}")
    if now:
        if now["schedule"]:
            click.echo(f"# next run {now['next_run_at'] or 'not while it is held'}")
        for route in now["destinations"]:
            ledger = route["ledger"]
            click.echo(
                f"# {route['name']}: {route['health']}, {ledger['delivered']:,} delivered, "
                f"{ledger['pending']:,} pending{_more(ledger)}{': ' + route['message'] if route['message'] else ''}"
            )
        for source in now["sources"]:
            why = f": {plain(source['message'])}" if source["message"] else ""
            click.echo(f"# from {source['name']}: {source['health']}, {source['pulled']:,} pulled{why}")
    if found["columns"] is not None:
        click.echo("# rows: " + ", ".join(f"{plain(one['name'])} {plain(one['kind'])}" for one in found["columns"]))
    elif found["columns_problem"] is not None:
        click.echo(f"# rows: {plain(found['columns_problem'])}")
    click.echo(yaml.safe_dump(found["configuration"], sort_keys=False, allow_unicode=True).rstrip())


def _more(ledger: dict[str, Any]) -> str:
    return "".join(f", {ledger[name]:,} {name}" for name in ("filtered", "dead", "purged") if ledger[name])


@pipelines.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@as_json
@reaches_appliance
def apply(client: ControlClient, file: Path, json_: bool) -> None:
    """Make a pipeline out of a YAML file, or replace the configuration of the one with its name. Tests stay here."""
    import os

    from conduit_local.config.cases import cases_in
    from conduit_local.config.documents import DocumentError, read_document

    try:
        document = read_document(file, str(file), os.environ, declares="variables")
    except DocumentError as error:
        raise Failure(str(error), USAGE) from error
    value, _, wrong = cases_in(document.value)
    if wrong:
        raise Failure("\n".join(str(document.problem(problem)) for problem in wrong), USAGE)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Failure(f"{file}: a pipeline needs at least a name:\n  name: orders", USAGE)
    try:
        found = client.apply(value["name"], value)
    except Refusal as refusal:
        if not refusal.details:
            raise
        problems = "\n".join(_placed(document, refusal.details))
        raise Failure(f"the configuration is not valid\n{problems}", USAGE) from refusal
    if json_:
        print_json(found)
    else:
        click.echo(f"{found['name']} ({found['id']}): {found['state']}")


def _placed(document: "Document", details: dict[str, str]) -> Iterator[str]:
    """What the appliance found wrong, each at the line of its field or of the nearest one around it."""
    from conduit_local.config.documents import FileProblem
    from conduit_local.core.problems import Problem

    lines = {Problem(path=path, message="").field: line for path, line in document.lines.items()}
    for field, message in details.items():
        around = field
        while around and around not in lines:
            around = around[: max(around.rfind("."), around.rfind("["), 0)]
        yield plain(str(FileProblem(file=document.file, line=lines.get(around), field=field, message=message)))


pipelines.add_command(test)


def _order(verb: str, text: str, *, waits_for: str | None = None) -> None:
    @pipelines.command(verb, help=text)
    @click.argument("pipeline")
    @click.option("--wait", type=float, metavar="SECONDS", help="Wait until it is done.")
    @as_json
    @reaches_appliance
    def order(client: ControlClient, pipeline: str, wait: float | None, json_: bool) -> None:
        answer = client.order(pipeline, verb)
        if wait is not None and waits_for is not None:
            answer = _wait(client, pipeline, answer, waits_for, wait)
        if json_:
            print_json(answer)
        elif verb == "flush":
            click.echo(f"{answer['pipeline']}: run {answer['id']} {answer['state']}")
        else:
            click.echo(f"{answer['name']}: {answer['state']}")


def _wait(client: ControlClient, pipeline: str, answer: dict[str, Any], goal: str, seconds: float) -> dict[str, Any]:
    """Ask until the state is `goal`."""
    until = time.monotonic() + seconds
    while answer["state"] != goal:
        if time.monotonic() > until:
            raise Failure(f"{pipeline} is still {answer['state']} after {seconds:g} seconds", FAILED)
        time.sleep(_POLL_S)
        answer = client.run(answer["id"]) if goal == "success" else client.pipeline(pipeline)
    return answer


_order("pause", "Stop delivering; go on accepting.")
_order("resume", "Make it active again, whatever it was.")
_order("drain", "Refuse new events, deliver everything pending, then stop.", waits_for="stopped")
_order("flush", "Deliver what is pending now, without waiting for the batch to fill.", waits_for="success")


@pipelines.command()
@click.argument("pipeline")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@reaches_appliance
def delete(client: ControlClient, pipeline: str, yes: bool, json_: bool) -> None:
    """Delete a pipeline and its run history. What was accepted is still delivered; it cannot be undone."""
    found = client.pipeline(pipeline)
    if not yes:
        click.confirm(f"Delete {found['name']} ({found['id']}) on {client.url}, with its run history?", abort=True)
    answer = client.delete(pipeline)
    if json_:
        print_json(answer)
    else:
        click.echo(f"{answer['name']}: deleted; what was accepted is still delivered")
