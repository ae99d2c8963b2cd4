"""Commands for a shell that ask this appliance. Pure; the key is read where it is kept, never shown."""

import json
import shlex
from typing import Any


def command(url: str, path: str, body: str | None = None) -> str:
    """The call of a path, on one line; the key is in `CONDUIT_TOKEN`."""
    quoted = body.replace("'", "'\\''") if body is not None else None
    sent = f" -H 'Content-Type: application/json' -d '{quoted}'" if quoted is not None else ""
    return f"curl '{url}{path}' -H \"Authorization: Bearer $CONDUIT_TOKEN\"{sent}"


def example(url: str, snapshot: dict[str, Any] | None) -> str:
    """The exact call that sends an event to a pipeline that there is; to be pasted as it stands."""
    pipelines = snapshot["pipelines"] if snapshot else []
    ref = pipelines[0]["id"] if pipelines else "pl_8f3a"
    key = f"{snapshot['appliance']['data_dir']}/api-key" if snapshot else "DATA/api-key"
    return (
        f"curl {shlex.quote(f'{url}/v1/events')} \\\n"
        f'  -H "Authorization: Bearer $(cat {shlex.quote(key)})" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f'  -d \'{{"pipeline_id": {json.dumps(ref)}, "event_type": "order.created",\n'
        '       "payload": {"orderId": "ord_1042"}}\''
    )
