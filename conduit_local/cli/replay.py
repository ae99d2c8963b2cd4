"""`replay`: the lines of a file as events."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from conduit_local.cli.common import Failure, reaches_appliance, read_json
from conduit_local.client.control import ControlClient
from conduit_local.client.errors import Refusal, Unreachable

_AT_ONCE = 100
_MOST_BYTES = 8 * 1024**2
"""A quarter of what a request may have."""
_TRIES = 8


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--pipeline", required=True, help="Its name, id or UUID.")
@click.option(
    "--type", "event_type", default="replay.line", show_default=True, help="The type of events that have none."
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second; as fast as it goes when left out."
)
@click.option("--batch", type=click.IntRange(1, 10_000), default=_AT_ONCE, show_default=True, help="Events a request.")
@reaches_appliance
def replay(
    client: ControlClient, file: BinaryIO, pipeline: str, event_type: str, rate: float | None, batch: int
) -> None:
    """
    Send each line of FILE (JSON lines; - for standard input) to a pipeline, in order.

    A line that is an object with event_type and payload is sent as it is; of an envelope written by a destination its
    type and payload are taken; any other object is sent as a payload. Requests carry idempotency keys made from the
    file's content and place, so a replay that was cut short and is started again within 24 hours sends nothing twice.
    """
    sent, before, began = 0, 0, time.monotonic()
    seen = hashlib.blake2b(f"{pipeline} {event_type} {batch}".encode(), digest_size=16)
    for lines in _groups(file, batch, event_type):
        body = b"\n".join(lines)
        seen.update(body)
        answer = _send(client, pipeline, body, f"replay-{seen.hexdigest()}")
        sent += len(lines)
        before += len(lines) if answer["replayed"] else 0
        if rate is not None:
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
    took_s = max(time.monotonic() - began, 1e-9)
    known = f", {before:,} of them before" if before else ""
    click.echo(f"{sent:,} events accepted in {took_s:.1f}s ({sent / took_s:,.0f}/s){known}")


def _groups(file: BinaryIO, size: int, event_type: str) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    held_bytes = 0
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        group.append(_event(line, number, event_type, Path(file.name).name))
        held_bytes += len(line)
        if len(group) == size or held_bytes > _MOST_BYTES:
            yield group
            group, held_bytes = [], 0
    if group:
        yield group


def _event(line: bytes, number: int, event_type: str, name: str) -> bytes:
    try:
        value = read_json(line)
    except ValueError as error:
        raise Failure(f"{name}:{number}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Failure(f"{name}:{number}: a line must be a JSON object, this one is {type(value).__name__}")
    if isinstance(value.get("event_type"), str) and isinstance(value.get("payload"), dict):
        return line.strip()
    return b'{"event_type":%s,"payload":%s}' % (json.dumps(event_type).encode(), line.strip())


def _send(client: ControlClient, pipeline: str, body: bytes, key: str) -> dict[str, Any]:
    """Send until there is an answer; a repeat makes no second event."""
    for attempt in range(_TRIES):
        try:
            return client.send(pipeline, body, "application/x-ndjson", key)
        except (Refusal, Unreachable) as error:
            if attempt == _TRIES - 1 or (isinstance(error, Refusal) and not error.repeatable):
                raise
            asked = (error.retry_after_s or 0) if isinstance(error, Refusal) else 0
            time.sleep(max(asked, min(5.0, 0.2 * 2.0**attempt)))
    raise AssertionError("unreachable")
