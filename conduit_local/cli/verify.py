"""`verify`: what lies at the destinations, beside what was delivered."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from conduit_local.cli.common import FAILED, Failure, as_json, print_json, print_table, reaches_appliance
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain
from conduit_local.core.units import size_text

Json = dict[str, Any]

_MOST_SHOWN = 100
_REDELIVER = (
    "put it back from a copy; or deliver what is still kept once more: conduit-local runs start {pipeline} "
    "--full-refresh (it lands below a folder of that run; to a table it adds all rows once more: empty that first)"
)
_WHAT_TO_DO = {
    "missing": f"were delivered, and are not there: {_REDELIVER}",
    "altered": f"are not what was delivered: {_REDELIVER}",
    "unreadable": "cannot be read: see to the storage, then verify again",
    "extra": "were not delivered by this pipeline: move them away where readers take whole folders",
}


@click.command()
@click.argument("pipeline")
@click.option("--destination", help="This one alone; also one that the configuration no longer has.")
@click.option("--quick", is_flag=True, help="Go by sizes; read no object.")
@as_json
@reaches_appliance
def verify(client: ControlClient, pipeline: str, destination: str | None, quick: bool, json_: bool) -> int:
    """
    Compare what lies at the destinations of PIPELINE with what was delivered.

    Each object's size and SHA-256 are compared with those of the ledger; what is missing, altered or extra is named.
    Deliveries go on meanwhile. Exit code 0 where all is well, 1 where anything is not.
    """
    with _progress() as say:
        lines = []
        for line in client.verify(pipeline, destination=destination, quick=quick):
            if line["kind"] == "progress":
                say(line)
            else:
                lines.append(line)
    found = [_without_kind(one) for one in lines if one["kind"] == "destination"]
    problems = [_without_kind(one) for one in lines if one["kind"] == "problem"]
    well = all(one["ok"] for one in found)
    if json_:
        print_json({"pipeline": pipeline, "ok": well, "destinations": found, "problems": problems})
        return 0 if well else FAILED
    if not found:
        click.echo("no destinations: its configuration names none")
    else:
        _show(found)
    for kind, what_to_do in _WHAT_TO_DO.items():
        named = [one for one in problems if one["problem"] == kind]
        if named:
            click.echo(f"\n{kind}: these {what_to_do.format(pipeline=plain(pipeline))}")
            _show_problems(named)
    if not well:
        raise Failure(_told(found, plain(pipeline)))
    return 0


def _show(found: Sequence[Json]) -> None:
    print_table(
        [
            "DESTINATION",
            "TYPE",
            "OBJECTS",
            "ROWS",
            "SIZE",
            "MISSING",
            "ALTERED",
            "UNREADABLE",
            "EXTRA",
            "OLDER",
            "RESULT",
        ],
        [
            (
                one["destination"],
                one["type"],
                f"{one['objects']:,}",
                f"{one['rows']:,}",
                size_text(one["size_bytes"]),
                *(f"{one[name]:,}" for name in ("missing", "altered", "unreadable", "extra", "older")),
                _result(one),
            )
            for one in found
        ],
        right=("OBJECTS", "ROWS", "SIZE", "MISSING", "ALTERED", "UNREADABLE", "EXTRA", "OLDER"),
    )
    if any(one["older"] for one in found):
        click.echo("\nolder: lie there from before what is kept in the ledger (`retention.objects`); nobody can tell")


def _result(one: Json) -> str:
    if one["unavailable"] is not None:
        return f"unavailable: {one['unavailable']}"
    if not one["ok"]:
        return "not well"
    if not one["lookable"]:
        return "cannot be looked at: its receiver keeps what it got"
    return f"ok, {one['compared_by_size']:,} by their size alone" if one["compared_by_size"] else "ok"


def _show_problems(problems: Sequence[Json]) -> None:
    for one in problems[:_MOST_SHOWN]:
        events = f" ({one['rows']:,} rows, {one['first_event']} to {one['last_event']})" if one["first_event"] else ""
        where = one["place"] or one["key"]
        click.echo(f"  {plain(one['destination'])}: {plain(where)}: {plain(one['message'])}{plain(events)}")
    if len(problems) > _MOST_SHOWN:
        click.echo(f"  and {len(problems) - _MOST_SHOWN:,} more: --json names all")


def _told(found: Sequence[Json], pipeline: str) -> str:
    count = sum(one[name] for one in found for name in _WHAT_TO_DO)
    away = [plain(one["destination"]) for one in found if one["unavailable"] is not None]
    said = [f"{count:,} object{'s' if count != 1 else ''} not as delivered"] if count else []
    said += [f"{name} cannot be reached (conduit-local destinations test {pipeline} {name})" for name in away]
    return "; ".join(said)


def _without_kind(line: Json) -> Json:
    return {name: value for name, value in line.items() if name != "kind"}


@contextmanager
def _progress() -> Iterator[Any]:
    """What shows how far it is: on a terminal, and gone at the end."""
    shows = sys.stderr.isatty()

    def say(line: Json) -> None:
        of = f" of {line['of']:,}" if line["of"] is not None else ""
        if shows:
            click.echo(f"\r\x1b[K{plain(line['destination'])}: {line['step']} {line['done']:,}{of}", err=True, nl=False)

    try:
        yield say
    finally:
        if shows:
            click.echo("\r\x1b[K", err=True, nl=False)
