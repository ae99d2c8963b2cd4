"""`events`: send, list, show, tail."""

import json
import os
import sys
from typing import Any

import click

from conduit_local.cli.common import USAGE, Failure, as_json, print_json, print_table, reaches_appliance, read_json
from conduit_local.client.control import ControlClient
from conduit_local.core.plain import plain, shorten


@click.group()
def events() -> None:
    """Events. PIPELINE is a name, an id or a UUID."""


@events.command()
@click.argument("pipeline")
@click.argument("event_type", metavar="TYPE")
@click.argument("payload", required=False)
@click.option("--idempotency-key", help="Makes repeating this call safe.")
@as_json
@reaches_appliance
def send(
    client: ControlClient, pipeline: str, event_type: str, payload: str | None, idempotency_key: str | None, json_: bool
) -> None:
    """Send one event. PAYLOAD is a JSON object; left out, it is read from standard input."""
    content = sys.stdin.buffer.read() if payload is None else os.fsencode(payload)
    try:
        read_json(content)
    except ValueError as error:
        raise Failure(f"the payload is not JSON: {error}", USAGE) from error
    line = b'{"event_type":%s,"payload":%s}' % (json.dumps(event_type).encode(), content.replace(b"\n", b" "))
    answer = client.send(pipeline, line, "application/x-ndjson", idempotency_key)
    if json_:
        print_json(answer)
    else:
        click.echo(f"{answer['first_event_id']} accepted{' before' if answer['replayed'] else ''}")


@events.command("list")
@click.option("--pipeline", help="Of this pipeline only.")
@click.option("--type", "type_", help="Of this type only.")
@click.option("--since", help="Received at or after this time, like 2026-06-21T14:09:33Z.")
@click.option("--until", help="Received before this time.")
@click.option("--text", help="Whose payload contains this text.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@as_json
@reaches_appliance
def list_(client: ControlClient, json_: bool, type_: str | None, limit: int, **query: Any) -> None:
    """The newest events."""
    page = client.events(type=type_, limit=limit, **query)
    if json_:
        print_json(page)
        return
    print_table(
        ["RECEIVED", "PIPELINE", "TYPE", "EVENT", "PAYLOAD"],
        [
            (one["received_at"], one["pipeline"], one["event_type"], one["event_id"], _short(one["payload"]))
            for one in page["data"]
        ],
    )
    if page["has_more"]:
        click.echo("… and more; --limit shows more, --json gives the cursor")


@events.command()
@click.argument("event_id", metavar="EVENT")
@reaches_appliance
def show(client: ControlClient, event_id: str) -> None:
    """One event with its payload, and what became of it."""
    print_json(client.event(event_id))


@events.command()
@click.option("--pipeline", help="Of this pipeline only.")
@as_json
@reaches_appliance
def tail(client: ControlClient, pipeline: str | None, json_: bool) -> None:
    """Follow events as they arrive: a sample where there are many, and how many there were."""
    for name, value in client.stream("events", interval_ms=500, pipeline=pipeline):
        if name != "events":
            continue
        for one in reversed(value["events"]):
            if json_:
                click.echo(json.dumps(one, ensure_ascii=False))
            else:
                click.echo(
                    f"{one['received_at']} {plain(one['pipeline'])} {one['event_type']} {_short(one['payload'])}"
                )
        more = value["accepted"] - len(value["events"])
        if more > 0 and not json_:
            click.echo(f"… and {more:,} more")
        sys.stdout.flush()


def _short(payload: object) -> str:
    return shorten(plain(json.dumps(payload, ensure_ascii=False)), 80)
